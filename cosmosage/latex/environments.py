"""What stands between ``\\begin`` and ``\\end`` in text: kept, counted, or left out."""

import re
from typing import Any

from cosmosage.latex import algorithms, glossary, maths, theorems
from cosmosage.latex.lexer import PARAGRAPH
from cosmosage.latex.macros import Taken, command, take
from cosmosage.latex.render import (
    END_FILE,
    INNER,
    LINE,
    NESTED,
    TABLES,
    TEXT,
    Reader,
)
from cosmosage.latex.structure import heading
from cosmosage.latex.text import fill_inner

_FLOATS = {
    "figure": "figure",
    "wrapfigure": "figure",
    "SCfigure": "figure",
    "sidewaysfigure": "figure",
    "floatingfigure": "figure",
    "marginfigure": "figure",
    "table": "table",
    "wraptable": "table",
    "sidewaystable": "table",
    "longtable": "table",
    "deluxetable": "table",
    "longdeluxetable": "table",
    "longrotatetable": "table",
    "rotatetable": "table",
    "planotable": "table",
    "supertabular": "table",
    "ctable": "table",
    "floattable": "table",
    "threeparttable": "table",
    "ThreePartTable": "table",
    "measuredfigure": "figure",
    "algorithm": "algorithm",
    "algorithm2e": "algorithm",
    "listing": "listing",
}
# read over unseen: nothing in them is counted and none of it is prose
_SKIPPED = {
    "tabular": "table",
    "tabularx": "table",
    "tabulary": "table",
    "tabu": "table",
    "tabbing": "table",
    "tikzpicture": "figure",
    "picture": "figure",
    "pspicture": "figure",
    "psfrags": "figure",
    "pgfpicture": "figure",
    "axis": "figure",
    "overpic": "figure",
    "asy": "figure",
    "feynmandiagram": "figure",
    "fmffile": "figure",
    "forest": "figure",
    "tikzcd": "figure",
    "diagram": "figure",
    "verbatim": "code",
    "lstlisting": "code",
    "minted": "code",
    "alltt": "code",
    "codebox": "code",
    "pseudocode": "algorithm",
    "comment": "comment",
    "CCSXML": "front matter",
    "filecontents": "file",
    "biblist": "bibliography",
    "references": "bibliography",
    "keyword": "front matter",
    "keywords": "front matter",
    "IEEEkeywords": "front matter",
    "authorgroup": "front matter",
    "tablenotes": "table",
    "AMS": "front matter",
    "PACS": "front matter",
    "highlights": "front matter",
    "bmhead": "front matter",
    "graphicalabstract": "front matter",
    "IEEEbiography": "front matter",
    "IEEEbiographynophoto": "front matter",
    "biography": "front matter",
    "splitdeluxetable": "table",
}
_LISTS = {
    "itemize": "itemize",
    "enumerate": "enumerate",
    "description": "description",
    "compactitem": "itemize",
    "compactenum": "enumerate",
    "list": "itemize",
    "trivlist": "itemize",
    "asparaenum": "enumerate",
    "asparaitem": "itemize",
    "compactdesc": "description",
    "dinglist": "itemize",
    "labeling": "description",
    "tightitemize": "itemize",
    "enumeratei": "enumerate",
    "easylist": "itemize",
}
# lists within a sentence: paralist's, and those that enumitem stars
_INLINE = frozenset(
    "inparaenum inparaitem inparadesc enumerate* itemize* description*".split()
)
# environments that are only a look: the arguments to take
_PLAIN = {
    "center": "",
    "flushleft": "",
    "flushright": "",
    "quote": "",
    "quotation": "",
    "minipage": "ooom",
    "multicols": "mo",
    "subequations": "",
    "landscape": "",
    "widetext": "",
    "small": "",
    "footnotesize": "",
    "spacing": "m",
    "adjustwidth": "mm",
    "linenumbers": "",
    "frontmatter": "",
    "appendix": "",
    "appendices": "",
    "samepage": "",
    "sloppypar": "",
    "tcolorbox": "o",
    "mdframed": "o",
    "framed": "",
    "shaded": "",
    "otherlanguage": "m",
    "thebibliography": "m",
    "strip": "",
    "onecolumn": "",
    "CJK": "mm",
    "CJK*": "mm",
    "turnpage": "",
    "acknowledgments": "",
    "subfigure": "oom",
    "@twocolumnfalse": "",
    "refsection": "",
    "epigraphs": "",
    "letter": "m",
    "interactive": "mm",
}
TITLE_PAGE = 800  # characters that may be title, authors and their places
_ACKNOWLEDGMENTS = frozenset(
    "acknowledgments acknowledgements acknowledgment acknowledgement acks ack theacknowledgments"
    " Acknowledgements Acknowledgments acknowledgmentsection".split()
)


