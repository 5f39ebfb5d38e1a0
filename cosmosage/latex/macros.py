"""The commands that define and count, the same in text and in maths."""

import re
from collections.abc import Callable
from typing import Any

from cosmosage.latex.expand import Expander, Handler, Macro
from cosmosage.latex.lexer import tokenise

COMMON: dict[str, Handler] = {}

# what gives a text its order is ours: a journal's or a user's redefinition only changes its look
PROTECTED = frozenset(
    "\\" + name
    for name in (
        "begin end section subsection subsubsection paragraph subparagraph chapter part caption"
        " label item footnote footnotetext title author abstract maketitle input include ref"
        " appendix bibitem bibliography par def newcommand renewcommand let documentclass"
        " usepackage ensuremath text mbox tablecaption affil affiliation address email thanks"
        " and relax left right frac fi else [ ] ( ) \\ & % $ # { } _ thebibliography proof"
        " TeX LaTeX BibTeX footnotemark csname endcsname expandafter date endinput document"
    ).split()
)


def command(
    table: dict[str, Handler],
    names: str,
    expandable: bool = False,
    conditional: bool = False,
) -> Callable[[Handler], Handler]:
    """Register a handler under control sequences, given without backslash, blank between."""

    def register(handler: Handler) -> Handler:
        if expandable or conditional:
            setattr(handler, "expandable", True)
        if conditional:
            setattr(handler, "conditional", True)
        for name in names.split():
            table["\\" + name] = handler
        return handler

    return register


def take(engine: Expander, signature: str) -> list[str]:
    """Take arguments and give the last: ``s`` star, ``o`` optional, ``m`` mandatory, ``p`` (..)."""
    last: list[str] = []
    for letter in signature:
        if letter == "m":
            last = engine.argument()
        elif letter == "o":
            engine.optional()
        elif letter == "s":
            engine.star()
        elif letter == "p" and engine.peek()[:1] == "(":
            engine.delimited([")"])
        elif letter == "d":
            engine.skip_dimension()
    return last


class Taken:
    """A handler that takes arguments and does nothing with them."""

    def __init__(self, signature: str) -> None:
        self.signature = signature

    def __call__(self, engine: Expander, _token: str) -> None:
        take(engine, self.signature)


class Flag:
    """The conditional that ``\\newif`` makes."""

    conditional = expandable = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, engine: Expander, _token: str) -> None:
        if not engine.flags.get(self.name, False):
            engine.skip_branch(True)


def _user_define(engine: Any, macro: Macro, everywhere: bool = False) -> None:
    name = macro.name
    if not name.startswith("\\") or name in PROTECTED:
        return
    present = engine.tables[0].get(name)
    if present is not None and not isinstance(present, Macro):
        # a redefinition that reaches into LaTeX's insides would not run here
        if engine.in_style or any("@" in token for token in macro.body):
            return
    engine.define(name, macro, everywhere)


@command(
    COMMON, "newcommand renewcommand providecommand DeclareRobustCommand newrobustcmd"
)
def _newcommand(engine: Any, token: str) -> None:
    engine.star()
    name = engine.name()
    count = engine.optional()
    default = engine.optional() if count is not None else None
    number = re.search(r"[1-9]", engine.plain(count or []))
    engine.skip_blanks()
    body = engine.argument()
    if token == "\\providecommand" and any(name in table for table in engine.tables):
        return
    parameters: list[Any] = [None] * (int(number[0]) if number else 0)
    _user_define(engine, Macro(name, parameters, body, default if parameters else None))


@command(COMMON, "newcommandx renewcommandx")
def _newcommandx(engine: Any, _token: str) -> None:
    engine.star()
    name = engine.name()
    count = re.search(r"[1-9]", engine.plain(engine.optional() or []))
    defaults = dict(
        re.findall(
            r"([1-9])\s*=\s*([^,]*)", "".join(engine.optional() or []).replace("{}", "")
        )
    )
    parameters: list[Any] = [
        (
            tuple(tokenise(defaults[str(index)], engine.raw))
            if str(index) in defaults
            else None
        )
        for index in range(1, int(count[0]) + 1 if count else 1)
    ]
    _user_define(engine, Macro(name, parameters, engine.argument()))


