"""Answers from an OpenAI-compatible server that others run, such as vLLM or llama.cpp.

Two of its paths are called, ``/models`` once and ``/chat/completions``, and nothing that it says
leads anywhere else: no redirect is followed and no proxy of the environment is used. Its reply is
as hostile as a paper: lines, text and time are bounded, and what is none of the kind ends the
answer with a sentence. The price of not having its tokenizer is that tokens are estimated, on the
safe side, so that a part of its context is left unused.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from threading import Thread
from typing import Any

import httpx2  # what openai's own client is made of

from cosmosage.chat import Chat
from cosmosage.documents import without_halves
from cosmosage.engines.contract import Engine, EngineError, Sampling, Writing
from cosmosage.engines.text import Stops

SILENCE_S = 120.0
"""Without a word, after which a server is given up: a long prompt behind a queue takes a minute."""
CONNECT_S = 10.0
"""To be reached, and to say which models it has."""
CONTEXT = 4096
"""Where neither the caller nor the server say: what small servers give an answer."""
_LINE = 2**18
"""Bytes of one event; a token with its frame has 300."""
_MARGIN = 2**20
"""Bytes of a reply beside its events."""
_EVENT = 2**12
"""Bytes for each token, in its frame."""
_TOKEN = 64
"""Characters of a token, at most: longer ones are runs of spaces."""
_ROUND = 8
"""Tokens that a template puts around a message."""
_UNLIKE = (AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What a reply raises that is none of the kind; its JSON may be nested without end."""

_TEMPLATE = re.compile(
    r"<[|\uff5c][\w .:/\u2581-]{1,64}[|\uff5c]>"  # ChatML, Llama 3, Phi, Qwen, DeepSeek
    r"|</?s>|<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|THINK|IMG\w*)\]"
    r"|</?(?:start_of_turn|end_of_turn|bos|eos|pad|unk|im_start|im_end)>",  # Gemma and others
    re.IGNORECASE,
)
_PIECES = re.compile(r"[A-Za-z]{1,4}|[^\S\n ]+|\n+| +(?![A-Za-z])|[^A-Za-z\s]")


class _Refusal(Exception):
    """What the server did instead of answering, for the reader's sentence."""


