"""Sources to text, in processes that may die.

A paper is a program by a stranger: its macros may never end, its PDF may bring a native
library down. So each is read by a process beside this one, with a limit on its time and
memory; one that hangs or dies costs that paper and nothing else. It is a plain process
and not one of ``multiprocessing``, which would run the caller's script a second time.
The price is its start, half a second for each worker.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from tqdm.auto import tqdm

from cosmosage import books, latex
from cosmosage.documents import fingerprint, read_json, write_json

_SECONDS = 120.0  # for one paper; the slowest honest ones take a tenth of it
_MEMORY_BYTES = 3 * 2**30  # for one worker: two of them fit into 8 GB beside a notebook


def version() -> str:
    """A hash of the code that makes the text: when it changes, texts are made anew."""
    house = Path(__file__).resolve().parent
    rooms = ("latex", "books", "convert")
    return fingerprint(
        *(
            path
            for path in sorted(house.rglob("*.py"))
            if path.relative_to(house).parts[0].removesuffix(".py") in rooms
        )
    )


def texts(
    sources: list[Path], kept: Path, *, workers: int = 0, seconds: float = _SECONDS
) -> Iterator[dict[str, str]]:
    """Convert sources, several at a time.

    Each text is kept when it is made, so that a run that was cut off goes on where it
    stopped, and a new paper costs one conversion.

    Args:
        sources: files as arXiv serves them.
        kept: the folder of the texts that are made, ``<name of the source>.json``.
        workers: processes; 0: as many as there are cores.
        seconds: the longest time for one paper.

    Yields:
        For each source in order text, title, abstract and reason; the reason is empty if
        there is a text, and says why if there is none.
    """
    code, wanted = version(), []
    for source in sources:
        seen, text = source.stat(), kept / f"{source.name}.json"
        key = fingerprint(seen.st_size, seen.st_mtime_ns, code)
        if not text.is_file() or read_json(text)["fingerprint"] != key:
            wanted.append((source, text, key))
    if wanted:
        _convert(wanted, min(workers or os.cpu_count() or 1, len(wanted)), seconds)
    for source in sources:
        yield read_json(kept / f"{source.name}.json")


def _convert(
    wanted: list[tuple[Path, Path, str]], workers: int, seconds: float
) -> None:
    """Make texts: each from a source, to a file, with the key that it is kept by."""
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    everyone = [_Worker(seconds) for _ in range(workers)]
    for worker in everyone:
        idle.put(worker)

    def one(job: tuple[Path, Path, str]) -> None:
        source, text, key = job
        worker = idle.get()
        try:
            write_json(text, {"fingerprint": key, **worker.convert(source)})
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(workers)
    try:
        for _ in tqdm(pool.map(one, wanted), "texts", len(wanted), unit=" papers"):
            pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in everyone:
            worker.stop()


class _Worker:
    """A process that converts one source after another, and is replaced when it dies."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[bytes]
        self._open = contextlib.ExitStack()
        self._stopped = False

    def convert(self, path: Path) -> dict[str, str]:
        """One source to text, or the reason why there is none."""
        process = self._process or self._start()
        late = threading.Event()

        def too_late() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(self._seconds, too_late)
        timer.start()
        try:
            process.stdin.write(json.dumps(str(path.resolve())) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if line.endswith("\n"):
            if late.is_set():  # killed, but after it had answered
                self._end()
            return json.loads(line)
        if self._stopped:  # which says nothing about the paper
            raise InterruptedError("the conversion was stopped")
        code, words = process.wait(), self._last_words()
        self._end()
        if late.is_set():
            return _nothing(f"not converted within {self._seconds:g} s")
        return _nothing(f"the converter died of it ({words or code})")

    def _start(self) -> "subprocess.Popen[str]":
        if self._stopped:
            raise InterruptedError("the conversion was stopped")
        house = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (house, os.environ.get("PYTHONPATH"))))
        self._complaints = self._open.enter_context(tempfile.TemporaryFile())
        self._process = self._open.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "cosmosage.convert"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # an interrupt is for the one who waits
            )
        )
        return self._process

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def _end(self) -> None:
        if self._process is not None:
            _kill(self._process)
            self._process = None
        with contextlib.suppress(
            BrokenPipeError
        ):  # a path that it did not read any more
            self._open.close()

    def stop(self) -> None:
        """End the process; it is not replaced."""
        self._stopped = True
        self._end()


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a process, and what it started: the reader of PDF files is one of its own."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _nothing(reason: str) -> dict[str, str]:
    return {"text": "", "title": "", "abstract": "", "reason": reason}


def _text(path: Path) -> dict[str, str]:
    """What a source says."""
    package = latex.read_package(path)
    if package.kind == "latex":
        found = latex.to_text(package)
        if not found.text.strip():
            return _nothing("no text came out of its LaTeX")
        return {
            "text": found.text,
            "title": found.title,
            "abstract": found.abstract,
            "reason": "",
        }
    if package.kind == "pdf":
        book = books.to_text(package.pdf)
        if not book.text.strip():
            reasons = "; ".join(book.reasons[:3]) or book.status
            return _nothing(f"no text came out of its PDF: {reasons}")
        return {**_nothing(""), "text": book.text}
    return _nothing(f"{package.kind}: {package.reason}")


def _serve() -> None:
    """Answer each path on standard input with a line of JSON."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries like to print
    _limit_memory()
    for line in sys.stdin:
        try:
            answer = _text(Path(json.loads(line)))
        except (ValueError, OSError, RecursionError, MemoryError) as error:
            answer = _nothing(f"{type(error).__name__}: {error}")
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _limit_memory() -> None:
    """Let a paper that wants all memory fail alone, where the system can do that."""
    try:
        import resource  # pylint: disable=import-outside-toplevel  # not on Windows

        # the soft limit only: the PDF reader sets its own for its process
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, hard))
    except (ImportError, ValueError, OSError):
        pass


if __name__ == "__main__":
    _serve()
