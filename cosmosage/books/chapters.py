"""A book's pages to its chapters, without what surrounds them.

Title pages, contents, indexes and bibliographies teach a model lists, not sentences. They
are recognised by their headings and by how their lines look, and every cut is reported
with its pages and its reason, so that a person can look at what was taken away. A list of
contents parts the front matter from the text: what stands before it goes. A book without
one keeps its first pages, since nothing tells its preface from its first chapter.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter, or the whole text of a book that has none."""

    title: str
    page: int
    """On which it begins, from 1."""
    text: str
    number: int = 1
    """As printed, where the printed numbers are consistent; else the running count."""


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
    "exercises": r"(?:end-of-chapter |review |practice )?(?:exercises?|problems?|questions|"
    r"problem set)(?: and (?:problems|exercises|questions|solutions))?(?: \d+)?|"
    r"übungen|aufgaben|exercices|ejercicios|esercizi",
}
CUTS = ("front matter", "contents", "index", "bibliography")
"""What is cut unless a person says otherwise: exercises are recognised and kept."""
_TITLES = {
    name: re.compile(
        rf"(?:(?:\d+(?:\.\d+)*|[A-Z])\.?\s+)?(?:{words})\s*[.:]?", re.IGNORECASE
    )
    for name, words in _CUT_TITLES.items()
}
_LEADER = re.compile(r"(?:\.\s?){4,}\s*[ivxlc\d]*|\s\d{1,4}$")
_DOTS = re.compile(r"(?:\.\s?){5,}")
_NUMBER = r"(?P<number>\d{1,2})"
_LABEL = re.compile(
    rf"(?:chapter|lecture|lesson|unit|kapitel|chapitre)\s+{_NUMBER}", re.IGNORECASE
)
_NUMBERED = re.compile(
    rf"(?:(?:chapter|lecture|lesson|unit|kapitel|chapitre)\s+)?{_NUMBER}"
    r"(?:\.\d+)*[.:]?\s+\D.*",
    re.IGNORECASE,
)
_SECTION = re.compile(rf"{_NUMBER}\.\d+(?:\.\d+)*\.?\s.*")
_ABSTRACT = re.compile(r"(?:#+ )?abstract\b.*", re.IGNORECASE | re.DOTALL)
_INDEX_ENTRY = re.compile(
    r"[^.!?]{2,60},\s*\d{1,4}(?:[–-]\d+)?(?:,\s*\d{1,4}(?:[–-]\d+)?)*"
)
_REFERENCE = re.compile(
    r"\b(?:19|20)\d\d[a-z]?\b.*?(?:\d{2,}|arXiv|doi|Press|In:)|^\[\w+\]"
)
_COPYRIGHT = re.compile(
    # the bare sign is also what a recogniser makes of a capital sigma
    r"©\s*(?:19|20)\d\d|copyright|all rights reserved|isbn|library of congress",
    re.IGNORECASE,
)
SHORT = 400  # characters: a "chapter" below this is a part's title page


def trim(
    pages: Iterable[Mapping[str, Any]], cut: Collection[str] = CUTS
) -> tuple[list[Chapter], list[Cut]]:
    """Divide one book into chapters and take off what is not its text.

    Args:
        pages: of one book in order, each with ``page``, ``status`` and ``text``, as
            ``extract`` writes them; a damaged one that is ``doubtful`` keeps its text.
            Chapters begin at the headings that the file's outline
            or, without one, its letter sizes gave.
        cut: what is taken off, of ``front matter``, ``contents``, ``index``,
            ``bibliography`` and ``exercises``. Pages that could not be read always are.

    Returns:
        The chapters, and the cuts with their pages and reasons.

    Raises:
        ValueError: ``cut`` names something else.
    """
    if unknown := set(cut) - set(_TITLES):
        raise ValueError(
            f"cut names {sorted(unknown)}; wanted some of {sorted(_TITLES)}"
        )
    cuts: list[Cut] = []
    kept: list[tuple[int, str]] = []  # page, paragraph
    listed: dict[int, str] = {}  # pages that are nothing but contents, and why
    for page in pages:
        number, text = int(page["page"]), str(page["text"])
        if page["status"] not in ("ok", "ocr") and not page.get("doubtful"):
            reason = str(page.get("reason") or page["status"])
            _add(cuts, Cut(f"{page['status']} pages", (number, number), reason, text))
            continue
        why = _looks_like_list(text)
        if why and why[0] not in cut:
            why = None
        if why and why[0] == "contents":
            listed[number] = why[1]
        elif why:
            _add(cuts, Cut(why[0], (number, number), why[1], text))
            continue
        kept.extend(_paragraphs(number, text, [] if number in listed else kept))
    if "contents" in cut:
        kept = _cut_contents(kept, listed, cuts, "front matter" in cut)
    kept = _cut_sections(kept, cuts, cut)
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


