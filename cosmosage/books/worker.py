"""The PDF engine in a process of its own, so that its crash or hang costs one page.

MuPDF is C code that opens files from strangers. A child process reads one file after the
other; it tells which page it begins, and when it dies or is silent for longer than a page
may take, another one is told to leave that page out.
"""

from pathlib import Path
from typing import Any

from cosmosage import children

PAGE_LIMIT_S = 60.0  # the slowest honest page (a map drawn in vectors) took 4 s
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
