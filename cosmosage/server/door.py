"""Who comes in, where to, and with how much.

Every request passes here before anything else sees it, and one table says which doors there are
and who may open them; what is not in the table does not exist. So a route that a library adds, now
or in its next version, is closed. The price is that the few that the chat page needs are listed by
hand, and that a new version of its library may need another.
"""

import asyncio
import json
import math
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cosmosage.accounts import Accounts, User
from cosmosage.accounts.lockout import place
from cosmosage.documents import without_halves

BODY_BYTES = 256 * 1024
"""Of a request: an answer's whole conversation in the widest letters is less."""
HEAD_BYTES = 16 * 1024
"""Of a request's line and headers."""
OPEN_BYTES = 16 * 1024
"""Of a request of somebody who has not signed in: a form of three fields is less."""
BODY_S = 20.0
"""Seconds for a body to arrive."""
SESSIONS = 10_000
"""Pages that are remembered as somebody's; the oldest is forgotten."""
NEW, NEW_S = 60, 60.0
"""Pages of one user that may be new in so many seconds: the page's library keeps something of each,
and forgets the oldest, whoever's it is."""
NOTES, NOTED_S = 60, 60.0
"""Lines in the audit log about refused access at most in so many seconds, and one for each who and
where: a flood does not fill the disk."""
LOOKING_UP = 4
"""Threads that look users up: they have nothing else to do, so nobody's slow password and no
model keeps who has signed in waiting."""
OPEN = ""
"""Stands where others name a role: anybody may."""

_ID = r"[0-9A-Za-z_-]{1,64}"
_NAME = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[0-9a-z._-]{1,253})(:[0-9]{1,5})?")
"""What a browser calls a server, with its port."""
DOORS: list[tuple[str, str, str]] = [
    ("GET", "/health", OPEN),
    ("GET|POST", "/sign-in", OPEN),
    ("GET|POST", "/invitation", OPEN),
    ("GET", r"/(look\.css|favicon\.ico)", OPEN),
    ("POST", "/sign-out", "reader"),
    ("GET", "/", "reader"),
    ("GET", rf"/conversations/{_ID}\.(md|bib)", "reader"),
    ("GET", "/sources/.{1,300}", "reader"),
    ("GET", "/chat/?", "reader"),
    ("GET", r"/chat/(config|theme\.css|robots\.txt|favicon\.ico)", "reader"),
    ("GET", r"/chat/(assets|static)/[\w./@-]{1,200}", "reader"),
    ("GET", "/chat/gradio_api/(queue/data|startup-events)", "reader"),
    ("GET", rf"/chat/gradio_api/heartbeat/{_ID}", "reader"),
    ("POST", "/chat/gradio_api/(queue/join|run/predict|cancel|reset)", "reader"),
    ("GET", "/v1/(models|openapi.json)", "member"),
    ("POST", "/v1/chat/completions", "member"),
    ("GET", "/state", "admin"),
]
"""Methods, path, and the role that opens it, if it is not open."""
_FORWARDED = re.compile(
    rb"forwarded|x-(forwarded|original|http-method|gradio|rewrite)-?.*"
)
"""Headers by which a request may say that it is another; what a trusted proxy said was read before.
"""
_PAGE_SENDS = (
    "data",
    "event_data",
    "event_id",
    "fn_index",
    "session_hash",
    "trigger_id",
)
"""Fields of what the chat page sends; others are for its library's other clients."""
_RULES = [
    (set(methods.split("|")), re.compile(path), least) for methods, path, least in DOORS
]

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-src 'none'; worker-src 'self' blob:; frame-ancestors 'none'"
)
"""The chat page's scripts stand in the page itself, so they are allowed; nothing from elsewhere is,
and nothing can be sent there."""
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # not "no-referrer", with which a browser says of a form that it is from "null"
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(eq=False)
class Refusal(Exception):
    """Why a request goes no further."""

    status: int
    sentence: str
    retry_after_s: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """More that the answer has, such as what is allowed instead."""

    def response(self, path: str) -> Response:
        """As JSON; under /v1 in the form that OpenAI's clients read."""
        kind = {
            401: "authentication_error",
            403: "permission_error",
            429: "rate_limit_error",
            502: "server_error",
            503: "server_error",
        }
        sentence = without_halves(self.sentence)
        error: Any = sentence
        if path.startswith("/v1/"):
            error = {
                "message": sentence,
                "type": kind.get(self.status, "invalid_request_error"),
                "param": None,
                "code": None,
            }
        headers = dict(self.headers)
        if self.retry_after_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse({"error": error}, self.status, headers)


