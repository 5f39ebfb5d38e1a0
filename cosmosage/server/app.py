"""The application: the door before everything, the chat page, the interface for programs, and the
few pages of our own, which need no script at all.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import gradio
import jinja2
import psutil
from fastapi import FastAPI, Form, Request
from fastapi.responses import (
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.types import ASGIApp

from cosmosage.accounts import Accounts, Denied, Locked, User
from cosmosage.assistant import UNSUPPORTED, address, cited
from cosmosage.server.api import add_api
from cosmosage.server.door import Door, Refusal, cookie_name, session_token
from cosmosage.server.looks import CHAT_STYLE, ICON, PAGE_STYLE, THEME
from cosmosage.server.page import page
from cosmosage.server.service import Service

SESSION_S = 7 * 86400
"""A browser's cookie; the session behind it ends earlier if it is idle."""
SIGNING_IN, CROWD = 4, 60
"""Sign-ins that are looked at together, and that wait for their turn: a lab after a restart."""
UNREAD = 8
"""Answers that a page may begin and not read: each is kept, with the whole conversation, until it
is. A page has four buttons that begin something."""
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)


def application(service: Service, names: set[str], secure: bool) -> ASGIApp:
    """Put the server together.

    Args:
        service: its parts.
        names: under which it is reached.
        secure: browsers reach it by TLS, so that cookies are sent by TLS alone.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        service.assistant.close()

    app = FastAPI(
        title="cosmosage",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_pages(app, service, secure)
    add_api(app, service)
    blocks = page(service)
    mounted = gradio.mount_gradio_app(
        app,
        blocks,
        "/chat",
        auth_dependency=lambda request: request.scope["state"]["user"].name,
        app_kwargs={
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        max_file_size="1kb",  # nothing is uploaded here
        theme=THEME,
        css=CHAT_STYLE,
    )
    return Door(
        mounted,
        service.accounts,
        service.alone,
        names,
        secure,
        fits=lambda asked: _check_fits(blocks, asked),
    )


def _check_fits(blocks: gradio.Blocks, asked: dict) -> None:
    """See that the page could ask so: its library prints where it fails at anything else.

    Raises:
        Refusal: there is no such function, it takes other things, or the page has not read what
            it asked for before.
    """
    number, data = asked.get("fn_index"), asked.get("data")
    act = blocks.fns.get(number) if isinstance(number, int) else None
    if act is None or act.fn is None:
        raise Refusal(404, "the page has no such function")
    chosen = asked.get("event_data")
    known = isinstance(chosen, dict) and {"index", "value"} <= chosen.keys()
    if (
        not isinstance(data, list)
        or len(data) != len(act.inputs)
        or (act.collects_event_data and not known)
    ):
        raise Refusal(400, "this is not what the chat page sends")
    # pylint: disable-next=protected-access  # nowhere else does it tell
    unread = blocks._queue.pending_event_ids_session.get(asked["session_hash"], ())
    if len(unread) >= UNREAD:
        sentence = f"this page has {UNREAD} answers that it did not read; load it anew"
        raise Refusal(429, sentence, 60.0)


def _add_pages(app: FastAPI, service: Service, secure: bool) -> None:
    accounts, kept = service.accounts, service.conversations

    @app.get("/health", include_in_schema=False)
    def health() -> dict[str, str]:
        """That the server answers."""
        return {"status": "ok"}

    @app.get("/look.css", include_in_schema=False)
    def look() -> Response:
        return Response(PAGE_STYLE, media_type="text/css")

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(ICON, media_type="image/svg+xml")

    @app.get("/", include_in_schema=False)
    def begin() -> Response:
        return RedirectResponse("/chat/", 303)

    @app.get("/sources/{document:path}", include_in_schema=False)
    def source(document: str) -> Response:
        index = service.assistant.index
        found = index.document(document) if index else None
        if found is None:
            raise Refusal(404, "the corpus holds no such document")
        title, *rest = cited(found, document)
        return _page(
            "source.html",
            title=title,
            facts=rest,
            link=address(found.url),
            passages=found.passages,
        )

    @app.get("/conversations/{name}.{form}", include_in_schema=False)
    def export(name: str, form: str, request: Request) -> Response:
        user: User = request.state.user
        try:
            if form == "bib":
                text = kept.as_bibtex(user.id, name)
            else:
                text = kept.as_markdown(user.id, name, f" [{UNSUPPORTED}]")
        except LookupError:
            raise Refusal(404, "there is no such conversation") from None
        kind = "application/x-bibtex" if form == "bib" else "text/markdown"
        return PlainTextResponse(
            text,
            media_type=kind,
            headers={"content-disposition": f'attachment; filename="cosmosage.{form}"'},
        )

    @app.get("/state", include_in_schema=False)
    def state() -> dict[str, Any]:
        """What an admin wants to see at a glance."""
        return {
            **service.gate.state(),
            "model": service.assistant.engine.name,
            "plan": dict(service.assistant.engine.plan()),
            "resident_bytes": psutil.Process(os.getpid()).memory_info().rss,
        }

    if accounts is not None:
        _add_sign_in(app, accounts, secure)


def _add_sign_in(app: FastAPI, accounts: Accounts, secure: bool) -> None:
    threads = ThreadPoolExecutor(SIGNING_IN, "sign-in")
    waiting = 0

    async def checked(act: Callable, *arguments: str) -> Any:
        """What hashes a password, in threads of its own: a crowd here keeps nobody waiting but
        itself."""
        nonlocal waiting
        if waiting >= SIGNING_IN + CROWD:
            raise Locked(5.0)
        waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(threads, act, *arguments)
        finally:
            waiting -= 1

    @app.get("/sign-in", include_in_schema=False)
    def ask() -> Response:
        return _page("sign-in.html", error="")

    @app.post("/sign-in", include_in_schema=False)
    async def sign_in(
        request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()]
    ) -> Response:
        try:
            token = await checked(accounts.sign_in, name, password, _where(request))
        except Locked as locked:
            return _locked("sign-in.html", locked)
        except Denied as error:
            return _page("sign-in.html", 401, error=str(error))
        return _signed_in(token, secure)

    @app.get("/invitation", include_in_schema=False)
    def invited() -> Response:
        return _page("invitation.html", error="")

    @app.post("/invitation", include_in_schema=False)
    async def accept(
        code: Annotated[str, Form()],
        password: Annotated[str, Form()],
        again: Annotated[str, Form()],
    ) -> Response:
        try:
            if password != again:
                raise ValueError("the two passwords are not the same")
            user = await checked(accounts.accept, code.strip(), password)
        except (ValueError, LookupError) as error:
            return _page("invitation.html", 400, error=str(error.args[0]))
        except Locked as locked:
            return _locked("invitation.html", locked)
        return _page("sign-in.html", error=f"Welcome, {user.name}: now sign in.")

    @app.post("/sign-out", include_in_schema=False)
    def sign_out(request: Request) -> Response:
        accounts.sign_out(session_token(request.headers, secure), _where(request))
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(
            cookie_name(secure), "/", None, secure, True, "strict"  # as it was set
        )
        return response


def _where(request: Request) -> str:
    return request.client.host if request.client else ""


def _locked(name: str, locked: Locked) -> Response:
    response = _page(name, 429, error=str(locked))
    response.headers["retry-after"] = str(int(locked.retry_after_s) + 1)
    return response


def _signed_in(token: str, secure: bool) -> Response:
    response = RedirectResponse("/", 303)
    response.set_cookie(
        cookie_name(secure),
        token,
        max_age=SESSION_S,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return response


def _page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """One of our own pages, in which no script runs at all."""
    text = _TEMPLATES.get_template(name).render(**values)
    return HTMLResponse(text, status, {"content-security-policy": _POLICY})