@command(
    COMMON,
    "NewDocumentCommand RenewDocumentCommand ProvideDocumentCommand DeclareDocumentCommand"
    " NewExpandableDocumentCommand",
)
def _documentcommand(engine: Any, _token: str) -> None:
    name = engine.name()
    signature = "".join(engine.argument())
    parameters: list[Any] = []
    for match in re.finditer(r"([smoOdDgGtrR+!])(?:\s*\{([^{}]*)\})?", signature):
        kind = match[1]
        if kind in "mr":
            parameters.append(None)
        elif kind in "so":
            parameters.append(kind)
        elif kind == "O":
            parameters.append(tuple(tokenise(match[2] or "", engine.raw)))
    # TeX has no more than nine
    _user_define(engine, Macro(name, parameters[:9], engine.argument()))


@command(COMMON, "def gdef edef xdef")
def _def(engine: Any, token: str) -> None:
    engine.skip_blanks()
    if not engine.peek().startswith("\\"):
        return
    name = engine.stack.pop()
    if name == "\\csname":
        name = engine.csname()
    _define_rest(engine, name, token)


def _define_rest(engine: Any, name: str, token: str) -> None:
    """The parameter text and the body of a ``\\def``."""
    stack = engine.stack
    pattern: list[str] = []
    while stack and stack[-1][0] not in "{}\f\x07" and len(pattern) < 100:
        pattern.append(stack.pop())
    # a last sign alone stands for the brace that follows
    brace = ["{"] if pattern and pattern[-1] == "#" and engine.peek() == "{" else []
    pattern[-1:] = brace or pattern[-1:]
    parameters: list[Any] = []
    prefix: list[str] = []
    for part in pattern:
        if part[0] == "#" and part[1:].isdigit():
            parameters.append(None)
            continue
        characters = [part] if part[0] in "\\\f" else list(re.sub(r"\s+", " ", part))
        if parameters:
            parameters[-1] = (parameters[-1] or []) + characters
        else:
            prefix += characters
    body = engine.argument() + brace
    if token in ("\\edef", "\\xdef"):
        body = _expanded(engine, body)
    macro = Macro(name, parameters, body, prefix=tuple(prefix))
    _user_define(engine, macro, token in ("\\gdef", "\\xdef"))


def _expanded(engine: Any, body: list[str]) -> list[str]:
    """One round of expansion of the macros without arguments: near enough to ``\\edef``."""
    out: list[str] = []
    if not engine.may_scan(len(body)):
        return body
    for token in body:
        meaning = engine.tables[0].get(token)
        if isinstance(meaning, Macro) and not meaning.parameters and len(out) < 2_000:
            out.extend(reversed(meaning.body))
        else:
            out.append(token)
    return out


COMMON.update(
    {
        name: Macro(name, [None] * count, body)
        for name, count, body in (
            ("\\empty", 0, []),
            ("\\@empty", 0, []),
            ("\\figurename", 0, ["Figure"]),
            ("\\tablename", 0, ["Table"]),
            ("\\appendixname", 0, ["Appendix"]),
            ("\\@firstofone", 1, ["#1"]),
            ("\\@firstoftwo", 2, ["#1"]),
            ("\\@secondoftwo", 2, ["#2"]),
        )
    }
)


@command(COMMON, "global", expandable=True)
def _global(engine: Any, _token: str) -> None:
    """A definition that outlives its group."""
    engine.skip_blanks()
    while engine.peek() in ("\\long", "\\outer", "\\protected"):
        engine.stack.pop()
    names = {"\\def": "\\gdef", "\\edef": "\\xdef", "\\let": "\\glet"}
    if engine.peek() in names:
        engine.stack[-1] = names[engine.peek()]


@command(COMMON, "let glet futurelet")
def _let(engine: Any, token: str) -> None:
    name = engine.name()
    if token == "\\futurelet":
        return
    engine.skip_blanks()
    if engine.peek()[:1] == "=":
        rest = engine.stack.pop()[1:].lstrip()
        if rest:
            engine.stack.append(rest)
        engine.skip_blanks()
    if (
        not engine.stack
        or not name.startswith("\\")
        or engine.peek() in ("}", "\x07stop")
    ):
        return
    target = (
        engine.argument()[:1] if engine.peek()[:1] not in "{}" else [engine.stack.pop()]
    )
    if not target or name in PROTECTED:
        return
    present = engine.tables[0].get(name)
    if present is not None and not isinstance(present, Macro) and engine.in_style:
        return
    if target[0] == "\\relax" and present is not None:
        return
    meanings = [table.get(target[0]) for table in engine.tables]
    everywhere = token == "\\glet"
    if isinstance(meanings[0], Macro):
        engine.define(name, meanings[0], everywhere)
    elif target[0] in ("{", "}") or not any(meanings):
        engine.define(name, Macro(name, [], target), everywhere)
    else:
        engine.define(name, None, everywhere)
        for table, meaning in zip(engine.tables, meanings):
            # the handler sees the name that it was written for
            if meaning is None:
                table[name] = Macro(name, [], target)
            elif isinstance(meaning, _Alias):
                # an alias of aliases would call through all of them
                table[name] = meaning
            else:
                table[name] = _Alias(meaning, target[0])


