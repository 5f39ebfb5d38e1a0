"""The server as a process: how it begins, whom it listens to, what it says, how it ends."""

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cosmosage.accounts import Accounts
from cosmosage.server.__main__ import main
from cosmosage.server.serving import HOST, Listening, prepared
from tests.lab import PASSWORD, free_port
from tests.wordy import wordy_model

ROOT = Path(__file__).parent.parent


@pytest.fixture(name="place", scope="module")
def model_and_accounts(tmp_path_factory) -> Path:
    """A folder with a model, a certificate for 127.0.0.1, and accounts of an admin."""
    place = tmp_path_factory.mktemp("server")
    wordy_model(place / "model", context=4096)
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        + [
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=lab",
            "-addext",
            f"subjectAltName=IP:{HOST}",
        ]
        + ["-keyout", str(place / "key.pem"), "-out", str(place / "certificate.pem")],
        check=True,
        capture_output=True,
    )
    with contextlib.closing(Accounts(place / "accounts.sqlite")) as accounts:
        accounts.accept(accounts.invite("ada", "admin"), PASSWORD)
    return place


def start(place: Path, port: int, *more: str) -> subprocess.Popen:
    """The server's process, which may not be ready yet; without accounts if none are named."""
    command = [sys.executable, "-m", "cosmosage.server", "--port", str(port)]
    command += ["--model", str(place / "model")]
    if "--accounts" not in more:
        command += ["--accounts", str(place / f"none-{port}" / "accounts.sqlite")]
    return subprocess.Popen(
        [*command, *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(place: Path, *more: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server's process and the address that it printed."""
    with start(place, free_port(), *more) as process:
        try:
            yield process, address_of(process)
        finally:
            process.kill()


def address_of(process: subprocess.Popen) -> str:
    """What a server prints when it answers."""
    address = process.stdout.readline().strip()
    if not address:
        raise AssertionError(process.stderr.read())
    return address


def ended(process: subprocess.Popen, number: int) -> tuple[int, str, str]:
    """How a process ends that is sent a signal: exit code, and what it said since."""
    process.send_signal(number)
    rest, errors = process.communicate(timeout=30)
    return process.returncode, rest, errors


def asked(**more) -> dict:
    """A request for an answer from memory."""
    turn = {"role": "user", "content": "How long is the sound horizon?"}
    return {"model": "model", "messages": [turn], "sources": False, **more}


def test_alone_on_its_machine_it_needs_no_accounts_and_ends_quietly(place):
    """The address is printed when it answers; by either signal, amid a stream: 0 and no word."""
    with contextlib.ExitStack() as stack:
        signals = (signal.SIGINT, signal.SIGTERM)
        servers = [stack.enter_context(start(place, free_port())) for _ in signals]
        for process in servers:
            stack.callback(process.kill)
        for number, process in zip(signals, servers):
            address = address_of(process)
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
            assert httpx.get(f"{address}/health").json() == {"status": "ok"}
            assert "cosmosage" in httpx.get(f"{address}/chat/").text
            assert httpx.get(f"{address}/sign-in").status_code == 404
            assert httpx.get(f"{address}/state").json()["model"] == "model"
            answer = stack.enter_context(
                httpx.stream(
                    "POST",
                    f"{address}/v1/chat/completions",
                    json=asked(stream=True, max_tokens=3000),
                    timeout=30,
                )
            )
            lines = (line for line in answer.iter_lines() if line)
            for _ in range(5):
                next(lines)
            beat = f"{address}/chat/gradio_api/heartbeat/page"
            stack.enter_context(httpx.stream("GET", beat, timeout=30))
            code, rest, errors = ended(process, number)
            assert (code, rest) == (0, "")
            assert "Traceback" not in errors and "rror" not in errors, errors


def test_it_listens_on_loopback_alone(place):
    """Neither on this machine's other addresses nor for pages under another name."""
    with running(place) as (_, address):
        port = int(address.rpartition(":")[2])
        others = {"127.0.0.2"}  # loopback too, but another address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            with contextlib.suppress(
                OSError
            ):  # a machine without a network has no other
                probe.connect(("192.0.2.1", 9))  # sends nothing: a datagram's route
                others.add(probe.getsockname()[0])
        for other in others - {HOST}:
            with pytest.raises(OSError):
                socket.create_connection((other, port), timeout=2).close()
        rebound = httpx.get(f"{address}/", headers={"host": f"evil.example:{port}"})
        assert rebound.status_code == 400


def test_the_first_account_shuts_a_server_that_had_none(place, tmp_path, capsys):
    """It lets nobody in until it is started again, and then asks who it is."""
    path = tmp_path / "accounts.sqlite"
    with running(place, "--accounts", str(path)) as (_, address):
        assert httpx.get(f"{address}/v1/models").status_code == 200
        assert (
            main(["users", "add", "ada", "--role", "admin", "--accounts", str(path)])
            == 0
        )
        for way in ("/v1/models", "/chat/", "/state"):
            refused = httpx.get(address + way)
            assert refused.status_code == 503 and "start it again" in refused.text
        told = httpx.get(f"{address}/v1/models").json()["error"]
        assert told["type"] == "server_error"  # and not the request's fault
    assert "ada" in capsys.readouterr().out
    with running(place, "--accounts", str(path)) as (_, address):
        assert httpx.get(f"{address}/v1/models").status_code == 401


# each of them is a secret, or where one might be found
# pylint: disable-next=too-many-locals
def test_by_tls_with_accounts_and_nothing_secret_is_said(place):
    """A certificate is used; passwords, keys, codes, tokens stand in no output, page or log."""
    path = place / "secret" / "accounts.sqlite"
    with contextlib.closing(Accounts(path)) as accounts:
        accounts.accept(accounts.invite("ada", "admin"), PASSWORD)
        code, spare = accounts.invite("mo", "member"), accounts.invite("mia", "member")
        key = accounts.new_key("ada", "script")
    certificate = str(place / "certificate.pem")
    tls = ["--certificate", certificate, "--certificate-key", str(place / "key.pem")]
    trusts = ssl.create_default_context(cafile=certificate)
    fresh, wrong, said = (
        "another long sentence 7",
        "a wrong long sentence 8",
        "my-own-words-9",
    )
    pages = []
    with running(place, *tls, "--accounts", str(path)) as (process, address):
        assert address.startswith(f"https://{HOST}:")
        client = httpx.Client(base_url=address, verify=trusts, timeout=30)

        def sent(method: str, to: str, **more) -> httpx.Response:
            answer = client.request(method, to, **more)
            pages.append(answer.text)
            return answer

        with client:
            for _ in range(2):
                form = {"code": code, "password": fresh, "again": fresh}
                sent("POST", "/invitation", data=form)
            sent(
                "POST",
                "/invitation",
                data={"code": spare, "password": wrong, "again": fresh},
            )
            sent(
                "POST",
                "/invitation",
                data={"code": spare, "password": "short", "again": "short"},
            )
            for name in ("mo", "nobody", fresh):
                sent("POST", "/sign-in", data={"name": name, "password": wrong})
            sent("POST", "/sign-in", data={"nama": "mo", "password": fresh})
            answer = sent("POST", "/sign-in", data={"name": "mo", "password": fresh})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-cosmosage=") and "Secure" in cookie
            token = cookie.partition("=")[2].partition(";")[0]
            assert sent("GET", "/v1/models").status_code == 200
            assert sent("GET", "/state").status_code == 403
            for header in (f"Bearer {key}", f"Bearer {key}x", f"Basic {key}", key):
                auth = {"authorization": header}
                sent("GET", "/v1/models", headers=auth)
                sent("GET", "/state", headers=auth)
                sent(
                    "POST",
                    "/v1/chat/completions",
                    headers=auth,
                    json=asked(max_tokens=3),
                )
                sent(
                    "POST",
                    "/v1/chat/completions",
                    headers=auth,
                    content=f'{{"{key}": {said}',
                )
            for path_with in (f"/{token}", f"/sources/{key}", f"/sign-in?code={spare}"):
                sent("GET", path_with)
            for body in (
                {"session_hash": "p", "fn_index": 10**6, "data": [said]},
                {"session_hash": "p", "fn_index": "x", "data": said},
                {"session_hash": "p", "fn_index": 1, "data": [said, said, said]},
                {"session_hash": "p", "fn_index": 2, "data": [said]},
            ):
                for to in ("run/predict", "queue/join", "cancel"):
                    sent("POST", f"/chat/gradio_api/{to}", json=body)
            with pytest.raises(httpx.HTTPError):  # in the clear
                httpx.get(address.replace("https", "http"))
            sent("POST", "/sign-out")
        exit_code, rest, errors = ended(process, signal.SIGTERM)
    assert exit_code == 0
    with contextlib.closing(Accounts(path)) as accounts:
        log = json.dumps(accounts.audit_log(1000))
    assert "sign-in failed" in log and "access refused" in log
    for secret in (PASSWORD, fresh, wrong, code, spare, key, token):
        for where, text in {"output": rest + errors, "audit log": log}.items():
            assert secret not in text, where
        assert not any(secret in page for page in pages)
    assert said not in rest + log


def test_a_port_in_use_is_said_before_the_model_is_loaded(tmp_path, capsys):
    """One sentence, exit code 2; the missing model is not even looked for."""
    none = ["--accounts", str(tmp_path / "a.sqlite")]
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--model", "nowhere", "--port", str(port), *none]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"port {port} of {HOST} cannot be had (Address already in use)"
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "options, said",
    [
        (["--model", "nowhere"], "nowhere"),
        (
            ["--model", "{model}", "--index", "nowhere"],
            "nowhere holds no finished index",
        ),
        (["--model", "{model}", "--verbatim", "nowhere"], "nowhere"),
        (["--model", "{model}", "--port", "70000"], "70000 is no port"),
        (["--model", "{model}", "--host", "no.such.host.invalid"], "no accounts"),
        (
            ["--model", "{model}", "--host", "192.0.2.1", *"--certificate x".split()],
            "go together",
        ),
        (["--model", "{model}", "--users", "0"], "0"),
        (["--model", "x", "--name", "https://lab.example.org"], "never be met"),
        (["--model", "x", "--name", "lab.example.org:443"], "never be met"),
    ],
)
def test_a_mistake_is_one_sentence(place, tmp_path, capsys, options, said):
    """And exit code 2."""
    options = [option.format(model=place / "model") for option in options]
    if "--port" not in options:
        options += ["--port", str(free_port())]
    assert main([*options, "--accounts", str(tmp_path / "a.sqlite")]) == 2
    errors = capsys.readouterr().err
    *_, last = errors.splitlines()
    assert said in errors and "Traceback" not in errors and last.strip()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "192.0.2.1", "::", "lab.example", "127.0.0.1"]
)
@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("by", ["nothing", "tls", "proxy"])
def test_beyond_loopback_it_takes_accounts_and_tls(place, tmp_path, host, locked, by):
    """Each combination: what is missing is named, with what to do."""
    files = (
        (place / "certificate.pem", place / "key.pem") if by == "tls" else (None, None)
    )
    names = ("lab.example",)
    listening = Listening(host, 7860, names, *files, behind_proxy=by == "proxy")
    accounts = place / "accounts.sqlite" if locked else tmp_path / "accounts.sqlite"
    loopback = host == "127.0.0.1"
    if not locked and (not loopback or by == "proxy"):
        with pytest.raises(ValueError, match="users add NAME --role admin"):
            listening.check(accounts)
    elif by == "nothing" and not loopback:
        with pytest.raises(ValueError, match="--certificate .* --behind-proxy"):
            listening.check(accounts)
    else:
        listening.check(accounts)
    assert listening.secure == (by != "nothing")
    assert not (tmp_path / "accounts.sqlite").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "0", ""])
