"""One file to pages, inside the child process: this is where hostile bytes are opened.

Every page gets a status and, when it is not ``ok``, a reason. PyMuPDF repairs what it can
and says nothing: a file cut short opens with fewer pages, or with empty ones. So each page
is asked for three things: its characters, whether anything is drawn on it at all, and what
the engine warned of while reading it.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pymupdf

from cosmosage import children
from cosmosage.books import blocks, flow, heads, layout, markup
from cosmosage.books.djvu import djvu_pages
from cosmosage.books.glyphs import garbled
from cosmosage.books.spans import Page

ENDINGS = (".pdf", ".djvu", ".djv", ".epub", ".html", ".htm", ".xhtml", ".txt", ".md")
STATUSES = ("ok", "ocr", "empty", "garbled", "encrypted", "damaged")
"""From the best to the worst; a file has the worst of its pages."""

MEMORY_LIMIT = 6 * 2**30  # bytes of address space; a 2,000-page book needs under 1 GiB
MAX_PAGES = 20_000  # the longest real book is about 5,000
MAX_CHARACTERS = 400_000  # of one page; a dense journal page has 8,000
OCR_DPI = 300  # Tesseract's own advice for body text
_FLAGS = pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
# what MuPDF warns of: broken streams spoil any page, missing objects an empty one
_BROKEN = ("zlib error", "premature end", "unexpected end")
_MISSING = ("repair", "cannot find", "truncated", "missing", "broken")


@dataclass(slots=True)
class PageText:
    """One page as it is kept."""

    page: int
    """From 1."""
    status: str
    text: str
    reason: str = ""


@dataclass(slots=True)
class Read:
    """A file's pages and what is known of the file as a whole."""

    pages: list[PageText]
    title: str = ""
    authors: str = ""
    licence: str = ""
    notes: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The worst of the pages' statuses; ``damaged`` without a page."""
        if not self.pages:
            return "damaged"
        return max((page.status for page in self.pages), key=STATUSES.index)


def read(path: Path, skip: dict[int, str], tell: Callable[[int], None]) -> Read:
    """Read a file of any known format.

    Args:
        path: the file; its kind is told by its first bytes, then by its name.
        skip: pages (from 1) that the engine died on before, with the reason.
        tell: called with each page's number before it is read.

    Returns:
        The pages; a file that cannot be read at all has one page that says why.
    """
    head = path.open("rb").read(1024)
    ending = path.suffix.lower()
    if not head.strip():
        return _unreadable("damaged", "the file is empty (0 bytes of content)")
    if b"%PDF-" in head or ending == ".pdf":
        return _pdf(path, skip, tell)
    if head.startswith(b"AT&TFORM") or ending in (".djvu", ".djv"):
        return _djvu(path, tell)
    tell(1)
    if head.startswith(b"PK\x03\x04") or ending == ".epub":
        return _epub(path)
    text = _decoded(path.read_bytes())
    if "\x00" in text[:4096]:
        return _unreadable("damaged", "the file holds binary data, no text")
    title = ""
    if ending in (".html", ".htm", ".xhtml") or head.lstrip()[:9].lower().startswith(
        b"<!doctype"
    ):
        text, title = markup.html_text(text)
    return _plain(text, title)


def _unreadable(status: str, reason: str) -> Read:
    return Read([PageText(1, status, "", reason)])


def _decoded(data: bytes) -> str:
    for name in (
        "utf-8-sig",
        "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252",
    ):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _plain(text: str, title: str = "") -> Read:
    pages = []
    for number, part in enumerate(text.replace("\r\n", "\n").split("\f"), start=1):
        part = part.strip("\n")
        pages.append(
            _judged(
                PageText(number, "ok", part + "\n\n" if part else ""), part, 0, False
            )
        )
    return _settled(Read(pages, title))


def _epub(path: Path) -> Read:
    try:
        texts, told = markup.epub_text(path.read_bytes())
    except ValueError as error:
        return _unreadable(
            "encrypted" if "DRM" in str(error) else "damaged", str(error)
        )
    pages = [
        _judged(PageText(number, "ok", text + "\n\n" if text else ""), text, 0, False)
        for number, text in enumerate(texts, start=1)
    ]
    return _settled(Read(pages, told["title"], told["authors"], told["licence"]))


def _judged(page: PageText, said: str, unknown: int, drawn: bool) -> PageText:
    """The page with the status that its characters deserve."""
    if not said.strip() and unknown < 20:
        page.status, page.text = "empty", ""
        page.reason = "an image without a text layer" if drawn else "blank page"
    elif why := garbled(said, unknown):
        page.status, page.reason = "garbled", why
    return page


