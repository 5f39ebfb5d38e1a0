"""Every route of the running server with every credential; who may what is written down here."""

import asyncio
import re
import threading
from collections.abc import Iterable, Iterator

import httpx
import pytest

from cosmosage import retrieval
from cosmosage.accounts.users import SESSION_S
from cosmosage.assistant import Assistant
from cosmosage.documents import write_jsonl
from cosmosage.server.app import application
from tests.lab import HOST, PASSWORD, PEOPLE, Lab, Scripted, lab, until

EVERYBODY, READER, MEMBER, ADMIN = "everybody", "reader", "member", "admin"
EXPECTED = {
    ("GET", "/health"): EVERYBODY,
    ("GET", "/look.css"): EVERYBODY,
    ("GET", "/favicon.ico"): EVERYBODY,
    ("GET", "/sign-in"): EVERYBODY,
    ("POST", "/sign-in"): EVERYBODY,
    ("GET", "/invitation"): EVERYBODY,
    ("POST", "/invitation"): EVERYBODY,
    ("POST", "/sign-out"): READER,
    ("GET", "/"): READER,
    ("GET", "/sources/{document:path}"): READER,
    ("GET", "/conversations/{name}.{form}"): READER,
    ("GET", "/chat/"): READER,
    ("GET", "/chat/config"): READER,
    ("GET", "/chat/theme.css"): READER,
    ("GET", "/chat/robots.txt"): READER,
    ("GET", "/chat/favicon.ico"): READER,
    ("GET", "/chat/static/{path:path}"): READER,
    ("GET", "/chat/assets/{path:path}"): READER,
    ("GET", "/chat/gradio_api/queue/data"): READER,
    ("GET", "/chat/gradio_api/startup-events"): READER,
    ("GET", "/chat/gradio_api/heartbeat/{session_hash}"): READER,
    ("POST", "/chat/gradio_api/queue/join"): READER,
    ("POST", "/chat/gradio_api/run/{api_name}"): READER,
    ("POST", "/chat/gradio_api/cancel"): READER,
    ("POST", "/chat/gradio_api/reset"): READER,
    ("GET", "/v1/models"): MEMBER,
    ("GET", "/v1/openapi.json"): MEMBER,
    ("POST", "/v1/chat/completions"): MEMBER,
    ("GET", "/state"): ADMIN,
}
"""Who may open what, at least. Whatever else there is, is not there: 404."""
BY_KEY = {"/v1/models", "/v1/openapi.json", "/v1/chat/completions", "/state"}
METHODS = [
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
]
RANKS = [READER, MEMBER, ADMIN]
VALUES = {
    "document": "arxiv:2401.00001v1",
    "form": "md",
    "path": "img/logo.svg",
    "api_name": "predict",
    "session_hash": "page",
    "path_or_url": "/etc/passwd",
    "url_path": "http://127.0.0.1:1/",
    "size": "192",
    "ext": "ts",
    "type": "component",
    "environment": "client",
    "file_name": "index.js",
}
"""Of the parameters in paths; what is not here is ``x1``."""


@pytest.fixture(name="place", scope="module")
def served(tmp_path_factory) -> Iterator[Lab]:
    """One server for all."""
    folder = tmp_path_factory.mktemp("doors")
    record = {
        "id": VALUES["document"],
        "text": "It is 147 Mpc.",
        "title": "The horizon",
    }
    write_jsonl(folder / "train.jsonl", [record])
    retrieval.build([folder / "train.jsonl"], folder / "index")
    index = retrieval.Index.load(folder / "index")
    with lab(folder, Assistant(Scripted(), index)) as place:
        yield place


def routes(found: Iterable, before: str = "") -> Iterator[tuple[str, set[str]]]:
    """Paths and methods of an application's routes, of those that are in it too."""
    for route in found:
        if inner := getattr(route, "original_router", None):
            yield from routes(inner.routes, before + route.include_context.prefix)
        elif (inner := getattr(route, "routes", None)) is not None:
            yield from routes(inner, before + route.path)
        else:
            yield before + route.path, set(route.methods)


