"""The commands that define, count and decide, the same in text and in maths.

TeX's registers, boxes and file handles are read over, not kept: what they decide is the
look of a page. Conditionals on them take the branch that a plain run would take.
"""

import re
from collections.abc import Callable
from typing import Any

from cosmosage.latex.expand import PARAGRAPH, Expander, Handler, Macro

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
        " footnotemark csname endcsname expandafter date endinput document"
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
        "O" + defaults[str(index)] if str(index) in defaults else None
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
            parameters.append("O" + (match[2] or ""))
    _user_define(engine, Macro(name, parameters, engine.argument()))


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
    while stack and stack[-1] != "{" and len(pattern) < 100 and stack[-1] != "}":
        pattern.append(stack.pop())
    parameters: list[Any] = []
    for part in pattern:
        if part[0] == "#" and part[1:].isdigit():
            parameters.append(None)
        elif parameters:
            characters = [part] if part[0] in "\\\f" else list(part)
            parameters[-1] = (parameters[-1] or []) + characters
    if parameters and isinstance(parameters[-1], list) and parameters[-1] == [" "]:
        parameters[-1] = None
    body = engine.argument()
    if token in ("\\edef", "\\xdef"):
        body = _expanded(engine, body)
    _user_define(engine, Macro(name, parameters, body), token in ("\\gdef", "\\xdef"))


def _expanded(engine: Any, body: list[str]) -> list[str]:
    """One round of expansion of the macros without arguments: near enough to ``\\edef``."""
    out: list[str] = []
    for token in body:
        meaning = engine.tables[0].get(token)
        if isinstance(meaning, Macro) and not meaning.parameters and len(out) < 20_000:
            out.extend(reversed(meaning.body))
        else:
            out.append(token)
    return out


@command(COMMON, "let futurelet")
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
    if isinstance(meanings[0], Macro):
        engine.define(name, meanings[0])
    elif target[0] in ("{", "}") or not any(meanings):
        engine.define(name, Macro(name, [], target))
    else:
        engine.define(name, None)
        for table, meaning in zip(engine.tables, meanings):
            # the handler sees the name that it was written for
            table[name] = (
                _Alias(meaning, target[0]) if meaning else Macro(name, [], target)
            )


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


# conditionals


@command(COMMON, "iftrue ifpdf ifPDFTeX ifpdftex ifvmode ifhmode", conditional=True)
def _iftrue(_engine: Any, _token: str) -> None:
    pass


@command(
    COMMON,
    "iffalse ifxetex ifluatex ifdim ifhbox ifvbox ifvoid ifeof ifinner ifXeTeX ifLuaTeX"
    " if@twocolumn iftwocolumn ifpreprint",
    conditional=True,
)
def _iffalse(engine: Any, _token: str) -> None:
    engine.skip_branch(True)


@command(COMMON, "ifmmode", conditional=True)
def _ifmmode(engine: Any, _token: str) -> None:
    if engine.table is not engine.tables[1]:
        engine.skip_branch(True)


@command(COMMON, "ifx ifcat if", conditional=True)
def _ifx(engine: Any, token: str) -> None:
    engine.skip_blanks()
    sides = [(engine.argument() or [""])[0] for _ in range(2)]
    if token == "\\ifx":
        meanings = [engine.tables[0].get(side) for side in sides]
        bodies = [
            (
                (meaning.body, len(meaning.parameters))
                if isinstance(meaning, Macro)
                else meaning
            )
            for meaning in meanings
        ]
        known = any(body is not None for body in bodies)
        undefined = all(side[:1] == "\\" for side in sides) and not known
        same = bodies[0] == bodies[1] if known or undefined else sides[0] == sides[1]
    else:
        texts = [engine.plain([side]) if side[:1] == "\\" else side for side in sides]
        same = texts[0] == texts[1]
    if not same:
        engine.skip_branch(True)


@command(COMMON, "ifnum", conditional=True)
def _ifnum(engine: Any, _token: str) -> None:
    left = engine.number()
    engine.skip_blanks()
    sign = (engine.argument() or ["="])[0]
    right = engine.number()
    if not {"<": left < right, ">": left > right}.get(sign, left == right):
        engine.skip_branch(True)


