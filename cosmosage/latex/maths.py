"""Formulas: a state machine over tokens, kept as the LaTeX that any renderer knows.

A formula is not parsed, only guarded: its braces balance, its rows and alignment points are
known at the top level, its labels and numbers are taken out, text inside it stays text. So
what is not understood inside a formula survives as it was written.
"""

import re
from typing import Any

from cosmosage.latex.expand import Handler, Macro
from cosmosage.latex.lexer import PARAGRAPH
from cosmosage.latex.macros import command, take
from cosmosage.latex.primitives import COMMON
from cosmosage.latex.symbols import SKY
from cosmosage.latex.units import quantity

MATHS: dict[str, Handler] = dict(COMMON)
COLUMN, ROW, NUMBER = "\x0e", "\x0f", "\x12"

# environment: whether each row has a number of its own
DISPLAYS = {
    "equation": False,
    "displaymath": False,
    "align": True,
    "eqnarray": True,
    "gather": True,
    "flalign": True,
    "alignat": True,
    "xalignat": True,
    "xxalignat": True,
    "multline": False,
    "dmath": False,
    "dgroup": True,
    "IEEEeqnarray": True,
    "empheq": True,
    "mathpar": False,
    "equationarray": True,
    "mathletters": False,
}
_INNER = frozenset(
    "array cases matrix pmatrix bmatrix vmatrix Vmatrix Bmatrix smallmatrix aligned gathered"
    " alignedat split subarray dcases rcases psmallmatrix bsmallmatrix multlined".split()
)
_UNNUMBERED = frozenset("displaymath mathpar xxalignat".split())
_ONE_ARGUMENT = (
    "hat tilde bar vec dot ddot dddot acute grave check breve widehat widetilde overline underline"
    " mathbf mathrm mathit mathcal mathbb mathfrak mathsf mathtt mathscr boldsymbol bm mathnormal"
    " sqrt overbrace underbrace overrightarrow overleftarrow operatorname boldmath frac dfrac"
    " tfrac cfrac binom mathring stackrel overset underset cancel bcancel pmb substack mathop"
    " mathrel mathbin mathord"
)
_NEEDLESS = re.compile(r"(\\[A-Za-z]+) (?![A-Za-z])")
_START = re.compile(r"(?:\{\}|\\[ ,;!])+")
# what ends a formula, read backwards: forwards each of many would be tried as the first
_SPACES_BACK = re.compile(r"(?:[ ,;!]\\)+(?!\\)")
_QUADS_BACK = re.compile(r"(?:dauqq?\\|\s)+")
# what a blank's backslash leaves at the end: it would escape the dollar
_HALF = re.compile(r"(?<!\\)((?:\\\\)*)\\$")
_EMPTY_TEXT = re.compile(r"\\(?:text(?:rm|bf|it|tt|sf)?)\{\s*\}")


def begin(engine: Any, name: str, display: bool) -> None:
    """Start a formula; inside text inside a formula it only leaves that text."""
    if engine.table is engine.tables[2]:
        engine.out.append("}")
        frame = engine.push("inner", name, engine.tables[1], close=_end_inner)
    else:
        frame = engine.push("math", name, engine.tables[1], capture=True, close=_finish)
        base = name.rstrip("*")
        frame.display = display
        frame.per_row = DISPLAYS.get(base, False)
        frame.numbered = base in DISPLAYS and base == name and base not in _UNNUMBERED
    frame.row_numbered = True


def _end_inner(engine: Any, _frame: Any, _captured: list[str]) -> None:
    engine.out.append("\\text{")


def innermost(engine: Any) -> Any:
    """The frame of the formula that is being read, or None."""
    return engine.open_formulas[-1] if engine.open_formulas else None


def end(engine: Any, frame: Any) -> None:
    """Close a formula and what was left open inside it."""
    while engine.frames:
        top = engine.frames[-1]
        engine.pop()
        if top is frame:
            return