@pytest.fixture(name="doors", scope="module")
def all_routes(place) -> dict[str, set[str]]:
    """Methods by path of all that the application has."""
    found: dict[str, set[str]] = {}
    app = application(place.service, {HOST}, False)
    for path, methods in routes(app.app.routes):
        found.setdefault(path, set()).update(methods)
    return found


def filled(path: str, **values: str) -> str:
    """A path with values for its parameters."""
    values = {**VALUES, **values}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda p: values.get(p[1], "x1"), path)


def status(client: httpx.Client, method: str, path: str, **more) -> int:
    """Of an answer, which may have no end and is not read."""
    with client.stream(method, path, **more) as answer:
        return answer.status_code


def given(path: str, page: str) -> dict:
    """What goes with a request so that it is understood, if there is such a thing."""
    if path == "/v1/chat/completions":
        asked = [{"role": "user", "content": "The horizon?"}]
        return {"json": {"model": "scripted", "messages": asked}}
    if path == "/chat/gradio_api/queue/data":
        return {"params": {"session_hash": page}}
    if path.startswith("/chat/gradio_api/"):
        body = {
            "session_hash": page,
            "event_id": f"e-{page}",
            "fn_index": 0,
            "data": [],
        }
        return {"json": body}
    return {}


def test_there_are_the_routes_that_the_table_names(doors):
    """And the walk finds Gradio's, also those that are included."""
    for method, path in EXPECTED:
        assert method in doors[path], path
    for path in ("upload", "file={path_or_url:path}", "proxy={url_path:path}", "info"):
        assert f"/chat/gradio_api/{path}" in doors
    assert len(doors) > 70


def test_what_is_not_in_the_table_is_not_there_for_anybody(place, doors):
    """Neither for a stranger nor for an admin; so a route of a future version is closed."""
    named = {path for _, path in EXPECTED}
    with place.browser() as stranger, place.browser("ada") as admin:
        for path, methods in doors.items():
            if path in named:
                continue
            tried = methods | {"GET", "POST", "HEAD", "OPTIONS"}
            for client in (stranger, admin):
                for method in sorted(tried):
                    asked = filled(path)
                    told = status(client, method, asked, **given(asked, "odd"))
                    assert told == 404, (method, asked)


def test_other_methods_are_not_allowed(place):
    """Of what is in the table: 405, and it says which are."""
    with place.browser("ada") as client:
        for path in sorted({path for _, path in EXPECTED}):
            allowed = {method for method, each in EXPECTED if each == path}
            for method in METHODS:
                if method in allowed or method == "CONNECT":
                    continue
                answer = client.request(method, filled(path))
                assert answer.status_code == 405, (method, path)
                assert set(answer.headers["allow"].split(", ")) == allowed


def test_a_method_is_not_overridden(place):
    """By no header and no field of the query."""
    with place.browser("ada") as client:
        for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            assert client.get("/sign-out", headers={header: "POST"}).status_code == 405
        assert client.get("/sign-out?_method=POST").status_code == 405
        for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path"):
            answer = client.get("/health", headers={header: "/state"})
            assert answer.json() == {"status": "ok"}


def bad_credentials(place: Lab) -> dict[str, dict[str, str]]:
    """Headers of those who may not come in, or not any more."""
    accounts = place.accounts
    for name in ("dora", "ester"):
        accounts.accept(accounts.invite(name, "admin"), PASSWORD)
    disabled = accounts.sign_in("dora", PASSWORD, HOST)
    of_disabled = accounts.new_key("dora")
    accounts.disable("dora")
    expired = accounts.sign_in("ester", PASSWORD, HOST)
    with accounts.database.write() as connection:
        connection.execute(
            "UPDATE sessions SET created = created - ? WHERE user = "
            "(SELECT id FROM users WHERE name = 'ester')",
            (SESSION_S,),
        )
    ended = accounts.sign_in("ester", PASSWORD, HOST)
    accounts.sign_out(ended)
    revoked = accounts.new_key("ester")
    accounts.revoke_key(revoked[:18])
    of_reader = accounts.new_key("ester")
    accounts.set_role("ester", "reader")
    cookies = {
        "none": "",
        "empty": "cosmosage=",
        "disabled": f"cosmosage={disabled}",
        "expired": f"cosmosage={expired}",
        "signed out": f"cosmosage={ended}",
        "forged": f"cosmosage={'0' * 64}",
        "another's name": f"session={place.sessions['ada']}",
        "a key": f"cosmosage={place.keys['ada']}",
    }
    keys = {
        "revoked": revoked,
        "of a disabled": of_disabled,
        "of a reader": of_reader,
        "no key": "x",
        "a session": place.sessions["ada"],
        "forged": f"cosmosage-{'0' * 64}",
    }
    return {
        **{f"cookie: {what}": {"cookie": value} for what, value in cookies.items()},
        **{
            f"key: {what}": {"authorization": f"Bearer {key}"}
            for what, key in keys.items()
        },
        "basic": {"authorization": "Basic YWRhOnB3"},
    }


