"""The PDF engine in a process of its own, so that its crash or hang costs one page.

MuPDF is C code that opens files from strangers. A child process reads one file after the
other; it tells which page it begins, and when it dies or is silent for longer than a page
may take, another one is told to leave that page out.
"""

import base64
import contextlib
import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from cosmosage import children

Item, Result = TypeVar("Item"), TypeVar("Result")

PAGE_LIMIT_S = 60.0  # the slowest honest page (a map drawn in vectors) took 4 s
READERS = 2  # files at once; a third gains little, each may take a GiB
TRIES = 5  # how many pages may kill the engine before the file is given up


class Engine:
    """Reads files by way of a child process; use it from one thread, and close it."""

    def __init__(self, page_limit_s: float = PAGE_LIMIT_S) -> None:
        self.page_limit_s = page_limit_s
        self._child = children.Child("cosmosage.books.files")

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()

    def read(self, path: Path) -> dict[str, Any]:
        """The pages of a file, whatever is in it.

        Returns:
            ``status``, ``pages`` (each with page, status, text, reason), ``title``,
            ``authors``, ``licence``, ``notes`` and ``dropped`` (characters, by what).
        """
        skip: dict[int, str] = {}
        for _ in range(TRIES):
            begun = [0]
            request = {
                "file": str(Path(path).resolve()),
                "skip": skip,
                "limit_s": self.page_limit_s,
            }
            try:
                return self._child.ask(request, self.page_limit_s, begun.append)
            except (children.Silent, children.Died) as end:
                page = begun[-1]
                told_before = page in skip
                skip[page] = f"the PDF engine {end} on page {page}"
            if told_before or page == 0:  # it is not that page
                break
        reasons = list(skip.values())
        lost = {"page": 1, "status": "damaged", "text": "", "reason": reasons[-1]}
        about = {"title": "", "authors": "", "licence": "", "dropped": {}}
        return {"status": "damaged", "pages": [lost], "notes": reasons, **about}

    def draw(self, path: Path, page: int, dpi: int) -> bytes:
        """A page's picture; see ``page_image``.

        Raises:
            ValueError: there is none; the message says why.
        """
        request = {"file": str(Path(path).resolve()), "draw": page, "dpi": dpi}
        try:
            found = self._child.ask(request, self.page_limit_s)
        except (children.Silent, children.Died) as end:
            raise ValueError(f"page {page} of {path}: the PDF engine {end}") from end
        if "error" in found:
            raise ValueError(found["error"])
        return base64.b64decode(found["picture"])


def in_parallel(
    work: Callable[[Item, Engine], Result],
    items: Iterable[Item],
    page_limit_s: float = PAGE_LIMIT_S,
) -> Iterator[Result]:
    """The results of work on several files at once, in the order of the files.

    A long book is not divided among processes: its rows would have to be sent to one of
    them, which costs an eighth of the time that it takes to read them.

    Args:
        work: is called in threads, with an item and an engine that is its own meanwhile.
        items: one a file.
        page_limit_s: seconds that a page may take.
    """
    with ThreadPoolExecutor(READERS) as pool, contextlib.ExitStack() as engines:
        free: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        for _ in range(READERS):
            free.put(engines.enter_context(Engine(page_limit_s)))

        def one(item: Item) -> Result:
            engine = free.get()
            try:
                return work(item, engine)
            finally:
                free.put(engine)

        yield from pool.map(one, items)