def _finish(engine: Any, frame: Any, captured: list[str]) -> None:
    """A formula is complete: clean it, number it, leave its mark in the text."""
    if frame.display:
        _number_row(engine, frame, last=True)
        engine.current = frame.before
    elif frame.labels:
        engine.label(frame.labels)
    if not frame.display:
        text = _inline("".join(captured))
        if text in ("\\_", "\\%", "\\&", "\\#"):
            engine.out.append(text[1:])
            return
        if text:
            engine.out.append(engine.formula(f"${text}$"))
        elif captured:
            # $\,$ and its like are only a space
            engine.out.append(" ")
        return
    text = _tidy("".join(captured)).partition(NUMBER)[0]
    rows = [row.strip() for row in text.split(ROW)]
    rows = [row for row in rows if row.strip(COLUMN + " ")]
    if not rows:
        return
    if len(rows) == 1:
        text = rows[0].replace(COLUMN, " ")
        text = _without_end(text, _QUADS_BACK).strip()
    else:
        shape = "aligned" if any(COLUMN in row for row in rows) else "gathered"
        body = " \\\\\n".join(row.replace(COLUMN, "&") for row in rows)
        text = f"\\begin{{{shape}}}\n{body}\n\\end{{{shape}}}"
    text = _HALF.sub(r"\1", text)
    if text:
        engine.out.append(f"{PARAGRAPH}{engine.formula(f'$${text}$$')}{PARAGRAPH}")


def _tidy(text: str) -> str:
    """A formula without needless blanks and empty texts."""
    text = " ".join(text.split())
    if "\\" not in text:
        return text
    # joining what a pattern cut is many times as fast as substituting its group
    return _EMPTY_TEXT.sub("", "".join(_NEEDLESS.split(text)))


def _without_end(text: str, backwards: re.Pattern[str]) -> str:
    found = backwards.match(text[::-1])
    return text[: len(text) - found.end()] if found else text


def _inline(text: str) -> str:
    """A formula in a line: no rows, no columns, no space at its edges."""
    text = _tidy(text).replace(ROW, " ").replace(COLUMN, " ").strip()
    # most begin and end with what is no space
    if text[:1] in "{\\" or text[-1:] in ",;!":
        if start := _START.match(text):
            text = text[start.end() :]
        text = _without_end(text, _SPACES_BACK).strip()
    return _HALF.sub(r"\1", text) if text.endswith("\\") else text


def _number_row(engine: Any, frame: Any, last: bool = False) -> None:
    """Count the row or the formula that ends here and give its labels their number."""
    if frame.tag:
        engine.current = (frame.tag, "equation")
    elif frame.numbered and frame.row_numbered and (last or frame.per_row):
        engine.step("equation")
    elif not last:
        # a label in a row without number waits for the next row that has one
        _next_row(frame)
        return
    if frame.labels and (last or frame.per_row):
        engine.label(frame.labels)
        frame.labels = []
    if frame.per_row or last:
        _next_row(frame)


def _next_row(frame: Any) -> None:
    if frame.per_row:
        frame.tag = ""
        frame.row_numbered = True
        frame.columns = 0


@command(MATHS, "nonumber notag")
def _nonumber(engine: Any, _token: str) -> None:
    if frame := innermost(engine):
        frame.row_numbered = False


@command(MATHS, "label zlabel")
def _label(engine: Any, _token: str) -> None:
    key = engine.word()
    if frame := innermost(engine):
        frame.labels.append(key)


@command(MATHS, "tag")
def _tag(engine: Any, _token: str) -> None:
    engine.star()
    tag = engine.plain(engine.argument()).strip("() ")
    if frame := innermost(engine):
        frame.tag = tag


def _dollar(engine: Any, _token: str) -> None:
    frame = innermost(engine)
    if frame is None:
        return
    if frame.name == "$$":
        if engine.peek() == "$":
            engine.stack.pop()
        end(engine, frame)
    elif frame.name == "$" or frame.kind == "inner":
        end(engine, frame)


