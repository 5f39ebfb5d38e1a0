"""Small TeX beside its right answer: what TeX typesets, by the rules of this project.

A row without a preamble stands in the body of an article; one with \\documentclass,
\\documentstyle or \\bye is a whole file.
"""

from tests.latex_rows_more import MORE

ROWS = [
    *MORE,
    # macros
    (r"\def\a#1#{[#1]\b}\def\b#1{<#1>}\a xy{z} end", "[xy]<z> end"),
    (r"\def\a#{(\b}\def\b#1{#1)}\a{z} end", "(z) end"),
    (r"\def\a#1.#2#{#1-#2\emph}\a x.y{z} end", "x-yz end"),
    (
        r"\unless\iffalse A\else B\fi\unless\iftrue C\else D\fi\unless\ifnum1>2 E\fi",
        "ADE",
    ),
    (
        r"\protected\def\a{A}\long\outer\def\c#1{C#1}\protected\long\def\x{X}"
        r"\global\protected\def\d{D}\protected\edef\e{E}\a\c2\x\d\e",
        "AC2XDE",
    ),
    (r"\detokenize{a_b}, \detokenize{\a{b}}", "a_b, \\a {b}"),
    (
        r"\newcommand\a[1]{\if\relax\detokenize{#1}\relax none\else #1\fi}\a{} \a{bar}",
        "none bar",
    ),
    (r"\the\numexpr 2*(3+4)-7/2\relax.", "10."),
    (
        r"\newcount\n \n=5 \the\numexpr\n+1\relax; \ifnum\numexpr1+1\relax=2 yes\fi",
        "6; yes",
    ),
    (r"\number\numexpr 1+1.", "2."),
    (
        r"\vskip\dimexpr 1pt+2pt\relax a\hspace{\dimexpr\textwidth-2cm\relax}b"
        r"\newdimen\x \x=\dimexpr 1pt*3\relax c",
        "abc",
    ),
    (r"\newcommand{\Mbh}[1][x]{M(#1)}\Mbh, \Mbh[2]", "M(x), M(2)"),
    (r"\newcommand*\red{\textcolor{red}}\red{hot} z", "hot z"),
    (r"\let\old\textbf \renewcommand{\textbf}[1]{\old{#1}!}\textbf{a}", "a!"),
    (r"\providecommand\a{1}\providecommand\a{2}\a", "1"),
    (r"\newcommand\x{X}{\renewcommand\x{Y}\x}\x", "YX"),
    (r"\gdef\x{X}{\gdef\x{Y}}\x", "Y"),
    (r"\def\a#1{\def\b##1{#1##1}}\a{x}\b{y}", "xy"),
    (r"\newcommand\we{we\xspace}\we go, \we, \we{} so", "we go, we, we so"),
    (
        r"\newcommand\etal{et~al.}Smith \etal\ and \etal{} x",
        "Smith et al. and et al. x",
    ),
    (
        r"\newenvironment{note}[1]{Note #1: }{ (end)}\begin{note}{A}b\end{note}",
        "Note A: b (end)",
    ),
    (r"\newcommand\comment[1]{}a\comment{secret}b", "ab"),
    (r"\NewDocumentCommand\f{s m O{z}}{#2#3}\f{a}[b] \f*{c}", "ab cz"),
    (r"\expandafter\def\csname x1\endcsname{hi}\csname x1\endcsname", "hi"),
    (r"\newcounter{n}\setcounter{n}{3}\addtocounter{n}{2}\arabic{n} \Roman{n}", "5 V"),
    (r"\makeatletter\def\my@x{in}\my@x\makeatother", "in"),
    (r"\newcommand{\ptfo}{PTFO$\,$8}\ptfo", "PTFO 8"),
    (
        r"\newcommand{\Mbh}[1][]{$M_{\rm BH#1}$}\Mbh{} and \Mbh[,1]",
        r"$M_{\rm BH}$ and $M_{\rm BH,1}$",
    ),
    (r"\newcommand*{\kms}{km\,s$^{-1}$}at 5~\kms.", "at 5 km s$^{-1}$."),
    (r"\newcommand\a{1}\renewcommand*{\a}{2}\a", "2"),
    (r"\let\al=\alpha $\al x$", r"$\alpha x$"),
    (r"\def\y{1}\let\x\y\def\y{2}\x\y", "12"),
    (r"\def\x{1}\edef\y{\x}\def\x{2}\y", "1"),
    (r"{\global\def\x{in}}\x", "in"),
    (r"{\global\let\x\S}\x 2", "§2"),
    (r"\newcommand\pp[2]{#1:#2}\pp{\pp{a}{b}}{c}", "a:b:c"),
    (r"\renewcommand{\comment}[1]{\textbf{#1}}a \comment{kept}", "a kept"),
    (r"\newcommand\comment[2]{#2}\comment{AB}{said} so", "said so"),
    (r"\DeclareRobustCommand{\VAN}[3]{#2}\VAN{Vries}{de}{de Vries} V", "de V"),
    (r"\newenvironment{rem}{\begin{quote}}{\end{quote}}\begin{rem}b\end{rem}", "b"),
    (r"\newenvironment{w}[2][x]{#1#2: }{}\begin{w}{b}c\end{w}", "xb: c"),
    (r"\newcommand\m[1]{\textit{#1}}\m A and \m{B C}", "A and B C"),
    (r"\providecommand{\eg}{e.g.\ }\eg so", "e.g. so"),
    # definitions with delimited arguments
    (r"\def\pair#1#2{#2#1}\pair ab \pair{12}{34}", "ba 3412"),
    (r"\def\to#1;#2.{#2 from #1}\to here;there.", "there from here"),
    (r"\def\a[#1]#2{#2/#1}\a[x]{y}", "y/x"),
    (r"\def\a#1 {<#1>}\a word next", "<word>next"),
    (r"\def\f(#1,#2){#2,#1}\f(a,{b,c})", "b,c,a"),
    (r"\def\first#1#2\stop{#1}\first abc\stop d", "ad"),
    ("\\long\\def\\skipped#1{}\\skipped{a\n\nb}c", "c"),
    (r"\def\until#1\done{}a\until x{\b}y\done b", "ab"),
    (r"\def\v#1v#2{#2#1}\v 1v2", "21"),
    # conditionals
    (
        (
            r"\newif\ifdraft\drafttrue\ifdraft yes\else no\fi \draftfalse\ifdraft y"
            r"\else n\fi"
        ),
        "yesn",
    ),
    (r"a\iffalse hidden \iftrue x\fi\else shown\fi b", "ashownb"),
    (r"\ifx\undefined\nosuch a\else b\fi", "a"),
    (r"\ifnum1<2 a\else b\fi", "a"),
    (r"\ifcase 1 a\or b\or c\fi", "b"),
    (r"\ifcase 7 a\or b\else c\fi", "c"),
    (r"\ifdefined\nosuch a\else b\fi", "b"),
    (r"\def\a{}\ifx\a\empty yes\else no\fi", "yes"),
    (r"\def\f#1{\ifx&#1&none\else some\fi}\f{}\f{x}", "nonesome"),
    (r"\ifthenelse{\equal{a}{a}}{yes}{no}", "yes"),
    (r"\newboolean{l}\setboolean{l}{true}\ifthenelse{\boolean{l}}{a}{b}", "a"),
    (r"\newtoggle{l}\toggletrue{l}\iftoggle{l}{a}{b}", "a"),
    (r"\iftrue a\iffalse b\else c\fi d\fi e", "acde"),
    (r"\ifodd 3 a\else b\fi", "a"),
    (r"\iffalse $x \begin{a} { \fi b", "b"),
    # modes
    (r"\def\m{\ifmmode m\else t\fi}\m $\m$", "t$m$"),
    (r"\def\dg{\ifmmode^\circ\else$^\circ$\fi}5\dg, $5\dg$", r"5$^\circ$, $5^\circ$"),
    (r"\newcommand\lam{\ensuremath{\lambda}}a \lam, $\lam$", r"a $\lambda$, $\lambda$"),
    (r"$\mbox{\ifmmode a\else b\fi}$", r"$\text{b}$"),
    (
        r"\newcommand\Lsol{\ensuremath{L_\odot}\xspace}5 \Lsol or $5\Lsol$",
        r"5 $L_\odot$ or $5L_\odot$",
    ),
    # blanks, comments and spacing after control words
    ("one   two\nthree", "one two three"),
    ("a % gone\n  b", "a b"),
    ("so%\n  me", "some"),
    ("one\n\n\ntwo", "one\n\ntwo"),
    (r"50\% of \$5 \& \#1 a\_b", r"50% of \$5 & #1 a_b"),
    ("``quoted'' and `single'", "\"quoted\" and 'single'"),
    ("2--3 --- so", "2–3 — so"),
    (r"Fig.~x a\,b", "Fig. x a b"),
    (r"hy\-phen shelf{}ful", "hyphen shelfful"),
    (r"line\\ break\\[2pt] more", "line break more"),
    (r"\LaTeX is, \LaTeX{} is, \LaTeX\ is", "LaTeXis, LaTeX is, LaTeX is"),
    (
        r"\newcommand\gaia{\textit{Gaia}\xspace}\gaia DR2, \gaia's (\gaia)",
        "Gaia DR2, Gaia's (Gaia)",
    ),
    (r"{\bf a} b {\it c\/}d", "a b cd"),
    (r"a\par b", "a\n\nb"),
    (r"e.g.\ this, i.e.~that\@.", "e.g. this, i.e. that."),
    (r"a\quad b\qquad c\enspace d", "a b c d"),
    ("a\\\n b", "a b"),
    (r"10\,000 and 10\thinspace km", "10 000 and 10 km"),
    (r"\textit{a}\textbf{b} \textit{c} d", "ab c d"),
    # fonts and boxes
    (r"\textbf{a \emph{b}} {\it c} \textsc{d}", "a b c d"),
    (r"\textcolor{red}{x} {\color{blue} y} \mbox{z}", "x y z"),
    (r"a\vspace{1cm}b\hspace*{2pt}c\vskip 3pt plus 1fil d", "abc\n\nd"),
    (r"\vskip-6.25truecm text", "text"),
    (r"\noindent\centering text\bigskip", "text"),
    (r"\raisebox{2pt}[1pt]{x}\parbox{3cm}{y}", "xy"),
    (
        r"\href{http://a.b/c%20d}{here} \url{http://a.b/~c_d#e%f}",
        "here http://a.b/~c_d#e%f",
    ),
    (r"\verb|x_%1$| y", "`x_%1$` y"),
    # maths
    ("$a$$b$", "$a$ $b$"),
    (r"\( x \) and $ y $", "$x$ and $y$"),
    (r"$\alpha\beta x$", r"$\alpha\beta x$"),
    (r"\newcommand{\vk}{\mathbf k}$\vk x^\vk$", r"$\mathbf kx^{\mathbf k}$"),
    (
        r"\newcommand\Msun{\ensuremath{M_\odot}}5 \Msun, $3\Msun$",
        r"5 $M_\odot$, $3M_\odot$",
    ),
    (r"\DeclareMathOperator{\Tr}{Tr}$\Tr A$", r"$\operatorname{Tr}A$"),
    (r"$5\,\mbox{if $x>0$ then}$", r"$5\,\text{if }x>0\text{ then}$"),
    (r"$a\label{x}\nonumber$", "$a$"),
    (r"$\hbox{a {b} c}$", r"$\text{a b c}$"),
    ("an open $x + y\n\nnext", "an open $x + y$\n\nnext"),
    (r"x \[ E = mc^2 \] y", "x\n\n$$E = mc^2$$\n\ny"),
    ("$$E = mc^2$$", "$$E = mc^2$$"),
    (r"\begin{equation}\label{e}a=b.\end{equation}", "$$a=b.$$"),
    (
        r"\begin{align}a&=b\\ c&=d\nonumber\end{align}",
        "$$\\begin{aligned}\na&=b \\\\\nc&=d\n\\end{aligned}$$",
    ),
    (
        r"\begin{eqnarray*}a&=&b\\&&+c\end{eqnarray*}",
        "$$\\begin{aligned}\na&= b \\\\\n& +c\n\\end{aligned}$$",
    ),
    (r"\begin{align*}a&=b\end{align*}", "$$a =b$$"),
    (r"\def\be{\begin{equation}}\def\ee{\end{equation}}\be x\ee", "$$x$$"),
    (
        r"\begin{equation}\begin{array}{l@{\,}r}1&2\\3&4\end{array}\end{equation}",
        r"$$\begin{array}{lr} 1&2\\ 3&4\end{array}$$",
    ),
    (r"$10\arcsec$", r"$10^{\prime\prime}$"),
    (r"$x$-axis at $\sim$5", r"$x$-axis at $\sim$5"),
    (r"\begin{math}x\end{math}", "$x$"),
    (r"a \begin{displaymath}x\end{displaymath} b", "a\n\n$$x$$\n\nb"),
    (
        r"\begin{gather}a\\b\end{gather}",
        "$$\\begin{gathered}\na \\\\\nb\n\\end{gathered}$$",
    ),
    (
        r"\begin{equation}\begin{split}a&=b\\&=c\end{split}\end{equation}",
        r"$$\begin{aligned} a&=b\\ &=c\end{aligned}$$",
    ),
    (
        r"\[f=\begin{cases}1&x>0\\0&\text{else}\end{cases}\]",
        r"$$f=\begin{cases} 1&x>0\\ 0&\text{else}\end{cases}$$",
    ),
    (r"\newcommand{\eqn}[1]{\begin{equation}#1\end{equation}}\eqn{a}", "$$a$$"),
    (
        r"\newenvironment{eq}{\begin{equation}}{\end{equation}}\begin{eq}a\end{eq}",
        "$$a$$",
    ),
    (
        r"\newcommand\beq{\begin{eqnarray}}\newcommand\eeq{\end{eqnarray}}\beq a\eeq",
        "$$a$$",
    ),
    (r"$x_\textrm{max}$", r"$x_{\textrm{max}}$"),
    (r"$\frac12 \sqrt[3]{x}$", r"$\frac12 \sqrt[3]{x}$"),
    (r"\newcommand\half{\frac{1}{2}}$x^\half$", r"$x^{\frac{1}{2}}$"),
    (r"\newcommand{\ud}{\mathrm{d}}$\int f\,\ud x$", r"$\int f\,\mathrm{d}x$"),
    (r"$x = 1 \mbox{ and } y$", r"$x = 1 \text{ and } y$"),
    (r"$$x \eqno(1)$$", "$$x$$"),
    (r"\begin{equation}x\tag{A}\label{q}\end{equation}\eqref{q}", "$$x$$\n\n(A)"),
    (r"$\qty(\frac{a}{b})$", r"$(\frac{a}{b})$"),
    (r"\[x\] \[y\]", "$$x$$\n\n$$y$$"),
    (r"hi$\_$class", "hi_class"),
    (r"a$^{\rm th}$ and $^{\circ}$", r"a$^{\rm th}$ and $^{\circ}$"),
    # environments
    (r"\newtheorem{thm}{Theorem}\begin{thm}[N]x\end{thm}", "**Theorem 1** (N). x"),
    (
        r"a\begin{figure}\includegraphics{f}\caption{cap}\end{figure} b",
        "a b\n\nFigure 1: cap",
    ),
    (r"a \begin{tabular}{cc}1&2\\3&4\end{tabular} b", "a b"),
    (r"a\begin{verbatim}\x{%\end{verbatim} b", "a b"),
    (r"a\begin{comment}x\end{comment}b", "ab"),
    (r"\begin{mystery}kept\end{mystery}", "kept"),
    (r"\begin{minipage}[t]{0.5\textwidth}a\end{minipage}", "a"),
    (r"\begin{multicols}{2}a\end{multicols}", "a"),
    (r"\begin{tcolorbox}[title=X,colback=red]a\end{tcolorbox}", "a"),
    (
        (
            r"\newtheorem{t}{Theorem}\newtheorem{l}[t]{Lemma}\begin{t}x\end{t}"
            r"\begin{l}y\end{l}"
        ),
        "**Theorem 1**. x\n\n**Lemma 2**. y",
    ),
    (r"\newtheorem*{r}{Remark}\begin{r}x\end{r}", "**Remark**. x"),
    (r"\begin{proof}x\end{proof}", "**Proof.** x"),
    (
        (
            r"a\begin{deluxetable}{cc}\tablecaption{T"
            r"\label{t}}\tablehead{\colhead{A}}\startdata 1&2\\\enddata"
            r"\end{deluxetable} b \ref{t}"
        ),
        "a b 1\n\nTable 1: T",
    ),
    (r"a \begin{longtable}{cc}1&2\\\end{longtable}b", "a b"),
    (r"a\begin{lstlisting}[language=C]x=1;\end{lstlisting}b", "a b"),
    (
        (
            r"\begin{figure}\begin{subfigure}{.5\textwidth}\caption{A}\label{a}"
            r"\end{subfigure}\caption{B}\label{f}\end{figure}Fig.~\ref{f}, \ref{a}"
        ),
        "Fig. 1, 1a\n\nFigure 1a: A\n\nFigure 1: B",
    ),
    (r"\begin{wrapfigure}{r}{5cm}\caption{C}\end{wrapfigure}x", "x\n\nFigure 1: C"),
    (r"\begin{appendix}\section{A}\label{a}\ref{a}\end{appendix}", "## A\n\nA"),
    (r"\begin{quote}a\end{quote}b", "a\n\nb"),
    (r"a\begin{tikzpicture}\draw (0,0)--(1,1);\end{tikzpicture}", "a"),
    # lists
    (r"\begin{itemize}\item a\item[] b\end{itemize}", "- a\n- b"),
    (r"\begin{enumerate}\item a\item b\end{enumerate}c", "1. a\n2. b\n\nc"),
    (r"\begin{description}\item[Term] means\end{description}", "- Term means"),
    (
        (
            r"text\begin{thebibliography}{9}\bibitem{a} A. Body 2000"
            r"\end{thebibliography}"
        ),
        "text",
    ),
    (
        (
            r"\begin{itemize}\item a\begin{itemize}\item b\end{itemize}\item c"
            r"\end{itemize}"
        ),
        "- a\n  - b\n- c",
    ),
    (
        r"\begin{enumerate}\item a\item[(x)] b\item c\end{enumerate}",
        "1. a\n- (x) b\n2. c",
    ),
    (r"\begin{enumerate}\item\label{i} a\end{enumerate}See \ref{i}.", "1. a\n\nSee 1."),
    (r"x:\begin{itemize}\item a\end{itemize}y", "x:\n\n- a\n\ny"),
    (r"\begin{enumerate}[label=(\alph*)]\item a\end{enumerate}", "1. a"),
    (
        r"We do \begin{inparaenum}[(i)]\item this, \item that\end{inparaenum} and more.",
        "We do (i) this, (ii) that and more.",
    ),
    (
        r"It is \begin{enumerate*}[label=\alph*)]\item old and\item\label{i} cold"
        r"\end{enumerate*}; see \ref{i}.",
        "It is a) old and b) cold; see b.",
    ),
    (
        r"It is \begin{itemize*}\item old,\item[not] cold\end{itemize*}.",
        "It is old, not cold.",
    ),
    (
        r"first \begin{inparaenum}\item a, \item b\end{inparaenum}.",
        "first 1. a, 2. b.",
    ),
    (r"\begin{itemize}\setlength{\itemsep}{0pt}\item a\end{itemize}", "- a"),
    # headings
    (r"\section*{A $x$ \emph{b}}t", "## A $x$ b\n\nt"),
    (r"\subsection[short]{Long}\label{q}t", "### Long\n\nt"),
    (r"\paragraph{Run in.} text", "**Run in.** text"),
    (r"\section*{Acknowledgements}We thank.", "## Acknowledgements\n\nWe thank."),
    (r"\acknowledgments We thank.", "## Acknowledgments\n\nWe thank."),
    (
        r"\begin{acknowledgements}We thank.\end{acknowledgements}",
        "## Acknowledgments\n\nWe thank.",
    ),
    # footnotes
    ("a\\footnote{the note}. b\n\nc", "a[^1]. b\n\n[^1]: the note\n\nc"),
    (r"a\footnotemark{} b\footnotetext{n}", "a[^1] b\n\n[^1]: n"),
    (r"a\footnotemark[3] b\footnotetext[3]{n}", "a[^3] b\n\n[^3]: n"),
    (r"a\footnote{x}\footnote{y}", "a[^1][^2]\n\n[^1]: x\n\n[^2]: y"),
    (r"a\footnote{See \url{http://a.b/c_d}.}", "a[^1]\n\n[^1]: See http://a.b/c_d."),
    (r"\begin{itemize}\item a\footnote{n}\end{itemize}b", "- a[^1]\n\n[^1]: n\n\nb"),
    (r"\section{A\footnote{n}}t", "## A[^1]\n\n[^1]: n\n\nt"),
    # citations
    (r"known \citep{q} well", "known well"),
    (r"known~\cite{q}.", "known."),
    (r"so (e.g., \citealt{q}; \citealt{r}), it", "so, it"),
    (r"so [\cite{q}] is (Kepler; \citealp{q})", "so is (Kepler)"),
    (r"a \citep[see][for a review]{q}, b", "a, b"),
    (
        (
            r"\citet{k} say\begin{thebibliography}{}\bibitem[Body et~al.(1999)]{k} x"
            r"\end{thebibliography}"
        ),
        "Body et al. (1999) say",
    ),
    (
        (
            r"in Ref.~\cite{k}"
            r"\begin{thebibliography}{}\bibitem{k} A. Body and C. D. Oe, J. 3 (1999)"
            r"\end{thebibliography}"
        ),
        "in Body and Oe (1999)",
    ),
    (r"\defcitealias{k}{B99}as \citetalias{k} said", "as B99 said"),
    (r"known \citep[e.g.,][]{q}, and", "known, and"),
    (r"a (see \citealt{q} and references therein) b", "a b"),
    (r"text.\textsuperscript{\cite{q}} Next", "text. Next"),
    (r"known\cite{q}--\cite{r}. So", "known. So"),
    (r"known (\cite{q}, \cite{r}) so", "known so"),
    (
        (
            r"\citeauthor{k} (\citeyear{k})"
            r"\begin{thebibliography}{}\bibitem[Body et~al.(1999)]{k} x"
            r"\end{thebibliography}"
        ),
        "Body et al. (1999)",
    ),
    (
        (
            r"\citeauthor{k}'s law\begin{thebibliography}{}\bibitem[Body(1999)]{k} x"
            r"\end{thebibliography}"
        ),
        "Body's law",
    ),
    (
        (
            r"\citet{k,l} say"
            r"\begin{thebibliography}{}\bibitem[Body(1999)]{k} x\bibitem[Oe(2000)]{l} x"
            r"\end{thebibliography}"
        ),
        "Body (1999) and Oe (2000) say",
    ),
    (r"a\nocite{*} b", "a b"),
    (
        (
            r"as \citet[\S~2]{k} did"
            r"\begin{thebibliography}{}\bibitem[Body(1999)]{k} x\end{thebibliography}"
        ),
        "as Body (1999) did",
    ),
    (r"known [see e.g.~\cite{q}] well", "known well"),
    # cross-references by counting
    (r"\section{A}\label{a}See Sect.~\ref{a}.", "## A\n\nSee Sect. 1."),
    (
        r"Eq.~(\ref{b}).\begin{equation}x\label{b}\end{equation}\eqref{b}",
        "Eq. (1).\n\n$$x$$\n\n(1)",
    ),
    (
        r"\section{A}\subsection{B}\label{b}\autoref{b}",
        "## A\n\n### B\n\nsubsection 1.1",
    ),
    (
        r"\begin{figure}\caption{c\label{f}}\end{figure}Figure~\ref{f}",
        "Figure 1\n\nFigure 1: c",
    ),
    (r"\appendix\section{A}\label{a}Appendix~\ref{a}", "## A\n\nAppendix A"),
    (r"as Figure~\ref{none} shows (see Fig.~\ref{none})", "as the figure shows"),
    (
        (
            r"Figs.~\ref{a} and \ref{b}\begin{figure}\caption{x}\label{a}"
            r"\end{figure}\begin{figure*}\caption{y}\label{b}\end{figure*}"
        ),
        "Figs. 1 and 2\n\nFigure 1: x\n\nFigure 2: y",
    ),
    (
        (
            r"\section{A}\label{a}\section{B}\label{b}\section{C}"
            r"\label{c}\cref{a,b}, \cref{a,b,c}"
        ),
        "## A\n\n## B\n\n## C\n\nsections 1 and 2, sections 1 to 3",
    ),
    (
        (
            r"\section{A}\label{a}\section{B}\label{b}\section{C}"
            r"\label{c}\crefrange{a}{c}"
        ),
        "## A\n\n## B\n\n## C\n\nsections 1 to 3",
    ),
    (
        r"\Cref{q}, \cref{q}\begin{equation}x\label{q}\end{equation}",
        "Equation (1), eq. (1)\n\n$$x$$",
    ),
    (r"\section{A}\label{a}\hyperref[a]{Section~\ref*{a}}", "## A\n\nSection 1"),
    (r"\section{The Sky}\label{a}See \nameref{a}.", "## The Sky\n\nSee The Sky."),
    (
        (
            r"\begin{subequations}\label{s}\begin{align}a\label{a}\\b\label{b}"
            r"\end{align}\end{subequations}\ref{a}, \ref{b}, \ref{s}"
        ),
        "$$\\begin{gathered}\na \\\\\nb\n\\end{gathered}$$\n\n1a, 1b, 1",
    ),
    (
        r"\begin{eqnarray}a&=&b\nonumber\\c&=&d\label{q}\end{eqnarray}\ref{q}",
        "$$\\begin{aligned}\na&= b \\\\\nc&= d\n\\end{aligned}$$\n\n1",
    ),
    (
        r"Eqs.~(\ref{a})--(\ref{b})\begin{align}x\label{a}\\y\label{b}\end{align}",
        "Eqs. (1)–(2)\n\n$$\\begin{gathered}\nx \\\\\ny\n\\end{gathered}$$",
    ),
    (
        r"\section{A}\subsection{B}\subsection{C}\label{c}\S\ref{c}",
        "## A\n\n### B\n\n### C\n\n§1.2",
    ),
    (
        (
            r"\section{A}\label{a}\appendix\section{B}\subsection{C}"
            r"\label{c}\ref{a}, \ref{c}"
        ),
        "## A\n\n## B\n\n### C\n\n1, A.1",
    ),
    (
        r"\begin{table}\caption{c}\label{t}\end{table}Table~\ref{t}",
        "Table 1\n\nTable 1: c",
    ),
    (
        (
            r"\numberwithin{equation}{section}\section{A}\begin{equation}x\label{q}"
            r"\end{equation}\eqref{q}"
        ),
        "## A\n\n$$x$$\n\n(1.1)",
    ),
    (
        (
            r"\newtheorem{t}{Theorem}[section]\section{A}\begin{t}\label{t}x"
            r"\end{t}\autoref{t}"
        ),
        "## A\n\n**Theorem 1.1**. x\n\nTheorem 1.1",
    ),
    # accents, ligatures and signs
    (
        "\\'e \\'{e} \\`a \\^o \\\"{u} \\~n \\v{s} \\c{c} \\H{o} \\'{\\i} \\=a",
        "é é à ô ü ñ š ç ő í ā",
    ),
    (
        'M\\"uller Erd\\H os \\aa ngstrom \\O re \\ss{} \\L{}odz',
        "Müller Erdős ångstrom Øre ß Łodz",
    ),
    (r"\ldots\ \S 3 \copyright", "... §3 ©"),
    (
        "\\v{C}erenkov, \\'Alvarez, na\\\"{\\i}ve, \\k{a}, \\r{A}, \\.Z, \\u{g}, \\d{h}",
        "Čerenkov, Álvarez, naïve, ą, Å, Ż, ğ, ḥ",
    ),
    ('fran\\c cais \\oe uvre {\\AA}ngstr{\\"o}m', "français œuvre Ångström"),
    (r"?`Qu\'e? !`Hola!", "¿Qué? ¡Hola!"),
    ("\\char65 \\char`B \\char`\\C \\char'104 \\char\"45", "ABCDE"),
    (r"a\textbackslash{}b \textasciitilde c", r"a\b ~c"),
    (r"\textquotedblleft a\textquotedblright{} rock 'n' roll", "\"a\" rock 'n' roll"),
    # units and astronomy
    (r"5\arcsec\ and 3\degr", "5″ and 3°"),
    (r"\ion{H}{2} and \ion{C}{iv}", "H II and C IV"),
    (r"in \mnras\ and \apj", "in MNRAS and ApJ"),
    (r"from \SIrange{1}{5}{\kelvin}, \numrange{2}{3}", "from 1 K to 5 K, 2 to 3"),
    (
        r"$\qtyrange{1}{5}{\km\per\second}$",
        r"$1\,\mathrm{km\,s^{-1}}\text{ to }5\,\mathrm{km\,s^{-1}}$",
    ),
    (
        r"\SI{5}{\km} \SI{3e5}{\km\per\second}",
        r"5 km $3\times 10^{5}\,\mathrm{km\,s^{-1}}$",
    ),
    (r"\SI{5.0e-3}{\mega\parsec}", r"$5.0\times 10^{-3}\,\mathrm{Mpc}$"),
    (r"\num{1.5e10} of \num{42}", r"$1.5\times 10^{10}$ of 42"),
    (r"\si{\kilo\metre\per\second} \unit{\km}", r"$\mathrm{km\,s^{-1}}$ km"),
    (r"\unit[5]{km}", "5 km"),
    (r"\qty{3}{\kelvin} $\qty{3}{\kelvin}$", r"3 K $3\,\mathrm{K}$"),
    (r"\ang{5;10;3} \SI{20}{\degree} \SI{20}{\percent}", "5°10′3″ 20° 20 %"),
    (
        r"\SI{2}{\erg\per\second\per\square\centi\metre}",
        r"$2\,\mathrm{erg\,s^{-1}\,cm^{-2}}$",
    ),
    (r"\ion{H}{i}, \ion{Fe}{xvii}, $\ion{O}{vi}$", r"H I, Fe XVII, $\mathrm{O\,VI}$"),
    (
        r"5$\degr$ and 5\degr; 0\farcs5; 12\fd5; 3\fdg2",
        r"5$^{\circ}$ and 5°; 0.″5; 12.d5; 3.°2",
    ),
    (
        r"M$_\sun$, a $\la$ b, a \ga\ b, 5~\micron.",
        r"M$_\odot$, a $\lesssim$ b, a ≳ b, 5 µm.",
    ),
    (r"a\software{astropy \citep{q}, numpy}", "a\n\nSoftware: astropy, numpy"),
    (r"a\facility{HST, Keck}", "a\n\nFacility: HST, Keck"),
    (r"a\facilities{HST(STIS), Keck}", "a\n\nFacilities: HST(STIS), Keck"),
    (r"\objectname{M 31} \object{M 33}", "M 31 M 33"),
    (r"$12^\mathrm{h}30\arcmin$", r"$12^\mathrm{h}30^{\prime}$"),
    # front matter by class
    (r"\author{N. Body}\affil{Univ}\email{a@b}\date{now}text", "text"),
    (
        (
            r"\documentclass[twocolumn]{aastex631}\shorttitle{s}\shortauthors{A}"
            r"\begin{document}\title{T}\correspondingauthor{A. Body}\email{a@b.c}"
            r"\author[0000-0001-2345]{A. Body}\altaffiliation{Fellow}\affiliation{Univ,"
            r" City}\collaboration{3}{(The X)}\begin{abstract}Abs."
            r"\end{abstract}\keywords{stars --- dust}\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{aastex61}"
            r"\begin{document}\title{T}\author{A}\affil{U}\nocollaboration{2}"
            r"\begin{abstract}Abs.\end{abstract}\keywords{\uat{Dust}{1}}\section{S}x"
            r"\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentstyle[11pt,aaspp4]{article}\lefthead{A}\righthead{B}"
            r"\begin{document}\title{T}\author{A. Body\altaffilmark{1}}\affil{Univ}"
            r"\altaffiltext{1}{Fellow}\begin{abstract}Abs."
            r"\end{abstract}\keywords{stars}\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass[fleqn]{mnras}\title[Short]{T}\author[A. Body et al.]{A."
            r" Body$^{1}$\thanks{E-mail: a@b}\\$^{1}$Univ}\date{Accepted XXX}"
            r"\pubyear{2020}\begin{document}"
            r"\label{firstpage}\pagerange{\pageref{firstpage}--\pageref{lastpage}}"
            r"\maketitle\begin{abstract}Abs.\end{abstract}\begin{keywords}k -- l"
            r"\end{keywords}\section{S}x\bsp\label{lastpage}\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{aa}"
            r"\begin{document}\title{T}\subtitle{Sub}\author{A\inst{1}\fnmsep\thanks{x}"
            r"\and B\inst{2}}\institute{U\\ \email{a@b}\and V}\date{Received}"
            r"\abstract{Abs.}{}{}{}{}\keywords{k -- l}\maketitle\section{S}x"
            r"\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{aa}"
            "\\begin{document}\\title{T}\\author{A}\\institute{U}\\abstract\n  % context"
            " heading\n  {C.}\n  % aims\n  {A.}\n  {M.}\n  {R.}\n  {}\n\\keywords{k}\\maketitle"
            r"\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nC. A. M. R.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass[prd,aps]{revtex4-1}"
            r"\begin{document}\preprint{X}\title{T}\author{A. Body}\email[E: ]{a@b}"
            r"\affiliation{Univ}\date{\today}\begin{abstract}Abs."
            r"\end{abstract}\pacs{98.80}\maketitle\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{revtex4-2}"
            r"\begin{document}\title{T}\author{A}\author{B}\homepage{h}"
            r"\altaffiliation[Also at ]{V}\collaboration{C}\noaffiliation"
            r"\begin{abstract}Abs.\end{abstract}\maketitle\section{S}"
            r"\label{s}x\subsection{U}\label{u}see Sec.~\ref{u}\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx\n\n### U\n\nsee Sec. I A",
    ),
    (
        (
            r"\documentclass[a4paper]{article}\usepackage{jcappub}\title{T}"
            r"\author[a,1]{A. Body,\note{Corresponding}}\author[b]{B}"
            r"\affiliation[a]{Univ}\emailAdd{a@b}\abstract{Abs.}\keywords{k}"
            r"\arxivnumber{1}\begin{document}\maketitle\flushbottom\section{S}x"
            r"\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{elsarticle}\begin{document}"
            r"\begin{frontmatter}\title{T\tnoteref{t}}\tnotetext[t]{Note}\author[1]{A"
            r"\corref{c}}\ead{a@b}\cortext[c]{Corr}\address[1]{Univ}"
            r"\affiliation[2]{organization={V},city={W}}\begin{abstract}Abs."
            r"\end{abstract}\begin{keyword}k \sep l\end{keyword}"
            r"\end{frontmatter}\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{IEEEtran}"
            r"\begin{document}\title{T}\author{\IEEEauthorblockN{A}\IEEEauthorblockA{U}"
            r"\thanks{M}}\markboth{a}{b}\maketitle\begin{abstract}Abs."
            r"\end{abstract}\begin{IEEEkeywords}k"
            r"\end{IEEEkeywords}\IEEEpeerreviewmaketitle"
            r"\section{S}\IEEEPARstart{T}{he} x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nThe x",
    ),
    (
        (
            r"\documentclass{article}\usepackage{authblk}\title{T}\author[1]{A}"
            r"\affil[1]{U}\date{}\begin{document}\maketitle\begin{abstract}Abs."
            r"\end{abstract}\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{llncs}"
            r"\begin{document}\title{T}\author{A\inst{1}\orcidID{0000-1}}"
            r"\authorrunning{A}\institute{U \email{a@b}}\maketitle"
            r"\begin{abstract}Abs.\keywords{k \and l}\end{abstract}\section{S}x"
            r"\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{article}\usepackage{neurips_2023}\title{T}\author{A \\ U "
            r"\And B \\ V}\begin{document}\maketitle\begin{abstract}Abs."
            r"\end{abstract}\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass{iopart}"
            r"\begin{document}\title[s]{T}\author{A B$^1$}\address{$^1$ U}\ead{a@b}"
            r"\begin{abstract}Abs.\end{abstract}\pacs{1}\submitto{CQG}\maketitle"
            r"\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass[PhD]{svjour3}"
            r"\begin{document}\title{T}\author{A}\institute{A \at U \\ Tel.: 1 "
            r"\email{a@b}}\maketitle\begin{abstract}Abs.\keywords{k}\PACS{1}"
            r"\end{abstract}\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass[sn-mathphys]{sn-jnl}"
            r"\begin{document}\title[s]{T}\author*[1]{\fnm{A} \sur{Body}}\email{a@b}"
            r"\affil*[1]{\orgdiv{D}, \orgname{O}, \orgaddress{\city{C}}}\abstract{Abs.}"
            r"\keywords{k}\maketitle\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentclass[sigconf]{acmart}"
            r"\begin{document}\title{T}\author{A}\affiliation{\institution{U}"
            r"\country{C}}\begin{abstract}Abs.\end{abstract}\begin{CCSXML}x"
            r"\end{CCSXML}\ccsdesc[500]{y}\keywords{k}\maketitle\section{S}x"
            r"\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    # plain TeX and LaTeX 2.09
    (
        (
            r"\documentstyle[aps,epsf]{revtex}"
            r"\begin{document}\draft\title{T}\author{A}\address{U}\date{\today}"
            r"\maketitle\begin{abstract}Abs.\end{abstract}\pacs{1}\narrowtext"
            r"\section{S}x\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentstyle[epsf]{mn}\title[s]{T}\author[A]{A\\U}"
            r"\begin{document}\maketitle\begin{abstract}Abs.\end{abstract}"
            r"\begin{keywords}k\end{keywords}\section{S}{\em x}\end{document}"
        ),
        "# T\n\n## Abstract\n\nAbs.\n\n## S\n\nx",
    ),
    (
        (
            r"\documentstyle[12pt]{article}"
            r"\begin{document}a\placefigure{f}\figcaption[f.ps]{cap"
            r"\label{f}}b \ref{f}\end{document}"
        ),
        "ab 1\n\nFigure 1: cap",
    ),
    (
        (
            r"\magnification=\magstep1 "
            "\\beginsection 1. Intro\n\nText {\\sl is} here.\\footnote{$^1$}{A note.}\n\n"
            r"\beginsection 2. More\par End.\vfill\eject\bye"
        ),
        "## 1. Intro\n\nText is here.[^1]\n\n[^1]: A note.\n\n## 2. More\n\nEnd.",
    ),
    (
        r"\hsize=6in \parindent 20pt $$\eqalign{a&=b\cr c&=d\cr}\eqno(1)$$ so\bye",
        "$$\\begin{aligned} a&=b\\\\ c&=d\\end{aligned}$$\n\nso",
    ),
    (
        (
            "\\font\\big=cmr10 scaled 1200\n$$\\pmatrix{1&2\\cr3&4\\cr} \\left\\{\\matrix{a\\cr"
            r" b}\right.$$ so\bye"
        ),
        (
            r"$$\begin{pmatrix} 1&2\\ 3&4\end{pmatrix} \left\{\begin{matrix} a\\ b"
            "\\end{matrix}\\right.$$\n\nso"
        ),
    ),
    (r"\item{1.} one \item{2.} two\bye", "- 1. one\n- 2. two"),
    (
        r"\proclaim Theorem 1. All is well.\par So.\bye",
        "Theorem 1. All is well.\n\nSo.",
    ),
    (
        r"$f=\cases{1&if $x>0$\cr 0&else\cr}$\bye",
        r"$f=\begin{cases} 1&\text{if }x>0\\ 0&\text{else}\end{cases}$",
    ),
    (
        r"\def\title#1{{\bf #1}\medskip}\title{On Dust}\noindent Dust.\bye",
        "# On Dust\n\nDust.",
    ),
    # broken
    (r"un{balanced \emph{text", "unbalanced text"),
    (r"stray } and \end{nothing} here", "stray and here"),
    (r"\unknowncommand{kept} \\ x", "kept x"),
    (r"\def\a{\a}\a sound", "sound"),
    (r"\begin{tabular} never ends", "never ends"),
    (r"a \input{missing} b \includegraphics{", "a b"),
    (
        r"A \begin{easylist}[itemize]\ListProperties(Hide=100, Style*=--) & One $a$"
        r" && Two $\matrix{a&b}$ & Three\end{easylist} B",
        "A\n\n- One $a$\n  - Two $\\begin{matrix} a&b\\end{matrix}$\n- Three\n\nB",
    ),
    (
        r"\begin{easylist}[enumerate] # One ## Two # Three\end{easylist}",
        "1. One\n  - Two\n2. Three",
    ),
    (
        "A \\begin{easylist}\n\u00a7 One\n\u00a7\u00a7 Two\n\u00a7 Three \\& co\n"
        "\\end{easylist} B",
        "A\n\n1. One\n  - Two\n2. Three & co\n\nB",
    ),
]

# files and inputs: the package, where body.tex stands in the body of main.tex, and its text
PACKAGES = [
    (
        {
            "body.tex": r"a \import{sec/}{one} b",
            "sec/one.tex": r"1\input{two}",
            "sec/two.tex": "2",
        },
        "a 12 b",
    ),
    ({"body.tex": r"a \subimport{sec/}{one.tex} b", "sec/one.tex": "1"}, "a 1 b"),
    (
        {
            "body.tex": r"a \subfile{s/one} b",
            "s/one.tex": (
                r"\documentclass[../main]{subfiles}\newcommand\q{no}\begin{document}1"
                r"\end{document} junk"
            ),
        },
        "a 1 b",
    ),
    ({"body.tex": r"a \input ONE b", "one.tex": "1"}, "a 1 b"),
    (
        {
            "body.tex": r"a \input{one.tex}\include{two} b",
            "one.tex": "1",
            "two.tex": "2",
        },
        "a 12 b",
    ),
    (
        {
            "body.tex": r"\citet{k} say.\input{main.bbl}",
            "main.bbl": (
                r"\begin{thebibliography}{1}\bibitem[Body(1999)]{k} Body, A. 1999, ApJ, 1,"
                r" 2\end{thebibliography}"
            ),
        },
        "Body (1999) say.",
    ),
    (
        {
            "body.tex": r"a\bibliography{x}",
            "main.bbl": r"\begin{thebibliography}{1}\bibitem{k} Body\end{thebibliography}",
        },
        "a",
    ),
    ({"body.tex": r"a \InputIfFileExists{one}{}{no} b", "one.tex": "1"}, "a 1 b"),
    ({"body.tex": r"a \IfFileExists{nope}{yes}{no} b"}, "a no b"),
    ({"body.tex": r"a \lstinputlisting[language=C]{x.c} b", "x.c": "int"}, "a b"),
    ({"body.tex": r"a \input{one}b", "one.tex": "1\\endinput\nnever"}, "a 1b"),
    (
        {
            "body.tex": r"\input{defs}\kms",
            "defs.tex": "% defs\n\\newcommand{\\kms}{km/s}\n",
        },
        "km/s",
    ),
]

# a setting, what it is given, and what comes out with and without it
SETTINGS = [
    (
        "captions",
        r"a\begin{figure}\caption{cap}\end{figure}",
        "a\n\nFigure 1: cap",
        "a",
    ),
    (
        "tables",
        (
            r"a\begin{table}\begin{tabular}[t]{lc}\hline A & $x$ \\[2pt] B & 5\\ "
            r"\end{tabular}\end{table}"
        ),
        "a\n\nA | $x$\nB | 5",
        "a",
    ),
    (
        "tables",
        (
            r"a\begin{deluxetable}{cc}\tablehead{\colhead{A}}\startdata 1&2\\3&4"
            r"\enddata\end{deluxetable}"
        ),
        "a\n\nA\n1 | 2\n3 | 4",
        "a",
    ),
    (
        "tables",
        r"a \begin{tabular*}{5cm}{cc}1&2\end{tabular*} b",
        "a\n\n1 | 2\n\nb",
        "a b",
    ),
    (
        "code",
        "a\\begin{lstlisting}[language=C]\nif {\n    x; % no\n\\end{lstlisting}",
        "a\n\n```\nif {\n    x; % no\n```",
        "a",
    ),
    (
        "code",
        "a\\begin{verbatim}\n\\x\n\\end{verbatim}b",
        "a\n\n```\n\\x\n```\n\nb",
        "a b",
    ),
    (
        "acknowledgements",
        r"a\section*{Acknowledgements}Thanks.\section{B}b",
        "a\n\n## Acknowledgements\n\nThanks.\n\n## B\n\nb",
        "a\n\n## B\n\nb",
    ),
    (
        "acknowledgements",
        r"a\begin{acknowledgments}Thanks.\end{acknowledgments}",
        "a\n\n## Acknowledgments\n\nThanks.",
        "a",
    ),
    (
        "acknowledgements",
        r"a\acknowledgments Thanks.",
        "a\n\n## Acknowledgments\n\nThanks.",
        "a",
    ),
    (
        "tables",
        (
            r"a\begin{deluxetable}{cc}\tablehead{\colhead{A} & \colhead{B}\\ "
            r"\colhead{(km)} & \colhead{(s)}}\startdata 1&2\enddata\end{deluxetable}"
        ),
        "a\n\nA | B\n(km) | (s)\n1 | 2",
        "a",
    ),
    (
        "acknowledgements",
        r"a\acknowledgments Thanks. \facilities{HST}\software{astropy}\section{B}b",
        (
            "a\n\n## Acknowledgments\n\nThanks.\n\nFacilities: HST\n\nSoftware: astropy"
            "\n\n## B\n\nb"
        ),
        "a\n\nFacilities: HST\n\nSoftware: astropy\n\n## B\n\nb",
    ),
    (
        "acknowledgements",
        (
            r"a\begin{acknowledgments}Thanks\footnote{n}. \software{astropy}"
            r"\end{acknowledgments}b\footnote{m}"
        ),
        (
            "a\n\n## Acknowledgments\n\nThanks[^1].\n\n[^1]: n\n\nSoftware: astropy"
            "\n\nb[^2]\n\n[^2]: m"
        ),
        "a\n\nSoftware: astropy\n\nb[^2]\n\n[^2]: m",
    ),
    (
        "acknowledgements",
        r"a\section*{Acknowledgements}Thanks.\begin{figure}\caption{C}\end{figure}",
        "a\n\n## Acknowledgements\n\nThanks.\n\nFigure 1: C",
        "a\n\nFigure 1: C",
    ),
]
