"""A book's pages to its chapters, without what surrounds them.

Title pages, contents, indexes and bibliographies teach a model lists, not sentences. They
are recognised by their headings and by how their lines look, and every cut is reported
with its pages and its reason, so that a person can look at what was taken away.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter, or the whole text of a book that has none."""

    title: str
    page: int
    """On which it begins, from 1."""
    text: str


@dataclass(frozen=True, slots=True)
class Cut:
    """What was taken off."""

    name: str
    pages: tuple[int, int]
    """First and last, from 1."""
    reason: str
    text: str


_HEADING = re.compile(r"(#{1,6}) (.+)")
_CUT_TITLES = {
    "contents": r"(?:table of )?contents|inhaltsverzeichnis|table des matières|list of "
    r"(?:figures|tables|symbols|abbreviations|acronyms)|índice|sommario",
    "index": r"(?:subject |author |name |general )?index|sachverzeichnis",
    "bibliography": r"bibliograph\w*|references(?: and notes)?|literatur\w*|works cited|"
    r"literature cited|références|further reading",
    "front matter": r"copyright\w*|dedication|imprint|title page|colophon|about the authors?|"
    r"acknowledge?ments?|foreword|preface",
}
_TITLES = {
    name: re.compile(rf"(?:(?:\d+|[A-Z])\.?\s+)?(?:{words})\s*[.:]?", re.IGNORECASE)
    for name, words in _CUT_TITLES.items()
}
_LEADER = re.compile(r"(?:\.\s?){4,}\s*[ivxlc\d]*|\s\d{1,4}$")
_DOTS = re.compile(r"(?:\.\s?){5,}")
_INDEX_ENTRY = re.compile(
    r"[^.!?]{2,60},\s*\d{1,4}(?:[–-]\d+)?(?:,\s*\d{1,4}(?:[–-]\d+)?)*"
)
_REFERENCE = re.compile(
    r"\b(?:19|20)\d\d[a-z]?\b.*?(?:\d{2,}|arXiv|doi|Press|In:)|^\[\w+\]"
)
_COPYRIGHT = re.compile(
    r"©|copyright|all rights reserved|isbn|library of congress", re.IGNORECASE
)
SHORT = 400  # characters: a "chapter" below this is a part's title page


def trim(pages: Iterable[Mapping[str, Any]]) -> tuple[list[Chapter], list[Cut]]:
    """Divide one book into chapters and take off what is not its text.

    Args:
        pages: of one book in order, each with ``page``, ``status`` and ``text``, as
            ``extract`` writes them. Chapters begin at the headings that the file's outline
            or, without one, its letter sizes gave.

    Returns:
        The chapters, and the cuts with their pages and reasons.
    """
    cuts: list[Cut] = []
    kept: list[tuple[int, str]] = []  # page, paragraph
    for page in pages:
        number, text = int(page["page"]), str(page["text"])
        if page["status"] not in ("ok", "ocr"):
            if page["status"] != "ok":
                reason = str(page.get("reason") or page["status"])
                _add(
                    cuts, Cut(f"{page['status']} pages", (number, number), reason, text)
                )
            continue
        if why := _looks_like_list(text):
            _add(cuts, Cut(why[0], (number, number), why[1], text))
            continue
        kept.extend(_paragraphs(number, text, kept))
    kept = _cut_sections(kept, cuts)
    chapters = _divided(kept)
    return chapters, sorted(cuts, key=lambda cut: cut.pages)


def _paragraphs(
    number: int, text: str, before: list[tuple[int, str]]
) -> list[tuple[int, str]]:
    """A page's paragraphs; the first may be the end of the page before's last."""
    parts = [part for part in re.split(r"\n\n+", text.rstrip("\n")) if part.strip()]
    if parts and before and before[-1][1].endswith(" ") and parts[0][0] != "#":
        page, start = before.pop()
        parts[0] = start + parts[0]
        return [(page, parts[0])] + [(number, part) for part in parts[1:]]
    return [(number, part) for part in parts]


def _is_outer(page: int, last: int) -> bool:
    """Whether a page is so near the front that thanks and dedications stand there."""
    return page <= max(1, 0.08 * last)


