"""What programs ask: the part of OpenAI's interface that a chat needs.

``GET /v1/models`` and ``POST /v1/chat/completions``, with the fields of OpenAI's own clients. One
field is ours. In a request ``sources: false`` has the model answer from memory. In an answer,
``sources`` lists the passages that the model was given (in a stream: with its first piece), and
``unsupported`` the sentences that none of them supports (with its last). What we cannot do (tools,
several answers to one request, likelihoods) is refused, so that no program takes silence for an
answer.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from cosmosage.accounts import User
from cosmosage.accounts.limits import Refused
from cosmosage.documents import without_halves
from cosmosage.server.door import Refusal
from cosmosage.server.forms import (
    Asked,
    Choice,
    Completion,
    Faulty,
    Model,
    Models,
    Said,
    Source,
    Usage,
)
from cosmosage.server.service import Asking, Service

_EVENT = {
    "type": "object",
    "description": "An event: a chat.completion.chunk as JSON, or [DONE].",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}
BROKEN = "the model failed; who runs the server finds in its output why"
SHUT_OUT = "the account was closed while this was written"


def add_api(app: FastAPI, service: Service) -> None:
    """Put the interface into an application."""
    # the door looks at the key; here it is documented
    key = Security(HTTPBearer(auto_error=False, description="from `keys add`"))
    router = APIRouter(
        prefix="/v1",
        tags=["OpenAI's interface"],
        dependencies=[key],
        responses=_refusals(401, 403, 503),
    )
    name = service.assistant.engine.name

    @router.get("/models", response_model=Models)
    async def models() -> Models:
        """The one model that is served."""
        return Models(data=[Model(id=name)])

    @router.post(
        "/chat/completions",
        response_model=Completion,
        responses={
            200: {
                "description": "The answer; as a stream, pieces of it and then [DONE].",
                "content": {"text/event-stream": {"schema": _EVENT}},
            },
            **_refusals(400, 404, 408, 413, 429, 502),
        },
    )
    async def completions(asked: Asked, request: Request) -> Any:
        """An answer to the last message of a conversation, with its sources."""
        if asked.model != name:
            raise Refusal(
                404, f"there is no model {asked.model[:100]!r}; here is {name!r}"
            )
        question, history = asked.question()
        sampling = asked.sampling(service.assistant.max_tokens)
        user: User = request.state.user
        with _refused():
            asking = await service.ask(user, question, history, sampling, asked.sources)
        wire = _Wire(name, asking)
        if not asked.stream:
            return await wire.whole(request)
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        return _Stream(wire, usage)

    app.include_router(router)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _of_the_library)
    app.add_exception_handler(Refusal, _refusal)


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    said = {
        400: "The request is not understood, or does not fit.",
        401: "No key, or none that is valid.",
        403: "Not for readers.",
        404: "Another model.",
        408: "The request took too long to arrive.",
        413: "Too long.",
        429: "Too much; Retry-After says when to come again.",
        502: "The model failed.",
        503: "There are accounts since this server was started, which had none.",
    }
    return {
        status: {"description": said[status], "model": Faulty} for status in statuses
    }


@contextmanager
def _refused() -> Iterator[None]:
    """Say as a refusal what the gate and the assistant say."""
    try:
        yield
    except Refused as refused:
        raise Refusal(429, str(refused), refused.retry_after_s) from refused
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    except LookupError as error:
        raise Refusal(401, str(error.args[0])) from error
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise Refusal(502, BROKEN) from error


async def _of_the_library(request: Request, error: Exception) -> JSONResponse:
    """What the library refuses by itself, such as a body that is no JSON."""
    assert isinstance(error, HTTPException)
    return await _refusal(request, Refusal(error.status_code, str(error.detail)))


async def _refusal(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    response = refusal.response(request.scope["path"])
    assert isinstance(response, JSONResponse)
    return response


async def _not_understood(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a body, where, and without what it held."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"][1:])[:100]
    sentence = f"{place or 'the body'}: {first['msg'][:200]}"
    return await _refusal(request, Refusal(400, without_halves(sentence)))


class _Wire:
    """An answer in OpenAI's form."""

    def __init__(self, model: str, asking: Asking):
        self.asking, self._begun = asking, asking.begun
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    async def whole(self, request: Request) -> Completion | Response:
        """The answer when it is written; a reader who leaves stops it, also in the line."""
        writing = asyncio.ensure_future(self._written())
        leaving = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                return Response()  # to nobody
            with _refused():
                return writing.result()
        finally:
            leaving.cancel()
            writing.cancel()
            await self.asking.end()

    async def _written(self) -> Completion:
        answer = None
        async with aclosing(aiter(self._begun)) as growing:
            async for answer in growing:
                pass
        assert answer is not None
        if answer.finish == "cancelled":
            raise Refusal(401, SHUT_OUT)
        message = Said(content=answer.text)
        return Completion(
            **self._head,
            choices=[Choice(message=message, finish_reason=answer.finish)],
            usage=Usage.of(answer),
            sources=Source.all_of(answer),
            unsupported=[sentence.text for sentence in answer.unsupported],
        )

    async def pieces(self, usage: bool) -> AsyncIterator[str]:
        """The answer as server-sent events."""
        answer, sent = None, -1
        try:
            async with aclosing(aiter(self._begun)) as growing:
                async for answer in growing:
                    if sent < 0:
                        sent = 0
                        first = {"role": "assistant", "content": ""}
                        found = [each.model_dump() for each in Source.all_of(answer)]
                        yield self._event(first, sources=found)
                    if len(answer.text) > sent:
                        yield self._event({"content": answer.text[sent:]})
                        sent = len(answer.text)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            yield _told(Refusal(502, BROKEN))
            return
        assert answer is not None
        if answer.finish == "cancelled":
            yield _told(Refusal(401, SHUT_OUT))
            return
        marked = [sentence.text for sentence in answer.unsupported]
        yield self._event({}, answer.finish, unsupported=marked)
        if usage:
            yield self._event(None, usage=Usage.of(answer).model_dump())
        yield "data: [DONE]\n\n"

    def _event(self, delta: dict | None, finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        event = {
            **self._head,
            "object": "chat.completion.chunk",
            "choices": [] if delta is None else [choice],
            **more,
        }
        return f"data: {json.dumps(event)}\n\n"


def _told(refusal: Refusal) -> str:
    """A refusal in a stream that has begun."""
    return f"data: {bytes(refusal.response('/v1/').body).decode()}\n\n"


class _Stream(StreamingResponse):
    """A stream that gives its place free however it ends, also before its first piece."""

    def __init__(self, wire: _Wire, usage: bool):
        super().__init__(
            wire.pieces(usage),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},  # a proxy is not to collect them
        )
        self._wire = wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._wire.asking.end()


async def _left(request: Request) -> None:
    """Wait until who asked has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
