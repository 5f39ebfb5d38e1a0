"""A conversation as Markdown and as BibTeX, for other people's programs to read.

Both are compiled or rendered far from here, and titles come from papers, answers from a model.
So a title is data: in BibTeX no command of it survives but those of formulas, since ``\\input`` in
a title would read the files of who typesets the bibliography; in Markdown an answer keeps emphasis
and formulas, and neither pictures, links, HTML nor headings, so that what stands under "Sources"
was put there by code. The price: an accent that a title writes in TeX is printed as it was typed.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from cosmosage.documents import without_halves
from cosmosage.listing import licence_name

Source = dict[str, Any]
"""With the fields of ``retrieval.Passage``; what is missing or of a wrong kind is left out."""

_ARXIV = re.compile(r"arxiv:((?:[a-z-]+(?:\.[A-Z]{2})?/)?[\d.]+)(?:v\d+)?", re.ASCII)
_TEX = {
    "\\": r"\textbackslash{}",
    # BibTeX counts braces without looking at the backslash before them
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "@": r"\char64{}",  # some readers begin a new entry at any of them
    '"': r"\char34{}",
} | {sign: f"\\{sign}" for sign in "$&%#_"}
_FORMULA = re.compile(r"(?<!\\)\$([^$]{1,200})\$")
_MATHS = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho "
    "sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi "
    "Psi Omega rm mathrm mathcal mathbf bf it cal text sim simeq approx times cdot pm mp le leq ge "
    "geq ll gg lesssim gtrsim infty propto odot oplus dot bar hat tilde vec sqrt frac to "
    "rightarrow partial nabla ell hbar circ prime langle rangle".split()
)
"""Commands that only draw a sign; any other may do anything."""
_BLOCK = re.compile(
    r"(?m)^((?:[ \t>]|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))*)"
    r"(#|`{3}|~{3}|=+[ \t]*$|-+[ \t]*$)"
)
"""What begins a heading or a fence, or makes a heading of the line above; in lists, too."""


def markdown(
    title: str, created: float, messages: Sequence[tuple[str, str, list[Source]]]
) -> str:
    """A conversation to be read.

    Args:
        title: of the conversation.
        created: seconds since 1970.
        messages: role, content and sources of each, oldest first.
    """
    day = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d")
    parts = [f"# {_escaped(title) or 'Conversation'}", f"Begun on {day} (UTC)."]
    asked = 0
    for role, content, sources in messages:
        if role == "user":
            asked += 1
            parts.append(f"## Question {asked}")
        else:
            parts.append("### Answer")
        parts.append(_inert(content).strip() or "(Nothing was written.)")
        if sources:
            lines = [f"{n}. {_cited(each)}" for n, each in enumerate(sources, start=1)]
            parts += ["### Sources", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _inert(text: str) -> str:
    """Markdown without pictures, links, HTML, headings and fences; formulas and emphasis stay."""
    text = without_halves(_visible(text))
    text = re.sub(r"<(?=[A-Za-z/!?])", "< ", text)  # which a formula doesn't mind
    text = re.sub(r"\](?=[(\[:])", r"]\\", text)
    text = re.sub(r"(?i)\b(https?|ftp|mailto)(?=:)|\bwww(?=\.)", r"\g<0>\\", text)
    text = _BLOCK.sub(r"\1\\\2", text)
    if (
        text.count("$$") % 2
    ):  # a formula without end would swallow what follows the answer
        before, _, after = text.rpartition("$$")
        text = rf"{before}\$\${after}"
    return text


def _visible(text: str) -> str:
    """Text without control characters, but for ends of lines and tabs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(sign for sign in text if sign in "\n\t" or sign.isprintable())


def _escaped(text: str) -> str:
    """One line in which nothing is Markdown but harmless formulas."""

    def escape(part: str) -> str:
        return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~&$:@])", r"\\\1", part)

    return _around_formulas(text, escape)


