"""Pages that have only a picture, as Tesseract reads them.

Tesseract is Debian's and may be missing. It costs three seconds of a processor a page, a
thousand times what a text layer does, so it is asked only where the layer fails, and for as
many pages at once as there are processors, one thread each: its own threads take four times
the processor's time for the same text. A page is drawn at 300 dpi whatever its scan has:
on eight pages scanned at 150 dpi that found 3.4 % more five-word runs than 150, and 400
loses columns.
"""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from cosmosage.books import layout
from cosmosage.books.glyphs import garbled
from cosmosage.books.spans import Page

INSTALL = "apt-get install tesseract-ocr"
DPI = 300
_SURE = 30  # per cent; less is a drawing's lines more often than a word
_LANGUAGES = {  # of a PDF's catalogue, and Tesseract's names for them
    "de": "deu",
    "es": "spa",
    "fr": "fra",
    "it": "ita",
    "la": "lat",
    "nl": "nld",
    "pt": "por",
    "ru": "rus",
}
_UPRIGHT, _TURNED = "3", "1"  # page segmentation without and with a look for rotation


@dataclass(frozen=True)
class Recognised:
    """What Tesseract made of a page."""

    number: int
    page: Page
    why: str = ""
    """Why there is no text, where there is none."""


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """The languages that Tesseract has here; none where it is not installed."""
    if not shutil.which("tesseract"):
        return ()
    try:
        done = subprocess.run(
            ["tesseract", "--list-langs"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(done.stdout.split("\n")[1:-1])


class Recogniser:
    """Tesseract on several pages at once; use it from one thread, and close it.

    Args:
        language: as a PDF's catalogue names it (``de-AT``), or "".
        limit_s: what a page may take.
    """

    def __init__(self, language: str, limit_s: float) -> None:
        self._limit_s = limit_s
        wanted = _LANGUAGES.get(language[:2].lower(), "eng")
        known = [name for name in languages() if name != "osd"]
        self._language = wanted if wanted in known or not known else known[0]
        if "eng" in known:
            self._language = wanted if wanted in known else "eng"
        self.can = bool(known)
        self._many = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._many)
        self._begun: deque[tuple[int, Future[Recognised]]] = deque()

    def __enter__(self) -> "Recogniser":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, number: int, picture: bytes, size: tuple[float, float]) -> None:
        """Have a page recognised while others are drawn; ``finished`` gives the result.

        Args:
            number: the page's.
            picture: in any format that Tesseract knows, ``DPI`` dots an inch.
            size: width and height of the page, points.
        """
        self._begun.append(
            (number, self._pool.submit(self._read, number, picture, size))
        )

    def finished(
        self, tell: Callable[[int], None], last: bool = False
    ) -> Iterator[Recognised]:
        """The pages that were begun first, until a processor is free or, at last, all.

        Args:
            tell: called with the number of the page that is waited for.
            last: whether no other page follows.
        """
        while self._begun and (last or len(self._begun) >= self._many):
            number, future = self._begun.popleft()
            tell(number)
            yield future.result()

    def _read(
        self, number: int, picture: bytes, size: tuple[float, float]
    ) -> Recognised:
        """The page upright, or turned where that makes no sense."""
        found = self._read_as(_UPRIGHT, number, picture, size)
        odd = found.page.characters < 20 or garbled(found.page.raw)
        if not odd or found.why or "osd" not in languages():
            return found
        turned = self._read_as(_TURNED, number, picture, size)
        better = turned.page.characters >= 20 and not garbled(turned.page.raw)
        return turned if better else found

    def _read_as(
        self, mode: str, number: int, picture: bytes, size: tuple[float, float]
    ) -> Recognised:
        command = ["tesseract", "-", "-", "-l", self._language, "--dpi", str(DPI)]
        nothing = Page(number, *size, [])
        try:
            done = subprocess.run(
                [*command, "--psm", mode, "tsv"],
                input=picture,
                capture_output=True,
                timeout=self._limit_s,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Recognised(
                number, nothing, f"Tesseract did not finish within {self._limit_s:g} s"
            )
        except OSError as error:
            return Recognised(number, nothing, f"Tesseract does not run ({error})")
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = f"Tesseract died (exit {done.returncode}{': ' * bool(said)}{(said or [''])[-1]})"
            return Recognised(number, nothing, why)
        spans = _lines(done.stdout.decode("utf-8", "replace"))
        page = layout.read_page(number, layout.as_dictionary(spans, *size))
        return Recognised(
            number, page, "" if page.characters else "Tesseract finds no word in it"
        )


def _lines(table: str) -> list[tuple[list[float], str]]:
    """Tesseract's table of words as lines in points; a wide gap divides one."""
    lines: dict[tuple[str, ...], list[tuple[list[float], str]]] = {}
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) != 12 or cells[0] != "5" or not cells[11].strip():
            continue
        if float(cells[10]) < _SURE:
            continue
        x, y, w, h = (float(cell) * 72 / DPI for cell in cells[6:10])
        lines.setdefault(tuple(cells[1:5]), []).append(
            ([x, y, x + w, y + h], cells[11])
        )
    out = []
    for words in lines.values():
        height = sorted(box[3] - box[1] for box, _ in words)[len(words) // 2]
        begin = 0
        for i in range(1, len(words) + 1):
            if i == len(words) or words[i][0][0] - words[i - 1][0][2] > 2 * height:
                part = words[begin:i]
                boxes = list(zip(*(box for box, _ in part)))
                box = [min(boxes[0]), min(boxes[1]), max(boxes[2]), max(boxes[3])]
                out.append((box, " ".join(word for _, word in part)))
                begin = i
    return out
