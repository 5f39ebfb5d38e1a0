"""A chat page for a tuned model, on this machine alone.

It listens on 127.0.0.1 and nowhere else: there is no host to choose before there are accounts,
for whoever reaches the page can use the processor without end. One answer is written at a
time and the queue is short, so a crowd hears "busy" at once instead of waiting for minutes.
Nothing is loaded from elsewhere and nothing is reported: letters, formulas and scripts come
from this process.
"""

import argparse
import html
import logging
import re
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event

import gradio
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cosmosage.assistant import LONGEST, Answer, Assistant, markdown, source_list

HOST = "127.0.0.1"
WAITING = 16  # questions in the queue; the next one is told that the server is busy
DOLLARS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]
EXAMPLES = [
    "What is the Hubble tension?",
    "How do baryon acoustic oscillations measure distances?",
    "Write down the Friedmann equation and name its terms.",
    "What does weak lensing tell us about the growth of structure?",
]
SOURCES = "Sources"
STYLE = """
footer {display: none !important}
button.example {border: 1px solid var(--border-color-primary)}
"""


def page(assistant: Assistant) -> gradio.Blocks:
    """The chat page, ready to be launched here or mounted in a larger application.

    Args:
        assistant: answers one question at a time.
    """

    def respond(question: str, history: list[dict]) -> Iterator[list[dict]]:
        try:
            answers = assistant.answers(question, spoken(history))
        except ValueError as error:
            yield [{"role": "assistant", "content": markdown(f"Sorry: {error}.")}]
            return
        answer = None
        try:
            with closing(answers):
                for answer in answers:
                    yield messages(answer)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            written = messages(answer) if answer else []
            broken = "The answer broke off; the server's output says why."
            yield [*written, {"role": "assistant", "content": broken}]
            return
        if answer and not answer.text.strip():
            yield messages(
                Answer(question, "(The model wrote nothing.)", answer.sources)
            )

    chat = gradio.Chatbot(
        show_label=False,
        latex_delimiters=DOLLARS,
        sanitize_html=True,
        allow_tags=False,
        buttons=["copy"],
        height="calc(100dvh - 8.5rem)",
        min_height="16rem",
        placeholder="Ask about what the papers and textbooks say.",
    )
    box = gradio.Textbox(
        placeholder="Ask a question",
        container=False,
        max_length=LONGEST,
        submit_btn=True,
        stop_btn=True,
        autofocus=True,
        scale=7,
    )
    with gradio.Blocks(
        title="cosmosage", analytics_enabled=False, fill_height=True
    ) as blocks:
        gradio.ChatInterface(
            respond,
            chatbot=chat,
            textbox=box,
            title="cosmosage",
            examples=EXAMPLES,
            concurrency_limit=1,
            analytics_enabled=False,
            api_name="chat",
        )
    return blocks.queue(max_size=WAITING, default_concurrency_limit=1)


def messages(answer: Answer) -> list[dict]:
    """An answer as the page shows it: the model's words, and apart from them the sources."""
    shown = [
        {"role": "assistant", "content": markdown(answer.text, answer.sources)},
    ]
    if answer.sources:
        shown.append(
            {
                "role": "assistant",
                "content": source_list(answer.sources),
                "metadata": {"title": SOURCES},
            }
        )
    return shown


def spoken(history: Sequence[dict]) -> list[dict]:
    """What was said in a conversation on the page, without lists of sources and escapes.

    The browser sends it, so nothing in it is taken for granted.
    """
    said = []
    for message in history:
        if (message.get("metadata") or {}).get("title"):
            continue
        content = message.get("content")
        if isinstance(content, list):
            texts = [part.get("text") for part in content if isinstance(part, dict)]
            content = "\n".join(text for text in texts if isinstance(text, str))
        if isinstance(content, str) and message.get("role") in ("user", "assistant"):
            if message["role"] == "assistant":
                content = html.unescape(content)
            said.append({"role": message["role"], "content": content})
    return said


def serve(assistant: Assistant, port: int) -> None:
    """Serve the page on 127.0.0.1 until SIGINT or SIGTERM.

    Raises:
        OSError: the port is in use.
        KeyboardInterrupt: it was stopped.
    """
    blocks = page(assistant)
    theme = gradio.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["ui-sans-serif", "system-ui", "sans-serif"],  # fonts that the reader has
        font_mono=["ui-monospace", "monospace"],
    )
    blocks.launch(
        server_name=HOST,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        inbrowser=False,
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size="1kb",  # nothing is uploaded here
        theme=theme,
        css=STYLE,
        app_kwargs={
            # a page elsewhere whose name resolves to 127.0.0.1 is not let in
            "middleware": [
                Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
            ]
        },
    )
    try:
        print(f"http://{HOST}:{port}", flush=True)
        Event().wait()
    finally:
        # nobody's answer is waited for, and none that is cut off is reported
        logging.getLogger("uvicorn.error").disabled = True
        blocks.server.force_exit = True
        blocks.close(verbose=False)


def check_port(port: int) -> None:
    """See that nobody listens on a port yet, before a model is loaded for it.

    Raises:
        ValueError: it is no port, or in use.
    """
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port; take one from 1024 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} cannot be had ({error.strerror}); choose another with --port"
            ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m cosmosage.server --model DIR [--index DIR] [--port N]``."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.server",
        description="A chat page on this machine; Ctrl-C ends it.",
    )
    parser.add_argument("--model", type=Path, required=True, help="a saved model")
    parser.add_argument("--index", type=Path, help="of the corpus, for sources")
    parser.add_argument("--port", type=int, default=7860)
    options = parser.parse_args(arguments)
    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell's & would ignore the first
        signal.signal(ending, signal.default_int_handler)
    try:
        check_port(options.port)
        serve(Assistant.load(options.model, options.index), options.port)
    except (ValueError, OSError) as error:
        print(re.sub(r"\s+", " ", str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
