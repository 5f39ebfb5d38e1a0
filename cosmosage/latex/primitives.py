"""Conditionals, and TeX's registers, boxes and settings, which are read over.

What a register or a box decides is the look of a page, so nothing of them is kept but integer
counters. A conditional takes the branch that a plain run of pdfTeX would take.
"""

import re
from typing import Any

from cosmosage.latex.expand import Macro
from cosmosage.latex.macros import (
    COMMON,
    Taken,
    command,
    detokenize,
    nothing,
    take,
)

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


@command(COMMON, "unless", expandable=True)
def _unless(engine: Any, _token: str) -> None:
    """The next conditional takes its other branch."""
    meaning = engine.tables[0].get(engine.peek())
    if getattr(meaning, "conditional", False):
        engine.negated = True
        meaning(engine, engine.stack.pop())
        if engine.negated:
            # it was true, as it skipped nothing
            engine.negated = False
            engine.skip_branch(True)


@command(COMMON, "ifmmode", conditional=True)
def _ifmmode(engine: Any, _token: str) -> None:
    if engine.table is not engine.tables[1]:
        engine.skip_branch(True)


@command(COMMON, "ifx ifcat if", conditional=True)
def _ifx(engine: Any, token: str) -> None:
    engine.skip_blanks()
    sides = []
    for _ in range(2):
        if token != "\\ifx" and engine.peek() == "\\detokenize":
            engine.stack.pop()
            detokenize(engine, token)
        sides.append((engine.argument() or [""])[0])
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
        if all(isinstance(meaning, Macro) for meaning in meanings):
            # long bodies are not compared again and again
            if not engine.may_scan(len(meanings[0].body)):
                bodies = [meanings[0], meanings[1]]
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
    sign = engine.argument()[0] if engine.peek()[:1] in ("<", "=", ">") else "="
    right = engine.number()
    if not {"<": left < right, ">": left > right}.get(sign, left == right):
        engine.skip_branch(True)


@command(COMMON, "ifodd", conditional=True)
def _ifodd(engine: Any, _token: str) -> None:
    if not engine.number() % 2:
        engine.skip_branch(True)


@command(COMMON, "ifcase", conditional=True)
def _ifcase(engine: Any, _token: str) -> None:
    number = engine.number()
    for _ in range(number if 0 <= number < 100 else 100):
        if engine.skip_branch(True, True) != "\\or":
            return


@command(COMMON, "ifdefined ifcsname", conditional=True)
def _ifdefined(engine: Any, token: str) -> None:
    name = engine.csname() if token == "\\ifcsname" else engine.name()
    if not any(name in table for table in engine.tables):
        engine.skip_branch(True)


@command(COMMON, "else or")
def _else(engine: Any, _token: str) -> None:
    engine.skip_branch(False)


def _choose(engine: Any, first: bool) -> None:
    """Put the first or the second of two arguments in front of the input."""
    yes, no = engine.argument(), engine.argument()
    engine.stack.extend(reversed(yes if first else no))


@command(COMMON, "@ifundefined", expandable=True)
def _ifundefined(engine: Any, _token: str) -> None:
    name = "\\" + engine.word()
    _choose(engine, not any(name in table for table in engine.tables))


@command(COMMON, "@ifpackageloaded @ifclassloaded IfFileExists", expandable=True)
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


@command(
    COMMON, "newboolean provideboolean newbool providebool newtoggle providetoggle"
)
def _newboolean(engine: Any, _token: str) -> None:
    engine.flags.setdefault(engine.word(), False)


@command(COMMON, "setboolean setbool settoggle")
def _setboolean(engine: Any, _token: str) -> None:
    name = engine.word()
    engine.flags[name] = engine.word() == "true"


@command(COMMON, "booltrue boolfalse toggletrue togglefalse")
def _turn(engine: Any, token: str) -> None:
    engine.flags[engine.word()] = token.endswith("true")


@command(COMMON, "ifbool iftoggle notbool nottoggle", expandable=True)
def _ifbool(engine: Any, token: str) -> None:
    truth = engine.flags.get(engine.word(), False)
    _choose(engine, truth == token.startswith("\\if"))


@command(COMMON, "ifthenelse", expandable=True)
def _ifthenelse(engine: Any, _token: str) -> None:
    _choose(engine, _holds(engine, engine.argument()))


def _holds(engine: Any, test: list[str]) -> bool:
    """Whether a condition of the ifthen package holds; the simple ones."""
    words = [token for token in test if token.strip()]
    nots = 0
    while words[nots : nots + 1] in (["\\not"], ["\\NOT"]):
        nots += 1
    if nots:
        return _holds(engine, words[nots:]) != bool(nots % 2)
    if words and words[0] in ("\\equal", "\\isundefined", "\\boolean", "\\isempty"):
        base = len(engine.stack)
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
        del engine.stack[base:]
        return truth
    match = re.fullmatch(r"\s*(-?\d+)\s*([<>=])\s*(-?\d+)\s*", engine.plain(test))
    if not match:
        return False
    left, right = int(match[1][:9]), int(match[3][:9])
    return {"<": left < right, ">": left > right, "=": left == right}[match[2]]