def test_without_valid_credentials_nothing_opens(place):
    """But sign-in, invitation, their style and health; a browser is sent to sign in."""
    with place.browser() as client:
        for what, headers in bad_credentials(place).items():
            for (method, path), least in EXPECTED.items():
                asked = filled(path)
                more = given(path, "strangers")
                told = status(client, method, asked, headers=headers, **more)
                if least == EVERYBODY:
                    assert told in (200, 400), (what, method, path)
                    continue
                assert told == 401, (what, method, path)
                if method == "GET":
                    page = {**headers, "accept": "text/html"}
                    answer = client.get(asked, headers=page)
                    assert answer.status_code == 303
                    assert answer.headers["location"] == "/sign-in"


@pytest.mark.parametrize("name", ["rita", "mo", "ada"])
def test_a_session_opens_what_its_role_may(place, name):
    """And what it may not is 403; nothing fails."""
    kept = place.service.conversations.new(place.user(name).id, "Mine")
    rank = RANKS.index(PEOPLE[name])
    with place.browser(name) as client:
        for (method, path), least in EXPECTED.items():
            if path == "/sign-out":
                continue  # has a test of its own
            asked = filled(path, name=kept, session_hash=f"page-{name}")
            told = status(client, method, asked, **given(path, f"page-{name}"))
            if least == EVERYBODY or RANKS.index(least) <= rank:
                assert told < 500 and told not in (401, 403, 405), (method, path, told)
                assert told != 404 or "assets" in path, (method, path)
            else:
                assert told == 403, (method, path)


@pytest.mark.parametrize("name", ["mo", "ada"])
def test_a_key_opens_the_interface_for_programs_alone(place, name):
    """A stolen key reads no conversation and opens no page."""
    kept = place.service.conversations.new(place.user(name).id, "Mine")
    with place.program(name) as client:
        for (method, path), least in EXPECTED.items():
            asked = filled(path, name=kept)
            told = status(client, method, asked, **given(path, f"key-{name}"))
            if least == EVERYBODY:
                assert told in (200, 400)
            elif path not in BY_KEY:
                assert told == 401, (method, path)
            elif RANKS.index(least) <= RANKS.index(PEOPLE[name]):
                assert told == 200, (method, path)
            else:
                assert told == 403, (method, path)