@command(TEXT, "begin")
def _begin(engine: Reader, _token: str) -> None:
    name = engine.word()
    base = name.rstrip("*")
    if name == "document":
        _begin_document(engine)
    elif base in maths.DISPLAYS:
        _begin_display(engine, name, base)
    elif base == "math":
        maths.begin(engine, name, False)
    elif base in TABLES and base not in _FLOATS and engine.keep.tables:
        take(engine, "m" * (base != "tabular" or name != base) + "om")
        engine.paragraph()
        engine.push("environment", name, engine.table, close=_end_block)
    elif name in engine.hidden:
        _skip(engine, name, "comment")
    elif base in _SKIPPED and base not in engine.environments:
        _skip(engine, name, _SKIPPED[base])
    elif base in _FLOATS and engine.captures < NESTED:
        _begin_float(engine, name, base)
    elif base in _OTHERS and engine.captures < NESTED:
        _OTHERS[base](engine, name)
    elif name in _INLINE and name not in engine.environments:
        option = "".join(engine.optional() or [])
        engine.lists.append(["inline", 0, _inline_mark(name, option)])
        engine.push("environment", name, engine.table, close=_end_inline_list)
    elif name == "easylist":
        _begin_easylist(engine, name)
    elif base in _LISTS:
        _begin_list(engine, name, _LISTS[base])
    elif base in _ACKNOWLEDGMENTS:
        _begin_thanks(engine, name)
    elif name in engine.environments:
        engine.begin_user(name)
    elif base in engine.theorems or base in theorems.USUAL:
        theorems.begin(engine, name, base, engine.optional())
    else:
        _begin_plain(engine, name, base)


def _begin_algorithmic(engine: Reader, name: str) -> None:
    engine.optional()
    engine.paragraph()
    engine.push("environment", name, engine.table, close=_end_block)
    algorithms.begin(engine)


def _begin_abstract(engine: Reader, name: str) -> None:
    engine.push(
        "environment", name, engine.tables[0], capture=True, close=_end_abstract
    )
    engine.optional()


def _begin_acronym(engine: Reader, name: str) -> None:
    engine.optional()
    close = glossary.end_list
    engine.push("environment", name, engine.table, capture=True, close=close)


def _begin_bibliography(engine: Reader, name: str) -> None:
    engine.push(
        "environment", name, engine.tables[0], capture=True, close=_end_bibliography
    )
    take(engine, "m")


def _begin_restatable(engine: Reader, name: str) -> None:
    note, kind = engine.optional(), engine.word()
    # stated again, a theorem is the same
    engine.define("\\" + engine.word(), Taken("s"), True)
    theorems.begin(engine, name, kind, note)


def _begin_titlepage(engine: Reader, name: str) -> None:
    engine.push("environment", name, engine.table, capture=True, close=_end_titlepage)


def _end_titlepage(engine: Reader, _frame: Any, captured: list[str]) -> None:
    """Title and authors once more, unless it is more than they can be."""
    text = "".join(captured)
    if len(text) > TITLE_PAGE:
        engine.out.append(PARAGRAPH + text + PARAGRAPH)
    elif text.strip():
        engine.drop("front matter", "a page of its own")


_OTHERS = {
    "titlepage": _begin_titlepage,
    "algorithmic": _begin_algorithmic,
    "abstract": _begin_abstract,
    "acronym": _begin_acronym,
    "thebibliography": _begin_bibliography,
    "references": _begin_bibliography,
    "restatable": _begin_restatable,
}


def _begin_thanks(engine: Reader, name: str) -> None:
    engine.front_open = False
    if engine.keep.acknowledgements:
        engine.paragraph()
        heading(engine, 1, "Acknowledgments")
        engine.push("environment", name, engine.table, close=_end_block)
    else:
        frame = engine.push(
            "environment", name, engine.table, capture=True, close=_drop_thanks
        )
        frame.columns = len(engine.notes)


def _begin_display(engine: Reader, name: str, base: str) -> None:
    if base in ("alignat", "xalignat", "xxalignat", "IEEEeqnarray"):
        take(engine, "om")
    elif base == "empheq":
        engine.optional()
        name = engine.word() or "align"
        name = name if name.rstrip("*") in maths.DISPLAYS else "align"
        maths.begin(engine, name, True)
        engine.frames[-1].name = "empheq"
        return
    elif base == "dmath" and engine.peek() == "[":
        engine.optional()
    maths.begin(engine, name, True)