# registers, boxes, settings


@command(COMMON, "numexpr", expandable=True)
def _numexpr(engine: Any, _token: str) -> None:
    engine.stack.append(str(_value(engine)))


def _value(engine: Any) -> int:
    """What a ``\\numexpr`` comes to; it ends with ``\\relax`` or what is no part of it."""
    parts: list[str] = []
    depth, operand = 0, True
    while len(parts) < 100:
        engine.skip_blanks()
        sign = engine.peek()[:1]
        if sign and sign in ("(" if operand else "+-*/)"[: 5 if depth else 4]):
            parts += engine.argument()
            depth += (sign == "(") - (sign == ")")
            operand = sign != ")"
        elif operand:
            parts.append(str(engine.number()))
            operand = False
        else:
            break
    if engine.peek() == "\\relax":
        engine.stack.pop()
    return max(-(2**31), min(_sum(parts[::-1]), 2**31))


def _sum(parts: list[str]) -> int:
    total, sign = 0, "+"
    while sign in ("+", "-"):
        part = _factor(parts)
        while parts and parts[-1] in ("*", "/"):
            multiplied = parts.pop() == "*"
            factor = _factor(parts)
            part = part * factor if multiplied else _quotient(part, factor)
        total += part if sign == "+" else -part
        sign = parts.pop() if parts else ""
    return total


def _factor(parts: list[str]) -> int:
    part = parts.pop() if parts else "0"
    # the sum within takes its closing sign
    return _sum(parts) if part == "(" else int(part)


def _quotient(value: int, by: int) -> int:
    """e-TeX rounds, a half away from zero."""
    if not by:
        return 0
    size = (2 * abs(value) + abs(by)) // (2 * abs(by))
    return size if (value < 0) == (by < 0) else -size


setattr(_numexpr, "value", _value)


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
    " relpenalty mathsurround displaywidowpenalty topskip maxdepth interlinepenalty"
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
    "lstdefinestyle lstdefinelanguage definecolor colorlet setminted": "mm",
    "definecolor": "mmm",
    "hyphenation graphicspath DeclareGraphicsExtensions usetikzlibrary urlstyle tikzset": "m",
    "pgfplotsset theoremstyle allowdisplaybreaks PassOptionsToPackage tcbset": "m",
    "PassOptionsToPackage": "mm",
    "DeclareGraphicsRule": "mmmm",
    "RequirePackage includeonly fancyhf": "m",
    "fancyhead fancyfoot lhead rhead chead lfoot rfoot cfoot": "om",
    "magstep": "m",
    "pagestyle thispagestyle pagenumbering markright": "m",
    "markboth": "mm",
    "newfont font": "mm",
    "special write openout typeout message errmessage wlog PackageWarning": "m",
    "newtheoremstyle": "mmmmmmmmm",
    "color pagecolor normalcolor": "om",
    "rowcolor cellcolor columncolor arrayrulecolor": "om",
    "titleformat titlespacing": "smommmo",
    "titlespacing": "smmmmo",
    "DeclareMathAlphabet SetMathAlphabet": "mmmmm",
    "DeclareSymbolFont": "mmmmm",
    "DeclareMathSymbol": "mmmm",
    "DeclareFontFamily": "mmm",
    "DeclareFontShape": "mmmmmm",
    "SetSymbolFont": "mmmmm",
    "DeclareOldFontCommand": "mmm",
    "fontsize setlist tikzstyle": "mm",
    "setlist": "om",
    "fontfamily fontseries fontshape fontencoding usefont linespread": "m",
    "usefont": "mmmm",
    "addcontentsline": "mmm",
    "addtocontents": "mm",
    "DeclareUnicodeCharacter newmdenv newtcolorbox": "mm",
    "newtcolorbox": "omom",
    "vspace": "sm",
    "kern mskip mkern vglue hglue raise lower moveleft moveright": "d",
    "rule": "omm",
    "phantom hphantom vphantom rawcode": "m",
    "ListProperties": "p",
    "includegraphics epsfig psfig epsfbox plotone plotfiddle includesvg": "soom",
    "plottwo": "mm",
    "leftheadtext rightheadtext": "m",
    "pagebreak nopagebreak linebreak nolinebreak": "o",
    "samepage enlargethispage": "sm",
    "stretch scriptspace index glossary nocite": "m",
    "substitutefont": "mmm",
    "savesymbol restoresymbol listofchanges defaultfontfeatures": "om",
    "numberwithin": "om",
}.items():
    for _name in _names.split():
        COMMON["\\" + _name] = Taken(_signature)


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
        engine.define(name, nothing)


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
