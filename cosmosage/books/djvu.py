"""The text layer of a DjVu file, by djvulibre's own tool.

``djvutxt`` gives words with boxes as S-expressions; they go through the same layout code
as a PDF's. Scanned books carry OCR of varying quality there, and nothing about fonts.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

from cosmosage.books import layout
from cosmosage.books.spans import Page

_TOKEN = re.compile(r'\(|\)|"(?:[^"\\]|\\.)*"|[^\s()"]+', re.DOTALL)
_ESCAPE = re.compile(rb'\\([0-7]{1,3}|[\\"abfnrtv])')
_NAMED = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
_POINTS = (
    792.0  # the height that a page is scaled to; its real size does not matter here
)


def djvu_pages(path: Path, limit_s: float = 300.0) -> tuple[list[Page], set[int]]:
    """The pages of a DjVu file as rows, and the numbers of those that the tool gave up.

    Raises:
        ValueError: the tool cannot read the file; the message is the tool's.
    """
    try:
        done = subprocess.run(
            ["djvutxt", "--detail=word", str(path)],
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"djvutxt did not finish within {limit_s:.0f} s") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(
            f"djvutxt cannot read the file ({said[0] if said else 'no pages'})"
        )
    pages, failed = [], set()
    for number, node in enumerate(
        _parsed(done.stdout.decode("utf-8", "replace")), start=1
    ):
        if not isinstance(node, list):  # the word "failed" in the place of a page
            failed.add(number)
            node = []
        pages.append(layout.read_page(number, _dictionary(node)))
    return pages, failed


def djvu_picture(
    path: Path, number: int, dpi: int, limit_s: float = 50.0
) -> tuple[bytes, tuple[float, float]]:
    """A page as a grey picture (PGM), and its width and height in points.

    Raises:
        ValueError: the tool cannot draw it; the message is the tool's.
    """
    command = ["ddjvu", "-format=pgm", f"-page={number}", f"-scale={dpi}", str(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"ddjvu cannot draw the page ({error})") from error
    size = re.match(rb"P5\s+(\d+)\s+(\d+)\s", done.stdout)
    if done.returncode or not size:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(
            f"ddjvu cannot draw the page ({said[0] if said else 'no picture'})"
        )
    return done.stdout, (int(size[1]) * 72 / dpi, int(size[2]) * 72 / dpi)


def _parsed(text: str) -> list[Any]:
    """The expressions of a run of S-expressions: lists, texts, words and numbers."""
    stack: list[list[Any]] = [[]]
    for token in _TOKEN.findall(text):
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) > 1:
                done = stack.pop()
                stack[-1].append(done)
        elif token[0] == '"':
            stack[-1].append(_unescaped(token[1:-1]))
        else:
            stack[-1].append(int(token) if token.lstrip("-").isdigit() else token)
    return stack[0]


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text

    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8) & 255]) if code.isdigit() else _NAMED.get(code, code)

    return _ESCAPE.sub(plain, text.encode()).decode("utf-8", "replace")


def _dictionary(page: list[Any]) -> dict[str, Any]:
    if len(page) < 5:
        return layout.as_dictionary([], 612.0, _POINTS)
    scale = _POINTS / max(page[4] - page[2], 1)
    spans: list[tuple[list[float], str]] = []
    for line in _lines(page):
        words = [node for node in line[5:] if isinstance(node, list) and len(node) > 5]
        text = ""
        end = None
        for word in words:
            said = "".join(part for part in word[5:] if isinstance(part, str)).strip()
            high = max(line[4] - line[2], 1)
            # a gap of less than a seventh of the height parts letters, not words
            text += said if end is None or word[1] - end < 0.14 * high else " " + said
            end = word[3]
        if not words:
            text = " ".join(part for part in line[5:] if isinstance(part, str)).strip()
        box = [
            line[1] - page[1],
            page[4] - line[4],
            line[3] - page[1],
            page[4] - line[2],
        ]
        if text:
            spans.append(([value * scale for value in box], text))
    return layout.as_dictionary(spans, (page[3] - page[1]) * scale, _POINTS)


def _lines(node: list[Any]) -> list[list[Any]]:
    """The lines below a node, or the node itself where the text is not divided into lines."""
    if node[0] == "line":
        return [node]
    inner = [part for part in node[5:] if isinstance(part, list)]
    if not inner or inner[0][0] == "word":
        return [node]
    return [line for part in inner for line in _lines(part)]