def _paragraph(engine: Any, token: str) -> None:
    frame = innermost(engine)
    if frame is not None and not frame.display and frame.kind == "math":
        engine.drop("$", "a formula that was not closed in its paragraph")
        end(engine, frame)
        engine.stack.append(token)


def _row(engine: Any, _token: str) -> None:
    if engine.peek()[:1] == "*":
        engine.star()
    _row_space(engine)
    top = engine.frames[-1] if engine.frames else None
    if top is not None and top.kind == "math":
        engine.out.append(ROW)
        if top.display:
            _number_row(engine, top)
            top.columns = 0
    else:
        engine.out.append("\\\\ ")


def _row_space(engine: Any) -> None:
    """``[2pt]`` after a row; brackets that hold no length belong to the formula."""
    stack = engine.stack
    if stack and stack[-1] == "[" and len(stack) > 2:
        if stack[-3] == "]" and re.match(r"\s*+-?[\d.]++\s*+[a-z]{2}\s*+$", stack[-2]):
            del stack[-3:]
        elif re.match(r"\s*+-?[\d.]*+\s*+$", stack[-2]) or stack[-2].startswith("\\"):
            if stack[-4:-3] == ["]"] and re.match(
                r"\\\w*(?:skip|height|sep)$", stack[-3]
            ):
                del stack[-4:]


def _column(engine: Any, _token: str) -> None:
    top = engine.frames[-1] if engine.frames else None
    if top is None or top.kind != "math":
        engine.out.append("&")
        return
    top.columns += 1
    # eqnarray has a column for the relation alone; aligned puts it to the right side
    three = top.name.startswith(("eqnarray", "IEEEeqnarray"))
    engine.out.append(" " if three and top.columns == 2 else COLUMN)


def _open(engine: Any, _token: str) -> None:
    engine.frames.append(None)
    engine.out.append("{")


def _close(engine: Any, _token: str) -> None:
    frames = engine.frames
    if frames and frames[-1] is None:
        engine.pop()
    elif frames and frames[-1].kind == "text":
        engine.pop()


def _script(engine: Any, token: str) -> None:
    engine.out.append(token)
    _brace_macro(engine)


def _brace_macro(engine: Any) -> None:
    """A macro that stands as an argument without braces gets them before it expands."""
    engine.skip_blanks()
    token = engine.peek()
    meaning = engine.table.get(token)
    if isinstance(meaning, Macro):
        engine.stack.pop()
        body = meaning.expansion(engine)
        if engine.may_expand(token, len(body), sum(map(len, body))):
            engine.stack.append("}")
            engine.stack.extend(body)
            engine.stack.append("{")
    elif token in _TEXT_LIKE:
        engine.stack.pop()
        argument = take(engine, "s") or engine.argument()
        engine.stack.append("}")
        engine.stack.append("}")
        engine.stack.extend(reversed(argument))
        engine.stack.extend(("{", token, "{"))


@command(MATHS, _ONE_ARGUMENT)
def _one_argument(engine: Any, token: str) -> None:
    engine.out.append(token + " ")
    if engine.peek() != "{":
        _brace_macro(engine)


@command(MATHS, "begin")
def _begin(engine: Any, _token: str) -> None:
    name = engine.word()
    base = name.rstrip("*")
    if base in DISPLAYS or base == "split":
        if base in ("alignat", "xalignat", "IEEEeqnarray"):
            engine.argument()
        shown = (
            "aligned" if base not in ("gather", "multline", "equation") else "gathered"
        )
    elif base in _INNER or name not in engine.environments:
        shown = name
    else:
        engine.begin_user(name)
        return
    if base in ("minipage", "center", "subequations", "tabular", "math", "scriptsize"):
        take(engine, "om" if base == "minipage" else "")
        shown = "array" if base == "tabular" else ""
    head = f"\\begin{{{shown}}}" if shown else ""
    frame = engine.push("environment", name, engine.table, close=_end_environment)
    frame.tag = shown
    if base in ("array", "tabular", "subarray", "alignedat"):
        option = engine.optional() if engine.peek() == "[" else None
        if option:
            head += "[" + engine.plain(option) + "]"
        columns = re.sub(r"[@!<>]\{[^{}]*\}", "", "".join(engine.argument()))
        head += "{" + (re.sub(r"[^lcr|\d]", "", columns) or "c") + "}"
    elif engine.peek() == "[" and base in ("aligned", "gathered", "cases"):
        engine.optional()
    engine.out.append(head + " ")


