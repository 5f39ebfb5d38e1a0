"""Who is cited and what is pointed at: names, years and numbers in place of marks.

A citation in brackets is not part of a sentence and goes, with its brackets. One that is a
word of the sentence ("as \\citet{x} show") becomes names and year, from the bibliography that
the package carries. A reference becomes the number that LaTeX would have counted; where the
package does not hold what it points at, the noun in front of it is made to stand alone.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from cosmosage.latex.symbols import ACCENTS, CHARACTERS

HOLE, GAP, NAMED = "\x01", "\x10", "\x11"
CITATIONS = 20_000  # that may print names; a thesis has 2,000
# characters of a name or a number that a short command prints again and again
SHOWN = 200

_TEXTUAL = frozenset(
    "citet Citet textcite Textcite citeN shortciteN citeasnoun onlinecite possessivecite posscitet"
    " citenum".split()
)
_BARE = frozenset("citealt citealp Citealt Citealp citetext".split())
_AUTHOR = frozenset(
    "citeauthor Citeauthor citefullauthor citename citeA shortciteA".split()
)
_OPEN = frozenset("cite shortcite citenp".split())
# what is printed in brackets of its own, and yet is a word in "as shown in (Body 1999)"
_BRACKETED = frozenset(
    "citep Citep parencite Parencite autocite Autocite citepalias".split()
)
_PLAIN = _BRACKETED | {"footcite", "supercite"}
# all that can print a name or a year; the others only ever stand in brackets
_SHOWN = frozenset(
    {*_TEXTUAL, *_BARE, *_AUTHOR, *_OPEN, *_BRACKETED}
    | {"citetalias", "citeyearpar", "citeyear"}
)
_CITED, _FORMULA = re.compile("\x01[0-9]+\x01"), re.compile("\x03[0-9]+\x03")
_WORD_BEFORE = re.compile(
    r"(?i)(?:^|[\s(])(?:in|by|of|from|see|with|to|following|than|and|or|like|via|on|under|since"
    r"|such as|includ(?:e|es|ing)|finally|see also"
    r"|(?:in|by|of|from|see),? e\. ?g\.,?|refs?\.?|references?)$"
)
# as above, or at the beginning of a sentence: seen while reading, before all marks are there
_STANDS = re.compile(
    r"(?i)(?:\b(?:in|by|of|from|see|with|to|following|than|like|via|such as|e\. ?g\.,?)|[.:;\f]|--)"
    r"[\s~]*$"
)
_SENTENCE_END = re.compile(
    r"(?:[\w)\]\"'\x02\x03]{2}[.:](?<!\betc\.)(?<!\bal\.)|--|\f)$"
)
# works that were named just before: what holds for the first of a list holds for all
_LIST = re.compile(r"(?:Xx(?:,| and|;)? *)+$")
# a bracket that says no more than this says nothing without its citation
_SAYS_NOTHING = re.compile(
    r"(?:(?:e\. ?g\.|i\. ?e\.|see|also|cf\.?|and|or|as|in|by|from|of|the|to|for|a|an"
    r"|recent|reviews?|more|details?|examples?|instance|references?|therein|refs?\.?|Xx)"
    r"(?![a-z])|[,;.~ ])*+",
    re.I,
)
# a key that is a name and a year: body1999, BodyEtAl_2001, bodyGalaxiesDust1999, body99
_KEY = re.compile(
    r"((?:(?:Mc|Mac|De|Van|Di|La|Le|O')(?=[A-Z]))?[A-Za-z][a-z'-]{2,40}?)"
    r"(?=_?[Ee]t_?[Aa]l|[-_:+.\dA-Z])(_?[Ee]t_?[Aa]l)?[A-Za-z_:+.-]{0,80}((?:19|20)\d\d)(?!\d)"
)
_SHORT_KEY = re.compile(r"([A-Za-z][a-z'-]{3,})[:_.]?(\d\d)[a-z]?")
_NUMBERED = re.compile(
    r"\bnumbers?\b|\bsuper\b|,cite(?:,|$)|style=(?:numeric|phys|ieee|nature|science|chem|alpha)"
    r"|bst=(?:plain|unsrt|abbrv|ieeetr|IEEEtran|JHEP|utphys|siam|acm|elsarticle-num)(?!nat)"
)
_WITH_NOUN = ("autoref", "cref", "vref", "fullref", "crefrange")
_LOWER = ("section", "subsection", "subsubsection", "chapter", "item", "footnote")
_MARK = re.compile("\x04([0-9]+)\x04")
_ITEMS = re.compile("(?:\\(\x04[0-9]+\x04\\)|\x04[0-9]+\x04)(?:[a-z]\\b)?")
_MARKS = re.compile(
    rf"{_ITEMS.pattern}(?:(?: ?[,;] ?(?:and |or |& )?| (?:and|or|to|&|through) | ?-+ ?)"
    rf"{_ITEMS.pattern})+"
)
_LEAD = re.compile(r"\b([A-Z][a-z]*)s(\.?) ?$")
_PREFIXES = {
    **{"fig": "figure", "tab": "table", "eq": "equation", "eqn": "equation"},
    **{"app": "appendix", "alg": "algorithm", "thm": "theorem", "lem": "lemma"},
}
_SHORT = {"figure": "fig.", "equation": "eq."}
# look ahead, as an entry may stand within a commented one; no key is longer than a line
_ENTRIES = (
    re.compile(r"@\w++\s*+[{(]\s*+(?=([^,}]{1,200}+)[,}])"),
    re.compile(r"\\entry\{(?=([^,}]{1,200}+)[,}])"),
)
_ITEM = re.compile(r"(?m)^(?=[ \t]*\\bibitem\s*[\[{%])")


@dataclass(frozen=True)
class Citation:
    """A command that cites: which, whom, and whether it may be a word of its sentence."""

    command: str
    keys: list[str]
    word: bool = True


def cited(command: str, keys: list[str], out: list[str]) -> Citation:
    """A citation as it is read, behind the pieces of text ``out``."""
    word = command not in _PLAIN or (
        command in _BRACKETED and _STANDS.search("".join(out[-4:])[-40:]) is not None
    )
    return Citation(command, [key for key in keys if key], word)


def textual(citations: list[Citation]) -> bool:
    """Whether any citation may need the names of its authors."""
    return any(citation.word for citation in citations)


def wanted_items(bbl: str, citations: list[Citation]) -> str:
    """A .bbl without the entries whose names no citation can ask for: most of a long list."""
    wanted = {
        key
        for citation in citations
        if citation.word and citation.command in _SHOWN
        for key in citation.keys
    }
    head, *items = _ITEM.split(bbl)
    kept = [
        item
        for item in items[:-1]
        if not wanted.isdisjoint(map(str.strip, re.findall(r"\{([^{}]*)\}", item)))
    ]
    # the last one also holds the end of the list
    return "".join([head, *kept, *items[-1:]])


class Names:
    """Authors and year of cited works, from the bibliography or, at the last, from the key."""

    def __init__(self, items: dict[str, str], tables: list[str]) -> None:
        """``items``: key to rendered \\bibitem; ``tables``: the texts of .bib or biber files."""
        self._items = items
        self._tables = tables
        self._starts: list[dict[str, int]] = []
        self._known: dict[str, tuple[str, str]] = {}
        # each entry once is the whole of the tables once, but entries may stand within others
        self._left = 1_000_000 + sum(map(len, tables))

    def of(self, key: str) -> tuple[str, str]:
        """Names and year; empty strings where nothing tells them."""
        if key not in self._known:
            names, year = self._find(key)
            self._known[key] = names[:SHOWN], year
        return self._known[key]

    def _find(self, key: str) -> tuple[str, str]:
        if item := self._items.get(key):
            found = _from_item(item)
            if found[0]:
                return found
        if not self._starts:
            self._starts = [_starts(table) for table in self._tables]
        for table, starts in zip(self._tables, self._starts):
            if key not in starts or self._left < 0:
                continue
            entry = _entry(table, starts[key])
            self._left -= len(entry)
            found = _from_table(entry)
            if found[0]:
                return found
        match = _KEY.match(key)
        if not match:
            match = _SHORT_KEY.fullmatch(key)
            if not match:
                return "", ""
            century = "19" if int(match[2]) > 40 else "20"
            return match[1].capitalize(), century + match[2]
        others = " et al." if match[2] else ""
        return match[1][:1].upper() + match[1][1:] + others, match[3]


def _from_item(item: str) -> tuple[str, str]:
    label, mark, body = item.partition("\x0e")
    if mark:
        if match := re.match(
            r"\s*+([^(\d]*[^(\d\s,])\s*+[,(]?+\s*+\(?+((?:1[5-9]|20)\d\d[a-z]?)", label
        ):
            return " ".join(match[1].replace("&", "and").split()), match[2]
    else:
        body = label
    body = re.sub(r"\x03\d+\x03|\x0c", " ", body)
    years = re.findall(r"\((?:[^()]{0,20}\s)?((?:1[5-9]|20)\d\d)[a-z]?\)", body)
    plain = re.sub(r"(?i)arxiv:\s*\S+|https?:\S+|\d+[-–]+\d+", " ", body)
    for century in ("(?:19|20)", "1[5-8]"):
        years += re.findall(rf"(?<![\d.])({century}\d\d)[a-z]?(?!\d)", plain)
    head = re.split(r"(?:1[5-9]|20)\d\d|[\"“]|``|et al", body)[0][:300]
    names: list[str] = []
    end = 0
    for match in re.finditer(
        r"(?:\b[A-Z]\.[-\s~]*)+((?:(?:van|von|de|der|den|la|le)\s+)*[A-Z][\w'’-]+)(\.?)",
        head,
    ):
        # what stands behind a title, or is abbreviated, is a journal
        between = re.fullmatch(r"[\s,;]*(?:and|&)?[\s,]*", head[end : match.start()])
        if names and (not between or match[2] and match.end() < len(head.rstrip())):
            break
        names.append(match[1])
        end = match.end()
    if not names or re.match(r"\s*[A-Z][\w'’-]+,\s*[A-Z]\.", head):
        turned = re.findall(r"([A-Z][\w'’-]+),?\s+(?:[A-Z]\.[-\s]*)+", head)
        names = turned or names
    if "et al" in body[:120] and names:
        return f"{names[0]} et al.", years[0] if years else ""
    return _joined(names), years[0] if years else ""


def _starts(table: str) -> dict[str, int]:
    """Key to where its entry's fields begin; of entries that share a key, the first."""
    starts: dict[str, int] = {}
    for pattern in _ENTRIES:
        for match in pattern.finditer(table):
            starts.setdefault(match[1].rstrip(), match.end(1) + 1)
    return starts


