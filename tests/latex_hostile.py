"""TeX that attacks: what never ends, what fuzzing found, and a generator of more."""

import random
from collections.abc import Iterator

HOSTILE = {
    "doubling": r"\def\a{\a\a}\a",
    "growing argument": r"\def\a#1{\a{#1#1}}\a{xx}",
    "laughs": "".join(
        rf"\def\l{chr(97 + i)}{{\l{chr(98 + i)}\l{chr(98 + i)}}}" for i in range(25)
    )
    + r"\def\lz{ha}\la",
    "edef": r"\def\a{x}" + r"\edef\a{\a\a}" * 60 + r"\a",
    "section loop": r"\def\a{\section{x}\a}\a",
    "environment loop": r"\newenvironment{a}{\begin{a}}{\end{a}}\begin{a}x\end{a}",
    "counting loop": r"\newcount\n\def\a{\advance\n by 1 \ifnum\n<1000000 \a\fi}\a",
    "braces": "{" * 500_000,
    "closing braces": "}" * 500_000,
    "notes": r"\footnote{" * 30_000,
    "fractions": "$" + r"\frac{1" * 30_000 + "}" * 30_000 + "$",
    "dollars": "$" * 300_000,
    "environments": r"\begin{itemize}" * 30_000,
    "tables": r"\begin{tabular}" * 30_000,
    "floats": r"\begin{figure}" * 30_000,
    "ends": "{" * 100_000 + r"\end{foo}" * 30_000,
    "conditionals": r"\iffalse " * 50_000,
    "names": r"\csname " * 50_000 + r"\endcsname " * 50_000,
    "expandafter": r"\expandafter" * 200_000,
    "citations": r"\cite{a} " * 20_000 + "(see " * 30_000 + r"\cite{a}",
    "options": r"\cite[" * 30_000,
    "verbatim": r"\begin{verbatim}" * 20_000,
    "columns": r"\twocolumn[" * 30_000,
    "commas": ", " * 200_000 + r"\cite{a}" + " (panel" * 20_000 + r"\ref{a}",
    "blank": "\n" * 500_000 + "%" * 500_000 + "\n",
}

# the smallest input for each cause; a sound paragraph follows each
FOUND = {
    "a stretch without a length": r"\vskip plus",
    "a register and a stretch": r"\advance\c by plus",
    "counters in a ring": r"\newtheorem{a}[b]{A}\numberwithin{b}{a}\numberwithin{a}{b}"
    r"\begin{a}x\end{a}",
    "a theorem within itself": r"\newtheorem{a}{A}[a]\begin{a}x\end{a}",
    "starred user environment in a formula": r"$\newenvironment{mine}{x}{y}\begin{mine*}$",
    "a unit that calls itself": r"\def\a{\a\a}\SI{1}{\a}",
    "units in a ring": r"\def\a{\b\x}\def\b{\a}\SI{1}{\a}",
    "a superscript as a number": r"\ion{H}{\u00b2}".replace(r"\u00b2", "\u00b2"),
    "an endless macro in a heading": r"\def\a{\a\a}\def\b{\section{\a}}\b",
    "an endless macro in a counter": r"\newcount\n\def\a{\a x}\setcounter{n}{\a}",
    "a name without an end": r"\csname x",
    "an end without a name": r"\mbox \end",
    "an end in a caption": r"\caption\end{picture*}",
    "a definition without a body": r"\xdef \mbox ",
    "classes in the body": r"\appendix\documentclass " * 8_000,
    "conditionals that only end": r"\or " * 40_000,
    "a page a step": r"\def\x{" + "word " * 2_000 + r"}\def\a{\x\a}\a",
    "bodies in every group": r"\def\a{"
    + "\\x " * 20_000
    + "}"
    + r"{\edef\a{\a}" * 500
    + "}" * 500,
    "a dollar as a key": r"\bibitem $",
    "a formula of half a blank": "$\\\n$",
}

_PIECES = (
    r"\def\a#1{ \def\b{\a \let\a\b \csname \endcsname \expandafter \edef\a{ \a \b \iffalse \ifx"
    r" \ifnum \else \fi \begin{a} \end{a} \begin{align} \end{align} \begin{tabular} \end{tabular}"
    r" \begin{figure} \end{figure} \newcommand{\b}[2][x]{#1#2} \newenvironment{a}{x}{y} \section{"
    r" \footnote{ \caption{ \cite{ \ref{ \label{ \SI{ \ensuremath{ \mbox{ \frac \left \[ \] \( \)"
    r" \\ \catcode`\@=11 \char \the \advance\a \newcount\a \setcounter{ \verb| \item[ \uppercase{"
    r" \string \input{main} \newif\ifa \atrue \ifa \loop \repeat \ifthenelse{ \tag{ \bgroup \egroup"
    r" { } { } { } [ ] $ $$ & # #1 ^ _ ~ | % 99999999999999999999 -1 word"
).split() + [
    "\n\n",
    "\n",
    " ",
    "\x00",
    "\x020\x02",
    "\x07stop",
    "\f",
    "\x10",
    "\u00b2",
]


def attacks(count: int, seed: int) -> Iterator[str]:
    """So many short pieces of broken TeX, the same ones for a seed."""
    chance = random.Random(seed)
    for _ in range(count):
        yield "".join(chance.choices(_PIECES, k=chance.randint(3, 60)))
