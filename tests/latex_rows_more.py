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
MORE += [
    # acronyms: in full the first time
    (
        r"\newacronym{sn}{SN}{supernova}\newacronym[longplural=novae,shortplural=Ne]{n}{N}{nova}"
        r"A \gls{sn}, the \gls{sn}, \glspl{n}, \Glspl{sn}; \acrlong{n}, \acrfull{n}.",
        "A supernova (SN), the SN, novae (Ne), SNs; nova, nova (N).",
    ),
    (
        r"\newglossaryentry{flux}{name={flux},plural={fluxes},description={x}}"
        r"\Gls{flux} and \glspl{flux}[s] of \gls{none}",
        "Flux and fluxess of none",
    ),
    (
        r"\acrodef{ISM}{interstellar medium}The \ac{ISM} and \acp{ISM}, \acl{ISM}, \acs{ISM}. "
        r"\begin{acronym}\acro{BH}[bh]{black hole}\end{acronym}\Ac{BH}, \acf{BH}.",
        "The interstellar medium (ISM) and ISMs, interstellar medium, ISM. Black hole (bh),"
        " black hole (bh).",
    ),
    (
        r"\DeclareAcronym{cmb}{short=CMB,long=cosmic microwave background}\ac{cmb}, \ac{cmb}",
        "cosmic microwave background (CMB), CMB",
    ),
    # notation of packages
    *[
        (
            r"\documentclass{x}\usepackage{physics}\begin{document}$" + tex + "$",
            f"${right}$",
        )
        for tex, right in [
            (
                r"\dv{f}{x},\dv[2]{x}",
                r"\frac{\mathrm{d}f}{\mathrm{d}x},\frac{\mathrm{d}^{2}}{\mathrm{d}x^{2}}",
            ),
            (r"\pdv{f}{x}{y}", r"\frac{\partial^{2}f}{\partial x\partial y}"),
            (r"\abs{x}\norm*{y}", r"\left|x\right|\left\|y\right\|"),
            (
                r"\braket{a}{b}\expval{A}",
                r"\left\langle a|b\right\rangle\left\langle A\right\rangle",
            ),
            (
                r"\dd{x}\dd[3]{x}\order{n}",
                r"\mathrm{d}x\mathrm{d}^{3}x\mathcal{O}\left(n\right)",
            ),
        ]
    ],
    (
        r"\ce{H2O}, \ce{^{12}CO}, \ce{Fe^{3+}}, $\ce{H3+}$ and \ce{CO}; \ce{A + B -> C}",
        r"$\mathrm{H_{2}O}$, $\mathrm{^{12}CO}$, $\mathrm{Fe^{3+}}$, $\mathrm{H_{3}^{+}}$ and CO;"
        r" $\mathrm{A} + \mathrm{B} \rightarrow \mathrm{C}$",
    ),
    (r"$\nicefrac{1}{2}$, \nicefrac{1}{2}, $x\qedhere$", "$1/2$, 1/2, $x$"),
    (
        r"\DeclarePairedDelimiterX{\inner}[2]{\langle}{\rangle}{#1,#2}$\inner{a}{b}$",
        r"$\left\langle a,b\right\rangle$",
    ),
    # units
    (
        r"\qtylist{1;2;3}{\m}, \numlist{4;5} and \numproduct{2 x 3}",
        r"1 m, 2 m and 3 m, 4 and 5 and $2 \times 3$",
    ),
    (
        r"\DeclareSIUnit{\Msol}{M_\odot}\SI{5}{\Msol}, \qty{-5}{\celsius}, \unitfrac[5]{m}{s}",
        r"$5\,\mathrm{M_\odot}$, -5 °C, 5 m/s",
    ),
    (r"5\celsius, 3\micro m", "5°C, 3µm"),
    # AASTeX, A&A, old classes
    (r"they \edit1{grow} so", "they grow so"),
    (
        r"at \dataset[DOI: 10.1]{https://doi.org/10.1} and \dataset[ADS/x]{data}",
        "at DOI: 10.1 and data",
    ),
    (
        r"a\begin{splitdeluxetable*}{lcBcc}\startdata 1&2\enddata\end{splitdeluxetable*} b",
        "a b",
    ),
    (r"a \onlfig{3}{\begin{figure}\caption{C}\end{figure}} b", "a b\n\nFigure 1: C"),
    (r"\begin{interactive}{animation}{x.mp4}a\end{interactive}", "a"),
    (r"{\it Facilities:} \facility{Keck:I (HIRES)}", "Facilities: Keck:I (HIRES)"),
    (
        r"\documentclass{x}\begin{document}\title{T\footnote{n}}a\footnote{m}\end{document}",
        "# T\n\na[^1]\n\n[^1]: m",
    ),
    (
        r"\documentclass{revtex4-1}\begin{document}\appendix*\section{A}\subsection{B}"
        r"\label{b}\ref{b}\end{document}",
        "## A\n\n### B\n\nA 1",
    ),
    (
        r"\begin{IEEEbiography}[x]{N. Body} was born.\end{IEEEbiography}a"
        r"\begin{IEEEproof}b\end{IEEEproof}",
        "a\n\n**Proof.** b",
    ),
    (r"\figurename~1, \tablename~2", "Figure 1, Table 2"),
    (r"\bmhead{Data} Here.", "**Data** Here."),
    (r"a\subclass{53A}b", "ab"),
    # theorems of thmtools
    (
        r"\newtheorem{t}{Theorem}\declaretheorem[name=Claim,sibling=t]{c}"
        r"\begin{restatable}[N]{t}{again}\label{x}y\end{restatable}\begin{c}[name=Big]z\end{c}"
        r"\again* See \ref{x}.",
        "**Theorem 1** (N). y\n\n**Claim 2** (Big). z\n\nSee 1.",
    ),
    # parts of figures; listings
    (
        r"\begin{figure}\subcaptionbox{L\label{l}}{x}\caption{All, \subref{l}.}\end{figure}"
        r"\ref{l}",
        "1a\n\nFigure 1a: L\n\nFigure 1: All, (a).",
    ),
    (
        r"a \begin{lstlisting}[language=C,caption={A {b}},label=l]x\end{lstlisting}\ref{l}",
        "a 1\n\nListing 1: A b",
    ),
    # environments turned off, marks of revision, names of cleveref
    (
        r"\excludecomment{hid}\includecomment{seen}\begin{hid}a\end{hid}"
        r"\begin{seen}b\end{seen}",
        "b",
    ),
    (r"\added[id=B]{New.}\comment[id=B]{remark} \replaced[id=B]{on}{off}", "New. on"),
    (
        r"\crefname{equation}{Eq.}{Eqs.}\begin{align}x\label{a}\\y\label{b}\end{align}"
        r"\cref{a}, \cref{a,b}.",
        "$$\\begin{gathered}\nx \\\\\ny\n\\end{gathered}$$\n\nEq. (1), Eqs. (1) and (2).",
    ),
    # plain TeX
    (r"a\hskip 1em b\hskip 1pt c\vskip 2pt d", "a bc\n\nd"),
    (r"\def\BibX{B\kern-.05emib\kern 1ptX}\BibX", "BibX"),
    (
        r"\centerline{\bf DUST}\centerline{\bf IN SPACE}\centerline{A. Body}\bigskip "
        r"Dust is old.\par\centerline{* * *}More.\item{a)} x\itemitem{b)} y\bye",
        "# DUST IN SPACE\n\nDust is old.\n\n* * *\n\nMore.\n\n- a) x\n  - b) y",
    ),
]
MORE += [
    (tex + _WORKS, right)
    for tex, right in [
        (
            r"\textcites{k}{l} and \parencites[see][]{k}{l}.",
            "Body (1999) and Oe (2000).",
        ),
        (r"so it is; see, e.g., \cite{none} for a review.", "so it is."),
        (r"it (Paper I; \citealt{none}; see also \citet{none}) is", "it (Paper I) is"),
        (r"it is in Ref.~\cite{none} and Refs.~\cite{none}, with", "it is, with"),
    ]
]
MORE += [
    # counters and captions without number, tables in threes, chapters
    (
        r"\newcounter{h}\newenvironment{hyp}{\refstepcounter{h}\textbf{H\theh.}}{}"
        r"\begin{hyp}\label{x}a\end{hyp} H\ref{x}",
        "H1.a H1",
    ),
    (
        r"\begin{figure}\caption*{Bare.}\end{figure}\begin{figure}\caption{C}\label{c}"
        r"\end{figure}\ref{c}",
        "1\n\nBare.\n\nFigure 1: C",
    ),
    (
        r"a\begin{threeparttable}\caption{T}\begin{tabular}{l}b\end{tabular}"
        r"\begin{tablenotes}\item n\end{tablenotes}\end{threeparttable}",
        "a\n\nTable 1: T",
    ),
    (
        r"\documentclass{report}\begin{document}\begin{titlepage}T by A\end{titlepage}"
        r"\chapter{C}\epigraph{Q}{P}\begin{equation}x\label{e}\end{equation}\ref{e}"
        r"\appendix\chapter{D}\section{S}\begin{figure}\caption{f}\label{f}\end{figure}\ref{f}",
        "## C\n\nQ — P\n\n$$x$$\n\n1.1\n\n## D\n\n### S\n\nA.1\n\nFigure A.1: f",
    ),
]
MORE += [
    # notes whose counter is set back; items that begin with a sign
    (
        r"a\footnotemark{} b\footnotemark{} c\addtocounter{footnote}{-1}\footnotetext{n}"
        r"\addtocounter{footnote}{1}\footnotetext{m}\setcounter{footnote}{0} d\footnote{o}",
        "a[^1] b[^2] c d[^3]\n\n[^1]: n\n\n[^2]: m\n\n[^3]: o",
    ),
    (
        r"x\begin{easylist}[enumerate]\ListProperties(Hang1=true)# a\label{a} # b\end{easylist}"
        r"\ref{a} C#",
        "x\n\n1. a\n2. b\n\n1 C#",
    ),
    (
        r"These include \cite{k} which do; \cite{l} which do not." + _WORKS,
        "These include Body (1999) which do; Oe (2000) which do not.",
    ),
]