def _settled(found: Read) -> Read:
    """Blank pages of a book that has text are no fault; a book of blank pages is empty."""
    if any(page.status in ("ok", "ocr") for page in found.pages):
        for page in found.pages:
            if page.reason == "blank page":
                page.status = "ok"
    elif not found.pages:
        return _unreadable("empty", "the file has no pages")
    return found


def _djvu(path: Path, tell: Callable[[int], None]) -> Read:
    if not shutil.which("djvutxt"):
        return _unreadable(
            "damaged", "unreadable without djvutxt: apt-get install djvulibre-bin"
        )
    tell(1)
    try:
        pages = djvu_pages(path)
    except ValueError as error:
        return _unreadable("damaged", str(error))
    return _composed(pages, Read([]), {page.number: True for page in pages}, {}, [])


def _pdf(path: Path, skip: dict[int, str], tell: Callable[[int], None]) -> Read:
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    pymupdf.TOOLS.reset_mupdf_warnings()
    try:
        document = pymupdf.open(path, filetype="pdf")
    except (
        pymupdf.FileDataError,
        pymupdf.mupdf.FzErrorBase,
        RuntimeError,
        ValueError,
    ) as error:
        short = _repair_note(path)
        why = short if "cut short" in short else f"the PDF cannot be opened ({error})"
        return _unreadable("damaged", why)
    with document:
        if document.needs_pass and not document.authenticate(""):
            return _unreadable("encrypted", "the PDF asks for a password")
        return _pdf_pages(path, document, skip, tell)


def _pdf_pages(
    path: Path, document: Any, skip: dict[int, str], tell: Callable[[int], None]
) -> Read:
    told = document.metadata or {}
    found = Read(
        [], (told.get("title") or "").strip(), (told.get("author") or "").strip()
    )
    repaired = _repair_note(path) if document.is_repaired else ""
    if repaired:
        found.notes.append(repaired)
    if not document.page_count:
        rebuilt = _rebuilt(path)
        if rebuilt is not None:
            document, repaired = rebuilt, _repair_note(path)
    count = min(document.page_count, MAX_PAGES)
    if document.page_count > MAX_PAGES:
        found.notes.append(
            f"only the first {MAX_PAGES} of {document.page_count} pages are read"
        )
    if not count:
        size = path.stat().st_size
        if (
            repaired or size > 4096
        ):  # an honest PDF without pages has some hundred bytes
            return _unreadable(
                "damaged", repaired or f"no page is found in its {size} bytes"
            )
        return _unreadable("empty", "the file has no pages")
    pages: list[Page] = []
    drawn: dict[int, bool] = {}
    faults: dict[int, str] = dict(skip)
    recognised: set[int] = set()
    for number in range(1, count + 1):
        tell(number)
        page = Page(number, 612.0, 792.0, [])
        if number not in skip:
            try:
                page, drawn[number], scanned = _leaf(document, number)
                recognised.update({number} if scanned else ())
            except (pymupdf.mupdf.FzErrorBase, RuntimeError, ValueError) as error:
                faults[number] = f"the page cannot be read ({error})"
            if why := _fault(page, drawn.get(number, False), repaired):
                faults.setdefault(number, why)
        pages.append(page)
    _check_lengths(pages, faults)
    found = _composed(pages, found, drawn, faults, document.get_toc(simple=True))
    for page in found.pages:
        if page.page in recognised and page.status == "ok":
            page.status, page.reason = "ocr", "recognised by Tesseract"
    last = found.pages[-1]
    if "cut short" in repaired and last.status in ("ok", "ocr"):
        last.status, last.reason = "damaged", repaired
    return found


def _leaf(document: Any, number: int) -> tuple[Page, bool, bool]:
    """A page, whether something is drawn on it without characters, whether it was recognised."""
    pymupdf.TOOLS.reset_mupdf_warnings()
    leaf = document[number - 1]
    page = layout.read_page(number, leaf.get_text("dict", flags=_FLAGS))
    drawn = not page.characters and page.unknown < 20 and _is_drawn(leaf)
    if (drawn or garbled(page.raw, page.unknown)) and shutil.which("tesseract"):
        scanned = _recognised(leaf, number)
        if scanned.characters:
            return scanned, False, True
    return page, drawn, False


def _fault(page: Page, drawn: bool, repaired: str) -> str:
    """What the engine's warnings and the file's state say against a page; "" if nothing."""
    warned = pymupdf.TOOLS.mupdf_warnings().splitlines()
    words = _BROKEN if page.characters else _BROKEN + _MISSING
    for line in warned:
        if any(word in line for word in words):
            return f"the page is incomplete ({line})"
    if repaired and not page.characters and not drawn:
        return "nothing is left of the page: " + repaired
    return ""


