r"""Notation of packages that no renderer of ``$...$`` knows: physics, mhchem, nicefrac.

The commands are short for what plain LaTeX can say, so they are written down as TeX and
expanded like a user's; those whose number of arguments varies are read by hand.
"""

import re
from typing import Any

from cosmosage.latex import maths
from cosmosage.latex.lexer import tokenise
from cosmosage.latex.macros import command
from cosmosage.latex.render import TEXT, Reader

_PHYSICS = r"""
\NewDocumentCommand\abs{s m}{\left|#2\right|}\NewDocumentCommand\norm{s m}{\left\|#2\right\|}
\NewDocumentCommand\order{s m}{\mathcal{O}\left(#2\right)}
\NewDocumentCommand\eval{s m}{\left.#2\right|}
\NewDocumentCommand\comm{s m m}{\left[#2,#3\right]}
\NewDocumentCommand\acomm{s m m}{\left\{#2,#3\right\}}
\NewDocumentCommand\pb{s m m}{\left\{#2,#3\right\}}
\NewDocumentCommand\vb{s m}{\mathbf{#2}}\NewDocumentCommand\va{s m}{\vec{\mathbf{#2}}}
\NewDocumentCommand\vu{s m}{\hat{\mathbf{#2}}}
\newcommand\vdot{\cdot}\newcommand\cross{\times}\newcommand\grad{\nabla}
\newcommand\divergence{\nabla\cdot}\newcommand\curl{\nabla\times}
\newcommand\laplacian{\nabla^2}
\newcommand\tr{\operatorname{tr}}\newcommand\Tr{\operatorname{Tr}}
\newcommand\rank{\operatorname{rank}}
\NewDocumentCommand\dd{o m}{\mathrm{d}\IfNoValueF{#1}{^{#1}}#2}
\NewDocumentCommand\mel{s m m m}{\left\langle #2\middle|#3\middle|#4\right\rangle}
\NewDocumentCommand\matrixel{s m m m}{\left\langle #2\middle|#3\middle|#4\right\rangle}
\NewDocumentCommand\ketbra{s m m}{\left|#2\right\rangle\left\langle #3\right|}
\NewDocumentCommand\dyad{s m m}{\left|#2\right\rangle\left\langle #3\right|}
\NewDocumentCommand\pmqty{m}{\begin{pmatrix}#1\end{pmatrix}}
\NewDocumentCommand\bmqty{m}{\begin{bmatrix}#1\end{bmatrix}}
\NewDocumentCommand\vmqty{m}{\begin{vmatrix}#1\end{vmatrix}}
\NewDocumentCommand\qq{s m}{\quad\text{#2}\quad}
\newcommand\qand{\quad\text{and}\quad}\newcommand\qor{\quad\text{or}\quad}
\newcommand\qif{\quad\text{if}\quad}\newcommand\qwhere{\quad\text{where}\quad}
\newcommand\qfor{\quad\text{for}\quad}\newcommand\qwith{\quad\text{with}\quad}
"""


def load(engine: Reader, package: str) -> None:
    """Define what a package brings, where this is known."""
    if package == "physics":
        tokens = tokenise(_PHYSICS, engine.raw)
        engine.stack.extend(reversed([token for token in tokens if token.strip()]))
        for name, handler in (
            *((name, _derivative) for name in ("dv", "pdv", "fdv")),
            *((name, _bracket) for name in ("braket", "expval", "ev")),
        ):
            engine.define("\\" + name, handler, True)


def _arguments(engine: Any, most: int) -> list[list[str]]:
    """The first argument and as many more as stand in braces behind it."""
    found = [engine.argument()]
    while len(found) < most and engine.peek() == "{":
        found.append(engine.argument())
    return found


def _derivative(engine: Any, token: str) -> None:
    """``\\dv{f}{x}``, ``\\pdv[2]{f}{x}``, ``\\pdv{f}{x}{y}``, ``\\dv{x}``."""
    engine.star()
    order = engine.optional()
    sign = {"\\pdv": ["\\partial", " "], "\\fdv": ["\\delta", " "]}.get(
        token, ["\\mathrm", "{", "d", "}"]
    )
    parts = _arguments(engine, 3 if token == "\\pdv" else 2)
    whole, *by = parts if len(parts) > 1 else [[], *parts]
    power = ["^", "{", *(order or ["2"]), "}"] if order or len(by) > 1 else []
    below: list[str] = []
    for variable in by:
        below += [*sign, *variable, *(power if len(by) == 1 else [])]
    engine.stack.extend(
        reversed(["\\frac", "{", *sign, *power, *whole, "}", "{", *below, "}"])
    )


def _bracket(engine: Any, token: str) -> None:
    """``\\braket{a}{b}``, ``\\expval{A}``, ``\\expval{A}{s}``; with bars of its own it is whole."""
    engine.star()
    parts = _arguments(engine, 2)
    first, last = parts[0], parts[-1]
    if token != "\\braket":
        inside = [*last, "|", *first, "|", *last] if len(parts) > 1 else first
    elif len(parts) > 1 or not any("|" in part for part in first):
        inside = [*first, "|", *last]
    else:
        inside = first
    engine.stack.extend(
        reversed(["\\left", "\\langle", " ", *inside, "\\right", "\\rangle"])
    )


# mhchem


def chemistry(text: str) -> str:
    """A formula or a reaction of mhchem, as LaTeX maths."""
    out = []
    for word in text.split():
        if word in ("->", "<->", "<=>", "<-", "<=>>"):
            sign = {"->": "rightarrow", "<-": "leftarrow"}.get(
                word, "rightleftharpoons"
            )
            out.append(f"\\{sign}")
        elif word == "+" or word.isdecimal():
            out.append(word)
        else:
            word = re.sub(r"(?<=[A-Za-z)\]])(\d+)", r"_{\1}", word)
            word = re.sub(r"\^(\w+[+-]?|[+-])", r"^{\1}", word)
            word = re.sub(r"(?<=[\w})\]])([+-])$", r"^{\1}", word)
            out.append(f"\\mathrm{{{word}}}")
    return " ".join(out)


@command(TEXT, "ce")
def _text_ce(engine: Reader, _token: str) -> None:
    shown = chemistry("".join(engine.argument()))
    if plain := re.fullmatch(r"\\mathrm\{([A-Za-z]+)\}", shown):
        engine.out.append(plain[1])
    elif shown:
        engine.out.append(engine.formula(f"${shown}$"))


@command(maths.MATHS, "ce")
def _maths_ce(engine: Any, _token: str) -> None:
    engine.out.append(chemistry("".join(engine.argument())))


@command(maths.MATHS, "nicefrac sfrac")
def _fraction(engine: Any, _token: str) -> None:
    for part in reversed((engine.argument(), ["/"], engine.argument())):
        engine.stack.extend(reversed(part if len(part) == 1 else ["{", *part, "}"]))
