"""EPUB and HTML to text: what is in the markup, with nothing of it run or fetched.

The reader is the standard library's; a script, a style or a picture is passed over, an
EPUB is read entry by entry with a bound on what it may unpack to. PyMuPDF can lay out
EPUB as pages too, but then words are divided and headings are only large letters again.
"""

import contextlib
import io
import posixpath
import re
import zipfile
import zlib
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

from cosmosage.documents import xml_tree

MAX_UNPACKED = 512 * 2**20  # bytes of text in one EPUB: a hundred long books

_DAMAGED = (  # what an entry that is missing, cut, locked or oddly packed raises
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
_CHARSET = re.compile(
    rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)

_SKIPPED = frozenset(
    "script style head nav svg template noscript iframe object figure".split()
)
_VOID = frozenset(
    "br img hr meta link input area base col embed source track wbr".split()
)
_BLOCKS = frozenset(
    "p div section article li dt dd blockquote h1 h2 h3 h4 h5 h6 pre tr table ul ol dl "
    "header footer main aside body figcaption".split()
)
_FALLEN = frozenset("header footer aside table figcaption".split())


class _Reader(HTMLParser):
    """Collects paragraphs; ``out`` is Markdown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.title = ""
        self._text: list[str] = []
        self._skip: list[str] = []
        self._maths: list[str] | None = None
        self._shown = False
        self._tex = False
        self._head = 0
        self._pre = 0
        self._item = False
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "title":
            self._in_title = True
        if self._skip:
            if tag == self._skip[-1] and tag not in _VOID:
                self._skip.append(tag)
            return
        note = (given.get("epub:type") or given.get("role") or "").lower()
        hidden = "footnote" in note or "noteref" in note or "doc-toc" in note
        if (tag in _SKIPPED or tag in _FALLEN or hidden) and tag not in _VOID:
            self._flush()
            self._skip.append(tag)
            return
        if tag == "math":
            self._maths = []
            self._shown = given.get("display") == "block"
            if given.get("alttext"):
                self._maths = [given["alttext"] or ""]
                self._tex = False
        elif tag == "annotation" and given.get("encoding", "") == "application/x-tex":
            self._maths, self._tex = [], True
        elif tag == "br":
            self._text.append("\n" if self._pre else " ")
        elif tag == "img" and "math" in (given.get("class") or "") and given.get("alt"):
            self._text.append(f"${given['alt']}$")
        elif tag in _BLOCKS:
            self._flush()
            self._item = tag == "li"
            self._pre += tag == "pre"
            if tag[0] == "h" and tag[1:].isdigit():
                self._head = int(tag[1])

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if self._skip:
            if tag == self._skip[-1]:
                self._skip.pop()
            return
        if tag == "math" and self._maths is not None:
            tex = " ".join("".join(self._maths).split())
            if tex:
                mark = "$$" if self._shown else "$"
                self._text.append(f"{mark}{tex}{mark}")
            self._maths, self._tex = None, False
        elif tag == "annotation":
            self._tex = False
        elif tag in _BLOCKS:
            self._flush()
            self._pre = max(0, self._pre - (tag == "pre"))
            self._head = 0

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        if self._skip or self._in_title:
            return
        if self._maths is not None:
            if self._tex or not self.get_starttag_text() == "":
                self._maths.append(data)
            return
        self._text.append(data)

    def _flush(self) -> None:
        raw = "".join(self._text)
        self._text = []
        if self._pre:
            if raw.strip():
                self.out.append("```\n" + raw.strip("\n") + "\n```")
            return
        text = " ".join(raw.replace("\u00ad", "").split())
        if not text:
            return
        if self._head:
            text = "#" * self._head + " " + text
        elif self._item:
            text, self._item = "- " + text, False
        self.out.append(text)

    def close(self) -> None:
        super().close()
        self._flush()


def decoded(data: bytes, declares: bool = True) -> str:
    """Bytes to characters: by a byte order mark, as UTF-8, as declared, else as cp1252.

    Args:
        data: a whole file.
        declares: whether its first lines may name an encoding, as markup does.
    """
    named = _CHARSET.search(data[:1024]) if declares else None
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    for name in (
        "utf-16" if marked else "utf-8-sig",
        named[1].decode("ascii") if named else "cp1252",
        "cp1252",
    ):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            return data.decode(name)
    return data.decode("latin-1")


def html_text(markup: str) -> tuple[str, str]:
    """The text of an HTML page and its title.

    Args:
        markup: the page; broken markup is read as far as it goes.

    Returns:
        Markdown with one paragraph a line, empty lines between; the title or "".
    """
    reader = _Reader()
    reader.feed(re.sub(r"(?is)<title[^>]*/>", "", markup))
    reader.close()
    return "\n\n".join(reader.out), " ".join(reader.title.split())


def epub_text(data: bytes) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The chapters' files of an EPUB in reading order, and its metadata.

    Returns:
        Markdown and, where a file is missing or damaged, what is wrong with it, a pair a
        file; ``title``, ``authors`` (joined by ";"), ``licence``.

    Raises:
        ValueError: it is no EPUB, is encrypted, or unpacks to more than 512 MiB.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            return _read_epub(book)
    except (
        *_DAMAGED,
        ElementTree.ParseError,
        OSError,
        StopIteration,
    ) as error:
        raise ValueError(f"the EPUB is damaged ({error}); fetch it again") from error


def _read_epub(
    book: zipfile.ZipFile,
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    if sum(entry.file_size for entry in book.infolist()) > MAX_UNPACKED:
        raise ValueError("the EPUB unpacks to more than 512 MiB; no book's text does")
    if (
        "META-INF/encryption.xml" in book.namelist()
        and "META-INF/rights.xml" in book.namelist()
    ):
        raise ValueError("the EPUB is encrypted (DRM); a copy without it is needed")
    container = xml_tree(book.read("META-INF/container.xml"))
    package_name = next(
        e.get("full-path", "") for e in container.iter() if _tag(e) == "rootfile"
    )
    package = xml_tree(book.read(package_name))
    told: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    order: list[str] = []
    for element in package.iter():
        tag = _tag(element)
        if tag in ("title", "creator", "rights") and element.text:
            told.setdefault(tag, []).append(" ".join(element.text.split()))
        elif tag == "item" and "nav" not in (element.get("properties") or "").split():
            files[element.get("id", "")] = element.get("href", "")
        elif tag == "itemref":
            order.append(element.get("idref", ""))
    folder = posixpath.dirname(package_name)
    texts = []
    for name in order:
        if name in files:
            path = posixpath.normpath(posixpath.join(folder, unquote(files[name])))
            try:
                texts.append((html_text(decoded(book.read(path)))[0], ""))
            except _DAMAGED as error:
                texts.append(("", f"{path} is missing or damaged ({error})"))
    meta = {
        "title": (told.get("title") or [""])[0],
        "authors": ";".join(told.get("creator", [])),
        "licence": (told.get("rights") or [""])[0],
    }
    return texts, meta


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
