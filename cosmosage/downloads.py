"""Polite, resumable HTTP: one host, one connection, one request at a time.

A host that gives its papers away asks for little: a pause between requests, a name to
write to, patience when it is busy. What it asks for holds for a person and not for a
process, so the turn is kept in a file that every process of this user shares; two
notebooks together ask no faster than one. The price is that a slow body holds up all
who wait, and that nothing is ever fetched in parallel.
"""

import contextlib
import email.utils
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import filelock
import requests
import tenacity
import urllib3

LONGEST_WAIT_S = 3600.0
"""The longest Retry-After that is waited for; beyond it a person should decide."""

_PATIENCE_S = 60.0  # the longest pause that we choose ourselves
_STALL_S = 30.0  # a body is judged by its rate from here on
_SLOWEST_BYTES_S = 1024.0  # below it a body is a drip, and asked for again
_CONNECT_S, _SILENCE_S = 10.0, 60.0  # to connect; between two pieces of a body
_BUSY = (408, 429, 500, 502, 503, 504)
_CONTENT_TRIES = 3  # a whole answer that is no paper stays so more often than not


class Unanswered(OSError):
    """No whole answer came, after all tries; another time it may."""

    def __init__(self, reason: str, after_s: float | None = None, enough: bool = False):
        super().__init__(reason)
        self.after_s = after_s  # when the server wants to be asked again, if it said
        self.enough = enough  # it was asked often enough


class Refused(OSError):
    """The server's answer is definite: asking again would give the same."""

    def __init__(self, reason: str, status: int = 0):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """A body that is whole; named as in requests, since the client reads it as that."""

    status_code: int
    content: bytes


class Turn:
    """Whose turn it is to ask a host, and when: shared by all processes of this user.

    A reentrant context manager around one request. While it is held nobody else asks;
    entering it waits until the delay since the last request has passed.
    """

    def __init__(self, host: str, delay_s: float):
        user = os.getuid() if hasattr(os, "getuid") else 0
        folder = Path(tempfile.gettempdir()) / f"cosmosage-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        name = re.sub(r"[^\w.-]", "_", host)
        self.delay_s = delay_s
        self.lock = filelock.FileLock(folder / f"{name}.lock")
        self._times = folder / f"{name}.json"

    def _read(self) -> tuple[float, float]:
        """When the last request was, and before when none may be (seconds since 1970)."""
        try:
            last, free = json.loads(self._times.read_text("ascii"))
            return float(last), float(free)
        except FileNotFoundError:
            return 0.0, 0.0
        except (ValueError, TypeError):  # another process died while it wrote
            return time.time(), 0.0

    def _write(self, last: float, free: float) -> None:
        self._times.write_text(json.dumps([last, free]), "ascii")

    def __enter__(self) -> "Turn":
        self.lock.acquire()
        try:
            last, free = self._read()
            wait = max(last + self.delay_s, free) - time.time()
            # the clock may have been set back since
            time.sleep(min(max(wait, 0.0), max(self.delay_s, LONGEST_WAIT_S)))
            self._write(time.time(), free)
        except BaseException:
            self.lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:  # counted from the answer: the request reached the server before that
            self._write(time.time(), self._read()[1])
        finally:
            self.lock.release()

    def postpone(self, seconds: float) -> None:
        """Let nobody ask this host for so long: it said when to come back."""
        with self.lock:
            last, free = self._read()
            self._write(last, max(free, time.time() + seconds))


class _Adapter(requests.adapters.HTTPAdapter):
    """Sends each request, redirected ones too, when it is its turn."""

    def __init__(self, turn: Turn):
        super().__init__()
        self._turn = turn

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            return super().send(request, *args, **kwargs)


