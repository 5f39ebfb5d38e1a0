"""More small TeX beside its right answer: citations, references, code, and what reading found."""

# two works for the rows below, cited by name and year
_WORKS = (
    r"\begin{thebibliography}{}\bibitem[Body(1999)]{k} x\bibitem[Oe(2000)]{l} x"
    r"\end{thebibliography}"
)
# citations that are words of a sentence, wherever their brackets stand, and those that are none
MORE = [
    (tex + _WORKS, right)
    for tex, right in [
        (r"adapted from \citep{k}. So", "adapted from Body (1999). So"),
        (r"sets -- \citep{k} discuss these", "sets – Body (1999) discuss these"),
        (r"For more, see \citep{k}. So", "For more, see Body (1999). So"),
        (r"a rate (as defined by \citealt{k}).", "a rate (as defined by Body 1999)."),
        (
            r"(A by \citealt{k} and B by \citealt{l})",
            "(A by Body 1999 and B by Oe 2000)",
        ),
        (
            r"(For the size of it, see \citealt{k}.)",
            "(For the size of it, see Body 1999.)",
        ),
        (r"it (for a review, see e.g. \citealt{k}) so", "it so"),
        (r"it (M 31; \citealt{k}) and (M 33, \citet{k}) so", "it (M 31) and (M 33) so"),
        (r"it (\citet{k}) so", "it so"),
        (r"it (e.g., \citealt{k} find 5) so", "it (e.g., Body 1999 find 5) so"),
        (r"it (\citealt{k}, hereafter B99) so", "it (hereafter B99) so"),
        (r"works such as \cite{k}, which", "works such as Body (1999), which"),
        (r"shown in, e.g., \citep{k}. So", "shown in, e.g., Body (1999). So"),
        (r"etc. \citep{k} and so", "etc. and so"),
        (r"the one \citep{k} and \citet{l}", "the one and Oe (2000)"),
        (r"(see also \cite{none} and \cite{k} for more)", ""),
        (r"used by \citet{lowing11} in it", "used by Lowing (2011) in it"),
        # what a citation leaves
        (r"it (e.g. \citealt{k}, \citealt{l}, and Oe 2020) so", "it (e.g. Oe 2020) so"),
        (
            r"it (\cite{k}; Oe 2020) and [\cite{k}, Sec. 2] so",
            "it (Oe 2020) and [Sec. 2] so",
        ),
        (r"it ([\cite{k}]; Oe 2020) so", "it (Oe 2020) so"),
        (
            r"done \citep{k}---which is \citep{k}\footnote{n}.",
            "done—which is[^1].\n\n[^1]: n",
        ),
        (r"done! \citep{k}. So it is. \citep{l}. And", "done! So it is. And"),
        # numbers or names, as the class and the style print them
        (
            r"\documentclass[aps]{revtex4-1}\usepackage{natbib}\begin{document}"
            r"the models \cite{k}.",
            "the models.",
        ),
        (
            r"\documentclass{aastex}\begin{document}the models \cite{k} are",
            "the models Body (1999) are",
        ),
        (
            r"\documentclass{article}\usepackage{natbib}\setcitestyle{numbers,square}"
            r"\begin{document}the models \cite{k} are",
            "the models are",
        ),
        (
            r"\documentclass{article}\usepackage{natbib}\bibliographystyle{unsrt}"
            r"\begin{document}the models \cite{k} are",
            "the models are",
        ),
        (
            r"\documentclass{aastex}\begin{document}the sky \cite{k,l,m}. And",
            "the sky. And",
        ),
    ]
]
MORE += [
    # references of which some are known
    *[
        (r"\section{A}\label{a}\section{B}\label{b}" + tex, "## A\n\n## B\n\n" + right)
        for tex, right in [
            (r"Sections \ref{a}, \ref{b} and \ref{none} show", "Sections 1 and 2 show"),
            (r"Sections \ref{none}, \ref{b} and \ref{a}.", "Sections 2 and 1."),
            (r"Sections \ref{a}--\ref{none} or \ref{none}.", "Section 1."),
            (r"(Figs. \ref{a}, \ref{none}) so", "(Fig. 1) so"),
            (r"Eqs.~(\ref{a}) and (\ref{none}) so", "Eq. (1) so"),
            (
                r"(Section \ref{a} and Fig. \ref{none}) so",
                "(Section 1 and the figure) so",
            ),
            (
                r"It is in \cref{fig:none} and \autoref{none}.",
                "It is in the figure and the section.",
            ),
            (r"See panels \ref{none}(a).", "See the panel."),
        ]
    ],
    # a label takes what was counted last in its own group
    (
        r"\section{A}\begin{equation}x\end{equation}\begin{enumerate}\item y\end{enumerate}"
        r"\subsection{B}\begin{equation}z\end{equation}\label{b}\ref{b}",
        "## A\n\n$$x$$\n\n1. y\n\n### B\n\n$$z$$\n\n1.1",
    ),
    (
        r"\newtheorem{t}{Theorem}\section{A}\begin{t}\label{t}x\end{t}\label{a}\ref{t} \ref{a}"
        r"\footnote{n\label{n}} \ref{n}",
        "## A\n\n**Theorem 1**. x\n\n1 1[^1] 1\n\n[^1]: n",
    ),
    # small capitals
    (
        r"$x$ H\,{\sc ii}, {\sc H\,i}, [O\,\textsc{iii}] and {\sc glimpse}, \textsc{d}",
        "$x$ H II, H I, [O III] and glimpse, d",
    ),
    # code within a sentence
    (r"a \lstinline{x_1}, \lstinline[language=C]!y! b", "a x_1, `y` b"),
    (r"a \mintinline{python}{x[1]}, \mintinline[x=\y]{c}|z| b", "a x[1], `z` b"),
    (r"\MakeShortVerb{\|}a |x_1$| b", "a `x_1$` b"),
    (r"\lstMakeShortInline[language=C]|a |x_1| b", "a `x_1` b"),
    (r"\newcommand{\code}[1]{\lstinline{#1}}a \code{x\_1} b", "a x_1 b"),
    (r"\newcommand\code{\lstinline}a \code{f(x)} \code|g| b", "a f(x) g b"),
    (r"\newmintinline[py]{python}{}a \py{x} b", "a x b"),
    (
        r"\lstnewenvironment{jl}[1][]{}{}a\begin{jl}x_1 % {\end{jl} b\inputminted{c}{f.c}",
        "a b",
    ),
    # spaces that part two formulas
    (r"$a,\hspace{1cm}b\hspace*{-2pt}c$", r"$a,\quad bc$"),
    # notes to the editor
    (r"\explain{Reworded.}So it is\added{, too}\deleted{ not}.", "So it is, too."),
]