@command(COMMON, "ifodd", conditional=True)
def _ifodd(engine: Any, _token: str) -> None:
    if not engine.number() % 2:
        engine.skip_branch(True)


@command(COMMON, "ifcase", conditional=True)
def _ifcase(engine: Any, _token: str) -> None:
    if engine.number():
        engine.skip_branch(True)


@command(COMMON, "ifdefined ifcsname", conditional=True)
def _ifdefined(engine: Any, token: str) -> None:
    name = engine.csname() if token == "\\ifcsname" else engine.name()
    if not any(name in table for table in engine.tables):
        engine.skip_branch(True)


@command(COMMON, "else or")
def _else(engine: Any, _token: str) -> None:
    engine.skip_branch(False)


@command(
    COMMON,
    "fi relax protect noexpand unexpanded long outer global protected immediate makeatletter"
    " makeatother leavevmode ignorespaces unskip nonumber@ allowbreak nobreak break null strut"
    " selectfont endcsname expandonce endgroup@",
    expandable=True,
)
def _nothing(_engine: Any, _token: str) -> None:
    pass


def _choose(engine: Any, first: bool) -> None:
    """Put the first or the second of two arguments in front of the input."""
    yes, no = engine.argument(), engine.argument()
    engine.stack.extend(reversed(yes if first else no))


@command(COMMON, "@ifundefined", expandable=True)
def _ifundefined(engine: Any, _token: str) -> None:
    name = "\\" + engine.word()
    _choose(engine, not any(name in table for table in engine.tables))


@command(
    COMMON, "@ifpackageloaded @ifclassloaded IfFileExists @ifnextchar@", expandable=True
)
def _ifpackageloaded(engine: Any, _token: str) -> None:
    engine.argument()
    _choose(engine, False)


@command(COMMON, "@ifstar", expandable=True)
def _ifstar(engine: Any, _token: str) -> None:
    yes, no = engine.argument(), engine.argument()
    engine.stack.extend(reversed(yes if engine.star() else no))


@command(COMMON, "@ifnextchar @ifnextchar kernel@ifnextchar", expandable=True)
def _ifnextchar(engine: Any, _token: str) -> None:
    wanted = (engine.argument() or [""])[0]
    yes, no = engine.argument(), engine.argument()
    engine.skip_blanks()
    engine.stack.extend(reversed(yes if wanted and engine.peek()[:1] == wanted else no))


@command(
    COMMON,
    "IfNoValueTF IfValueTF IfBooleanTF IfNoValueT IfValueT IfBooleanT IfNoValueF IfValueF",
)
def _ifvalue(engine: Any, token: str) -> None:
    given = engine.argument()
    if "Boolean" in token:
        truth = given == ["\\BooleanTrue"]
    else:
        truth = (given == ["\\NoValue"]) == ("NoValue" in token)
    if token.endswith("TF"):
        _choose(engine, truth)
    else:
        body = engine.argument()
        if truth == token.endswith("T"):
            engine.stack.extend(reversed(body))


@command(COMMON, "ifthenelse", expandable=True)
def _ifthenelse(engine: Any, _token: str) -> None:
    _choose(engine, _holds(engine, engine.argument()))


def _holds(engine: Any, test: list[str]) -> bool:
    """Whether a condition of the ifthen package holds; the simple ones."""
    words = [token for token in test if token.strip()]
    if words and words[0] in ("\\not", "\\NOT"):
        return not _holds(engine, words[1:])
    if words and words[0] in ("\\equal", "\\isundefined", "\\boolean", "\\isempty"):
        engine.stack.append("\x07stop")
        engine.stack.extend(reversed(words[1:]))
        first = engine.argument()
        if words[0] == "\\equal":
            truth = engine.plain(first) == engine.plain(engine.argument())
        elif words[0] == "\\isundefined":
            truth = bool(first) and not any(
                first[0] in table for table in engine.tables
            )
        elif words[0] == "\\isempty":
            truth = not first
        else:
            truth = engine.flags.get("".join(first), False)
        while engine.stack and engine.stack.pop() != "\x07stop":
            pass
        return truth
    match = re.fullmatch(r"\s*(-?\d+)\s*([<>=])\s*(-?\d+)\s*", engine.plain(test))
    if not match:
        return False
    left, right = int(match[1][:9]), int(match[3][:9])
    return {"<": left < right, ">": left > right, "=": left == right}[match[2]]


