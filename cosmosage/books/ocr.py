"""Pages that have only a picture, as Tesseract reads them.

Tesseract is Debian's and may be missing. It costs three seconds of a processor a page, a
thousand times what a text layer does, so it is asked only where the layer fails, and for as
many pages at once as there are processors, one thread each: its own threads take four times
the processor's time for the same text. A page is drawn at 300 dpi whatever its scan has:
on eight pages scanned at 150 dpi that found 3.4 % more five-word runs than 150, and 400
loses columns.
"""

import html
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cosmosage.books import layout
from cosmosage.books.spans import Page

INSTALL = "apt-get install tesseract-ocr"
DPI = 300
_SURE = 50  # per cent; a line that is less sure is a drawing's more often than a text's
# of a page; on twenty pages, clean and noisy, upright had 93 to 96, upside down 29 to 41
_UPRIGHT_SURE = 65
_LINE = re.compile(r"<span class='ocr_(?:line|header|caption|textfloat)'")
_TOLD = re.compile(r"(bbox|baseline|x_size) ([-\d. ]+)")
_WORD = re.compile(
    r"<span class='ocrx_word'[^>]*?bbox ([\d ]+); x_wconf (\d+)[^>]*>(.*?)</span>",
    re.DOTALL,
)
_TAG = re.compile(r"<[^>]*>")
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
_AS_IT_LIES, _TURNED = (
    "3",
    "1",
)  # page segmentation without and with a look for rotation


@dataclass(frozen=True)
class Recognised:
    """What Tesseract made of a page."""

    number: int
    page: Page
    why: str = ""
    """Why there is no text, where there is none."""
    sure: int = 100
    """Per cent: the median of what Tesseract says of its words."""


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
            picture: grey, as PGM of one byte a point, ``DPI`` dots an inch.
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
        """The page as it lies, or turned where that makes no sense."""
        found = self._recognised(number, picture, size)
        odd = found.page.characters < 20 or found.sure < _UPRIGHT_SURE
        if odd and not found.why:
            found = self._upright(found, picture, size)
        if found.sure >= _SURE:
            return found
        why = f"Tesseract is not sure of what it reads (half of the words under {found.sure} %)"
        return Recognised(number, Page(number, *size, []), why)

    def _upright(
        self, found: Recognised, picture: bytes, size: tuple[float, float]
    ) -> Recognised:
        """The page in the position that Tesseract finds, if it is surer of it then."""
        if "osd" not in languages():
            return found
        try:
            said = self._asked(picture, "--psm", "0").stdout
        except (OSError, subprocess.TimeoutExpired):
            return found  # of which nothing is surer now
        angle = re.search(rb"Rotate: (90|180|270)", said)
        if not angle:  # too few letters to tell
            return found
        picture = turned(picture, int(angle[1]))
        size = size if angle[1] == b"180" else size[::-1]
        other = self._recognised(found.number, picture, size)
        return other if other.sure > found.sure and not other.why else found

    def _recognised(
        self, number: int, picture: bytes, size: tuple[float, float]
    ) -> Recognised:
        nothing = Page(number, *size, [])
        try:
            done = self._asked(picture, "-l", self._language, "--psm", "3", "hocr")
        except subprocess.TimeoutExpired:
            return Recognised(
                number,
                nothing,
                f"Tesseract did not finish within {self._limit_s / 3:g} s",
            )
        except OSError as error:
            return Recognised(number, nothing, f"Tesseract does not run ({error})")
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = f"Tesseract died (exit {done.returncode}{': ' * bool(said)}{(said or [''])[-1]})"
            return Recognised(number, nothing, why)
        said = done.stdout.decode("utf-8", "replace")
        page = layout.read_page(number, _dictionary(said, size))
        sure = sorted(int(word[1]) for word in _WORD.findall(said)) or [100]
        why = "" if page.characters else "Tesseract finds no word in it"
        return Recognised(number, page, why, sure[len(sure) // 2])

    def _asked(
        self, picture: bytes, *options: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["tesseract", "-", "-", "--dpi", str(DPI), *options],
            input=picture,
            capture_output=True,
            timeout=self._limit_s / 3,  # a page that lies on its side is read twice
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            check=False,
        )


def turned(picture: bytes, angle: int) -> bytes:
    """A grey picture (PGM) turned clockwise by 90, 180 or 270 degrees."""
    head = re.match(rb"P5\s+(\d+)\s+(\d+)\s+255\s", picture)
    assert head, "not a PGM of one byte a point"
    width, height, grey = int(head[1]), int(head[2]), picture[head.end() :]
    if angle == 180:
        return b"P5 %d %d 255\n" % (width, height) + grey[::-1]
    columns = [grey[x::width] for x in range(width)]
    rows = [x[::-1] for x in columns] if angle == 90 else columns[::-1]
    return b"P5 %d %d 255\n" % (height, width) + b"".join(rows)


def _dictionary(page: str, size: tuple[float, float]) -> dict[str, Any]:
    """Tesseract's hOCR in the shape of PyMuPDF's dictionary, lengths in points.

    It tells a line's baseline and letter size, which boxes around ink do not: a footnote is
    known by them. A line without tall letters seems small, so a paragraph has one size, and
    what differs by less than a twelfth from the page's has the page's.
    """
    lines = []
    for paragraph in page.split("<p class='ocr_par'")[1:]:
        found = [line for said in _LINE.split(paragraph)[1:] for line in _parts(said)]
        usual = (
            sorted(line["size"] for line in found)[len(found) // 2] if found else 0.0
        )
        lines += [line | {"size": usual} for line in found]
    sizes = sorted(line["size"] for line in lines for _ in line["text"])
    usual = sizes[len(sizes) // 2] if sizes else 10.0
    for line in lines:
        if abs(line["size"] - usual) < usual / 12:
            line["size"] = usual
    out = [{"dir": (1.0, 0.0), "spans": [line]} for line in lines]
    return {"width": size[0], "height": size[1], "blocks": [{"lines": out}]}


def _parts(found: str) -> list[dict[str, Any]]:
    """The spans of a line, which a wide gap divides; none where it is no line of words."""
    about = found.partition(">")[0]
    told = {name: list(map(float, said.split())) for name, said in _TOLD.findall(about)}
    words = [
        ([int(edge) * 72 / DPI for edge in box.split()], int(sure), _plain(text))
        for box, sure, text in _WORD.findall(found)
    ]
    words = [word for word in words if word[2]]
    if "textangle" in about or not words:
        return []  # an axis' label, from below upwards
    if sorted(word[1] for word in words)[len(words) // 2] < _SURE:
        return []
    (left, _, right, bottom), slope = told["bbox"], told.get("baseline", [0.0, 0.0])
    size = told.get("x_size", [40.0])[0] * 72 / DPI
    base = (bottom + slope[1] + slope[0] * (right - left) / 2) * 72 / DPI
    out: list[dict[str, Any]] = []
    for (x0, y0, x1, y1), _, text in words:
        if out and x0 - out[-1]["bbox"][2] < 2 * size:
            out[-1]["text"] += " " + text
            out[-1]["bbox"] = (*out[-1]["bbox"][:2], x1, y1)
        else:
            out.append({"bbox": (x0, y0, x1, y1), "origin": (x0, base), "size": size})
            out[-1] |= {"text": text, "font": "", "flags": 0}
    return out


def _plain(text: str) -> str:
    return html.unescape(_TAG.sub("", text)).strip()