class _Alias:
    """Another name of a command."""

    def __init__(self, handler: Handler, name: str) -> None:
        self.handler = handler
        self.name = name
        self.conditional = getattr(handler, "conditional", False)
        self.expandable = getattr(handler, "expandable", False)

    def __call__(self, engine: Any, _token: str) -> None:
        self.handler(engine, self.name)


@command(COMMON, "DeclareMathOperator")
def _operator(engine: Any, _token: str) -> None:
    star = engine.star()
    name = engine.name()
    body = engine.argument()
    head = ["\\operatorname"] + (["*"] if star else [])
    _user_define(
        engine, Macro(name, [], ["\\ensuremath", "{", *head, "{", *body, "}", "}"])
    )


@command(COMMON, "DeclarePairedDelimiter")
def _paired(engine: Any, _token: str) -> None:
    name = engine.name()
    left, right = engine.argument(), engine.argument()
    body = ["\\left", *left, "#3", "\\right", *right]
    _user_define(engine, Macro(name, ["s", "o", None], body))


@command(COMMON, "DeclarePairedDelimiterX DeclarePairedDelimiterXPP")
def _paired_body(engine: Any, token: str) -> None:
    """mathtools' delimiters around a pattern of several arguments."""
    name = engine.name()
    count = re.search(r"[1-9]", engine.plain(engine.optional() or []))
    around = token.endswith("PP")
    before = engine.argument() if around else []
    left, right = engine.argument(), engine.argument()
    after = engine.argument() if around else []
    inside = engine.argument()
    body = [*before, "\\left", *left, *inside, "\\right", *right, *after]
    # a star and a size come first
    body = [
        f"#{int(part[1:]) + 2}" if part[0] == "#" and part[1:].isdigit() else part
        for part in body
    ]
    kinds: list[Any] = ["s", "o", *[None] * int(count[0] if count else 1)]
    _user_define(engine, Macro(name, kinds, body))


@command(COMMON, "newenvironment renewenvironment")
def _newenvironment(engine: Any, _token: str) -> None:
    engine.star()
    name = engine.word()
    count = engine.optional()
    default = engine.optional() if count is not None else None
    number = re.search(r"[1-9]", engine.plain(count or []))
    begin, end = engine.argument(), engine.argument()
    parameters: list[Any] = [None] * (int(number[0]) if number else 0)
    if not any("@" in token for token in begin):
        macro = Macro("\\" + name, parameters, begin, default if parameters else None)
        engine.environments[name] = (macro, end)


@command(COMMON, "newif")
def _newif(engine: Any, _token: str) -> None:
    name = engine.name()
    if name.startswith("\\if") and len(name) > 3:
        stem = name[3:]
        engine.define(name, Flag(stem), True)

        def switch(inner: Any, token: str) -> None:
            inner.flags[stem] = token.endswith("true")

        engine.define(f"\\{stem}true", switch, True)
        engine.define(f"\\{stem}false", switch, True)


# counters and what TeX does to names


@command(COMMON, "newcounter")
def _newcounter(engine: Any, _token: str) -> None:
    name = engine.word()
    engine.counters.setdefault(name, 0)
    if outer := engine.optional():
        engine.within[name] = engine.plain(outer)
    shown = Macro(f"\\the{name}", [], ["\\arabic", "{", name, "}"])
    if shown.name not in engine.tables[0]:
        engine.define(shown.name, shown, True)


@command(COMMON, "setcounter addtocounter")
def _setcounter(engine: Any, token: str) -> None:
    name = engine.word()
    value = engine.argument()
    base = len(engine.stack)
    engine.stack.append("\x07stop")
    engine.stack.extend(reversed(value))
    number = engine.number()
    del engine.stack[base:]
    if token == "\\addtocounter":
        number += engine.counters.get(name, 0)
    engine.counters[name] = number


@command(COMMON, "stepcounter refstepcounter")
def _stepcounter(engine: Any, token: str) -> None:
    name = engine.word()
    if token == "\\stepcounter":
        engine.counters[name] = engine.counters.get(name, 0) + 1
    else:
        engine.step(name)


