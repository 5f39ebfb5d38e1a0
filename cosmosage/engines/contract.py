"""What an engine promises, whatever it runs on.

A conversation goes in and text comes out while it is written. Whoever reads it may be slow, may
leave, may sit in a thread or in an event loop; the model neither waits for it nor works for one
who has left. The price is that what is not read yet lies in memory, at most one answer's text.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from threading import Condition
from typing import Literal

Finish = Literal["stop", "length", "cancelled"]
_HOTTEST = 1e6
"""A temperature at which any model draws from all tokens alike."""


class EngineError(RuntimeError):
    """The model failed while it wrote, or its server did."""


@dataclass(frozen=True)
class Sampling:
    """How the words of an answer are chosen.

    Raises:
        ValueError: a value out of its range.
    """

    max_tokens: int = 256
    """Of the answer, at most."""
    temperature: float = 0.0
    """0: the most likely words; 1: as the model's probabilities say."""
    top_p: float = 1.0
    """Drawn from the likeliest tokens that make up this share of the probability
    (arXiv:1904.09751); at 1 from all."""
    seed: int | None = None
    """The same seed, prompt and settings draw the same words when alone."""
    stop: tuple[str, ...] = ()
    """The answer ends before any of these; they are never shown."""

    def __post_init__(self) -> None:
        checks = [
            (
                isinstance(self.max_tokens, int) and self.max_tokens >= 1,
                "max_tokens",
                "a whole number, 1 or more",
            ),
            (0 <= self.temperature <= _HOTTEST, "temperature", f"0 to {_HOTTEST:g}"),
            (0 < self.top_p <= 1, "top_p", "more than 0 and at most 1"),
            (
                self.seed is None
                or (isinstance(self.seed, int) and -(2**63) <= self.seed < 2**63),
                "seed",
                "a whole number of 64 bits",
            ),
            (
                not isinstance(self.stop, str) and all(self.stop),
                "stop",
                "a tuple of texts that are not empty",
            ),
        ]
        for right, name, wanted in checks:
            if not right:
                raise ValueError(f"{name} is {getattr(self, name)!r}; wanted {wanted}")


class Writing:
    """One answer while it is written; one reader, in a thread or in an event loop.

    Both iterators give pieces of text as they come, raise ``EngineError`` where the model failed,
    and close the answer when they are left early.
    """

    def __init__(self, read: int = 0, closing: Callable[[], None] | None = None):
        """For engines; readers get theirs from ``Engine.write``.

        Args:
            read: tokens of the prompt.
            closing: called once when the reader has had enough, from any thread.
        """
        self.read, self.written = read, 0
        self.finish: Finish | None = None
        self._error: EngineError | None = None
        self._pieces: list[str] = []
        self._changed = Condition()
        self._waiting: Callable[[], None] | None = None
        self._closing = closing

    @property
    def ended(self) -> bool:
        """Whether nothing more is written."""
        return self.finish is not None or self._error is not None

    def put(self, piece: str) -> None:
        """For engines: a piece more; nobody waits for its reader."""
        with self._changed:
            if piece and not self.ended:
                self._pieces.append(piece)
                self._tell()

    def end(self, finish: Finish) -> None:
        """For engines: nothing more comes."""
        with self._changed:
            if not self.ended:
                self.finish = finish
                self._tell()

    def fail(self, error: EngineError) -> None:
        """For engines: the model failed; the reader hears of it after what was written."""
        with self._changed:
            if not self.ended:
                self._error = error
                self._tell()

    def close(self) -> None:
        """The model stops writing it at its next step; from any thread, as often as one likes."""
        with self._changed:
            if self.ended:
                return
            self.finish = "cancelled"
            self._pieces.clear()
            self._tell()
        if self._closing:
            self._closing()

    def _tell(self) -> None:
        self._changed.notify_all()
        if self._waiting:
            waiting, self._waiting = self._waiting, None
            waiting()

    def _take(self) -> str:
        """What has come since; empty at the end."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if not text and self._error:
            raise EngineError(str(self._error)) from self._error
        return text

    def __iter__(self) -> Iterator[str]:
        try:
            while True:
                with self._changed:
                    while not self._pieces and not self.ended:
                        self._changed.wait()
                    text = self._take()
                if not text:
                    return
                yield text
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        try:
            while True:
                with self._changed:
                    ready = asyncio.Event()
                    if self._pieces or self.ended:
                        ready.set()
                    else:
                        self._waiting = _waker(loop, ready)
                await ready.wait()
                with self._changed:
                    text = self._take()
                if not text:
                    return
                yield text
        finally:
            self.close()


def _waker(loop: asyncio.AbstractEventLoop, ready: asyncio.Event) -> Callable:
    """What another thread calls to set an event of a loop, which may have ended meanwhile."""

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(ready.set)
        except RuntimeError:
            if not loop.is_closed():
                raise

    return wake


class Engine(ABC):
    """A model that writes several answers side by side."""

    name: str
    """As /v1/models says it."""
    context: int
    """Tokens that it reads and writes at most in one answer."""
    at_once: int
    """Answers that are written side by side; more wait their turn inside, in order."""

    @abstractmethod
    def count(self, messages: list[dict]) -> int:
        """Tokens of a conversation, as the template writes it."""

    @abstractmethod
    def harmless(self, text: str) -> str:
        """Text without the tokens that a chat template is made of; a space stands for each."""

    @abstractmethod
    def write(
        self, messages: list[dict], sampling: Sampling = Sampling(), owner: str = ""
    ) -> Writing:
        """Begin an answer to a conversation; from any thread, returns at once.

        Args:
            messages: ``{"role": "system" | "user" | "assistant", "content": ...}`` in order.
            sampling: how its words are chosen.
            owner: of the conversation; what was computed for one owner's prompt is reused for
                that owner alone, since the time that it saves would tell others of it; what the
                template puts before every conversation is nobody's. The empty name is an owner
                like any other.

        Raises:
            ValueError: the conversation leaves no room for ``max_tokens`` in the context.
            EngineError: the engine is closed.
        """

    @abstractmethod
    def plan(self) -> list[tuple[str, str]]:
        """For people: weights, cache an answer, what fits, as names and values."""

    @abstractmethod
    def close(self) -> None:
        """End its threads; answers that are being written end with ``EngineError``."""

    def _room(self, read: int, sampling: Sampling) -> None:
        """See that a prompt of so many tokens leaves room for its answer."""
        if read + sampling.max_tokens > self.context:
            raise ValueError(
                f"the conversation has {read} tokens and its answer up to "
                f"{sampling.max_tokens}, and {self.name} reads and writes {self.context} in all; "
                "shorten the conversation, or max_tokens"
            )
