"""One file to pages, inside the child process: this is where hostile bytes are opened.

Every page gets a status and, when it is not ``ok``, a reason. PyMuPDF repairs what it can
and says nothing: a file cut short opens with fewer pages, or with empty ones. So each page
is asked for three things: its characters, whether anything is drawn on it at all, and what
the engine warned of while reading it (see ``faults``).
"""

import base64
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cosmosage import children
from cosmosage.books import blocks, faults, flow, heads, layout, markup, ocr
from cosmosage.books.djvu import djvu_pages, djvu_picture
from cosmosage.books.engine import ERRORS, pymupdf
from cosmosage.books.glyphs import garbled
from cosmosage.books.spans import Page

ENDINGS = (".pdf", ".djvu", ".djv", ".epub", ".html", ".htm", ".xhtml", ".txt", ".md")
STATUSES = ("ok", "ocr", "empty", "garbled", "encrypted", "damaged")
"""From the best to the worst; a file has the worst of its pages."""

MEMORY_LIMIT = 6 * 2**30  # bytes of address space; a 2,000-page book needs under 1 GiB
HEAVY = 100_000  # bytes of a page's picture: a notebook shows many
MAX_PAGES = 20_000  # the longest real book is about 5,000
MAX_CHARACTERS = 400_000  # of one page; a dense journal page has 8,000
FEW_CHARACTERS = 300  # on a page that a picture covers: a stamp, a page number, no text
_FLAGS = pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
_MARKUP = re.compile(rb"\s*<(?:!doctype\s+html|html|\?xml)", re.IGNORECASE)
_OCR_SHARE = 0.8  # of a page's time: Tesseract gives up before the page is given up


@dataclass(slots=True)
class PageText:
    """One page as it is kept."""

    page: int
    """From 1."""
    status: str
    text: str
    reason: str = ""
    doubtful: bool = False
    """Damaged, but its words are there; a few letters may be lost or mistaken."""


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


def read(
    path: Path,
    skip: dict[int, str],
    tell: Callable[[int], None],
    limit_s: float = 60.0,
) -> Read:
    """Read a file of any known format.

    Args:
        path: the file; its kind is told by its first bytes, then by its name.
        skip: pages (from 1) that the engine died on before, with the reason.
        tell: called with each page's number before it is read or waited for.
        limit_s: until this process is taken for dead when it tells nothing.

    Returns:
        The pages; a file that cannot be read at all has one page that says why.
    """
    head = path.open("rb").read(1024)
    ending = path.suffix.lower()
    if not head.strip():
        return _unreadable("damaged", "the file is empty (0 bytes of content)")
    if b"%PDF-" in head or ending == ".pdf":
        return _pdf(path, skip, tell, limit_s)
    if head.startswith(b"AT&TFORM") or ending in (".djvu", ".djv"):
        return _djvu(path, tell, limit_s)
    tell(1)
    if head.startswith(b"PK\x03\x04") or ending == ".epub":
        return _epub(path)
    marked = ending in (".html", ".htm", ".xhtml") or _MARKUP.match(head)
    text = markup.decoded(path.read_bytes(), bool(marked))
    if "\x00" in text[:4096]:
        return _unreadable("damaged", "the file holds binary data, no text")
    return _plain(*markup.html_text(text) if marked else (text, ""))


def _unreadable(status: str, reason: str) -> Read:
    return Read([PageText(1, status, "", reason)])


def _plain(text: str, title: str) -> Read:
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
    pages = []
    for number, (text, why) in enumerate(texts, start=1):
        page = PageText(number, "ok", text + "\n\n" if text else "")
        _judged(page, text, 0, False)
        if why:
            page.status, page.reason = "damaged", why
        pages.append(page)
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


def _djvu(path: Path, tell: Callable[[int], None], limit_s: float) -> Read:
    if not shutil.which("djvutxt"):
        return _unreadable(
            "damaged", "unreadable without djvutxt: apt-get install djvulibre-bin"
        )
    tell(1)
    try:
        pages, failed = djvu_pages(path)
    except ValueError as error:
        return _unreadable("damaged", str(error))
    kept = [_first_judged(page, True) for page in pages]
    for number in failed:
        kept[number - 1].status = "damaged"
        kept[number - 1].reason = "djvutxt cannot read the page"
    found = Read([])
    with path.open("rb") as file:
        length = int.from_bytes(file.read(12)[8:], "big") + 12
    if path.stat().st_size < length - 1:  # which may be rounded up
        found.notes.append(f"the file is cut short: it should have {length} bytes")
        for text in kept:
            if text.status == "empty":
                text.status, text.reason = "damaged", found.notes[0]
    with ocr.Recogniser("", _OCR_SHARE * limit_s) as recogniser:
        for page, text in zip(pages, kept):
            if text.status not in ("empty", "garbled") or not recogniser.can:
                continue
            tell(page.number)
            try:
                picture, size = djvu_picture(path, page.number, ocr.DPI)
            except ValueError as error:
                text.status, text.reason = "damaged", str(error)
                continue
            recogniser.begin(page.number, picture, size)
            _take(pages, kept, recogniser.finished(tell))
        _take(pages, kept, recogniser.finished(tell, last=True))
    return _composed(pages, kept, found, [])