def _cut_contents(
    kept: list[tuple[int, str]],
    listed: Mapping[int, str],
    cuts: list[Cut],
    with_front: bool,
) -> list[tuple[int, str]]:
    """Without lists of contents, and without what stands before one near the front."""
    why = [_listing(text, listed.get(page, "")) for page, text in kept]
    found = _front_list(kept, why)
    if found:
        begin, end = found
        for i in range(begin, end):
            why[i] = why[i] or "entries with leader dots or page numbers"
        before = [text for _, text in kept[:begin]]
        chapters = any(_chapter_number(text) and not _is_entry(text) for text in before)
        long = sum(map(len, before)) > 0.5 * sum(len(text) for _, text in kept)
        if (
            with_front and not chapters and not long
        ):  # a file of one page has its front anywhere
            goes_on = False
            for i, text in enumerate(before):
                abstract = goes_on or bool(_ABSTRACT.fullmatch(text))
                goes_on = abstract and text.startswith("#")
                page = kept[i][0]
                if not abstract and not why[i]:
                    reason = "before the list of contents"
                    _add(cuts, Cut("front matter", (page, page), reason, text))
                    why[i] = "gone"
    for (page, text), reason in zip(kept, why):
        if reason and reason != "gone":
            _add(cuts, Cut("contents", (page, page), reason, text))
    return [part for part, reason in zip(kept, why) if not reason]


def _listing(text: str, page: str) -> str:
    """Why a paragraph is contents: for its leader dots, joined or not, or for its page."""
    found = _DOTS.findall(text)
    if len(found) > 1 or found and re.search(r"\s\d{1,4}$", text):
        return "lines with leader dots"
    # an abstract may share its page with the contents
    return "" if _is_prose(text) and text.rstrip().endswith(".") else page


def _front_list(kept: list[tuple[int, str]], why: list[str]) -> tuple[int, int] | None:
    """Where the list of contents near the front begins and ends, as a range of ``kept``."""
    last = kept[-1][0] if kept else 0
    for begin, (page, text) in enumerate(kept):
        if page > max(4, 0.15 * last):
            return None
        titled = text.startswith("#") and _is_titled("contents", text)
        many = bool(why[begin]) and sum(map(bool, why[begin : begin + 8])) >= 3
        if not titled and not many:
            continue
        end = begin + 1
        for i in range(begin, len(kept)):
            if why[i] or _is_entry(kept[i][1]) or _is_titled("contents", kept[i][1]):
                end = i + 1
            elif _is_prose(kept[i][1]) or i - end >= 3:
                break
        if end - begin > 2:
            return begin, end
    return None


def _is_titled(name: str, text: str) -> bool:
    return bool(_TITLES[name].fullmatch(text.lstrip("# ").strip()))


def _is_entry(text: str) -> bool:
    """Whether a line or heading is a contents entry: leader dots, or a page at its end."""
    words = text.lstrip("# ").strip()
    if _DOTS.search(words):
        return True
    ends = re.search(r"[^\W\d_]\S*\s+\d{1,4}$", words)
    return bool(ends) and len(words) < 150 and not _LABEL.fullmatch(words)


def _is_prose(text: str) -> bool:
    return not text.startswith("#") and (
        len(text) > 150 or len(text) > 60 and text.rstrip().endswith(".")
    )


def _chapter_number(text: str) -> int | None:
    """The chapter that a heading begins or, as a section, belongs to; none otherwise."""
    heading = _HEADING.fullmatch(text)
    if not heading:
        return None
    title = heading[2].strip()
    found = _LABEL.fullmatch(title) or _NUMBERED.fullmatch(title)
    return int(found["number"]) if found else None