def _rebuilt(path: Path) -> Any | None:
    """The pages that are left in a PDF whose page tree is lost, in the order of their numbers.

    A file that is cut short lacks its end, where most writers put the tree; the pages'
    own objects stand before it. Without a place for its cross-reference table the engine
    looks for the objects itself.
    """
    try:
        document = pymupdf.open(
            "pdf", path.read_bytes().replace(b"startxref", b"startxxxx")
        )
        if document.page_count:
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
    except (pymupdf.FileDataError, pymupdf.mupdf.FzErrorBase, RuntimeError, ValueError):
        return None


def _repair_note(path: Path) -> str:
    """What is wrong with a PDF that the engine had to repair, in words."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 2048))
        tail = file.read()
    if b"%%EOF" not in tail:
        return f"the file is cut short: it ends after {size} bytes without its table of contents"
    return "the file's cross-reference table is broken and was rebuilt"


def _check_lengths(pages: list[Page], faults: dict[int, str]) -> None:
    for page in pages:
        if page.characters > MAX_CHARACTERS:
            faults[page.number] = (
                f"{page.characters} characters on one page: no page holds that"
            )
            page.rows, page.raw = [], ""


def _composed(
    pages: list[Page],
    found: Read,
    drawn: dict[int, bool],
    faults: dict[int, str],
    outline: list[Any],
) -> Read:
    """Pages of rows to pages of text."""
    dropped = heads.Dropped()
    how = heads.manner(pages)
    heads.remove_heads(pages, dropped)
    parts = [blocks.blocks(page, how) for page in pages]
    blocks.follow_outline(parts, outline)
    blocks.set_levels(parts, how)
    for page, text in zip(pages, flow.texts(parts, how, dropped)):
        kept = PageText(page.number, "ok", text)
        if page.number in faults:
            kept.status, kept.reason = "damaged", faults[page.number]
        else:
            kept = _judged(kept, page.raw, page.unknown, drawn.get(page.number, False))
        found.pages.append(kept)
    found.dropped = asdict(dropped)
    return _settled(found)


def _is_drawn(leaf: Any) -> bool:
    """Whether anything at all is painted on a page without characters."""
    return bool(leaf.get_images() or leaf.get_bboxlog())


def _recognised(leaf: Any, number: int) -> Page:
    """The page as Tesseract reads its picture; its boxes are in points again."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "page.png")
        leaf.get_pixmap(dpi=OCR_DPI, colorspace=pymupdf.csGRAY).save(picture)
        command = ["tesseract", str(picture), "-", "--dpi", str(OCR_DPI), "tsv"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=50, check=False)
        except subprocess.TimeoutExpired:
            return Page(number, 612.0, 792.0, [])
    out = done.stdout.decode("utf-8", "replace")
    return layout.read_page(number, _from_tsv(out, leaf.rect.width, leaf.rect.height))


def _from_tsv(table: str, width: float, height: float) -> dict[str, Any]:
    """Tesseract's table of words in the shape of PyMuPDF's dictionary: a line a span."""
    lines: dict[tuple[str, ...], list[tuple[list[float], str]]] = {}
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[0] == "5" and cells[11].strip():
            x, y, w, h = (float(cell) * 72 / OCR_DPI for cell in cells[6:10])
            lines.setdefault(tuple(cells[1:5]), []).append(
                ([x, y, x + w, y + h], cells[11])
            )
    spans = []
    for words in lines.values():
        box = [min(b[0] for b, _ in words), min(b[1] for b, _ in words)]
        box += [max(b[2] for b, _ in words), max(b[3] for b, _ in words)]
        spans.append((box, " ".join(word for _, word in words)))
    return layout.as_dictionary(spans, width, height)


def page_image(path: Path, number: int, dpi: int) -> bytes:
    """A page as PNG; its resolution is lowered until it weighs less than 100 kB."""
    with pymupdf.open(path) as document:
        if not 1 <= number <= document.page_count:
            raise ValueError(
                f"{path} has {document.page_count} pages, no page {number}"
            )
        while True:
            picture = (
                document[number - 1].get_pixmap(dpi=dpi, alpha=False).tobytes("png")
            )
            if len(picture) < 100_000 or dpi <= 20:
                return picture
            dpi = int(dpi * 0.8)


def _answer(request: dict[str, Any], tell: Callable[[int], None]) -> dict[str, Any]:
    skip = {int(page): why for page, why in request["skip"].items()}
    found = read(Path(request["file"]), skip, tell)
    return {**asdict(found), "status": found.status}


if __name__ == "__main__":
    children.serve(_answer, MEMORY_LIMIT)