# counters and what TeX does to names


@command(COMMON, "newcounter")
def _newcounter(engine: Any, _token: str) -> None:
    engine.counters.setdefault(engine.word(), 0)
    engine.optional()


@command(COMMON, "setcounter addtocounter")
def _setcounter(engine: Any, token: str) -> None:
    name = engine.word()
    value = engine.argument()
    engine.stack.append("\x07stop")
    engine.stack.extend(reversed(value))
    number = engine.number()
    while engine.stack and engine.stack.pop() != "\x07stop":
        pass
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
    if token == "\\the" and engine.peek()[:1] == "\\" and engine.peek()[:3] != "\\c@":
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
    if "\\repeat" in engine.stack[-2000:]:
        while engine.stack and engine.stack.pop() != "\\repeat":
            pass
    engine.drop("\\loop", "loops are not run")


@command(
    COMMON,
    "advance multiply divide newcount newdimen newskip newbox newtoks newread newwrite",
)
def _register(engine: Any, token: str) -> None:
    engine.skip_blanks()
    name = engine.peek()
    if name[:1] != "\\":
        return
    engine.stack.pop()
    if token == "\\newcount":
        engine.counters[name] = 0
        engine.define(name, _assign, True)
    elif token.startswith("\\new"):
        engine.define(name, _length, True)
    else:
        if engine.peek().lstrip()[:2] == "by":
            engine.stack[-1] = engine.stack[-1].lstrip()[2:] or " "
        if name in engine.counters:
            engine.counters[name] += engine.number() if token == "\\advance" else 0
        else:
            engine.skip_dimension()


def _assign(engine: Any, token: str) -> None:
    """``\\name=5`` for a register that counts."""
    if engine.peek().lstrip()[:1] in ("=", "-") or engine.peek().lstrip()[:1].isdigit():
        engine.counters[token] = engine.number()


@command(
    COMMON,
    "parindent parskip baselineskip hsize vsize hoffset voffset textwidth textheight topmargin"
    " oddsidemargin evensidemargin headheight headsep footskip columnsep leftskip rightskip"
    " leftmargin rightmargin tabcolsep arraycolsep itemsep parsep topsep lineskip abovecaptionskip"
    " belowcaptionskip abovedisplayskip belowdisplayskip marginparwidth tolerance hbadness vbadness"
    " clubpenalty widowpenalty pretolerance hfuzz vfuzz emergencystretch skip footnotesep floatsep"
    " textfloatsep intextsep linewidth columnwidth unitlength pdfoutput looseness penalty"
    " interfootnotelinepenalty mag magnification nulldelimiterspace overfullrule binoppenalty"
    " relpenalty mathsurround displaywidowpenalty topskip maxdepth raggedbottom@ interlinepenalty"
    " paperwidth paperheight pdfpagewidth pdfpageheight belowdisplayshortskip abovedisplayshortskip"
    " thinmuskip medmuskip thickmuskip parfillskip normalbaselineskip p@ z@ partopsep labelsep"
    " labelwidth listparindent itemindent exhyphenpenalty hyphenpenalty righthyphenmin"
    " lefthyphenmin deadcycles month year day time everypar everymath everydisplay",
)
def _length(engine: Any, _token: str) -> None:
    stack = engine.stack
    engine.skip_blanks()
    if engine.peek() == "{":
        return
    if re.match(r"=|[+-]?[\d.]", engine.peek()):
        engine.skip_dimension()
    elif re.match(r"\\(?:\w*(?:width|height|skip|sep)|hsize|z@|p@)$", engine.peek()):
        stack.pop()