class Pages:
    """Whose a page of the chat is: its library knows a page by a word that the browser chose."""

    def __init__(self, new: int | None = None) -> None:
        """Of a user so many may be new in ``NEW_S`` seconds, or any number."""
        self._owners: OrderedDict[str, int] = OrderedDict()
        self._most = new
        self._times: dict[int, deque[float]] = {}
        self._lock = Lock()

    def claim(self, page: str, user: User) -> None:
        """Take a page for a user, or see that it is theirs.

        Raises:
            Refusal: it is another's, or the user opens too many.
        """
        with self._lock:
            if self._most and page not in self._owners:
                self._count(user, self._most)
            owner = self._owners.setdefault(page, user.id)
            self._owners.move_to_end(page)
            while len(self._owners) > SESSIONS:
                self._owners.popitem(last=False)
        if owner != user.id:
            raise Refusal(404, "there is no such page")

    def _count(self, user: User, most: int) -> None:
        times, now = self._times.setdefault(user.id, deque()), time.monotonic()
        while times and now - times[0] >= NEW_S:
            times.popleft()
        if len(times) >= most:
            sentence = f"you opened {most} pages in a minute; wait a little"
            raise Refusal(429, sentence, NEW_S - (now - times[0]))
        times.append(now)


class Door:
    """The outermost part of the application."""

    def __init__(
        self,
        app: ASGIApp,
        accounts: Accounts | None,
        alone: Callable[[], User],
        names: set[str],
        secure: bool,
        *,
        fits: Callable[[dict], None],
    ):
        """Put it before an application.

        Args:
            app: what is behind it.
            accounts: of those who may come in; None lets everybody be ``alone``, on a server that
                listens to its own machine only.
            alone: gives the one user of a server without accounts, or raises a refusal.
            names: under which the server is reached; a page elsewhere whose name resolves here is
                not let in.
            secure: browsers reach it by TLS.
            fits: raises a ``Refusal`` of what no page could ask for.
        """
        self.app, self.accounts, self.alone = app, accounts, alone
        self.names, self.secure, self._fits = names, secure, fits
        self.pages, self.events = Pages(NEW), Pages()
        self._threads = ThreadPoolExecutor(LOOKING_UP, "door")
        self._noted: set[tuple[str, str]] = set()
        self._noting_since = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks otherwise
            await send({"type": "websocket.close", "code": 1008})
            return
        send = self._dressed(scope, send)
        user = None
        try:
            least = self._door(scope)
            user, by_key = await self._in_thread(self._user, scope)
            self._admit(scope, user, least, by_key)
            scope.setdefault("state", {})["user"] = user
            if scope["method"] == "POST":
                body = await _body(
                    scope, receive, OPEN_BYTES if least == OPEN else BODY_BYTES
                )
                if scope["path"].startswith("/chat/"):
                    assert user is not None
                    body, send = self._bound(scope["path"], body, user, send)
                receive = _replayed(body, receive)
            elif user and least != OPEN:
                self._check_page(scope, user)
        except Refusal as refusal:
            # a user's 404 is another's page
            if refusal.status in (401, 403) or user and refusal.status == 404:
                await self._note(scope, user, refusal.status)
            await self._refused(scope, refusal)(scope, receive, send)
            return
        scope["headers"] = [
            (name, value)
            for name, value in scope["headers"]
            if not _FORWARDED.fullmatch(name)
        ]
        await self.app(scope, receive, send)

    async def _in_thread(self, act: Callable, *arguments: Any) -> Any:
        """What reads or writes the accounts may wait for the disk."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, act, *arguments)

    async def _note(self, scope: Scope, user: User | None, status: int) -> None:
        """Write to the audit log that somebody was refused: a user, or who has a wrong key."""
        by_key = "authorization" in Headers(scope=scope)
        if self.accounts is None or not (user or by_key):
            return  # nobody signed in yet: each page that is opened would be a line
        client = scope.get("client")
        who, where = (user.name if user else ""), (client[0] if client else "")
        now = time.monotonic()
        if now - self._noting_since > NOTED_S:
            self._noted.clear()
            self._noting_since = now
        # a network of IPv6 is one place: a host in it has as many addresses as it likes
        line = (who, place(where))
        if line in self._noted or len(self._noted) >= NOTES:
            return
        self._noted.add(line)
        what = f"{status} {scope['method']} {scope['path']}" if user else "wrong key"
        await self._in_thread(self.accounts.audit, "access refused", who, where, what)

    def _refused(self, scope: Scope, refusal: Refusal) -> ASGIApp:
        wants = Headers(scope=scope).get("accept", "")
        if refusal.status == 401 and scope["method"] == "GET" and "text/html" in wants:
            return RedirectResponse("/sign-in", 303)
        return refusal.response(scope["path"])

    def _door(self, scope: Scope) -> str:
        """The role that opens what is asked for.

        Raises:
            Refusal: there is nothing, or the server is called by another's name.
        """
        headers, path = Headers(scope=scope), scope["path"]
        name = _NAME.fullmatch(headers.get("host", "").lower())
        if name is None or name[1].strip("[]") not in self.names:
            raise Refusal(
                400,
                "this server is not called so; start it with --name if it is to be",
            )
        said = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if said + len(scope["raw_path"]) + len(scope["query_string"]) > HEAD_BYTES:
            raise Refusal(431, f"line and headers have {HEAD_BYTES} bytes at most")
        if "transfer-encoding" in headers and "content-length" in headers:
            sentence = "a request has one length; say Content-Length or chunks"
            # where the next begins, a proxy before us may see otherwise
            raise Refusal(400, sentence, headers={"connection": "close"})
        if ".." in path or "//" in path or "\\" in path:
            raise Refusal(404, "there is nothing here")
        fits = [rule for rule in _RULES if rule[1].fullmatch(path)]
        for methods, _, least in fits:
            if scope["method"] in methods:
                return least
        if not fits:
            raise Refusal(404, "there is nothing here")
        allowed = sorted({method for methods, _, _ in fits for method in methods})
        raise Refusal(
            405,
            f"this takes {' and '.join(allowed)}",
            None,
            {"allow": ", ".join(allowed)},
        )

    def _admit(self, scope: Scope, user: User | None, least: str, by_key: bool) -> None:
        """See that a user may open a door, and is no page elsewhere.

        Raises:
            Refusal: not so.
        """
        if scope["method"] == "POST" and not by_key:
            self._same_origin(Headers(scope=scope))
        if least == OPEN:
            return
        if user is None:
            raise Refusal(
                401, "sign in first, or give a key: Authorization: Bearer KEY"
            )
        if not user.may(least):
            raise Refusal(
                403, f"this is not for a {user.role}; ask who runs the server"
            )

    def _user(self, scope: Scope) -> tuple[User | None, bool]:
        """Who asks, and whether by a key; a key opens the API alone."""
        headers, path = Headers(scope=scope), scope["path"]
        if self.accounts is None:
            return self.alone(), False
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (path.startswith("/v1/") or path == "/state"):
            return self.accounts.user_of_key(key.strip()[:200]), True
        if token := session_token(headers, self.secure):
            return self.accounts.user_of_session(token[:200]), False
        return None, False

    def _same_origin(self, headers: Headers) -> None:
        """See that a browser sends from a page of this server.

        A program that is no browser sends no such headers, and has no cookies that others could
        use.
        """
        scheme = "https" if self.secure else "http"
        own = f"{scheme}://{headers.get('host', '').lower()}"
        site = headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none") or headers.get("origin", own) != own:
            raise Refusal(403, "this was sent from a page elsewhere")

    def _check_page(self, scope: Scope, user: User) -> None:
        """See that what a page of the chat reads is its reader's own."""
        path = scope["path"]
        if path == "/chat/gradio_api/queue/data":
            asked = parse_qs(scope["query_string"].decode("latin-1"), True)
            if len(asked.get("session_hash", [])) != 1:
                raise _odd()
            self._claim(self.pages, asked["session_hash"][0], user)
        elif path.startswith("/chat/gradio_api/heartbeat/"):
            self._claim(self.pages, path.rpartition("/")[2], user)

    def _bound(
        self, path: str, body: bytes, user: User, send: Send
    ) -> tuple[bytes, Send]:
        """See that what a page sends is for its own; note the events that it starts as its own.

        Returns:
            What it sends, written anew, so that what was looked at here is what is read behind,
            and what sends the answer.
        """
        try:
            told = json.loads(body)  # halves of characters come out as question marks
            told = {name: told[name] for name in _PAGE_SENDS if name in told}
            self._claim(self.pages, told["session_hash"], user)
            if told.get("event_id") is not None:
                self._claim(self.events, told["event_id"], user)
            if path.endswith(("/join", "/predict")):
                self._fits(told)
            text = json.dumps(told, ensure_ascii=False, allow_nan=False)
            body = text.encode("utf-8", "replace")
        except (ValueError, LookupError, TypeError, RecursionError):
            raise _odd() from None
        if not path.endswith("/join"):
            return body, send

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.body" and message.get("body"):
                try:
                    self.events.claim(json.loads(message["body"])["event_id"], user)
                except (ValueError, LookupError, TypeError):
                    pass  # it was refused, and there is no event
            await send(message)

        return body, noting

    def _claim(self, kind: "Pages", name: Any, user: User) -> None:
        if not isinstance(name, str) or not re.fullmatch(_ID, name, re.ASCII):
            raise _odd()
        kind.claim(name, user)

    def _dressed(self, scope: Scope, send: Send) -> Send:
        """With the headers that every answer has."""

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in [n for n in headers if n.startswith("access-control-")]:
                    del headers[name]  # no page elsewhere may read an answer
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if self.secure:
                    headers["strict-transport-security"] = "max-age=31536000"
                if not re.match("/chat/(assets|static)/", scope["path"]):
                    headers["cache-control"] = "no-store"
            await send(message)

        return dressed


def _odd() -> Refusal:
    return Refusal(400, "this is not what the chat page sends")


def cookie_name(secure: bool) -> str:
    """Of the cookie that holds a session's token.

    By TLS a browser takes one of this name from this host alone and by TLS (RFC 6265bis, 4.1.3),
    so that no neighbour in the same domain can slip in a session of his own.
    """
    return "__Host-cosmosage" if secure else "cosmosage"


def session_token(headers: Headers, secure: bool) -> str:
    """The token of a session that a browser sends; empty without one."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == cookie_name(secure):
            return value
    return ""


async def _body(scope: Scope, receive: Receive, longest: int) -> bytes:
    """The whole of a request's body.

    Raises:
        Refusal: it is too long or too slow.
    """
    told = Headers(scope=scope).get("content-length", "0")
    too_long = Refusal(413, f"this takes {longest} bytes at most; send less")
    if not told.isdecimal() or int(told[:20]) > longest:
        raise too_long
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(BODY_S):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "the request was not ended")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > longest:
                    raise too_long
    except TimeoutError:
        raise Refusal(408, f"the request took more than {BODY_S:.0f} seconds") from None
    return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Callable[[], Any]:
    """What receives a body that was read already, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