def _end_environment(engine: Any, frame: Any, _captured: list[str]) -> None:
    if frame.tag:
        engine.out.append(f"\\end{{{frame.tag}}}")


_TEXT_LIKE = {
    "\\" + name: kept
    for names, kept in {
        "text mbox hbox textnormal textup textmd fbox textsc emph makebox vbox textsl": "text",
        "textrm": "textrm",
        "textbf": "textbf",
        "textit": "textit",
        "texttt": "texttt",
        "textsf": "textsf",
    }.items()
    for name in names.split()
}


def _text(engine: Any, token: str) -> None:
    if token in ("\\hbox", "\\vbox") and engine.peek().lstrip()[:2] == "to":
        engine.stack[-1] = engine.stack[-1].lstrip()[2:] or " "
        engine.skip_dimension()
    while (
        token == "\\makebox" and engine.peek() == "[" and engine.optional() is not None
    ):
        pass
    engine.skip_blanks()
    if engine.peek() != "{":
        argument = engine.argument()
        engine.stack.append("}")
        engine.stack.extend(reversed(argument))
    else:
        engine.stack.pop()
    engine.out.append("\\" + _TEXT_LIKE.get(token, "text") + "{")
    engine.push("text", token, engine.tables[2], close=_end_text)


def _end_text(engine: Any, _frame: Any, _captured: list[str]) -> None:
    engine.out.append("}")


@command(MATHS, "eqno leqno")
def _eqno(engine: Any, _token: str) -> None:
    """Plain TeX's number of a display: what stands behind it."""
    engine.out.append(NUMBER)


_PLAIN_TEX = {"\\" + name: name for name in ("matrix", "pmatrix", "cases")}
_PLAIN_TEX |= {"\\bordermatrix": "matrix", "\\displaylines": "gathered"}
_PLAIN_TEX |= {
    f"\\{name}": "aligned" for name in ("eqalign", "eqalignno", "leqalignno")
}


@command(MATHS, " ".join(name[1:] for name in _PLAIN_TEX))
def _plain_tex(engine: Any, token: str) -> None:
    """Plain TeX's rows and columns in braces, as the environment of today."""
    body: list[str] = []
    depth = columns = 0
    for part in [*engine.argument(), "\\cr"]:
        depth += (part in "{") - (part == "}")
        if depth or part not in ("&", "\\cr"):
            if not (token.endswith("alignno") and columns > 1):
                body.append(part)
        elif part == "&":
            columns += 1
            if not (token.endswith("alignno") and columns > 1):
                body.extend(["&", "\\text", "{"] if token == "\\cases" else ["&"])
        else:
            # the second column of \cases is text
            body.extend(["}"] * columns if token == "\\cases" else [])
            body.append(part)
            columns = 0
    while body and (body[-1] == "\\cr" or not body[-1].strip()):
        body.pop()
    name = _PLAIN_TEX[token]
    tokens = ["\\begin", "{", name, "}", *body, "\\end", "{", name, "}"]
    engine.stack.extend(reversed(tokens))


@command(MATHS, "intertext shortintertext")
def _intertext(engine: Any, _token: str) -> None:
    engine.stack.extend(reversed([*"", "\\text", "{", *engine.argument(), "}", "\\\\"]))


@command(MATHS, "raisebox parbox scalebox resizebox rotatebox colorbox framebox")
def _box(engine: Any, token: str) -> None:
    signature = {"\\raisebox": "moo", "\\parbox": "ooom", "\\resizebox": "smm"}
    take(engine, signature.get(token, "omo" if token != "\\framebox" else "oo"))
    _text(engine, "\\mbox")