class Remote(Engine):
    """A model behind an address; the answers' streams live in one event loop of their own."""

    def __init__(
        self,
        place: str,
        at_once: int = 8,
        context: int | None = None,
        key: str | None = None,
        silence_s: float = SILENCE_S,
    ):
        """Reach a server and see that it has the model.

        Args:
            place: ``NAME@ADDRESS``, such as ``mistral@http://localhost:8000/v1``.
            at_once: requests that the server gets at once.
            context: tokens of a prompt with its answer; by default as many as the server says.
            key: that it asks for.
            silence_s: without a word, after which it is given up.

        Raises:
            ValueError: no name or no address.
            EngineError: the server does not answer, or does not have the model.
        """
        chat = Chat.at(place)
        if chat.address is None or re.search("[?#]", chat.address):
            raise ValueError(
                f"{place!r} is no NAME@ADDRESS; wanted such as mistral@http://localhost:8000/v1"
            )
        self.name, self.at_once = chat.model, at_once
        self._address, self._silence_s = chat.address.rstrip("/"), silence_s
        headers = {
            "accept-encoding": "identity"
        }  # a small reply may unfold to a large one
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=at_once + 1),
        )
        self._turns = asyncio.Semaphore(at_once)
        self._answers: set[asyncio.Task] = set()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="remote", daemon=True)
        self._thread.start()
        try:
            told = self._wait(self._told())
        except BaseException:
            self.close()
            raise
        self.context = min(context or told or CONTEXT, told or context or CONTEXT)

    def count(self, messages: list[dict]) -> int:
        """Tokens of a conversation, estimated on the safe side.

        Four letters a token, where tokenizers for English have more; of everything else each
        character one, and of other scripts each byte.
        """
        return _ROUND + sum(
            _ROUND + _tokens(message["content"]) for message in messages
        )

    def harmless(self, text: str) -> str:
        """Text without what common templates are made of: which the server has is not known."""
        before = None
        while text != before:
            before, text = text, _TEMPLATE.sub(" ", text)
        return text

    def plan(self) -> list[tuple[str, str]]:
        return [
            ("server", self._address),
            ("answers at once", f"{self.at_once}"),
            ("context", f"{self.context:,} tokens; memory is the server's"),
        ]

    def write(
        self, messages: list[dict], sampling: Sampling = Sampling(), owner: str = ""
    ) -> Writing:
        read = self.count(messages)
        self._room(read, sampling)
        writing = Writing(read, lambda: self._later(stop))
        task: asyncio.Task | None = None

        def start() -> None:
            nonlocal task
            if self._closed:
                writing.fail(EngineError(f"{self.name} was closed before it wrote"))
                return
            task = self._loop.create_task(self._answer(writing, messages, sampling))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

        def stop() -> None:
            if task:
                task.cancel()

        if not self._later(start):
            raise EngineError(f"{self.name} is closed; open the engine again")
        return writing

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._wait(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _later(self, call: Callable[[], None]) -> bool:
        """Do something in the loop; False if that is closed, and with it every answer."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            return False
        return True

    def _wait(self, work: Coroutine) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # what follows runs in the loop

    async def _leave(self) -> None:
        self._closed = True
        answers = list(self._answers)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        await self._client.aclose()

    async def _told(self) -> int | None:
        """The context of the model, if the server says it."""
        try:
            async with asyncio.timeout(CONNECT_S):
                reply = await self._body("GET", "/models")
            models = {model["id"]: model for model in json.loads(reply)["data"]}
        except (httpx2.HTTPError, TimeoutError, _Refusal, *_UNLIKE) as error:
            raise self._failure(error) from error
        if not models:
            # ``transformers serve`` lists no folder, and reads any that it is asked for
            return None
        if self.name not in models:
            known = ", ".join(_line(name)[:60] for name in list(models)[:5])
            raise EngineError(
                f"the server at {self._address} has no model {self.name}; it has {known}"
            )
        told = models[self.name].get("max_model_len")  # vLLM says it
        return told if _whole(told) and told > 0 else None

    async def _body(self, method: str, path: str) -> bytes:
        """A whole reply that is not too long."""
        async with self._client.stream(method, self._address + path) as reply:
            self._plain(reply, "")
            data = b""
            async for piece in reply.aiter_raw():
                data += piece
                if len(data) > _MARGIN:
                    raise _Refusal("a list without end")
            return data

    def _plain(self, reply: httpx2.Response, kind: str) -> None:
        """See that a reply is one."""
        if reply.status_code != 200:
            raise _Refusal(f"status {reply.status_code}")
        found = reply.headers.get("content-type", "")
        if not found.startswith(kind):
            raise _Refusal(f"{_line(found)[:60] or 'no type'} where {kind} is wanted")
        if reply.headers.get("content-encoding", "identity") != "identity":
            raise _Refusal("a packed reply that was not asked for")

    async def _answer(
        self, writing: Writing, messages: list[dict], sampling: Sampling
    ) -> None:
        """Write one answer; whatever happens, its reader hears of the end."""
        try:
            async with self._turns:
                if not writing.ended:
                    await self._stream(writing, messages, sampling)
        except asyncio.CancelledError:
            # of an answer that its reader closed nobody hears this
            writing.fail(EngineError(f"{self.name} was closed while it wrote"))
            raise
        # pylint: disable-next=broad-exception-caught  # a reader must not wait for ever
        except Exception as error:
            failure = self._failure(error)
            failure.__cause__ = error
            writing.fail(failure)

    async def _stream(
        self, writing: Writing, messages: list[dict], sampling: Sampling
    ) -> None:
        body = {
            "model": self.name,
            "messages": messages,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.stop:
            body["stop"] = list(sampling.stop[:4])  # the most that the API takes
        stops, length, finish = Stops(sampling.stop), 0, None
        url = f"{self._address}/chat/completions"
        try:
            async with (
                asyncio.timeout(self._silence_s) as silence,
                self._client.stream("POST", url, json=body) as reply,
            ):
                self._plain(reply, "text/event-stream")
                most = _MARGIN + _EVENT * sampling.max_tokens
                async for event in _events(reply, most):
                    text, ended = _said(event)
                    _counted(writing, event, sampling)
                    if finish:
                        continue  # what comes after the end is the count of tokens
                    if text:
                        silence.reschedule(self._loop.time() + self._silence_s)
                        writing.written += 1
                        text = text[: sampling.max_tokens * _TOKEN - length]
                        length += len(text)
                        shown, stopped = stops.add(text)
                        writing.put(shown)
                        if stopped:
                            writing.end("stop")
                            return
                        if (
                            length == sampling.max_tokens * _TOKEN
                            or writing.written > sampling.max_tokens
                        ):
                            finish = "length"  # it was asked for so many and goes on
                            break
                    if ended:
                        finish = "length" if ended == "length" else "stop"
                        silence.reschedule(self._loop.time() + CONNECT_S)
        except (TimeoutError, httpx2.HTTPError):
            if not finish:
                raise
        if not finish:
            raise _Refusal("the answer broke off")
        writing.put(stops.rest())
        writing.end(finish)

    def _failure(self, error: Exception) -> EngineError:
        """An error as a sentence."""
        if isinstance(error, _Refusal):
            told = str(error)
        elif isinstance(error, TimeoutError):
            told = f"no word for {self._silence_s:g} s"
        elif isinstance(error, httpx2.HTTPError):
            told = f"{type(error).__name__}: {_line(str(error))[:200]}"
        else:
            told = "no reply of the kind"
        return EngineError(
            f"{self.name} at {self._address} gave no answer ({told}); is it running there, does "
            "it have this model, does it want a key, and should the address end in /v1?"
        )


async def _events(reply: httpx2.Response, most: int) -> AsyncIterator[dict]:
    """The events of a stream up to its end."""
    rest, size = b"", 0
    async for piece in reply.aiter_raw():
        size += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        if size > most or len(rest) > _LINE:
            raise _Refusal("a reply without end")
        for line in lines:
            if not line.startswith(b"data:"):
                continue  # comments keep a line open, and blank ones end an event
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            try:
                event = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise _Refusal("no JSON in an event") from error
            if not isinstance(event, dict):
                raise _Refusal("an event that is no object")
            yield event


def _said(event: dict) -> tuple[str, str | None]:
    """The text of an event, and why the answer ends with it, if it does."""
    if event.get("error"):
        raise _Refusal("it says that it failed")
    try:
        if not event.get("choices"):
            return "", None
        choice = event["choices"][0]
        text, ended = choice["delta"].get("content"), choice.get("finish_reason")
    except _UNLIKE as error:
        raise _Refusal("an event that is none of the kind") from error
    if not isinstance(text or "", str) or not isinstance(ended or "", str):
        raise _Refusal("an event that is none of the kind")
    return without_halves(text or ""), ended


def _counted(writing: Writing, event: dict, sampling: Sampling) -> None:
    """Take the server's count of tokens, where it gives one that can be."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if _whole(read) and 0 < read <= 2**24:
        writing.read = read
    if _whole(written) and 0 <= written <= sampling.max_tokens:
        writing.written = written


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _tokens(text: str) -> int:
    """An estimate of a text's tokens, on the safe side."""
    return sum(
        len(p.encode("utf-8", "replace")) if p[0] > "\x7f" else 1
        for p in _PIECES.findall(text)
    )


def _line(text: Any) -> str:
    """What a server says, in one line that a terminal shows as it is."""
    return "".join(c if c.isprintable() else " " for c in str(text))