def test_a_wrong_key_is_not_made_good_by_a_session(place):
    """Who gives a key is judged by it."""
    wrong = {"authorization": f"Bearer cosmosage-{'1' * 64}"}
    with place.browser("ada") as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models", headers=wrong).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/state/",
        "//state",
        "/STATE",
        "/State",
        "/./state",
        "/health/../state",
        "/health/%2e%2e/state",
        "/health%2f..%2fstate",
        "/state%00",
        "/state%0a",
        "/state;.css",
        "/state%3f",
        "/%73tate%20",
        "/chat/../state",
        "/chat//config",
        "/chat/config/",
        "/chat/static/../config",
        "/chat/static/%2e%2e/%2e%2e/etc/passwd",
        "/chat/static/..%5c..%5cconfig",
        "/chat/assets/%252e%252e/%252e%252e/config",
        "/chat/static//etc/passwd",
        "/chat/gradio_api/file=/etc/passwd",
        "/chat/gradio_api/file%3D/etc/passwd",
        "/chat/gradio_api//file=/etc/passwd",
        "/chat/gradio_api/proxy=http://127.0.0.1/",
        "/chat/gradio_api/run/chat",
        "/chat/gradio_api/queue/join/",
        "/gradio_api/queue/join",
        "/sources/../../etc/passwd",
        "/sources/%2e%2e/%2e%2e/etc/passwd",
        "/sources/etc%00passwd",
        "/sources/%ff%fe",
        "/sources/" + "x" * 5000,
        "/conversations/..%2f..%2fx.md",
        "/conversations/x.md.exe",
        "/conversations/%f0%9f%98%80.md",
        "/v1/models/",
        "/v1//models",
        "/v1/models/scripted",
        "/v1/%6dodels/..",
        "/ｓtate",
    ],
)
def test_tricks_with_paths_find_nothing(place, path):
    """Also for an admin, and as they are: a client would tidy them."""
    cookie = f"cosmosage={place.sessions['ada']}"
    with place.raw() as wire:
        wire.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{place.port}\r\nCookie: {cookie}\r\n"
            "Connection: close\r\n\r\n".encode("utf-8")
        )
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert re.match(rb"HTTP/1.1 40[045] ", answer), answer[:100]
    assert b"root:" not in answer and b"resident" not in answer


def test_a_percent_in_a_plain_letter_is_the_letter(place):
    """So that the tricks above are refused for what they are."""
    with place.browser("ada") as client, place.browser("mo") as member:
        assert client.get("/%73tate").status_code == 200
        assert member.get("/%73tate").status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "[",
        "[::1",
        "a@127.0.0.1",
        "",
        "127.0.0.1:x",
    ],
)
def test_another_name_is_refused(place, host):
    """A page elsewhere whose name was made to lead here; and what is no name."""
    with place.browser("ada") as client:
        for path in ("/", "/sign-in", "/v1/models"):
            answer = client.get(path, headers={"host": host})
            assert answer.status_code == 400
            assert "evil" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": ""},
        {"origin": f"http://{HOST}"},
        {"origin": f"http://{HOST}:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_elsewhere_cannot_send(place, headers):
    """With the cookie of who looks at it: no question, no sign-out, and no sign-in either."""
    with place.browser("mo") as client:
        for path in (
            "/v1/chat/completions",
            "/sign-out",
            "/chat/gradio_api/queue/join",
        ):
            told = status(client, "POST", path, headers=headers, **given(path, "csrf"))
            assert told == 403
        form = {"name": "mo", "password": PASSWORD}
        answer = client.post("/sign-in", data=form, headers=headers)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers
        assert client.get("/v1/models").status_code == 200


def test_nobody_elsewhere_may_read(place):
    """No header lets another origin in, whatever it asks."""
    with place.browser("mo") as client:
        asks = {
            "origin": "https://evil.example",
            "access-control-request-method": "POST",
        }
        for method in ("GET", "OPTIONS"):
            for path in ("/v1/models", "/chat/config", "/"):
                answer = client.request(method, path, headers=asks)
                assert not [h for h in answer.headers if h.startswith("access-control")]
                assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_signing_in_and_out(place):
    """A new session each time, out of reach of scripts and of other sites; it ends for good."""
    form = {"name": "mia", "password": PASSWORD}
    planted = "f" * 64
    with place.browser() as client:
        page = client.get("/sign-in")
        assert page.status_code == 200 and "set-cookie" not in page.headers
        tokens = []
        for _ in range(2):
            kept = {"cookie": f"cosmosage={planted}"}
            answer = client.post(
                "/sign-in?next=https://evil.example", data=form, headers=kept
            )
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            name, *flags = answer.headers["set-cookie"].split("; ")
            assert set(flags) >= {"HttpOnly", "Path=/", "SameSite=strict"}
            assert not any(flag.startswith("Domain") for flag in flags)
            tokens.append(name.removeprefix("cosmosage="))
            client.cookies.clear()
        assert len({planted, *tokens}) == 3
        first, second = ({"cookie": f"cosmosage={token}"} for token in tokens)
        assert client.get("/chat/config", headers=first).status_code == 200
        answer = client.post("/sign-out", headers=first)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert 'cosmosage=""' in answer.headers["set-cookie"]
        assert client.get("/chat/config", headers=first).status_code == 401
        assert client.get("/chat/config", headers=second).status_code == 200


def test_by_tls_the_cookie_is_for_this_host_alone(place):
    """A neighbour's page can neither plant nor overwrite it, nor is it sent in the clear."""
    app = application(place.service, {"lab.example"}, True)
    transport = httpx.ASGITransport(app)

    async def signed_in() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            transport=transport, base_url="https://lab.example"
        ) as client:
            form = {"name": "mia", "password": PASSWORD}
            answer = await client.post("/sign-in", data=form)
            token = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
            told = [answer]
            for name in ("__Host-cosmosage", "cosmosage"):
                client.cookies.clear()
                cookie = {"cookie": f"{name}={token}"}
                told.append(await client.get("/", headers=cookie))
            clear = {"origin": "http://lab.example"}
            told.append(await client.post("/sign-in", data=form, headers=clear))
            cookie = {"cookie": f"__Host-cosmosage={token}"}
            told.append(await client.post("/sign-out", headers=cookie))
            return told

    entered, good, bad, clear, left = asyncio.run(signed_in())
    cookie = entered.headers["set-cookie"]
    assert cookie.startswith("__Host-cosmosage=") and "; Secure" in cookie
    assert "max-age=" in entered.headers["strict-transport-security"]
    assert [answer.status_code for answer in (good, bad, clear)] == [303, 401, 403]
    assert good.headers["location"] == "/chat/"
    assert "__Host-cosmosage=" in left.headers["set-cookie"]
    assert "Secure" in left.headers["set-cookie"]


