r"""Pseudocode as lines of text.

The packages (algorithmic, algpseudocode, algorithm2e) are a page of macros each, so they are
written down as what they are, TeX, and expanded by the same engine as everything else. They
live only inside their environment: ``\If`` and ``\State`` are common names for other things.
"""

from typing import Any

from cosmosage.latex import maths
from cosmosage.latex.expand import Macro
from cosmosage.latex.lexer import tokenise
from cosmosage.latex.macros import command, take
from cosmosage.latex.render import LINE, TEXT, Reader

_COMMON = r"""
\def\STATE{\algline}\def\State{\algline}\def\Statex{\algline}\def\algrule{}
\newcommand\COMMENT[1]{ (#1)}\newcommand\Comment[1]{ (#1)}
\def\TRUE{true}\def\FALSE{false}\def\AND{and}\def\OR{or}\def\NOT{not}\def\TO{to}
\def\REQUIRE{\algline Require: }\def\ENSURE{\algline Ensure: }
\def\Require{\algline Require: }\def\Ensure{\algline Ensure: }
\def\INPUT{\algline Input: }\def\OUTPUT{\algline Output: }\def\Input{\algline Input: }
\def\Output{\algline Output: }
\newcommand\IF[2][]{\algline if #2 then}\newcommand\ELSIF[2][]{\algline else if #2 then}
\newcommand\ELSE[1][]{\algline else}\def\ENDIF{\algline end if}
\newcommand\FOR[2][]{\algline for #2 do}\newcommand\FORALL[2][]{\algline for all #2 do}
\def\ENDFOR{\algline end for}\newcommand\WHILE[2][]{\algline while #2 do}
\def\ENDWHILE{\algline end while}\newcommand\REPEAT[1][]{\algline repeat}
\newcommand\UNTIL[1]{\algline until #1}\newcommand\LOOP[1][]{\algline loop}
\def\ENDLOOP{\algline end loop}\def\RETURN{\algline return }\def\PRINT{\algline print }
"""
_PSEUDOCODE = r"""
\newcommand\If[1]{\algline if #1 then}\newcommand\ElsIf[1]{\algline else if #1 then}
\def\Else{\algline else}\def\EndIf{\algline end if}
\newcommand\For[1]{\algline for #1 do}\newcommand\ForAll[1]{\algline for all #1 do}
\def\EndFor{\algline end for}\newcommand\While[1]{\algline while #1 do}
\def\EndWhile{\algline end while}\def\Repeat{\algline repeat}\newcommand\Until[1]{\algline until #1}
\def\Loop{\algline loop}\def\EndLoop{\algline end loop}\def\Return{return }
\newcommand\Function[2]{\algline function #1(#2)}\def\EndFunction{\algline end function}
\newcommand\Procedure[2]{\algline procedure #1(#2)}\def\EndProcedure{\algline end procedure}
\newcommand\Call[2]{#1(#2)}
"""
_ALGORITHM2E = r"""
\def\;{\ifmmode\thickspace\else\algline\fi}\def\BlankLine{}\def\DontPrintSemicolon{}
\def\LinesNumbered{}\newcommand\SetAlgoLined{}
\newcommand\KwIn[1]{\algline Input: #1\algline}
\newcommand\KwOut[1]{\algline Output: #1\algline}
\newcommand\KwData[1]{\algline Data: #1\algline}
\newcommand\KwResult[1]{\algline Result: #1\algline}
\newcommand\KwRet[1]{\algline return #1}\newcommand\Return[1]{\algline return #1}
\newcommand\tcp[1]{ (#1)\algline}\newcommand\tcc[1]{ (#1)\algline}
\providecommand\KwTo{to}
\providecommand\If[2]{\algline if #1 then\algline #2\algline end\algline}
\providecommand\uIf[2]{\algline if #1 then\algline #2}
\providecommand\lIf[2]{\algline if #1 then #2}
\providecommand\eIf[3]{\algline if #1 then\algline #2\algline else\algline #3\algline end\algline}
\providecommand\ElseIf[2]{\algline else if #1 then\algline #2}
\providecommand\uElseIf[2]{\algline else if #1 then\algline #2}
\providecommand\Else[1]{\algline else\algline #1\algline end\algline}
\providecommand\uElse[1]{\algline else\algline #1}
\providecommand\For[2]{\algline for #1 do\algline #2\algline end\algline}
\providecommand\ForEach[2]{\algline for each #1 do\algline #2\algline end\algline}
\providecommand\While[2]{\algline while #1 do\algline #2\algline end\algline}
\providecommand\Repeat[2]{\algline repeat\algline #2\algline until #1\algline}
"""


def begin(engine: Reader) -> None:
    """Define the commands of pseudocode until the environment ends."""
    other = _ALGORITHM2E if "algorithm2e" in engine.options else _PSEUDOCODE
    tokens = tokenise(_COMMON + other, engine.raw)
    # a nest of them is no paper: a dozen definitions each would add up
    if engine.may_scan(4 * len(tokens)):
        engine.stack.extend(reversed([token for token in tokens if token.strip()]))


@command(TEXT, "algline")
def _line(engine: Reader, _token: str) -> None:
    engine.out.append(LINE)


@command(maths.MATHS, "algcall")
@command(TEXT, "algcall")
def _call(engine: Any, _token: str) -> None:
    argument = engine.argument()
    if "".join(argument).strip():
        engine.stack.extend(reversed(["(", *argument, ")"]))


def _define(engine: Any, name: str, count: int, body: str) -> None:
    engine.define(
        "\\" + name, Macro("\\" + name, [None] * count, tokenise(body, engine.raw))
    )


@command(TEXT, "SetKw SetKwFunction SetKwData SetKwInOut SetKwInput")
def _keyword(engine: Reader, token: str) -> None:
    name, shown = engine.word(), "".join(engine.argument())
    if token == "\\SetKwFunction":
        _define(engine, name, 1, rf"\textrm{{{shown}}}\algcall{{#1}}")
    elif token in ("\\SetKw", "\\SetKwData"):
        _define(engine, name, 0, shown + " ")
    else:
        _define(engine, name, 1, rf"\algline {shown}: #1")


@command(
    TEXT, "SetKwProg SetKwFor SetKwRepeat SetKwIF SetKwSwitch SetStartEndCondition"
)
def _block(engine: Reader, token: str) -> None:
    if token in ("\\SetKwIF", "\\SetKwSwitch", "\\SetStartEndCondition"):
        # their usual names are defined where they are used
        take(engine, {"\\SetKwIF": "m" * 8, "\\SetKwSwitch": "m" * 9}.get(token, "mmm"))
        return
    name = engine.word()
    first, second = "".join(engine.argument()), "".join(engine.argument())
    if token == "\\SetKwRepeat":
        _define(
            engine, name, 2, rf"\algline {first}\algline #2\algline {second} #1\algline"
        )
        return
    last = "".join(engine.argument())
    body = rf"\algline {first} #1 {second}\algline #2\algline {last}\algline"
    _define(engine, name, 2, body)