def _entry(table: str, start: int) -> str:
    """The fields of an entry of a .bib file or of the .bbl that biber writes."""
    entry = table[start : start + 20_000]
    stop = re.search(r"\n[^\S\n]*+@\w++\s*+[{(]|\\endentry", entry)
    return entry[: stop.start()] if stop else entry


def _from_table(entry: str) -> tuple[str, str]:
    """Authors and year from the fields of an entry."""
    families = re.findall(r"family=\{+([^{}]+)\}", entry)
    year = re.search(
        r"(?i)\b(?:year|date)\s*+=\s*+[{\"]*+\s*+(\d{4})|\\field\{year\}\{(\d{4})\}",
        entry,
    )
    shown = (year[1] or year[2]) if year else ""
    if families:
        return _joined(families), shown
    author = re.search(r"(?i)\b(?:author|editor|collaboration)\s*=\s*", entry)
    if not author:
        return "", ""
    value = _value(entry[author.end() :])
    names = []
    for person in re.split(r"\s+and\s+", value):
        person = person.strip()
        grouped = re.match(r"\{(.*?)\}\s*(?:,|$)", person)
        person = _unaccent(grouped[1] if grouped else person)
        if grouped or "," in person:
            names.append(person.split(",")[0].strip())
        elif person:
            words = person.split()
            first = next(
                (i for i, word in enumerate(words[:-1]) if word[0].islower()), -1
            )
            names.append(" ".join(words[first:]))
    return _joined([name for name in names if name]), shown


