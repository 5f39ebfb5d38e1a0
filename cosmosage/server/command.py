"""The commands that hold a model or count what one takes: serving, and ``plan``."""

import argparse
import re
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from cosmosage.engines import LOADINGS, plan_memory
from cosmosage.models import check
from cosmosage.server.serving import HOST, Listening, check_port, opened, serve


def serve_until_stopped(arguments: Sequence[str], accounts: Path) -> int:
    """Serve until SIGINT or SIGTERM; ``accounts`` is their file where no other is named.

    Returns:
        0, or 2 after one sentence on standard error.
    """
    options = _parser(accounts).parse_args(arguments)
    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell's & would ignore the first
        signal.signal(ending, signal.default_int_handler)
    try:
        listening = Listening(
            options.host,
            options.port,
            tuple(options.name),
            options.certificate,
            options.certificate_key,
            options.behind_proxy,
        )
        listening.check(options.accounts)
        check_port(options.host, options.port)
        serve(opened(options), listening)
    except (ValueError, OSError, RuntimeError, sqlite3.Error) as error:
        print(re.sub(r"\s+", " ", str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def plan(arguments: Sequence[str]) -> int:
    """Print what answers would take in memory; 1 if they do not fit."""
    parser = argparse.ArgumentParser(prog="python -m cosmosage.server plan")
    parser.add_argument("--model", required=True, help="or its config.json alone")
    parser.add_argument("--engine", choices=list(LOADINGS), default="transformers")
    parser.add_argument("--users", type=int, default=8, help="answers side by side")
    parser.add_argument(
        "--context", type=int, help="tokens of an answer with its prompt"
    )
    parser.add_argument("--card", help="such as 'RTX A6000'; by default what is here")
    asked = parser.parse_args(arguments)
    try:
        if not Path(asked.model).exists():
            check(asked.model)  # a name on the hub, or a slip
        planned = plan_memory(
            asked.model, asked.engine, asked.users, asked.context, asked.card
        )
    except (ValueError, OSError) as error:
        print(re.sub(r"\s+", " ", str(error)), file=sys.stderr)
        return 2
    print(planned)
    return 0 if planned.fits else 1


def _parser(accounts: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.server",
        description="Serve a model: a chat page, and OpenAI's interface under /v1. Ctrl-C ends it.",
        epilog="Accounts: python -m cosmosage.server users|keys|audit --help. Memory, before "
        "anything is loaded: python -m cosmosage.server plan --help.",
    )
    parser.add_argument(
        "--model",
        required=True,
        help="a saved model or a name on the hub; with --engine remote NAME@ADDRESS, and the key "
        "that it asks for in COSMOSAGE_REMOTE_KEY",
    )
    parser.add_argument("--index", type=Path, help="of the corpus, for sources")
    parser.add_argument(
        "--embeddings", help="a model of sentence embeddings, to rank passages again"
    )
    parser.add_argument(
        "--verbatim", type=Path, help="of the corpus, for “Where did you read this?”"
    )
    parser.add_argument(
        "--engine",
        choices=["transformers", "8-bit", "4-bit", "remote"],
        default="transformers",
        help="what writes: the model in this process, also in fewer bits, or another server",
    )
    parser.add_argument(
        "--users", type=int, default=8, help="answers that are written side by side"
    )
    parser.add_argument("--host", default=HOST, help="address to listen on")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--name", action="append", default=[], help="under which browsers reach it"
    )
    parser.add_argument("--accounts", type=Path, default=accounts)
    parser.add_argument("--certificate", type=Path, help="for TLS: a file of PEM")
    parser.add_argument("--certificate-key", type=Path, help="its key")
    parser.add_argument(
        "--behind-proxy",
        action="store_true",
        help="a proxy on this machine does TLS, and says who asks in X-Forwarded-For",
    )
    return parser