def test_nothing_is_kept_by_browsers_and_proxies(place):
    """What is a user's is not stored; each answer says that it is what it says it is."""
    with place.browser("mo") as client:
        for path in ("/chat/", "/chat/config", "/v1/models", "/sign-in", "/nothing"):
            headers = client.get(path).headers
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "server" not in headers


def test_headers_of_a_proxy_are_not_believed(place):
    """There is none: who asks, and under which name, is what the connection says."""
    lies = {
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "https",
        "x-forwarded-for": "192.0.2.9",
        "forwarded": "for=192.0.2.9;host=evil.example",
    }
    with place.browser("mo") as client:
        for path in ("/chat/config", "/chat/", "/chat"):
            answer = client.get(path, headers=lies)
            assert "evil.example" not in answer.text + str(answer.headers)
        client.post("/sign-in", data={"name": "mo", "password": "x" * 12}, headers=lies)
    assert place.events("sign-in failed")[-1]["where"] == HOST


def test_refused_access_is_in_the_audit_log(place):
    """A user who tries what is not theirs, and a wrong key; once, however often it is tried."""
    with place.browser("rita") as reader, place.browser() as stranger:
        for _ in range(200):
            reader.get("/v1/models")
        wrong = {"authorization": f"Bearer cosmosage-{'2' * 64}"}
        for _ in range(50):
            stranger.get("/v1/models", headers=wrong)
        stranger.get("/")
    lines = place.events("access refused")
    assert {"rita", ""} <= {line["who"] for line in lines}
    assert sum(line["who"] == "rita" for line in lines) <= 3
    assert sum(line["who"] == "" for line in lines) <= 3
    assert all(line["where"] == HOST and "2222" not in line["detail"] for line in lines)


def test_guesses_keep_nobody_waiting_but_each_other(place):
    """Sign-ins that wait for each other take no thread from who has signed in."""

    def guess(number: int) -> None:
        with place.browser() as client:
            form = {"name": "nobody", "password": f"{number}" * 20}
            told.append(client.post("/sign-in", data=form).status_code)

    told: list[int] = []
    threads = [threading.Thread(target=guess, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    with place.browser("mo") as client:
        answered = 0
        while any(thread.is_alive() for thread in threads):
            assert client.get("/v1/models").status_code == 200
            answered += 1
    assert answered > 20
    until(lambda: len(told) == 40)
    assert set(told) <= {401, 429}