def test_every_address_is_called_by_a_name(place, host):
    """No browser asks for 0.0.0.0: without a name all would be turned away."""
    files = place / "certificate.pem", place / "key.pem"
    with pytest.raises(ValueError, match="--name"):
        Listening(host, 7860, (), *files).check(place / "accounts.sqlite")
    listening = Listening(host, 7860, ("lab.example", "10.0.0.7"), *files)
    listening.check(place / "accounts.sqlite")
    assert listening.address == "https://lab.example:7860"
    assert {"lab.example", "10.0.0.7"} <= listening.reached_as()


def test_whose_accounts_went_meanwhile_is_not_begun():
    """Looked for before the index is loaded, and gone when it is: all would be let in."""
    nobody = types.SimpleNamespace(accounts=None)
    for listening in (
        Listening("0.0.0.0", 7860, ("lab.example",), behind_proxy=True),
        Listening(behind_proxy=True),
    ):
        with pytest.raises(ValueError, match="last account was removed"):
            prepared(nobody, listening)


def test_a_certificate_that_is_none_is_said(place, tmp_path):
    """Missing, no PEM, another's key, or a key that asks for a password."""
    odd, locked = tmp_path / "odd.pem", tmp_path / "locked.pem"
    odd.write_text("no certificate", "utf-8")
    command = [
        "openssl",
        "ec",
        "-aes256",
        "-passout",
        "pass:abcd",
        "-in",
        str(place / "key.pem"),
    ]
    subprocess.run([*command, "-out", str(locked)], check=True, capture_output=True)
    good = place / "certificate.pem"
    for certificate, key, said in (
        (tmp_path / "none.pem", place / "key.pem", "is no file"),
        (odd, place / "key.pem", "no certificate of PEM"),
        (good, odd, "no certificate of PEM"),
        (good, locked, "no certificate of PEM"),
        (good, None, "go together"),
    ):
        with pytest.raises(ValueError, match=said):
            Listening(certificate=certificate, certificate_key=key).check(Path("none"))


def test_an_address_of_ipv6_is_printed_as_one(place):
    """In brackets, or it would name no port."""
    with (
        contextlib.suppress(OSError),
        socket.create_server(("::1", 0), family=socket.AF_INET6),
    ):
        with running(place, "--host", "::1") as (_, address):
            assert address.startswith("http://[::1]:")
            assert httpx.get(f"{address}/health").status_code == 200