def _value(text: str) -> str:
    """A field's value: what stands in its braces or quotes."""
    depth = 0
    for position, sign in enumerate(text[:5000]):
        depth += (sign == "{") - (sign == "}")
        if position and (sign == "}" and depth == 0 or sign == '"' and depth == 0):
            return " ".join(text[1:position].split())
    return ""


def _unaccent(name: str) -> str:
    """A name out of BibTeX: accents put on their letters."""
    if "\\" in name:
        name = re.sub(
            r"\\([\"'`^~=.uvHckr])\s*\{?\\?([A-Za-z])\}?",
            lambda match: unicodedata.normalize("NFC", match[2] + ACCENTS[match[1]]),
            name,
        )
        name = re.sub(
            r"\\([A-Za-z]+)\s*", lambda match: CHARACTERS.get(match[1], ""), name
        )
    return re.sub(r"[{}\\]", "", name).replace("~", " ").strip()


def _joined(names: list[str]) -> str:
    if len(names) > 2 or (len(names) == 2 and names[1] == "others"):
        return f"{names[0]} et al."
    return " and ".join(names)


def cite(engine: Any, names: Names, text: str) -> str:
    """Put names and years, or nothing, where the citations' marks are."""
    if "\x01" not in text:
        return text
    by_name = _author_year(engine)

    def replace(match: re.Match[str]) -> str:
        if int(match[1]) >= CITATIONS:
            return HOLE
        citation = engine.citations[int(match[1])]
        left = text[max(0, match.start() - 300) : match.start()].rstrip()
        right = text[match.end() : match.end() + 80]
        return _shown(citation, names, by_name, left, right, engine.aliases)

    return re.sub("\x01([0-9]+)\x01", replace, text)