def _quiet() -> None:
    """Have the engine keep what it says, and forget what it said of another file."""
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    faults.warnings()


def _pdf(
    path: Path, skip: dict[int, str], tell: Callable[[int], None], limit_s: float
) -> Read:
    _quiet()
    try:
        document = pymupdf.open(path, filetype="pdf")
    except ERRORS as error:
        short = faults.repair_note(path)
        why = short if "cut short" in short else f"the PDF cannot be opened ({error})"
        return _unreadable("damaged", why)
    with document:
        if document.needs_pass and not document.authenticate(""):
            return _unreadable("encrypted", "the PDF asks for a password")
        return _pdf_pages(path, document, skip, tell, limit_s)


def _pdf_pages(
    path: Path,
    document: Any,
    skip: dict[int, str],
    tell: Callable[[int], None],
    limit_s: float,
) -> Read:
    told = document.metadata or {}
    found = Read(
        [], (told.get("title") or "").strip(), (told.get("author") or "").strip()
    )
    repaired = faults.repair_note(path) if document.is_repaired else ""
    lacking = repaired if "cut short" in repaired else ""  # pages, perhaps
    if repaired:
        found.notes.append(repaired)
    if not faults.count(document):
        rebuilt = faults.rebuilt(path)
        if rebuilt is not None:
            document, repaired = rebuilt, faults.repair_note(path)
            if "cut short" not in repaired:
                repaired += "; its list of pages is lost, others may be missing"
            lacking = repaired
    count = min(faults.count(document), MAX_PAGES)
    if faults.count(document) > MAX_PAGES:
        found.notes.append(
            f"only the first {MAX_PAGES} of {faults.count(document)} pages are read"
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
    kept: list[PageText] = []
    watch = faults.Watch(path, document, repaired)
    with ocr.Recogniser(document.language or "", _OCR_SHARE * limit_s) as recogniser:
        for number in range(1, count + 1):
            tell(number)
            if number in skip:
                pages.append(Page(number, 612.0, 792.0, []))
                kept.append(PageText(number, "damaged", "", skip[number]))
                continue
            page, text, leaf = _leaf(watch, number)
            pages.append(page)
            kept.append(text)
            if (
                leaf is not None
                and recogniser.can
                and _is_drawn(leaf, text, recogniser)
            ):
                _take(pages, kept, recogniser.finished(tell))
        _take(pages, kept, recogniser.finished(tell, last=True))
    found = _composed(pages, kept, found, _outline(document, found))
    last = found.pages[-1]
    if watch.repaired and not repaired:
        found.notes.append(watch.repaired)
    if lacking and last.status in ("ok", "ocr"):
        last.status, last.reason, last.doubtful = "damaged", lacking, True
    return found


def _outline(document: Any, found: Read) -> list[Any]:
    try:
        return document.get_toc(simple=True)
    except ERRORS as error:
        found.notes.append(f"the outline cannot be read ({error})")
        return []


def _leaf(watch: faults.Watch, number: int) -> tuple[Page, PageText, Any | None]:
    """A page as its text layer has it, and its leaf where Tesseract may know better."""
    try:
        leaf = watch.leaf(number)
        raw = leaf.get_text("dict", flags=_FLAGS)
        page = layout.read_page(number, raw)
        bare = not page.characters and page.unknown < 20
        drawn = bare and bool(leaf.get_images() or leaf.get_bboxlog())
        why = watch.fault(page.characters, drawn)
        covered = page.characters < FEW_CHARACTERS and _is_covered(leaf)
    except ERRORS as error:
        page, raw = Page(number, 612.0, 792.0, []), {}
        drawn, covered, why = False, False, f"the page cannot be read ({error})"
    if page.characters > MAX_CHARACTERS:
        why = f"{page.characters} characters on one page: no page holds that"
        page.rows = []
    text = _first_judged(page, drawn)
    if why:
        text.status, text.reason = "damaged", why
        return page, text, None
    if text.status == "ok" and (why := watch.font_fault(leaf, raw)):
        text.status, text.reason, text.doubtful = "damaged", why, True
        return page, text, None
    if text.status == "ok" and covered:
        text.status = "empty"
        text.reason = f"a picture covers the page, beside {page.characters} characters"
    if text.status == "ok" or text.reason == "blank page":
        return page, text, None
    text.reason += "" if ocr.languages() else f"; Tesseract may read it: {ocr.INSTALL}"
    return page, text, leaf


def _first_judged(page: Page, drawn: bool) -> PageText:
    """What a page's characters say of it; what is not needed any more is let go.

    All rows of a book are held until its manner is known, and spans weigh five times what
    rows do. Only words before a formula are looked at again (see ``flow``).
    """
    text = _judged(PageText(page.number, "ok", ""), page.raw, page.unknown, drawn)
    page.raw = ""
    for row in page.rows:
        words = row.prose >= 0.7 or row.prose >= 0.5 and not row.stacked
        first = next((i for i, span in enumerate(row.spans) if span.maths), 99)
        row.spans = [] if words or not first else row.spans[: first + 1]
    return text


def _is_covered(leaf: Any) -> bool:
    """Whether pictures cover most of a page, as a scan's does."""
    shown = (abs(pymupdf.Rect(i["bbox"]) & leaf.rect) for i in leaf.get_image_info())
    return sum(shown) > 0.65 * abs(leaf.rect)  # scans are often cut to what is printed


def _is_drawn(leaf: Any, text: PageText, recogniser: ocr.Recogniser) -> bool:
    """Draw a page for Tesseract; False, and the reason kept, where that fails."""
    faults.warnings()
    try:
        drawn = leaf.get_pixmap(dpi=ocr.DPI, colorspace=pymupdf.csGRAY, alpha=False)
    except ERRORS as error:
        text.status, text.reason = "damaged", f"the page cannot be drawn ({error})"
        return False
    warned = faults.warnings()
    if text.status == "empty" and drawn.is_unicolor:
        text.reason += ", which shows nothing"
        if warned:
            text.status = "damaged"
            text.reason = f"the page's picture is broken ({warned[0]})"
        return False
    size = (leaf.rect.width, leaf.rect.height)
    recogniser.begin(text.page, drawn.tobytes("pnm"), size)
    return True


def _take(
    pages: list[Page], kept: list[PageText], read_again: Iterable[ocr.Recognised]
) -> None:
    """Put what Tesseract read in the place of a layer that has less."""
    for found in read_again:
        page, text = found.page, kept[found.number - 1]
        stamp = pages[found.number - 1].characters if text.status == "empty" else 0
        if found.why and not stamp:
            text.reason += f"; {found.why}"
        elif why := garbled(page.raw):
            text.reason += f"; nor does Tesseract read it ({why})"
        elif page.characters > 1.5 * stamp:
            _first_judged(page, False)
            text.status, text.reason = "ocr", "recognised by Tesseract"
            pages[found.number - 1] = page
        elif not found.why:  # a plate with its caption, a slide
            text.status, text.reason = "ok", ""
        else:
            text.reason += f"; {found.why}"


def _composed(
    pages: list[Page], kept: list[PageText], found: Read, outline: list[Any]
) -> Read:
    """Pages of rows to pages of text."""
    dropped = heads.Dropped()
    how = heads.manner(pages)
    heads.remove_heads(pages, dropped)
    parts = [blocks.blocks(page, how) for page in pages]
    blocks.follow_outline(parts, outline)
    blocks.set_levels(parts, how)
    for page, text in zip(kept, flow.texts(parts, how, dropped)):
        page.text = "" if page.status == "empty" else text
    found.pages = kept
    found.dropped = asdict(dropped)
    return _settled(found)


def page_image(path: Path, number: int, dpi: int) -> bytes:
    """A page as PNG, or JPEG where that is lighter than 100 kB at a higher resolution."""
    _quiet()
    try:
        with pymupdf.open(path) as document:
            if not 1 <= number <= document.page_count:
                raise ValueError(f"the file has {document.page_count} pages")
            leaf = document[number - 1]
            while True:
                drawn = leaf.get_pixmap(dpi=dpi, alpha=False)
                for picture in (drawn.tobytes("png"), drawn.tobytes("jpeg", 70)):
                    if len(picture) < HEAVY or dpi <= 20:
                        return picture
                dpi = int(dpi * 0.8)
    except ERRORS as error:
        raise ValueError(f"page {number} of {path} cannot be drawn: {error}") from error


def _answer(request: dict[str, Any], tell: Callable[[int], None]) -> dict[str, Any]:
    if "draw" in request:
        try:
            png = page_image(Path(request["file"]), request["draw"], request["dpi"])
        except ValueError as error:
            return {"error": str(error)}
        return {"picture": base64.b64encode(png).decode()}
    skip = {int(page): why for page, why in request["skip"].items()}
    found = read(Path(request["file"]), skip, tell, request["limit_s"])
    return {**asdict(found), "status": found.status}


if __name__ == "__main__":
    children.serve(_answer, MEMORY_LIMIT)