class _Session(requests.Session):
    """A session that stays at one host."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target and _origin(urljoin(resp.url, target)) != _origin(resp.url):
            raise Refused(
                f"{resp.url} leads to another host ({target}), which is not followed",
                resp.status_code,
            )
        return target


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


class Host:
    """One host, asked politely.

    Args:
        address: ``http://host:port`` or ``https://host``, with nothing behind it.
        agent: what the host reads as User-Agent; a contact address belongs in it.
        delay_s: seconds between an answer and the next request, over all processes.
        pace: the name under which hosts share their turns; by default each has its own.
        tries: how often one file is asked for before it is left.
        most_bytes: the largest body that is taken.

    Raises:
        ValueError: ``address`` is no such address.
    """

    def __init__(
        self,
        address: str,
        agent: str,
        *,
        delay_s: float,
        pace: str = "",
        tries: int = 8,
        most_bytes: int = 512 * 2**20,
    ):
        address = address.rstrip("/")
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
            raise ValueError(
                f"{address!r} is no address of a host; write it as http://host:port"
            )
        if not delay_s >= 0:
            raise ValueError(f"a delay of {delay_s} s; it must be 0 or more")
        self.address = address
        self.most_bytes = most_bytes
        self.tries = tries
        self._turn = Turn(pace or parts.netloc, delay_s)
        self._session = _Session()
        self._session.max_redirects = 5
        self._session.mount(address, _Adapter(self._turn))
        # "identity": the bytes that are counted are the bytes that are kept
        self._session.headers.update(
            {"User-Agent": agent, "Accept-Encoding": "identity"}
        )

    def get(self, url: str, check: Callable[[bytes], Any]) -> Answer:
        """A small answer, whole, in memory.

        Args:
            url: an address at this host.
            check: takes the complete body; a ValueError says what is wrong with it, and
                it is asked for again.

        Raises:
            Refused: the server says no, or sends us to another host.
            Unanswered: no whole answer came, or none that passed the check.
        """

        def once() -> Answer:
            with self._asked(url, {}) as response:
                content = b"".join(self._pieces(response, 0, decode=True))
            try:
                check(content)
            except ValueError as error:
                raise Unanswered(str(error)) from error
            return Answer(response.status_code, content)

        return self._patiently(once)

    def save(self, url: str, target: Path, check: Callable[[Path], Any]) -> int:
        """Fetch a file; it appears under its name when it is whole and passed the check.

        What came before a cut is kept beside the target, and the rest asked for, if the
        server gave a validator (RFC 9110, 13.1.5: If-Range) and speaks ranges.

        Args:
            url: an address at this host.
            target: the file's final name.
            check: takes the path of the complete body; a ValueError says what is wrong.

        Returns:
            The file's size in bytes.

        Raises:
            Refused: the server says no, sends us to another host, or the file is too large.
            Unanswered: no whole file came, or none that passed the check.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        stamp = target.with_name(f".{target.name}.stamp")

        wrong = 0

        def once() -> int:
            nonlocal wrong
            self._continue(url, part, stamp)
            try:
                check(part)
            except ValueError as error:
                part.unlink()
                stamp.unlink(missing_ok=True)
                wrong += 1
                raise Unanswered(str(error), enough=wrong == _CONTENT_TRIES) from error
            size = part.stat().st_size
            os.replace(part, target)
            stamp.unlink(missing_ok=True)
            return size

        return self._patiently(once)

    def _continue(self, url: str, part: Path, stamp: Path) -> None:
        """Bring ``part`` to its full length, from where it stands if that is possible."""
        have = part.stat().st_size if part.is_file() and stamp.is_file() else 0
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            headers["If-Range"] = stamp.read_text("latin-1")
        with self._asked(url, headers) as response:
            span = response.headers.get("Content-Range", "")
            if response.status_code == 416:
                stamp.unlink(missing_ok=True)
                raise Unanswered(f"{url} has become shorter while it was fetched")
            if response.status_code != 206:
                have = 0
                stamp.unlink(missing_ok=True)
            elif not span.startswith(f"bytes {have}-"):
                stamp.unlink()
                raise Unanswered(f"{url} gave another range than was asked ({span})")
            with part.open("ab" if have else "wb") as file:
                if not have and (validator := _validator(response)):
                    stamp.write_text(validator, "latin-1")
                for piece in self._pieces(response, have):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        _, _, total = span.partition("/")
        if response.status_code == 206 and total.isdigit():
            if part.stat().st_size != int(total):
                stamp.unlink()
                raise Unanswered(f"{url} gave {part.stat().st_size} bytes of {total}")

    def _patiently(self, once: Callable[[], Any]) -> Any:
        """Call until it succeeds, with pauses; a Retry-After is waited for in the turn."""

        def enough(state: tenacity.RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            return state.attempt_number >= self.tries or getattr(error, "enough", False)

        first = max(self._turn.delay_s, 0.1)
        pauses = tenacity.wait_exponential(multiplier=first, max=_PATIENCE_S)

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return 0.0 if getattr(error, "after_s", None) is not None else pauses(state)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unanswered),
            stop=enough,
            wait=pause,
            reraise=True,
        )(once)

    @contextlib.contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """The answer to one request, its body not yet read; nobody else asks meanwhile."""
        if _origin(url) != _origin(self.address):
            raise ValueError(f"{url} lies not at {self.address}")
        with self._turn.lock:
            try:
                with self._session.get(
                    url, headers=headers, stream=True, timeout=(_CONNECT_S, _SILENCE_S)
                ) as response:
                    self._judge(response)
                    yield response
            except requests.TooManyRedirects as error:
                raise Refused(f"{url} leads in a circle ({error})") from error
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise Unanswered(
                    f"{url} was cut off or gave no answer: {error}"
                ) from error

    def _judge(self, response: requests.Response) -> None:
        """Raise for a status that is no success; obey a Retry-After."""
        status, url = response.status_code, response.url
        if status in (200, 206, 416):
            return
        if status not in _BUSY:
            raise Refused(f"{url} answered {status} {response.reason}", status)
        after = _retry_after(response.headers.get("Retry-After", ""))
        if after is not None and after > LONGEST_WAIT_S:
            raise Refused(
                f"{url} answered {status} and asks to come back in {after:.0f} s; "
                "run again after that",
                status,
            )
        if after is not None:
            self._turn.postpone(after)
        raise Unanswered(f"{url} answered {status} {response.reason}", after)

    def _pieces(
        self, response: requests.Response, have: int, decode: bool = False
    ) -> Iterator[bytes]:
        """The body as it comes: bounded, and not slower than a modem."""
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and have + int(length) > self.most_bytes:
            raise Refused(f"{response.url} has more than {self.most_bytes} bytes")
        start, size = time.monotonic(), 0
        # read1 gives what has come; read would wait for a drip until a block is full
        while piece := response.raw.read1(2**16, decode_content=decode):
            size += len(piece)
            if have + size > self.most_bytes:
                raise Refused(f"{response.url} has more than {self.most_bytes} bytes")
            yield piece
            seconds = time.monotonic() - start
            if seconds > _STALL_S and size < seconds * _SLOWEST_BYTES_S:
                raise Unanswered(f"{response.url} came at {size / seconds:.0f} bytes/s")


def _validator(response: requests.Response) -> str:
    """What If-Range may carry: a strong ETag, else the date; empty if there is none."""
    tag = response.headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    return response.headers.get("Last-Modified", "")


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3): a number, or a date."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())