for _names, _signature in {
    "setlength addtolength settowidth settoheight settodepth": "mm",
    "newlength newsavebox counterwithin* @addtoreset": "m",
    "savebox sbox": "mom",
    "usebox": "m",
    "hypersetup pdfinfo AtBeginDocument AtEndDocument sisetup captionsetup lstset geometry": "m",
    "lstdefinestyle lstdefinelanguage definecolor colorlet DeclareSIUnit setminted": "mm",
    "definecolor@": "mmm",
    "hyphenation graphicspath DeclareGraphicsExtensions usetikzlibrary urlstyle tikzset": "m",
    "pgfplotsset theoremstyle allowdisplaybreaks@ PassOptionsToPackage@ tcbset": "m",
    "PassOptionsToPackage": "mm",
    "DeclareGraphicsRule": "mmmm",
    "RequirePackage@ includeonly fancyhf": "m",
    "fancyhead fancyfoot lhead rhead chead lfoot rfoot cfoot": "om",
    "pagestyle thispagestyle pagenumbering markright": "m",
    "markboth": "mm",
    "newfont font@": "mm",
    "special write openout typeout message errmessage wlog PackageWarning@": "m",
    "newtheoremstyle": "mmmmmmmmm",
    "color pagecolor normalcolor@": "om",
    "rowcolor cellcolor columncolor arrayrulecolor": "om",
    "titleformat titlespacing@": "smommmo",
    "titlespacing": "smmmmo",
    "DeclareMathAlphabet SetMathAlphabet": "mmmmm",
    "DeclareSymbolFont": "mmmmm",
    "DeclareMathSymbol": "mmmm",
    "DeclareFontFamily": "mmm",
    "DeclareFontShape": "mmmmmm",
    "SetSymbolFont": "mmmmm",
    "DeclareOldFontCommand": "mmm",
    "fontsize setlist@ tikzstyle@": "mm",
    "setlist": "om",
    "fontfamily fontseries fontshape fontencoding usefont@ linespread": "m",
    "usefont": "mmmm",
    "addcontentsline": "mmm",
    "addtocontents": "mm",
    "DeclareUnicodeCharacter@ newmdenv newtcolorbox@": "mm",
    "newtcolorbox": "omom",
    "hspace vspace": "sm",
    "vskip hskip kern mskip mkern vglue hglue raise lower moveleft moveright": "d",
    "rule": "omm",
    "phantom hphantom vphantom": "m",
    "includegraphics epsfig psfig epsfbox plotone plotfiddle includesvg": "soom",
    "plottwo": "mm",
    "leftheadtext rightheadtext": "m",
    "pagebreak nopagebreak linebreak nolinebreak": "o",
    "samepage@ enlargethispage": "sm",
    "stretch scriptspace@ index glossary gls@ nocite": "m",
    "substitutefont": "mmm",
    "savesymbol restoresymbol listofchanges@ defaultfontfeatures": "om",
    "numberwithin@ setcitestyle bibpunct citestyle": "om",
}.items():
    for _name in _names.split():
        COMMON["\\" + _name.rstrip("@")] = Taken(_signature)


@command(COMMON, "hrule vrule")
def _rule(engine: Any, _token: str) -> None:
    for word in ("width", "height", "depth"):
        if engine.peek().lstrip().startswith(word):
            engine.stack[-1] = engine.stack[-1].lstrip()[len(word) :] or " "
            engine.skip_dimension()


@command(COMMON, "font")
def _font(engine: Any, _token: str) -> None:
    name = engine.name()
    while (
        engine.stack and engine.peek()[:1] not in "\\{}\f" and "\n" not in engine.peek()
    ):
        engine.stack.pop()
    if engine.stack and "\n" in engine.peek() and engine.peek()[:1] not in "\\{}\f":
        engine.stack[-1] = engine.stack[-1].split("\n", 1)[1] or " "
    if name.startswith("\\"):
        engine.define(name, _nothing)


@command(COMMON, "DeclareUnicodeCharacter newunicodechar")
def _unicodechar(engine: Any, _token: str) -> None:
    take(engine, "mm")


@command(COMMON, "begingroup bgroup")
def _begingroup(engine: Any, _token: str) -> None:
    engine.open_group()


@command(COMMON, "endgroup egroup")
def _endgroup(engine: Any, _token: str) -> None:
    engine.close_group()


@command(COMMON, "uppercase MakeUppercase")
def _uppercase(engine: Any, _token: str) -> None:
    tokens = engine.argument()
    engine.stack.append("}")
    engine.stack.extend(
        token if token[0] in "\\\x02" else token.upper() for token in reversed(tokens)
    )
    engine.stack.append("{")


assert PARAGRAPH == "\f"