def _looks_like_list(text: str) -> tuple[str, str] | None:
    """Whether a whole page is contents, index or imprint: the name and the reason."""
    lines = [line for line in re.split(r"\n+", text) if line.strip()]
    if len(text) > 40 and len(text) < 3000 and len(_COPYRIGHT.findall(text)) >= 2:
        return "front matter", "the page speaks of copyright and ISBN"
    if len(lines) < 6:
        return None
    leaders = sum(bool(_LEADER.search(line)) for line in lines)
    if leaders > 0.6 * len(lines):
        return "contents", f"{leaders} of {len(lines)} lines end in a page number"
    entries = sum(bool(_INDEX_ENTRY.fullmatch(line.strip())) for line in lines)
    if entries > 0.6 * len(lines):
        return "index", f"{entries} of {len(lines)} lines are a term with page numbers"
    return None


def _add(cuts: list[Cut], cut: Cut) -> None:
    """Note a cut; neighbours of one name are one cut."""
    if cuts and cuts[-1].name == cut.name and cut.pages[0] <= cuts[-1].pages[1] + 1:
        last = cuts[-1]
        pages = (last.pages[0], max(cut.pages[1], last.pages[1]))
        cuts[-1] = Cut(cut.name, pages, last.reason, last.text + "\n\n" + cut.text)
    else:
        cuts.append(cut)


def _cut_sections(
    kept: list[tuple[int, str]], cuts: list[Cut]
) -> list[tuple[int, str]]:
    """Without the sections whose heading names them as matter around the text."""
    out: list[tuple[int, str]] = []
    name, at, under = "", 0, ""  # of the matter that is being cut, if a name is set
    for i, (page, text) in enumerate(kept):
        heading = _HEADING.fullmatch(text)
        if heading:
            level, title = len(heading[1]), heading[2].strip()
            named = next((n for n, p in _TITLES.items() if p.fullmatch(title)), "")
            if named == "front matter" and not _is_outer(page, kept[-1][0]):
                named = ""
            letter = name == "index" and len(title) == 1
            entry = name == "contents" and any(
                _DOTS.search(line) for _, line in kept[i : i + 4]
            )
            # a deeper heading inside a list of references still belongs to it
            ends = level <= at or name in ("front matter", "contents")
            if named or not letter and not entry and ends:
                name, at, under = named, level, title
        elif name == "contents" and len(text) > 150 and not _LEADER.search(text):
            name = ""  # the text begins without a heading
        if name:
            _add(cuts, Cut(name, (page, page), f"under the heading “{under}”", text))
        else:
            out.append((page, text))
    return _without_references(out, cuts)


def _without_references(
    kept: list[tuple[int, str]], cuts: list[Cut]
) -> list[tuple[int, str]]:
    """Without a list of references that has no heading of its own, in the second half."""
    like = [bool(_REFERENCE.search(text)) and len(text) < 600 for _, text in kept]
    gone: set[int] = set()
    begin = len(kept) // 2
    while begin < len(kept):
        end, count = begin, 0
        while end < len(kept) and (like[end] or any(like[end + 1 : end + 3]) and count):
            count += like[end]
            end += 1
        if count >= 8:
            gone.update(range(begin, end))
        begin = max(end, begin + 1)
    for i in sorted(gone):
        page, text = kept[i]
        _add(
            cuts,
            Cut("bibliography", (page, page), "entries with years and pages", text),
        )
    return [part for i, part in enumerate(kept) if i not in gone]


def _divided(kept: list[tuple[int, str]]) -> list[Chapter]:
    """Paragraphs to chapters, at the highest level of heading that divides the text."""
    levels: Counter[int] = Counter()
    for _, text in kept:
        heading = _HEADING.fullmatch(text)
        if heading and not re.match(r"part\b", heading[2], re.IGNORECASE):
            levels[len(heading[1])] += 1
    several = [level for level in sorted(levels) if levels[level] >= 2]
    cut_at = several[0] if several else 0
    chapters: list[tuple[str, int, list[str]]] = []
    for page, text in kept:
        heading = _HEADING.fullmatch(text)
        if heading and len(heading[1]) <= cut_at:
            chapters.append((heading[2].strip(), page, [text]))
        elif chapters:
            chapters[-1][2].append(text)
        else:
            chapters.append(("", page, [text]))
    out: list[Chapter] = []
    carried: list[str] = []
    for i, (title, page, parts) in enumerate(chapters):
        text = "\n\n".join(part.strip() for part in carried + parts)
        if len(text) < SHORT and i + 1 < len(chapters):
            carried = carried + parts  # a part's title page goes to its first chapter
            continue
        carried = []
        out.append(Chapter(title, page, text))
    return out
