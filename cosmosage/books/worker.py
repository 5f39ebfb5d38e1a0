"""The PDF engine in a process of its own, so that its crash or hang costs one page.

MuPDF is C code that opens files from strangers. A child process reads one file after the
other on request; it says which page it begins, and when it dies or is silent for longer
than a page may take, it is replaced and told to leave that page out. Starting a child
costs about .3 s, once for many files.
"""

import contextlib
import json
import os
import queue
import resource
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

PAGE_LIMIT_S = 60.0  # the slowest honest page (a map drawn in vectors) took 4 s
START_LIMIT_S = (
    120.0  # loading the engine takes .3 s, on a busy machine several seconds
)
MEMORY_LIMIT = 6 * 2**30  # bytes of address space; a 2,000-page book needs under 1 GiB
TRIES = 5  # how many pages may kill the engine before the file is given up


class Engine:
    """A child process that reads files; use it from one thread, and close it."""

    def __init__(self, page_limit_s: float = PAGE_LIMIT_S) -> None:
        self.page_limit_s = page_limit_s
        self._child: subprocess.Popen[str] | None = None
        self._said: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, path: Path) -> dict[str, Any]:
        """The pages of a file, whatever is in it.

        Returns:
            ``status``, ``pages`` (each with page, status, text, reason), ``title``,
            ``authors``, ``licence``, ``notes`` and ``dropped`` (characters, by what).
        """
        skip: dict[int, str] = {}
        for _ in range(TRIES):
            page, result = self._attempt(Path(path).resolve(), skip)
            if result is not None:
                return result
            if page in skip or page == 0:
                break
        reasons = list(skip.values()) or ["the PDF engine cannot read the file"]
        page = {"page": 1, "status": "damaged", "text": "", "reason": reasons[-1]}
        empty = {
            "title": "",
            "authors": "",
            "licence": "",
            "notes": reasons,
            "dropped": {},
        }
        return {"status": "damaged", "pages": [page], **empty}

    def _attempt(
        self, path: Path, skip: dict[int, str]
    ) -> tuple[int, dict[str, Any] | None]:
        child = self._start()
        assert child.stdin is not None
        page = 0
        try:
            request = {"file": str(path), "skip": {str(k): v for k, v in skip.items()}}
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()
            while True:
                said = self._said.get(timeout=self.page_limit_s)
                if said is None:
                    break
                if "result" in said:
                    return page, said["result"]
                page = said["page"]
        except queue.Empty:
            self.close()
            skip[page] = (
                f"the PDF engine was silent for {self.page_limit_s:.0f} s on page {page}"
            )
            return page, None
        except BrokenPipeError:
            pass
        code = child.wait()
        self.close()
        skip[page] = f"the PDF engine died (exit {code}) on page {page}"
        return page, None

    def _start(self) -> subprocess.Popen[str]:
        if self._child is None or self._child.poll() is not None:
            root = str(Path(__file__).resolve().parents[2])
            paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._said = queue.Queue()
            # pylint: disable-next=consider-using-with  # it outlives this call; see close()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "cosmosage.books.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
            threading.Thread(
                target=_listen, args=(self._child.stdout, self._said), daemon=True
            ).start()
            with contextlib.suppress(queue.Empty):
                self._said.get(timeout=START_LIMIT_S)
        return self._child

    def close(self) -> None:
        """End the child; a later ``read`` starts another."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()


def _listen(stream: Any, said: "queue.Queue[dict[str, Any] | None]") -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in stream:
            said.put(json.loads(line))
    said.put(None)


def serve() -> None:
    """Answer requests from standard input until it ends: the child's main loop."""
    # pylint: disable-next=import-outside-toplevel  # only the child may load the engine
    from cosmosage.books import files

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    # what the engine prints must not mix with the answers
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def say(message: dict[str, Any]) -> None:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

        say({"ready": True})
        for line in sys.stdin:
            request = json.loads(line)
            skip = {int(page): why for page, why in request["skip"].items()}
            found = files.read(
                Path(request["file"]), skip, lambda page: say({"page": page})
            )
            say({"result": {**asdict(found), "status": found.status}})


if __name__ == "__main__":
    serve()
