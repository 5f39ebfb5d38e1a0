"""Messages to a model behind an OpenAI-compatible address, and what it says.

Such an address is what vLLM, llama.cpp, Ollama and the hosted models have in common. What is asked
about is hostile (a paper may hold "ignore what was said before"), and so is the reply: texts are
sent between marks that they cannot close, and a reply is text, of which nothing is taken for true.
"""

import functools
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import openai
from tqdm.auto import tqdm

from cosmosage.documents import fingerprint, without_halves, write_jsonl

LONGEST = 20_000
"""Characters of a reply that are read; no answer that was asked for has so many."""
_UNLIKE = (AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What a reply raises that is none of the kind; its JSON may be nested without end."""
_OTHER = "‹"
"""Stands for "<" in what is sent between marks: no text can then close them."""


class Reply(NamedTuple):
    """What a model said."""

    text: str
    """Without what it thought before, between ``<think>`` and ``</think>``."""
    read: int = 0
    """Tokens of the messages, as the server counts them; 0 where it doesn't."""
    written: int = 0
    """Tokens of the reply, likewise."""


@dataclass(frozen=True)
class Chat:
    """A model behind an OpenAI-compatible address; it may be asked from several threads."""

    model: str
    address: str | None = None
    """Such as ``http://localhost:8000/v1``; by default OpenAI's."""
    key: str | None = field(default=None, repr=False)
    """By default what OPENAI_API_KEY says, for OpenAI only; local servers seldom ask."""
    tries: int = 4
    """Of a request that the server did not answer."""
    timeout_s: float = 120.0

    @classmethod
    def at(cls, place: str) -> Self:
        """A model as commands name it: ``MODEL@ADDRESS``, or ``MODEL`` at OpenAI's.

        Raises:
            ValueError: the model or the address is missing, or the address is none.
        """
        model, named, address = place.partition("@")
        if not model or (named and not address):  # a slip sends no text to OpenAI
            raise ValueError(
                f"{place!r} is no MODEL@ADDRESS; wanted such as "
                "mistral@http://localhost:8000/v1, or a model of OpenAI's alone"
            )
        return cls(model, address or None)

    def __post_init__(self) -> None:
        if self.address is None:
            return
        try:
            parts = urlsplit(self.address)
            host = (parts.hostname or "").encode("idna")
            whole = parts.scheme in ("http", "https") and host and parts.port != 0
        except ValueError:
            whole = False
        if not whole or not re.fullmatch(r"[^\s\x00-\x1f\x7f]+", self.address):
            raise ValueError(
                f"{self.address!r} is no address; wanted such as http://localhost:8000/v1"
            )

    @functools.cached_property
    def _client(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.address,
            api_key=self.key or ("none" if self.address else None),
            max_retries=self.tries - 1,
            timeout=self.timeout_s,
        )

    def ask(self, messages: list[dict[str, str]], max_tokens: int) -> Reply:
        """Send a conversation and wait for the model's most likely words.

        Args:
            messages: ``{"role": "system" | "user" | "assistant", "content": ...}`` in order.
            max_tokens: of the reply, at most.

        Raises:
            ConnectionError: nobody is at the address, the server does not know the model or asks
                for a key, or does not answer as such a server does, also when asked again.
        """
        for again in reversed(range(self.tries)):
            try:
                reply = self._client.chat.completions.create(
                    model=self.model,
                    messages=messages,
                    temperature=0,
                    max_tokens=max_tokens,
                )
                text = _said(reply.choices[0].message.content or "")
                return Reply(without_halves(text[:LONGEST]), *_usage(reply))
            # an answer, but none of the kind: another try may mend it
            except _UNLIKE as error:
                if not again:
                    raise self._silence(error) from error
            # the client has asked again where that helps
            except openai.OpenAIError as error:
                raise self._silence(error) from error
        raise ValueError(f"tries is {self.tries}; wanted 1 or more")

    def _silence(self, error: Exception) -> ConnectionError:
        advice = "is it running there, and does it want a key?"
        if isinstance(error, openai.NotFoundError):
            advice = "does it have this model, and should the address end in /v1?"
        told = " ".join(str(error).split())[:200]
        return ConnectionError(
            f"{self.model} at {self.address or 'OpenAI'} gave no answer "
            f"({type(error).__name__}: {told}); {advice}"
        )


def _said(text: str) -> str:
    """A reply without what a model that reasons thinks before it, be the end cut off or the
    beginning in its template; of a thought that does not end nothing is left."""
    thought, ended, said = text.partition("</think>")
    if ended:
        return said.lstrip()
    return "" if thought.lstrip().startswith("<think>") else text


def _usage(reply: Any) -> tuple[int, int]:
    """Tokens read and written, where the server tells."""
    told = [
        getattr(getattr(reply, "usage", None), name, None)
        for name in ("prompt_tokens", "completion_tokens")
    ]
    read, written = (count if isinstance(count, int) else 0 for count in told)
    return read, written


class Desk:
    """Asks models, several requests at once, and keeps every reply as it comes.

    Args:
        journal: the file where replies are kept, from one run to the next; None keeps none.
        at_once: requests.
    """

    def __init__(self, journal: Path | None, at_once: int = 4):
        self.journal, self.at_once = journal, at_once
        self.read = self.written = 0
        self._lock = Lock()
        self._said: dict[str, Reply] = {}
        if journal is None:
            return
        lines = journal.read_bytes().split(b"\n") if journal.is_file() else []
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:  # cut short by a kill or a full disk: it is asked again
                continue
            key = record.pop("request")
            self._said[key] = Reply(**record)
        write_jsonl(
            journal,
            ({"request": key} | said._asdict() for key, said in self._said.items()),
        )

    def ask(
        self,
        chat: Chat,
        requests: Sequence[list[dict[str, str]]],
        max_tokens: int,
        what: str,
    ) -> list[str]:
        """The replies to some conversations, in order; only what was never asked is asked.

        Args:
            chat: whom to ask.
            requests: conversations, as ``Chat.ask`` takes them.
            max_tokens: of each reply, at most.
            what: is going on, for the bar of progress.

        Raises:
            ConnectionError: as ``Chat.ask`` does; what was answered until then is kept.
        """
        keys = [fingerprint(chat.model, request, max_tokens) for request in requests]
        every = dict(zip(keys, requests))
        left = [key for key in every if key not in self._said]

        def one(key: str) -> None:
            self._keep(key, chat.ask(every[key], max_tokens))

        with (
            ThreadPoolExecutor(self.at_once, what) as pool,
            tqdm(total=len(every), initial=len(every) - len(left), desc=what) as bar,
        ):
            for _ in pool.map(one, left):  # an error ends it, and what was not begun
                bar.update()
        self.read += sum(self._said[key].read for key in every)
        self.written += sum(self._said[key].written for key in every)
        return [self._said[key].text for key in keys]

    def _keep(self, key: str, reply: Reply) -> None:
        line = json.dumps({"request": key} | reply._asdict()) + "\n"
        with self._lock:
            self._said[key] = reply
            if self.journal:
                with self.journal.open("a", encoding="utf-8") as file:
                    file.write(line)


def between_marks(name: str, text: str) -> str:
    """A text between ``<name>`` and ``</name>``, neither of which it can hold itself."""
    return f"<{name}>\n{text.replace('<', _OTHER)}\n</{name}>"


def with_its_signs(text: str) -> str:
    """What a model took from between marks, with "<" where that was sent as another sign."""
    return text.replace(_OTHER, "<")