def _cut_sections(
    kept: list[tuple[int, str]], cuts: list[Cut], cut: Collection[str]
) -> list[tuple[int, str]]:
    """Without the sections whose heading names them as matter around the text."""
    out: list[tuple[int, str]] = []
    name, at, under = "", 0, ""  # of the matter that is being cut, if a name is set
    for page, text in kept:
        heading = _HEADING.fullmatch(text)
        if heading:
            level, title = len(heading[1]), heading[2].strip()
            named = next((n for n in cut if _TITLES[n].fullmatch(title)), "")
            if named == "front matter" and not _is_outer(page, kept[-1][0]):
                named = ""
            letter = name == "index" and len(title) == 1
            # a deeper heading inside a list of references or a preface still belongs to it
            ends = level <= at or name == "contents"
            if name == "front matter":
                numbered = _chapter_number(text) is not None
                ends = ends or numbered or not _is_outer(page, kept[-1][0])
            if named or not letter and ends:
                name, at, under = named, level, title
        elif name == "contents" and len(text) > 150 and not _LEADER.search(text):
            name = ""  # the text begins without a heading
        if name:
            _add(cuts, Cut(name, (page, page), f"under the heading “{under}”", text))
        else:
            out.append((page, text))
    return _without_references(out, cuts) if "bibliography" in cut else out


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
    kept, labels = _labelled(kept)
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
            title = labels.get(text, heading[2].strip())
            chapters.append((title, page, [text]))
        elif chapters:
            chapters[-1][2].append(text)
        else:
            chapters.append(("", page, [text]))
    out: list[tuple[str, int, list[str]]] = []
    carried: list[str] = []
    for i, (title, page, parts) in enumerate(chapters):
        if sum(map(len, carried + parts)) < SHORT and i + 1 < len(chapters):
            carried = carried + parts  # a part's title page goes to its first chapter
            continue
        out.append((title, page, carried + parts))
        carried = []
    numbers = _numbers([_printed(parts, cut_at) for _, _, parts in out])
    return [
        Chapter(title, page, "\n\n".join(part.strip() for part in parts), number)
        for (title, page, parts), number in zip(out, numbers)
    ]


def _labelled(
    kept: list[tuple[int, str]],
) -> tuple[list[tuple[int, str]], dict[str, str]]:
    """“Chapter 3” and the title under it as one heading; the titles by their headings."""
    out: list[tuple[int, str]] = []
    labels: dict[str, str] = {}
    for page, text in kept:
        heading = _HEADING.fullmatch(text)
        above = _HEADING.fullmatch(out[-1][1] if out else "")
        if heading and above and _LABEL.fullmatch(above[2].strip()):
            level = min(above[1], heading[1], key=len)
            title = heading[2].strip()
            whole = f"{level} {above[2].strip()}: {title}"
            labels[whole] = title
            out[-1] = (out[-1][0], whole)
        else:
            out.append((page, text))
    return out, labels


def _printed(parts: list[str], cut_at: int) -> int | None:
    """A chapter's printed number: its heading's, or else the one all its sections share."""
    headings = [found for part in parts if (found := _HEADING.fullmatch(part))]
    for heading in headings:
        if len(heading[1]) <= cut_at and (number := _chapter_number(heading[0])):
            return number
    sections = {
        int(found["number"])
        for heading in headings
        if (found := _SECTION.fullmatch(heading[2].strip()))
    }
    return sections.pop() if len(sections) == 1 else None


def _numbers(printed: list[int | None]) -> list[int]:
    """The chapters' numbers: the printed ones where they increase from chapter to chapter.

    One chapter without a number before the first is 0 (an introduction), those after the
    last (appendices) go on counting; with any other gap all are counted from 1.
    """
    counted = list(range(1, len(printed) + 1))
    known = [i for i, number in enumerate(printed) if number is not None]
    if not known or known[0] > 1:
        return counted
    numbers = [number for number in printed if number is not None]
    increase = all(a < b for a, b in zip(numbers, numbers[1:]))
    together = known == list(range(known[0], known[-1] + 1))
    if not increase or not together or known[0] == 1 and numbers[0] == 0:
        return counted
    after = range(numbers[-1] + 1, numbers[-1] + len(printed) - known[-1])
    return [0] * known[0] + numbers + list(after)
