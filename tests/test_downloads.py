"""Politeness and wholeness, against a real server that misbehaves on purpose."""

import contextlib
import gzip
import random
import socket
import threading
import time

import pytest

from arxiv_server import ArxivServer
from cosmosage import downloads
from cosmosage.downloads import Host, Refused, Unanswered

PAPER = "2407.04420v1"
BODY = gzip.compress(random.Random(1).randbytes(200_000), mtime=0)


def anything(_path):
    """A check that is content."""


def whole(path):
    """A check as arxiv.py makes it: the checksum at the end must be right."""
    try:
        gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from error


@pytest.fixture(name="serve")
def _serve(tmp_path, monkeypatch):
    """Start servers with one paper and a script for it; gives server and host."""
    monkeypatch.setattr(downloads, "_PATIENCE_S", 0.05)  # a test has little
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / PAPER).write_bytes(BODY)
    with contextlib.ExitStack() as stack:

        def start(*faults, delay_s=0.0, **settings):
            server = ArxivServer([], tmp_path / "sources", {PAPER: faults})
            stack.enter_context(server)
            host = Host(server.url, "test (a@b.org)", delay_s=delay_s, **settings)
            return server, host

        yield start


def save(server, host, tmp_path, check=whole):
    """Fetch the paper; gives its bytes."""
    target = tmp_path / "kept" / PAPER
    size = host.save(f"{server.url}/e-print/{PAPER}", target, check)
    assert size == len(target.read_bytes())
    assert [path.name for path in target.parent.iterdir()] == [PAPER]
    return target.read_bytes()


@pytest.mark.parametrize(
    "faults",
    [
        (),
        ("503",),
        ("500", "429"),
        ("cut", "cut", "cut"),
        ("silent cut",),
        ("long",),
        ("type",),
        ("html",),
        ("hang up",),
        ("moved",),
        ("cut", "changed"),
        ("cut", "html"),
        ("cut", "503", "moved"),
    ],
)
def test_a_file_is_whole_whatever_happens(serve, tmp_path, faults):
    server, host = serve(*faults)
    assert save(server, host, tmp_path) == BODY


def test_what_came_before_a_cut_is_not_fetched_again(serve, tmp_path):
    server, host = serve("cut", "cut")
    assert save(server, host, tmp_path) == BODY
    assert server.served_bytes == len(BODY)
    first = len(BODY) // 2
    second = first + (len(BODY) - first) // 2
    ranges = [asked[3] for asked in server.requests]
    assert ranges == [None, f"bytes={first}-", f"bytes={second}-"]


def test_another_process_goes_on_from_the_part(serve, tmp_path):
    server, host = serve("cut")
    with pytest.raises(Unanswered):
        Host(server.url, "first", delay_s=0, tries=1).save(
            f"{server.url}/e-print/{PAPER}", tmp_path / "kept" / PAPER, whole
        )
    assert save(server, host, tmp_path) == BODY
    assert server.served_bytes == len(BODY)


def test_a_part_that_is_longer_than_the_file_is_thrown_away(serve, tmp_path):
    server, host = serve("cut")
    kept = tmp_path / "kept"
    with pytest.raises(Unanswered):
        Host(server.url, "first", delay_s=0, tries=1).save(
            f"{server.url}/e-print/{PAPER}", kept / PAPER, whole
        )
    with (kept / f".{PAPER}.part").open("ab") as part:
        part.write(bytes(len(BODY)))
    assert save(server, host, tmp_path) == BODY


@pytest.mark.parametrize("fault", ["503:1", "429:1", "503:date"])
def test_retry_after_is_obeyed_by_all(serve, tmp_path, fault):
    server, host = serve(fault)
    other = Host(server.url, "other", delay_s=0)
    asked = threading.Thread(target=save, args=(server, host, tmp_path))
    asked.start()
    while not server.requests:
        time.sleep(0.01)
    other.save(f"{server.url}/e-print/{PAPER}", tmp_path / "other", anything)
    asked.join()
    times = [request[0] for request in server.requests]
    # a date has whole seconds, so that up to one of them may be gone already
    assert times[1] - times[0] >= (0.95 if fault.endswith("1") else 0)
    assert len(times) == 3


def test_a_long_retry_after_is_left_to_a_person(serve, tmp_path):
    server, host = serve("503:7200")
    with pytest.raises(Refused, match="come back in 7200 s; run again"):
        save(server, host, tmp_path)


@pytest.mark.parametrize(
    "fault, words",
    [("404", "answered 404"), ("403", "403"), ("redirect", "another host")],
)
def test_a_definite_answer_is_asked_for_once(serve, tmp_path, fault, words):
    server, host = serve(fault)
    with pytest.raises(Refused, match=words):
        save(server, host, tmp_path)
    assert len(server.requests) == 1


def test_a_wrong_body_is_left_after_three_tries(serve, tmp_path):
    server, host = serve(*["html"] * 9)
    with pytest.raises(Unanswered, match="gzip"):
        save(server, host, tmp_path)
    assert len(server.requests) == 3
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize("fault", ["", "silent cut"])
def test_a_body_has_a_bound(serve, tmp_path, fault):
    server, host = serve(fault, most_bytes=1000)
    with pytest.raises(Refused, match="more than 1000 bytes"):
        save(server, host, tmp_path)
    assert not (tmp_path / "kept" / PAPER).exists()


def test_a_drip_is_cut_off(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_STALL_S", 0.2)
    server, host = serve("drip")
    assert save(server, host, tmp_path) == BODY
    assert len(server.requests) == 2


def test_no_server_at_all(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    host = Host(url, "test", delay_s=0, tries=2)
    with pytest.raises(Unanswered, match="gave no answer"):
        host.save(f"{url}/e-print/{PAPER}", tmp_path / PAPER, anything)


@pytest.mark.parametrize(
    "address", ["export.arxiv.org", "ftp://x", "http://", "http://a/b"]
)
def test_an_address_that_is_none(address):
    with pytest.raises(ValueError, match="write it as http://host:port"):
        Host(address, "test", delay_s=0)


def test_another_host_is_not_asked(serve, tmp_path):
    server, host = serve()
    with pytest.raises(ValueError, match="lies not at"):
        host.save("http://example.org/paper", tmp_path / PAPER, anything)
    assert not server.requests


def test_requests_keep_their_distance(serve, tmp_path):
    server, host = serve("moved", "cut", delay_s=0.1)
    other = Host(server.url, "other", delay_s=0.1)
    second = threading.Thread(
        target=other.save,
        args=(f"{server.url}/e-print/{PAPER}", tmp_path / "other", anything),
    )
    second.start()
    save(server, host, tmp_path, anything)
    second.join()
    times = [request[0] for request in server.requests]
    assert len(times) >= 4
    assert min(b - a for a, b in zip(times, times[1:])) >= 0.1
    assert {request[2] for request in server.requests} == {"test (a@b.org)", "other"}