def _author_year(engine: Any) -> bool:
    """Whether ``\\cite`` prints names in this document's style."""
    if _NUMBERED.search(engine.options):
        return False
    if engine.document_class.startswith("revtex"):
        # it loads natbib itself, and numbers but for these
        return re.search(r"author-?year|\brmp\b", engine.options) is not None
    return "natbib" in engine.options or bool(
        "authoryear" in engine.options
        or re.match(r"aastex|emulateapj|mn|aa\b|apj", engine.document_class)
    )


def _shown(
    citation: Citation,
    names: Names,
    by_name: bool,
    left: str,
    right: str,
    aliases: dict[str, str],
) -> str:
    command = citation.command
    if not citation.word or command not in _SHOWN:
        return HOLE
    left = _CITED.sub("Xx", _FORMULA.sub("x", left))
    inside = left.rfind("(") > left.rfind(")") or left.rfind("[") > left.rfind("]")
    before = left[max(left.rfind("("), left.rfind("[")) + 1 :]
    after = re.split(r"[)\]]", _CITED.sub("", right))[0] if inside else ""
    said = inside and not (
        _SAYS_NOTHING.fullmatch(before) and _SAYS_NOTHING.fullmatch(after)
    )
    if command == "citetalias":
        return " and ".join(aliases.get(key, "") for key in citation.keys) or HOLE
    if command in _OPEN or command in _BRACKETED:
        starts = (
            not left
            or _SENTENCE_END.search(left) is not None
            and re.match(r"\s+[a-z]", right) is not None
            or left[-1] == ";"
            and re.match(r" (?:which|who)\b", right) is not None
        )
        named = by_name and command in _OPEN and len(citation.keys) < 3
        word = named or starts or _is_led(left)
        if inside:
            word = said and command in _OPEN and _is_led(left, before, after)
        if not word or not inside and re.match(r"\s*\)", right):
            return HOLE
    elif inside and command in _BARE | _TEXTUAL:
        closes = before[-1:] in (",", ";") and not after.strip(" .,;")
        if (
            not said
            or (command in _BARE or closes)
            and not _is_led(left, before, after)
        ):
            return HOLE
    elif command in ("citeyearpar", "citeyear"):
        years = [names.of(key)[1] for key in citation.keys]
        shown = ", ".join(year for year in years if year)
        if (
            not shown
            or left.endswith("(")
            and not re.search(r"[A-Z][\w.]+\s*\($", left)
        ):
            return HOLE
        return f"({shown})" if command == "citeyearpar" else shown
    people = [pair for key in citation.keys if (pair := names.of(key))[0]]
    if not people:
        return HOLE
    if command in _AUTHOR:
        each = [name for name, _ in people]
    elif inside or command in _BARE:
        each = [f"{name} {year}".strip() for name, year in people]
    else:
        each = [f"{name} ({year})" if year else name for name, year in people]
    listed = ", ".join(each[:-1]) + " and " + each[-1] if len(each) > 1 else each[0]
    return NAMED + listed


def _is_led(left: str, before: str = "", after: str = "") -> bool:
    """Whether a citation is a word by what stands around it: all, or that in its bracket."""
    if _WORD_BEFORE.search(left) or (
        left.endswith(("Xx", "Xx,", "Xx;", "Xx and"))
        and _WORD_BEFORE.search(_LIST.sub("", left).rstrip())
    ):
        return True
    # "(see however [3] for doubts)", "(e.g. [3] finds none)"; "(M 31; [3])" is none
    if not after[:2].strip()[:1].isalpha():
        return False
    if re.match(r"see\b", before, re.I):
        return re.match(r" (?:for|who|where|that|which)\b", after) is not None
    return (
        _SAYS_NOTHING.fullmatch(before) is not None
        and re.match(r" (?:and|or|for|in|see|therein)\b", after) is None
    )


