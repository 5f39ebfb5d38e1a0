"""A whole server on loopback, with accounts, for tests that ask it as browsers and programs do."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cosmosage.accounts import Accounts, Conversations, Gate, User
from cosmosage.assistant import Assistant
from cosmosage.engines import Engine, EngineError, Sampling, Writing
from cosmosage.server.serving import HOST, Listening, prepared
from cosmosage.server.service import Service

PASSWORD = "correct horse battery staple"
PEOPLE = {"rita": "reader", "mo": "member", "mia": "member", "ada": "admin"}


class Scripted(Engine):
    """Writes what a test says, a piece at a time, and knows which answers were stopped."""

    name, context, at_once = "scripted", 4096, 4

    def __init__(self) -> None:
        self.say: Callable[[list[dict]], Iterable[str]] = lambda _: ["It ", "expands."]
        self.pause_s = 0.0
        self.asked: list[list[dict]] = []
        self.writings: list[Writing] = []

    def count(self, messages: list[dict]) -> int:
        return sum(len(message["content"].split()) + 3 for message in messages)

    def harmless(self, text: str) -> str:
        return text.replace("<|im_end|>", " ").replace("<|im_start|>", " ")

    def write(
        self, messages: list[dict], sampling: Sampling = Sampling(), owner: str = ""
    ) -> Writing:
        read = self.count(messages)
        self._room(read, sampling)
        writing = Writing(read)
        self.asked.append(messages)
        self.writings.append(writing)
        pieces = itertools.islice(self.say(messages), sampling.max_tokens)
        threading.Thread(
            target=self._write, args=(writing, pieces), daemon=True
        ).start()
        return writing

    def _write(self, writing: Writing, pieces: Iterable[str]) -> None:
        try:
            for piece in pieces:
                if writing.ended:
                    return
                writing.written += 1
                writing.put(piece)
                time.sleep(self.pause_s)
        except ZeroDivisionError as error:  # a test's model that fails
            writing.fail(EngineError(str(error)))
        writing.end("stop")

    def plan(self) -> list[tuple[str, str]]:
        return [("Weights", "none")]

    def close(self) -> None:
        for writing in self.writings:
            writing.fail(EngineError("the engine was closed"))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something to hold.

    Raises:
        AssertionError: it did not in this time.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def service(folder: Path, assistant: Assistant, waiting: int = 8) -> Service:
    """The parts of a server whose accounts lie in a folder, with ``PEOPLE`` in them."""
    accounts = Accounts(folder / "accounts.sqlite")
    for name, role in PEOPLE.items():
        accounts.accept(accounts.invite(name, role), PASSWORD)
        accounts.set_limits(name, 10_000, 10**9, 100)
    return parts_of(accounts, assistant, waiting)


def parts_of(accounts: Accounts, assistant: Assistant, waiting: int) -> Service:
    """The parts of a server with these accounts, whom nobody enters but by one of them."""
    return Service(
        assistant,
        Conversations(accounts.database),
        Gate(accounts, assistant.engine.at_once, waiting),
        accounts,
        lambda: User(0, "nobody", "reader"),
    )


@contextlib.contextmanager
def running(parts: Service) -> Iterator[int]:
    """Serve on a free port of loopback, in a thread, until the block ends; gives the port."""
    port = free_port()
    server = prepared(parts, Listening(port=port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), 60)
        yield port
    finally:
        server.should_exit = True
        thread.join(30)
        assert parts.accounts is not None
        parts.accounts.close()


@contextlib.contextmanager
def resting(place: "Lab") -> Iterator[Scripted]:
    """The engine of a server, which is as it was again when the block ends."""
    engine = place.service.assistant.engine
    assert isinstance(engine, Scripted)
    before = engine.say
    try:
        yield engine
    finally:
        engine.say, engine.pause_s = before, 0.0
        until(place.idle)


@dataclass
class Lab:
    """A server that runs, and what its users prove themselves with."""

    service: Service
    address: str
    port: int
    sessions: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def accounts(self) -> Accounts:
        """Its accounts, which it has."""
        assert self.service.accounts is not None
        return self.service.accounts

    def user(self, name: str) -> User:
        """Who has a name."""
        found = self.accounts.user_of_session(self.sessions[name])
        assert found is not None
        return found

    def browser(self, name: str = "") -> httpx.Client:
        """As a page of somebody's asks; without a name as a stranger's."""
        headers = {"sec-fetch-site": "same-origin", "origin": self.address}
        if name:
            headers["cookie"] = f"cosmosage={self.sessions[name]}"
        return httpx.Client(base_url=self.address, headers=headers, timeout=30)

    def program(self, name: str) -> httpx.Client:
        """As a script of somebody's asks."""
        headers = {"authorization": f"Bearer {self.keys[name]}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=30)

    def raw(self, seconds: float = 20.0) -> socket.socket:
        """A connection, for what no client would send."""
        return socket.create_connection((HOST, self.port), seconds)

    def idle(self) -> bool:
        """Whether nobody's answer is written or waited for."""
        state = self.service.gate.state()
        return (state["answering"], state["waiting"]) == (0, 0)

    def events(self, what: str) -> list[dict]:
        """Lines of the audit log of a kind."""
        return [
            line for line in self.accounts.audit_log(10_000) if line["what"] == what
        ]


@contextlib.contextmanager
def lab(folder: Path, assistant: Assistant, waiting: int = 8) -> Iterator[Lab]:
    """Serve in a thread until the block ends."""
    parts = service(folder, assistant, waiting)
    with running(parts) as port:
        open_lab = Lab(parts, f"http://{HOST}:{port}", port)
        for name, role in PEOPLE.items():
            open_lab.sessions[name] = open_lab.accounts.sign_in(name, PASSWORD, HOST)
            if role != "reader":
                open_lab.keys[name] = open_lab.accounts.new_key(name)
        yield open_lab