def _begin_float(engine: Reader, name: str, base: str) -> None:
    frame = engine.push("float", name, engine.tables[0], capture=True, close=_end_float)
    frame.tag = _FLOATS[base]
    engine.optional()
    if base in TABLES:
        take(engine, "om")
    if frame.tag == "algorithm":
        algorithms.begin(engine)
    elif frame.tag != "table" or not engine.keep.tables:
        engine.drop(frame.tag, "a float is no prose")


def _begin_document(engine: Reader) -> None:
    if not engine.in_document:
        engine.in_document = True
        del engine.frames[:]
        del engine.open_formulas[:]
        engine.undo = []
        engine.table = engine.tables[0]
        engine.out = []
        engine.captures = 0
        engine.notes, engine.note_count = [], 0


def _begin_plain(engine: Reader, name: str, base: str) -> None:
    """An environment that only changes the look, or one that nobody knows."""
    if base in _PLAIN:
        take(engine, _PLAIN[base])
    else:
        if base not in ("proof", "IEEEproof"):
            engine.drop(
                f"\\begin{{{name[:60]}}}", "unknown environment; its text is kept"
            )
        given = engine.optional() if engine.peek() == "[" else None
        if base in ("proof", "IEEEproof"):
            engine.paragraph()
            engine.push("environment", name, engine.table, close=_end_block)
            engine.stack.extend(reversed(["**", *(given or ["Proof"]), ".** "]))
            return
    if base in ("appendix", "appendices"):
        TEXT["\\appendix"](engine, "\\appendix")
    if base == "subequations":
        if engine.parent:
            return
        engine.step("equation")
        engine.parent = engine.current[0]
        engine.counters["subequation"] = engine.counters["equation"]
        engine.counters["equation"] = 0
    elif base not in ("small", "footnotesize", "linenumbers", "otherlanguage"):
        engine.paragraph()
    engine.push("environment", name, engine.table, close=_end_block)


def _end_block(engine: Reader, frame: Any, _captured: list[str]) -> None:
    if frame.name == "subequations":
        engine.parent = ""
        engine.counters["equation"] = engine.counters.get("subequation", 0)
    elif frame.name not in ("small", "footnotesize", "linenumbers"):
        engine.paragraph()


def _drop_thanks(engine: Reader, frame: Any, captured: list[str]) -> None:
    """Acknowledgements left out; what AASTeX sets apart from them stays, and so do floats."""
    parts = "".join(captured).split(PARAGRAPH)
    kept = [part for part in parts if re.match(r"(?:Software|Facilit\w+): ", part)]
    engine.out.append(PARAGRAPH + PARAGRAPH.join([*kept, ""]))
    engine.notes[frame.columns :] = [
        note for note in engine.notes[frame.columns :] if note[:2] != "[^"
    ]
    engine.drop("acknowledgements", "left out by the setting")


def _end_float(engine: Reader, frame: Any, captured: list[str]) -> None:
    text = "".join(captured)
    if frame.tag == "algorithm" and LINE in text:
        engine.notes.append(text)
    elif frame.tag == "table" and engine.keep.tables and " | " in text:
        engine.notes.append(text.strip(" " + PARAGRAPH).replace(PARAGRAPH, LINE))
    if engine.unclosed:
        # a float that never ended holds the rest of the paper
        engine.out.append(text)
    engine.out.append(" ")


def _end_abstract(engine: Reader, _frame: Any, captured: list[str]) -> None:
    engine.front("the abstract")
    text = "".join(captured)
    if not engine.abstract.strip():
        engine.abstract = text
    elif text.strip():
        engine.out.append(PARAGRAPH + text + PARAGRAPH)


def _end_bibliography(engine: Reader, _frame: Any, captured: list[str]) -> None:
    engine.drop("bibliography", "references are no prose")
    items = re.split("\x0b", "".join(captured))
    if engine.unclosed:
        # what stands before the first entry of a list that never ended may be anything
        engine.out.append(items[0])
    for item in items[1:]:
        key, _, text = item.partition("\x0c")
        engine.items.setdefault(key.strip(), text.strip()[:600])


@command(TEXT, "excludecomment includecomment")
def _excludecomment(engine: Reader, token: str) -> None:
    """The comment package's environments that are shown or not, as the author turns them."""
    name = engine.word()
    (engine.hidden.add if token == "\\excludecomment" else engine.hidden.discard)(name)


