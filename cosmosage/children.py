"""A module of this package in a process of its own, which may hang or die.

Papers and books are programs by strangers: a macro may never end, a damaged file may bring
a native library down. So they are opened by a child process that answers one request after
the other in lines of JSON; when it dies or is silent for too long, that costs one request,
and the next one gets another child. It is a plain process and not one of
``multiprocessing``, which would run the caller's script a second time. The price is its
start, about half a second.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_DYING_S = 10.0  # from the end of what a child says to the end of its process


class Silent(RuntimeError):
    """A child said nothing for longer than it may, and was killed."""


class Died(RuntimeError):
    """A child ended: with an exit code, and perhaps a last line on standard error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words

    def __str__(self) -> str:
        return f"died (exit {self.code}{': ' * bool(self.words)}{self.words})"


class Child:
    """A child process that answers requests; ask from one thread, close from any.

    Args:
        module: what runs in it, by name; its main calls ``serve``.
        start_s: until a new child has to be ready: .5 s as a rule, several where it's busy.
        own_session: whether it leads a session of its own: an interrupt at the terminal
            does not reach it, and what it started ends with it.
    """

    def __init__(
        self,
        module: str,
        *,
        start_s: float = 120.0,
        own_session: bool = False,
    ) -> None:
        self._module, self._start_s, self._own_session = module, start_s, own_session
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.SimpleQueue[dict[str, Any] | None]
        self._complaints: IO[bytes]
        self._closed = False
        self._lock = threading.RLock()  # over what ``close`` may change meanwhile

    def ask(
        self,
        request: Any,
        silence_s: float,
        heard: Callable[[Any], None] = lambda _: None,
    ) -> Any:
        """Wait for the answer to a request.

        Args:
            request: JSON of less than 64 kB, which is what a pipe holds.
            silence_s: seconds from one sign of life to the next.
            heard: called with what the child tells on its way.

        Raises:
            Silent: nothing came in time.
            Died: the process ended.
            InterruptedError: ``close`` was called.
        """
        limit = silence_s
        try:
            with self._lock:
                if self._closed:
                    raise InterruptedError(f"{self._module} was closed")
                if self._process is None or self._process.poll() is not None:
                    self._start()
                    limit = self._start_s  # until it says that it is ready
                else:  # words about an earlier request are no reason for this one's end
                    self._complaints.seek(0)
                    self._complaints.truncate()
                said = self._said
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
            while message := said.get(timeout=limit):
                limit = silence_s
                if "answer" in message:
                    return message["answer"]
                if "told" in message:
                    heard(message["told"])
        except queue.Empty:
            self._end()
            raise Silent(f"was silent for {limit:g} s") from None
        except BrokenPipeError:
            pass
        except (
            BaseException
        ):  # its late answer would be taken for that to the next request
            self._end()
            raise
        death = self._end(_DYING_S)
        if self._closed:  # which says nothing about the request
            raise InterruptedError(f"{self._module} was closed")
        raise death

    def _start(self) -> None:
        self._end()
        house = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (house, os.environ.get("PYTHONPATH"))))
        # pylint: disable=consider-using-with  # both outlive this call; see _end
        self._complaints = tempfile.TemporaryFile(buffering=0)
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=self._own_session,
        )
        self._said = queue.SimpleQueue()
        threading.Thread(
            target=_listen, args=(self._process.stdout, self._said), daemon=True
        ).start()

    def _end(self, patience_s: float = 0.0) -> Died | None:
        """End the process, at once or when it has had time to end; tell how it did."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return None
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
            if self._own_session and hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            code = process.wait()
            with contextlib.suppress(
                OSError
            ):  # a request that it did not read any more
                process.stdin.close()
            with self._complaints as complaints:
                complaints.seek(0)
                lines = complaints.read().decode("utf-8", "replace").strip()
            return Died(code, lines.rpartition("\n")[2][:300])

    def close(self) -> None:
        """End the process for good; a request that waits for its answer is interrupted."""
        self._closed = True
        self._end()


def _listen(stream: IO[str], said: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    """Hand on what a child says, and ``None`` at its end."""
    with stream, contextlib.suppress(ValueError):  # a line that was cut short
        for line in stream:
            said.put(json.loads(line))
    said.put(None)


def serve(work: Callable[[Any, Callable[[Any], None]], Any], memory_bytes: int) -> None:
    """A child's main loop: answer requests until the one who asks is gone.

    Args:
        work: a request to its answer, both JSON; what it passes to its second argument
            reaches the asker at once, as a sign of life.
        memory_bytes: of address space; whoever wants more gets a ``MemoryError``.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # pylint: disable=import-outside-toplevel  # not on Windows

        # the soft limit only, since a child of this one may set its own
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what libraries print must not mix with the answers
        # nor come late: the last line on standard error is to be the reason of a death
        sys.stdout.reconfigure(line_buffering=True)

        def say(**message: Any) -> None:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

        say(ready=True)
        for line in sys.stdin:
            say(answer=work(json.loads(line), lambda told: say(told=told)))


def _end_with(parent: int) -> None:
    """End this process with its parent, also in the midst of a request."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)  # pylint: disable=protected-access  # its public name
