"""A server in this process, with an engine that writes what a test says."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cosmosage import retrieval, verbatim
from cosmosage.accounts import Accounts, Conversations, Gate
from cosmosage.assistant import Assistant
from cosmosage.documents import write_jsonl
from cosmosage.engines import Engine, Sampling, Writing
from cosmosage.retrieval import Index
from cosmosage.server.serving import HOST
from cosmosage.verbatim import Verbatim
from tests.lab import parts_of, running

PASSWORD = "a ruler of sound waves"


class Told(Engine):
    """Writes a set text word by word; where the text says so, it waits until it is let go on."""

    name, context, at_once = "told", 100_000, 1
    WAIT = "<wait>"

    def __init__(self) -> None:
        self.text = "Nothing was set."
        self.go_on = threading.Event()
        self.closed: list[Writing] = []
        """Answers that their readers ended."""
        self.left = threading.Event()
        """Set when one is."""

    def count(self, messages: list[dict]) -> int:
        return sum(len(message["content"].split()) for message in messages)

    def harmless(self, text: str) -> str:
        return text

    def write(
        self, messages: list[dict], sampling: Sampling = Sampling(), owner: str = ""
    ) -> Writing:
        writing = Writing(self.count(messages), lambda: self._closed(writing))
        threading.Thread(
            target=self._write, args=(writing, self.text), daemon=True
        ).start()
        return writing

    def _closed(self, writing: Writing) -> None:
        self.closed.append(writing)
        self.left.set()

    def _write(self, writing: Writing, text: str) -> None:
        for part in text.split(" "):
            if part == self.WAIT:
                self.go_on.wait()
                continue
            writing.written += 1
            writing.put(part + " ")
        writing.end("stop")

    def plan(self) -> list[tuple[str, str]]:
        return [("weights", "none")]

    def close(self) -> None:
        self.go_on.set()


@dataclass
class Served:
    """A server that runs, and what is behind it."""

    address: str
    accounts: Accounts
    assistant: Assistant
    gate: Gate
    conversations: Conversations
    invitations: dict[str, str] = field(default_factory=dict)
    """Codes by name, of those who have no password yet."""


def corpus(folder: Path, documents: Sequence[dict]) -> tuple[Index, Verbatim]:
    """Both indexes of a few documents."""
    write_jsonl(folder / "train.jsonl", documents)
    retrieval.build([folder / "train.jsonl"], folder / "index")
    verbatim.build([folder / "train.jsonl"], folder / "verbatim")
    return Index.load(folder / "index"), Verbatim.load(folder / "verbatim")


@contextlib.contextmanager
def serving(
    folder: Path, assistant: Assistant, users: dict[str, str], waiting: int = 4
) -> Iterator[Served]:
    """A server with accounts, on a free port of loopback, until the block ends.

    Args:
        folder: for the accounts.
        assistant: that answers.
        users: roles by names; each has ``PASSWORD``, but who is named ``invited``.
        waiting: places in the line.
    """
    accounts = Accounts(folder / "accounts.sqlite")
    codes = {name: accounts.invite(name, role) for name, role in users.items()}
    for name in [name for name in codes if name != "invited"]:
        accounts.accept(codes.pop(name), PASSWORD)
    service = parts_of(accounts, assistant, waiting)
    with running(service) as port:
        yield Served(
            f"http://{HOST}:{port}",
            accounts,
            assistant,
            service.gate,
            service.conversations,
            codes,
        )