@command(TEXT, "bibitem")
def _bibitem(engine: Reader, _token: str) -> None:
    label = engine.optional()
    key = engine.word()
    engine.out.append(f"\x0b{key}\x0c")
    if label:
        engine.stack.append("\x0e")
        engine.stack.extend(reversed(label))


def _skip(engine: Reader, name: str, what: str) -> None:
    index = engine.find_end(name)
    if index is None:
        engine.drop(f"\\begin{{{name}}}", "never ended; its text is kept")
        return
    del engine.stack[index:]
    engine.drop(what, f"{name.rstrip('*')} is no prose")
    engine.out.append(" ")


def _begin_list(engine: Reader, name: str, kind: str) -> None:
    base = name.rstrip("*")
    if base in ("list",):
        take(engine, "mm")
    elif base in ("dinglist", "labeling"):
        take(engine, "om")
    else:
        options = "".join(engine.optional() or [])
        if base == "easylist" and not re.search("itemize|checklist", options):
            kind = "enumerate"
    engine.lists.append([kind, 0])
    engine.out.append(PARAGRAPH)
    engine.push("environment", name, engine.table, close=_end_list)


def _begin_easylist(engine: Reader, name: str) -> None:
    """A list of package easylist: before an item stand as many marks as it is deep."""
    _begin_list(engine, name, "itemize")
    index = engine.find_end(name)
    if index is None:
        return
    body = engine.stack[index:]
    del engine.stack[index:]
    out: list[str] = []
    depth, maths_open = 0, False
    for token in reversed(body):
        maths_open ^= token == "$"
        for part in re.findall("§+|[^§]+", token) if "§" in token else [token]:
            if part[0] == "§" or not part.strip("#") or part == "&" and not maths_open:
                depth += len(part)
                continue
            if depth:
                out.extend(("\\easyitem", "{", str(depth), "}"))
                depth = 0
            out.append(part)
    engine.stack.extend(reversed(out))


def _inline_mark(name: str, option: str) -> tuple[str, str, str]:
    """What stands around the number of each item, and how it is counted; empty: no number."""
    if "enum" not in name:
        return "", "", ""
    if "=" in option:  # enumitem: label=(\roman*)
        found = re.search(
            r"label\s*+=\s*+\{?+([^\\,{}]{0,40}+)\\(\w++)\s*+\*([^\\,{}]{0,40})", option
        )
        return (found[1], found[2], found[3]) if found else ("", "arabic", ".")
    styles = {"a": "alph", "A": "Alph", "i": "roman", "I": "Roman", "1": "arabic"}
    found = re.search(r"[aAiI1]", option)  # paralist: (i)
    if not found:
        return "", "arabic", "."
    before, after = option[: found.start()], option[found.end() :]
    return before.strip("{")[-40:], styles[found[0]], after.strip("}")[:40]


def _end_inline_list(engine: Reader, _frame: Any, _captured: list[str]) -> None:
    if engine.lists:
        engine.lists.pop()
    engine.out.append(" ")


def _end_list(engine: Reader, frame: Any, _captured: list[str]) -> None:
    engine.current = frame.before
    if engine.lists:
        engine.lists.pop()
    if engine.lists:
        engine.out.append(
            LINE if engine.out and engine.out[-1].startswith(LINE) else " "
        )
    else:
        engine.paragraph()


@command(TEXT, "end")
def _end(engine: Reader, token: str) -> None:
    engine.skip_blanks()
    if engine.peek() != "{":
        # plain TeX's end of a paper; in LaTeX a slip of the pen
        if not engine.document_class and engine.peek()[:1] != "\x07":
            TEXT["\\bye"](engine, "\\bye")
        return
    name = engine.word()
    if name == "document":
        stack = engine.stack
        while stack:
            if stack.pop() == END_FILE:
                TEXT[END_FILE](engine, END_FILE)
                break
        return
    if engine.close_to("environment math inner float", name):
        return
    if name.rstrip("*") in maths.DISPLAYS and token:
        frame = maths.innermost(engine)
        if frame is not None and frame.display:
            maths.end(engine, frame)


fill_inner()
maths.MATHS["\\end"] = _end
INNER["\\begin"] = _begin
INNER["\\end"] = _end
INNER["\\bibitem"] = _bibitem
for _name in ("\\footnote", "\\ref", "\\eqref", "\\autoref", "\\cref", "\\Cref"):
    maths.MATHS[_name] = TEXT[_name]
for _name in ("\x07captured", "\x07maths", END_FILE, "\x07stop"):
    maths.MATHS[_name] = TEXT[_name]
    INNER[_name] = TEXT[_name]
