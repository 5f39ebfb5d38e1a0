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
    # what a person would write who knows the code: patterns that try again, searches that are
    # not counted, a long name that a short command prints again and again
    "blanks before options": r"\begin{verbatim}" + " " * 5_000 + "x\n\\end{verbatim}",
    "blanks before a number": r"\setcounter{a}{=" + " " * 50_000 + "x}",
    "blanks before a length": "$$" + ("\\\\[" + " " * 1_900 + "x]") * 100 + "$$",
    "a run taken by signs": r"\def\a#1#2#3#4#5#6#7#8#9{\a}\a " + "x" * 900_000,
    "signs before an argument": r"\def\a " + "x" * 200_000 + r"{}\a " + "x" * 200_000,
    "one column": r"\onecolumn[" * 20_000,
    "titles": "a~" * 50_000 + r"\maketitle " * 10_000,
    "counters in counters": "".join(rf"\numberwithin{{{i}}}{{b}}" for i in range(9_000))
    + r"\refstepcounter{b}" * 9_000,
    "a formula's ends": "$" + "{" * 600 + r"\)" * 200_000,
    "floats around a text": r"\begin{figure}" * 30_000 + "word " * 100_000,
    "abstracts": r"\section{x}" + r"\begin{abstract}a" * 50_000,
    "headings in headings": r"\section{" * 1_000 + "word " * 60_000 + "}" * 1_000,
    "packages": r"\usepackage{" + "a," * 200_000 + "}",
    "options of packages": rf"\usepackage[{'x' * 90_000}]{{{'natbib,' * 13_000}}}",
    "loops": r"\loop" * 100_000,
    "letters of a signature": rf"\NewDocumentCommand\a{{{'m' * 90_000}}}{{}}"
    + r"{\a}" * 20_000,
    "a long default": rf"\NewDocumentCommand\a{{O{{{'$' * 90_000}}}}}{{}}"
    + r"\a " * 30_000,
    "long bodies compared": rf"\def\a{{{'~' * 99_000}}}\def\c{{{'~' * 99_000}}}"
    + r"\ifx\a\c\fi" * 30_000,
    "nots": r"\ifthenelse{" + r"\not" * 20_000 + "}{a}{b}",
    "options before a brace": ("{" + r"\cite[" * 2_400 + "}") * 12,
    "labels of a list": r"\begin{enumerate*}[" + "label=" * 16_000 + r"]\item x",
    "a label at each item": rf"\begin{{inparaenum}}[{'(' * 90_000}i]"
    + r"\item " * 15_000,
    "spaces in a formula": r"$x" + r"\," * 50_000 + r"x\,$",
    "quads in a formula": r"$$" + r"\quad" * 20_000 + "x$$",
    "a key without a year": r"\citet{a" + "-" * 50_000 + "}",
    "an alias again": rf"\defcitealias{{k}}{{{'x' * 25_000}}}\citetalias{{{'k,' * 12_000}}}",
    "a heading again": rf"\section{{{'x' * 25_000}}}\label{{k}}"
    + r"\nameref{k}" * 9_000,
    "a tag again": rf"\begin{{equation}}x\tag{{{'x' * 25_000}}}\label{{k}}\end{{equation}}"
    + r"\ref{k}" * 10_000,
    "a theorem's name": rf"\newtheorem{{a}}{{{'x' * 25_000}}}"
    + r"\begin{a}\end{a}" * 6_000,
    "a code again": "\\def\\a{\\begin{verbatim}\n" + "x" * 25_000 + "\n\\end{verbatim}}"
    r"\def\rawcode#1{#1}" + r"\a" * 10_000,
    "missing numbers": r"\ref{a} " * 100_000 + "x",
    "names of names": r"\let\it\bf\expandafter\let\it=\it{\it}" * 3_000 + r"\it",
}

# the files of packages that attack, beside a paper that asks for them
HOSTILE_FILES = {
    "a file again and again": (r"\input{a}" * 500, "a.tex", "word $x$ " * 50_000),
    "a style again and again": (
        r"\usepackage{mine}" * 9_000,
        "mine.sty",
        r"\x" * 30_000,
    ),
    "blank lines of a .bib": (
        r"\citet{k}\citet{l}",
        "a.bib",
        "@a{k," + "\n" * 19_000 + "@b{l,year=" + " " * 19_000,
    ),
    "entries within entries": (
        "".join(rf"\citet{{k{i}}}" for i in range(9_000)),
        "a.bib",
        "".join(f"@a{{k{i}," for i in range(9_000)) + "x" * 90_000,
    ),
    "a name again": (
        rf"\citet{{{'k,' * 50_000}}}" + r"\citet{k}" * 5_000,
        "a.bib",
        "@a{k, author={{" + "x" * 4_000 + "}}}",
    ),
    "blanks of labels": (
        "".join(rf"\citet{{k{i}}}" for i in range(500)),
        "main.bbl",
        r"\begin{thebibliography}{}"
        + "".join(rf"\bibitem[x{' ' * 590}y]{{k{i}}} b" for i in range(500))
        + r"\end{thebibliography}",
    ),
    "a class without an end": ("", "b.tex", r"\documentclass[" * 20_000),
    "a class of blanks": ("", "b.tex", r"\documentclass{" + " " * 5_000),
    "a file of blanks": ("", "b.tex", r"\input" + " " * 20_000 + "\\"),
    "folders without an end": ("", "b.tex", r"\import{" * 20_000),
    "blank lines of a README": ("", "00README", "\n" * 200_000),
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
    "a conditional without numbers": r"\ifnum",
    "a list of literature without an end": r"\begin{thebibliography}{9} a",
    "dollars in a unit": r"\SI{1}{$\mu$m} \SI$$",
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