def _cited(source: Source) -> str:
    """A source in one line."""
    year = _year(source)
    facts = [
        _escaped(", ".join(_authors(source))),
        f"*{_escaped(_text(source, 'title')) or 'Without title'}*",
        str(year) if year else "",
        _escaped(licence_name(_text(source, "licence"))),
        f"<{_url(source)}>" if _url(source) else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def bibtex(sources: Iterable[Source]) -> str:
    """Records for a bibliography, in the order in which they were first cited.

    Args:
        sources: of all answers; passages of one document, in any of its versions, are one record.
    """
    entries: dict[str, str] = {}
    taken: set[str] = set()
    for source in sources:
        document = _text(source, "document")
        found = _ARXIV.fullmatch(document)
        record = f"arxiv:{found[1]}" if found else document
        if record in entries:
            continue
        key = re.sub(r"[^A-Za-z0-9.]+", "-", record).strip("-")[:80] or "source"
        label, again = key, 1
        while label.lower() in taken:  # BibTeX doesn't tell case apart
            again += 1
            label = f"{key}-{again}"
        taken.add(label.lower())
        entries[record] = _entry(label, source, found[1] if found else "")
    return "\n".join(entries.values())


def _entry(label: str, source: Source, number: str) -> str:
    year = _year(source)
    authors = " and ".join(_tex_name(name) for name in _authors(source))
    fields = {
        "author": authors,
        # twice: a style leaves the capitals of Planck and CMB alone
        "title": f"{{{_tex(_text(source, 'title')) or 'Without title'}}}",
        "year": str(year) if year else "",
        "eprint": number,
        "archivePrefix": "arXiv" if number else "",
        "primaryClass": number.partition("/")[0] if "/" in number else "",
        "url": _url(source),
        "note": _tex(licence_name(_text(source, "licence"))),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    book = not number and _text(source, "document").startswith("book:")
    return "\n".join([f"@{'book' if book else 'misc'}{{{label},", *lines, "}", ""])


def _tex_name(name: str) -> str:
    """A name as BibTeX takes it: a group of people has no first and last name."""
    whole = _tex(name)
    group = r"(?i)\b(collaboration|consortium|team|group|survey)s?\b|(^|\s)and(\s|$)"
    many = name.count(",") > 2 or name.endswith(",") or name.startswith(",")
    return f"{{{whole}}}" if re.search(group, name) or many else whole


def _tex(text: str) -> str:
    """One line of text for TeX, with its harmless formulas and nothing else that TeX obeys."""
    return _around_formulas(
        text, lambda part: "".join(_TEX.get(sign, sign) for sign in part)
    )


def _around_formulas(text: str, escape: Callable[[str], str]) -> str:
    """A text in one line, everything escaped but the formulas that only draw signs."""
    text, place, parts = _line(text), 0, []
    for found in _FORMULA.finditer(text):
        if _harmless(found[1]):
            parts += [escape(text[place : found.start()]), found[0]]
            place = found.end()
    return "".join([*parts, escape(text[place:])])


def _harmless(formula: str) -> bool:
    """Whether a formula holds only known commands and pairs of braces."""
    commands = re.findall(r"\\([A-Za-z]+|.|$)", formula)
    if not all(name in _MATHS or name in (",", ";", " ", "!") for name in commands):
        return False
    if re.search(r'[@%#"~&]|\^\^', formula):
        return False
    depth = 0
    for sign in formula:
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return depth == 0


def _text(source: Source, name: str) -> str:
    value = source.get(name)
    return value if isinstance(value, str) else ""


def _line(text: str) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in without_halves(text))
    return " ".join(text.split())


def _authors(source: Source) -> list[str]:
    """Names that say something, each one line."""
    names = source.get("authors")
    if not isinstance(names, (list, tuple)):
        return []
    lines = [_line(name) for name in names if isinstance(name, str)]
    return [name for name in lines if name]


def _year(source: Source) -> int | None:
    year = source.get("year")
    whole = isinstance(year, int) and not isinstance(year, bool)
    return year if whole and 0 < year < 10000 else None


def _url(source: Source) -> str:
    """An address that a browser opens, with everything quoted that a file could mistake."""
    url = _line(_text(source, "url"))
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or " " in url:
        return ""
    return quote(url, safe="/:?#&=+,;%@!*'()-._~").replace("@", "%40")