@command(COMMON, "arabic roman Roman alph Alph fnsymbol value", expandable=True)
def _format(engine: Any, token: str) -> None:
    value = engine.counters.get(engine.word(), 0)
    engine.stack.append(numeral(value, token[1:]) or "0")


@command(COMMON, "the number romannumeral", expandable=True)
def _the(engine: Any, token: str) -> None:
    following = engine.peek()
    if (
        token == "\\the"
        and following[:1] == "\\"
        and following[:3] != "\\c@"
        and following != "\\numexpr"
    ):
        engine.skip_dimension()
        return
    value = engine.number()
    engine.stack.append(
        numeral(value, "roman" if token == "\\romannumeral" else "arabic") or "0"
    )


def numeral(value: int, style: str) -> str:
    """A number as LaTeX's counter formats print it; empty where the format has no sign."""
    if style in ("alph", "Alph"):
        letter = chr(96 + value) if 0 < value < 27 else ""
        return letter.upper() if style == "Alph" else letter
    if style in ("roman", "Roman"):
        out = ""
        value = min(max(value, 0), 4999)
        for worth, sign in zip(
            (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
            "m cm d cd c xc l xl x ix v iv i".split(),
        ):
            out += sign * (value // worth)
            value %= worth
        return out.upper() if style == "Roman" else out
    if style == "fnsymbol":
        return "*" * value if 0 < value < 5 else ""
    return str(value)


@command(COMMON, "csname", expandable=True)
def _csname(engine: Any, token: str) -> None:
    name = engine.csname()
    if engine.may_expand(token, 1) and any(name in table for table in engine.tables):
        engine.stack.append(name)


@command(COMMON, "expandafter", expandable=True)
def _expandafter(engine: Any, _token: str) -> None:
    held: list[str] = []
    while len(engine.stack) > 1 and len(held) < 100:
        held.append(engine.stack.pop())
        if engine.peek() != "\\expandafter":
            break
        engine.stack.pop()
    if not held or not engine.stack:
        return
    second = engine.stack.pop()
    meaning = engine.tables[0].get(second)
    if second == "\\csname":
        engine.stack.append(engine.csname())
    elif isinstance(meaning, Macro):
        meaning(engine, second)
    else:
        engine.stack.append(second)
    engine.stack.extend(reversed(held))


@command(COMMON, "string", expandable=True)
def _string(engine: Any, _token: str) -> None:
    if engine.peek()[:1] == "\\":
        engine.stack.append(engine.stack.pop()[1:])


@command(COMMON, "detokenize", expandable=True)
def detokenize(engine: Any, _token: str) -> None:
    """The characters of an argument, as they would be typed."""
    text = "".join(
        part + " " if part[0] == "\\" and part[1:].isalpha() else part
        for part in engine.argument()
    )
    if text:
        engine.raw.append(text)
        engine.stack.append(f"\x02{len(engine.raw) - 1}\x02")


@command(COMMON, "@namedef")
def _namedef(engine: Any, token: str) -> None:
    _define_rest(engine, "\\" + engine.word(), token)


@command(COMMON, "@nameuse", expandable=True)
def _nameuse(engine: Any, token: str) -> None:
    name = "\\" + engine.word()
    if engine.may_expand(token, 1) and any(name in table for table in engine.tables):
        engine.stack.append(name)


@command(COMMON, "@gobble @gobbletwo")
def _gobble(engine: Any, token: str) -> None:
    take(engine, "mm" if token.endswith("two") else "m")


@command(COMMON, "catcode lccode uccode sfcode mathcode delcode")
def _catcode(engine: Any, _token: str) -> None:
    stack = engine.stack
    if engine.peek()[:1] == "`":
        rest = stack.pop()[1:]
        if rest[1:]:
            stack.append(rest[1:])
        elif not rest and stack:
            stack.pop()
    else:
        engine.number()
    engine.number()


@command(COMMON, "loop")
def _loop(engine: Any, _token: str) -> None:
    ahead = engine.stack[-2000:] if engine.may_scan() else []
    if "\\repeat" in ahead:
        while engine.stack and engine.stack.pop() != "\\repeat":
            pass
    else:
        engine.may_scan(len(ahead))
    engine.drop("\\loop", "loops are not run")


@command(
    COMMON,
    "fi relax protect noexpand unexpanded long outer protected immediate makeatletter"
    " makeatother leavevmode ignorespaces unskip allowbreak nobreak break null strut"
    " selectfont endcsname expandonce endgroup@",
    expandable=True,
)
def nothing(_engine: Any, _token: str) -> None:
    """A command without effect on the text."""
