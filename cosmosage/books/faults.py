"""What is wrong with a PDF that the engine opens all the same.

MuPDF repairs what it can and goes on; what it had to leave out it says in warnings at most.
They are asked for page by page, and so is what it does not warn of: it tells a broken font
to the first page that uses it alone, and takes a page whose objects are lost for a blank one.
"""

import re
from pathlib import Path
from typing import Any

from cosmosage.books.engine import ERRORS, pymupdf

# sound files warn of none of these; what the engine draws in spite of them lacks a part
_BROKEN = (
    "zlib error",
    "premature end",
    "unexpected end",
    "syntax error in",
    "syntax errors; ignoring",
    "unknown keyword",
    "cannot find Font",
    "cannot find XObject",
    "no XObject subtype",
    "cannot load object",
    "corrupt object",
)
# where there is only a picture
_MISSING = ("repair", "cannot find", "truncated", "missing", "broken")
_SUBSET = re.compile(r"[A-Z]{6}\+")  # before the name of a font that has to be embedded


class Watch:
    """Looks for what each page of a document lacks; ask it page after page.

    Args:
        path: the file.
        document: the file, opened, perhaps by way of ``rebuilt``.
        repaired: what is wrong with the file as a whole, as far as it is known.
    """

    def __init__(self, path: Path, document: Any, repaired: str) -> None:
        self.repaired = repaired
        self._path, self._document = path, document
        self._doubtful = bool(repaired)
        self._fonts: dict[int, str] = {}
        self._finding: list[str] = []

    def leaf(self, number: int) -> Any:
        """A page, from 1; warnings of the way to it are not held against its text."""
        warnings()
        leaf = self._document[number - 1]
        self._finding = warnings()
        return leaf

    def fault(self, characters: int, drawn: bool) -> str:
        """What speaks against a page that was just read; "" if nothing.

        Args:
            characters: how many it gave.
            drawn: whether there is something else on it.
        """
        warned = warnings()
        if not self.repaired and self._document.is_repaired:  # in the midst of reading
            self.repaired = repair_note(self._path)
        said = warned if characters else self._finding + warned
        self._doubtful = self._doubtful or bool(self.repaired or said)
        words = _BROKEN if characters else _BROKEN + _MISSING
        for line in said:
            if any(word in line for word in words) or not characters and not drawn:
                return f"the page is incomplete ({line})"
        if self.repaired and not characters and not drawn:
            return "nothing is left of the page: " + self.repaired
        return ""

    def font_fault(self, leaf: Any, raw: dict[str, Any]) -> str:
        """What is wrong with the fonts of a page that was just asked for its faults.

        In damaged copies of three books nothing was lost on most such pages, and under a
        tenth of the words on nineteen in twenty: the engine takes another font.

        Args:
            leaf: the page.
            raw: its text, as the engine's dictionary.
        """
        nameless = (
            not span["font"]
            for block in raw["blocks"]
            for line in block.get("lines", ())
            for span in line["spans"]
        )
        if not self._doubtful and not any(nameless):
            return ""
        fonts = leaf.get_fonts()
        for line in warnings():
            if "no font dict" in line:
                return f"a font of the page is missing ({line})"
        for xref, ending, kind, name, *_ in fonts:
            if xref and xref not in self._fonts:
                self._fonts[xref] = self._of_font(xref, ending, kind, name)
            if why := self._fonts.get(xref):
                return f"a font of the page {why} ({name}): letters may be lost"
        return ""

    def _of_font(self, xref: int, ending: str, kind: str, name: str) -> str:
        if kind == "Type3" or ending == "n/a" and not _SUBSET.match(name):
            return ""  # nothing has to be in the file
        try:
            data = self._document.extract_font(xref)[3]
            if not data:
                return "is missing"
            pymupdf.Font(fontbuffer=data)
        except ERRORS:
            return "is broken"
        return ""


def warnings() -> list[str]:
    """What the engine warned of since it was last asked.

    It counts a warning that repeats the last one, on whichever page, unless it is asked.
    """
    said = pymupdf.TOOLS.mupdf_warnings(reset=True).splitlines()
    return [line for line in said if not line.startswith("... repeated")]


def count(document: Any) -> int:
    """How many pages the engine finds; none where it stumbles over their tree."""
    try:
        return int(document.page_count)
    except ERRORS:
        return 0


def rebuilt(path: Path) -> Any | None:
    """The pages that are left in a PDF whose page tree is lost, in the order of their numbers.

    A file that is cut short lacks its end, where most writers put the tree; the pages'
    own objects stand before it. Without a place for its cross-reference table the engine
    looks for the objects itself.
    """
    try:
        document = pymupdf.open(
            "pdf", path.read_bytes().replace(b"startxref", b"startxxxx")
        )
        if count(document):
            return document
        leaves = [
            number
            for number in range(1, min(document.xref_length(), 200_000))
            if document.xref_get_key(number, "Type")[1] == "/Page"
        ]
        if not leaves:
            return None
        tree, root = document.get_new_xref(), document.get_new_xref()
        kids = " ".join(f"{number} 0 R" for number in leaves)
        document.update_object(
            tree, f"<</Type/Pages/Count {len(leaves)}/Kids[{kids}]>>"
        )
        document.update_object(root, f"<</Type/Catalog/Pages {tree} 0 R>>")
        for number in leaves:
            document.xref_set_key(number, "Parent", f"{tree} 0 R")
        document.xref_set_key(-1, "Root", f"{root} 0 R")
        return pymupdf.open("pdf", document.tobytes())
    except ERRORS:
        return None


def repair_note(path: Path) -> str:
    """What is wrong with a PDF that the engine had to repair, in words."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 2048))
        tail = file.read()
    if b"%%EOF" not in tail:
        return f"the file is cut short: it ends after {size} bytes without its table of contents"
    return "the file's cross-reference table is broken and was rebuilt"