@command(
    MATHS,
    "smash mathstrut textcolor mathclap mathllap mathrlap",
)
def _through(engine: Any, token: str) -> None:
    if token == "\\textcolor":
        take(engine, "om")
    elif token == "\\smash":
        engine.optional()


_SWITCHES = frozenset(
    r"\rm \bf \it \cal \sf \tt \sl \sc \over \choose \atop \displaystyle \textstyle"
    r" \scriptstyle \boldmath \bfseries".split()
)


@command(MATHS, "ensuremath")
def _ensuremath(engine: Any, _token: str) -> None:
    """In maths already: braces only where they bound a switch of font or a fraction."""
    argument = engine.argument()
    if _SWITCHES.isdisjoint(argument):
        engine.stack.extend(reversed(argument))
    else:
        engine.stack.extend(reversed(["{", *argument, "}"]))


@command(
    MATHS, "cite citep citet citealt citealp citeauthor citeyear textcite parencite"
)
def _cite(engine: Any, _token: str) -> None:
    take(engine, "soom")


@command(MATHS, "] )")
def _end_bracket(engine: Any, token: str) -> None:
    frame = innermost(engine)
    if frame is not None and frame.name == {"\\]": "\\[", "\\)": "\\("}[token]:
        end(engine, frame)


@command(
    MATHS,
    "[ ( xspace hfill hfil strut centering newline noindent par maketitle item"
    " qedhere",
)
def _ignored(_engine: Any, _token: str) -> None:
    pass


def is_wide(engine: Any, token: str) -> bool:
    """Take a length; whether a space of it parts words or formulas."""
    length = ""
    if token == "\\hspace":
        engine.star()
        length = engine.plain(engine.argument()) or "fill"
    else:
        length = engine.peek()
        engine.skip_dimension()
    wide = re.match(r"\s*(?:\d*\.?\d+\s*(?:true)?(cm|mm|in|em|pt|ex|pc)|fill)", length)
    least = {"cm": 0.2, "in": 0.1, "mm": 2, "em": 0.7, "pt": 7, "ex": 2, "pc": 0.7}
    if not wide:
        return False
    unit = wide[1]
    return not unit or float(re.split("true|" + unit, length)[0]) >= least[unit]


@command(MATHS, "hspace hskip")
def _space(engine: Any, token: str) -> None:
    """A space of some size: what an author puts between two formulas of one line."""
    if is_wide(engine, token):
        engine.out.append("\\quad ")


@command(MATHS, "section subsection subsubsection chapter paragraph bibitem")
def _structure(engine: Any, token: str) -> None:
    """A heading cannot stand in a formula: the formula was never closed."""
    frame = innermost(engine)
    if frame is not None and frame.kind == "math":
        engine.drop("$", "a formula that was not closed before a heading")
        end(engine, frame)
    else:
        engine.argument()
        return
    engine.stack.append(token)


def _sky(engine: Any, token: str) -> None:
    engine.out.append(SKY[token[1:]][1] + " ")


@command(MATHS, "ion")
def _ion(engine: Any, _token: str) -> None:
    element, stage = engine.plain(engine.argument()), engine.plain(engine.argument())
    engine.out.append(f"\\mathrm{{{element}\\,{stage.strip().upper()}}}")


MATHS.update(
    {
        "$": _dollar,
        PARAGRAPH: _paragraph,
        "\\\\": _row,
        "\\cr": _row,
        "\\tabularnewline": _row,
        "&": _column,
        "{": _open,
        "}": _close,
        "^": _script,
        "_": _script,
        **{token: _text for token in _TEXT_LIKE},
        **{"\\" + name: _sky for name in SKY},
    }
)


# siunitx


@command(
    MATHS,
    "SI si num qty ang unit SIrange qtyrange numrange SIlist qtylist numlist qtyproduct"
    " numproduct",
)
def _quantity(engine: Any, token: str) -> None:
    if token == "\\qty" and engine.peek() != "{":
        # the physics package has brackets that grow under this name
        return
    engine.out.append(quantity(engine, token)[1])