def point(engine: Any, text: str) -> str:
    """Put numbers where the references' marks are."""
    if "\x04" not in text:
        return text

    def shown(match: re.Match[str]) -> str:
        return _pointed(engine, *engine.references[int(match[1])])

    pieces: list[str] = []
    done = 0
    labels = engine.labels
    if all(keys in labels or "," in keys for _, keys in engine.references):
        return _MARK.sub(shown, text)
    for match in _MARKS.finditer(text):
        items = [_MARK.sub(shown, item) for item in _ITEMS.findall(match[0])]
        known = [item for item in items if GAP not in item]
        if not known or len(known) == len(items):
            continue
        # those that nothing tells are left out; one figure is no figures
        before = text[done : match.start()]
        if len(known) == 1 and (lead := _LEAD.search(before, len(before) - 20)):
            before = f"{before[: lead.start()]}{lead[1]}{lead[2]} "
        pieces += (before, _listed(known))
        done = match.end()
    return _MARK.sub(shown, "".join([*pieces, text[done:]]))


def _pointed(engine: Any, command: str, keys: str) -> str:
    """What one command prints that points at labels."""
    names = [key.strip() for key in keys.split(",")]
    if command == "nameref":
        title = engine.titles.get(names[0], "")
        return title if title and not re.search("[\x01\x04]", title) else GAP
    nouns = command.lower() in _WITH_NOUN
    known = [pair for key in names if (pair := engine.labels.get(key)) and pair[0]]
    if not known or command == "pageref":
        # a label's name often tells what it is of
        noun = names[0].partition(":")[0].lower()[:3]
        return f"{_PREFIXES.get(noun, 'section')} {GAP}" if nouns else GAP
    if command == "subref":
        # a part of the figure that is spoken of
        letter = re.search("[a-z]$", known[0][0])
        return f"({letter[0]})" if letter else known[0][0]
    groups: dict[str, list[str]] = {}
    for number, kind in known:
        groups.setdefault(kind if nouns else "", []).append(number)
    shown = []
    for kind, numbers in groups.items():
        if command == "eqref" or kind == "equation" and "cref" in command.lower():
            numbers = [f"({number})" for number in numbers]
        if command.endswith("range"):
            listed = " to ".join([numbers[0], *numbers[1:][-1:]])
        else:
            listed = _listed(_runs(numbers) if nouns else numbers)
        noun = _noun(engine, command, kind, len(numbers) > 1) if nouns else ""
        shown.append(f"{noun} {listed}".strip())
    return _listed(shown)


def _listed(parts: list[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def _runs(numbers: list[str]) -> list[str]:
    """Three and more numbers in a row as a range, as cleveref prints them."""
    out: list[list[str]] = []
    for number in numbers:
        digits = re.fullmatch(r"(.*?)(\d+)(\)?)", number)
        before = out and re.fullmatch(r"(.*?)(\d+)(\)?)", out[-1][-1])
        if digits and before and digits[1] == before[1]:
            if int(digits[2][:9]) == int(before[2][:9]) + 1:
                out[-1].append(number)
                continue
        out.append([number])
    shown: list[str] = []
    for run in out:
        shown += run if len(run) < 3 else [f"{run[0]} to {run[-1]}"]
    return shown


def _noun(engine: Any, command: str, kind: str, many: bool) -> str:
    """What hyperref or cleveref print in front of a number, or what the author wants there."""
    if command.lower() == "autoref":
        meaning = engine.tables[0].get(f"\\{kind}autorefname")
        # the first of a body that lies there backwards
        own = engine.plain(meaning.body[:-50:-1]) if hasattr(meaning, "body") else ""
        own = own[:SHOWN]
        noun = kind if kind in _LOWER else kind.capitalize()
        return own.replace("~", " ").strip() or noun
    lower = command[0] == "c"
    kind = "section" if kind in ("subsection", "subsubsection") else kind
    for capital in (lower, not lower):
        own_names = engine.nouns.get(("cref" if capital else "Cref", kind))
        if own_names:
            noun = own_names[many]
            return noun if capital == lower or lower else noun[:1].upper() + noun[1:]
    short = lower and "noabbrev" not in engine.options and kind in _SHORT
    noun = _SHORT[kind] if short else kind
    if many:
        noun = {"appendix": "appendices", "fig.": "figs.", "eq.": "eqs."}.get(
            noun, noun + "s"
        )
    capital = not lower or re.search("capitali[sz]e", engine.options) is not None
    return noun[:1].upper() + noun[1:] if capital else noun
