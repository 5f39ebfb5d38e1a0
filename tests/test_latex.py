"""TeX by hand beside its right answer; packages that lie; papers that attack."""

import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from latex_hostile import FOUND, HOSTILE, attacks

from cosmosage.latex import Package, read_package, to_text
from cosmosage.latex.__main__ import main as command

ROWS = [
    # blanks, comments, quotes, dashes
    (r"one   two" + "\n" + "three", "one two three"),
    ("a % gone\n  b", "a b"),
    ("so%\n  me", "some"),
    ("one\n\n\ntwo", "one\n\ntwo"),
    (r"50\% of \$5 \& \#1 a\_b", r"50% of \$5 & #1 a_b"),
    ("``quoted'' and `single'", "\"quoted\" and 'single'"),
    ("2--3 --- so", "2–3 — so"),
    (r"Fig.~x a\,b", "Fig. x a b"),
    (r"hy\-phen shelf{}ful", "hyphen shelfful"),
    (r"line\\ break\\[2pt] more", "line break more"),
    # accents and signs
    (
        r"\'e \'{e} \`a \^o \"{u} \~n \v{s} \c{c} \H{o} \'{\i} \=a",
        "é é à ô ü ñ š ç ő í ā",
    ),
    (
        r"M\"uller Erd\H os \aa ngstrom \O re \ss{} \L{}odz",
        "Müller Erdős ångstrom Øre ß Łodz",
    ),
    (r"\ldots\ \S 3 \copyright", "... §3 ©"),
    (r"5\arcsec\ and 3\degr", "5″ and 3°"),
    (r"\ion{H}{2} and \ion{C}{iv}", "H II and C IV"),
    (r"in \mnras\ and \apj", "in MNRAS and ApJ"),
    # fonts and boxes
    (r"\textbf{a \emph{b}} {\it c} \textsc{d}", "a b c d"),
    (r"\textcolor{red}{x} {\color{blue} y} \mbox{z}", "x y z"),
    (r"a\vspace{1cm}b\hspace*{2pt}c\vskip 3pt plus 1fil d", "abcd"),
    (r"\vskip-6.25truecm text", "text"),
    (r"\noindent\centering text\bigskip", "text"),
    (r"\raisebox{2pt}[1pt]{x}\parbox{3cm}{y}", "xy"),
    (
        r"\href{http://a.b/c%20d}{here} \url{http://a.b/~c_d#e%f}",
        "here http://a.b/~c_d#e%f",
    ),
    (r"\verb|x_%1$| y", "`x_%1$` y"),
    # macros
    (r"\newcommand{\Mbh}[1][x]{M(#1)}\Mbh, \Mbh[2]", "M(x), M(2)"),
    (r"\newcommand*\red{\textcolor{red}}\red{hot} z", "hot z"),
    (r"\def\pair#1#2{#2#1}\pair ab \pair{12}{34}", "ba 3412"),
    (r"\def\to#1;#2.{#2 from #1}\to here;there.", "there from here"),
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
    (
        r"\newif\ifdraft\drafttrue\ifdraft yes\else no\fi \draftfalse\ifdraft y\else n\fi",
        "yesn",
    ),
    (r"a\iffalse hidden \iftrue x\fi\else shown\fi b", "ashownb"),
    (r"\def\m{\ifmmode m\else t\fi}\m $\m$", "t$m$"),
    (r"\newcounter{n}\setcounter{n}{3}\addtocounter{n}{2}\arabic{n} \Roman{n}", "5 V"),
    (r"\makeatletter\def\my@x{in}\my@x\makeatother", "in"),
    (r"\newcommand{\ptfo}{PTFO$\,$8}\ptfo", "PTFO 8"),
    # maths
    (r"$a$$b$", "$a$ $b$"),
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
    (r"$$E = mc^2$$", "$$E = mc^2$$"),
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
    (
        r"\SI{5}{\km} \SI{3e5}{\km\per\second}",
        r"5 km $3\times 10^{5}\,\mathrm{km\,s^{-1}}$",
    ),
    (r"$10\arcsec$", r"$10^{\prime\prime}$"),
    # structure
    (r"\section*{A $x$ \emph{b}}t", "## A $x$ b\n\nt"),
    (r"\subsection[short]{Long}\label{q}t", "### Long\n\nt"),
    (r"\paragraph{Run in.} text", "**Run in.** text"),
    (r"\begin{itemize}\item a\item[] b\end{itemize}", "- a\n- b"),
    (r"\begin{enumerate}\item a\item b\end{enumerate}c", "1. a\n2. b\n\nc"),
    (r"\begin{description}\item[Term] means\end{description}", "- Term means"),
    (r"\newtheorem{thm}{Theorem}\begin{thm}[N]x\end{thm}", "**Theorem 1** (N). x"),
    (r"a\footnote{the note}. b" + "\n\nc", "a[^1]. b\n\n[^1]: the note\n\nc"),
    (
        r"a\begin{figure}\includegraphics{f}\caption{cap}\end{figure} b",
        "a b\n\nFigure 1: cap",
    ),
    (r"a \begin{tabular}{cc}1&2\\3&4\end{tabular} b", "a b"),
    (r"a\begin{verbatim}\x{%\end{verbatim} b", "a b"),
    (r"a\begin{comment}x\end{comment}b", "ab"),
    (r"\begin{mystery}kept\end{mystery}", "kept"),
    (r"\author{N. Body}\affil{Univ}\email{a@b}\date{now}text", "text"),
    (
        r"text\begin{thebibliography}{9}\bibitem{a} A. Body 2000\end{thebibliography}",
        "text",
    ),
    # references
    (r"\section{A}\label{a}See Sect.~\ref{a}.", "## A\n\nSee Sect. 1."),
    (
        r"Eq.~(\ref{b}).\begin{equation}x\label{b}\end{equation}\eqref{b}",
        "Eq. (1).\n\n$$x$$\n\n(1)",
    ),
    (r"\section{A}\subsection{B}\label{b}\autoref{b}", "## A\n\n### B\n\nSection 1.1"),
    (
        r"\begin{figure}\caption{c\label{f}}\end{figure}Figure~\ref{f}",
        "Figure 1\n\nFigure 1: c",
    ),
    (r"\appendix\section{A}\label{a}Appendix~\ref{a}", "## A\n\nAppendix A"),
    (r"as Figure~\ref{none} shows (see Fig.~\ref{none})", "as the figure shows"),
    # citations
    (r"known \citep{q} well", "known well"),
    (r"known~\cite{q}.", "known."),
    (r"so (e.g., \citealt{q}; \citealt{r}), it", "so, it"),
    (r"so [\cite{q}] is (Kepler; \citealp{q})", "so is (Kepler)"),
    (r"a \citep[see][for a review]{q}, b", "a, b"),
    (
        r"\citet{k} say\begin{thebibliography}{}\bibitem[Body et~al.(1999)]{k} x"
        r"\end{thebibliography}",
        "Body et al. (1999) say",
    ),
    (
        r"in Ref.~\cite{k}\begin{thebibliography}{}\bibitem{k} A. Body and C. D. Oe, J. 3 (1999)"
        r"\end{thebibliography}",
        "in Body and Oe (1999)",
    ),
    (r"\defcitealias{k}{B99}as \citetalias{k} said", "as B99 said"),
    # broken
    (r"un{balanced \emph{text", "unbalanced text"),
    (r"stray } and \end{nothing} here", "stray and here"),
    (r"\unknowncommand{kept} \\ x", "kept x"),
    (r"\def\a{\a}\a sound", "sound"),
    (r"\begin{tabular} never ends", "never ends"),
    (r"a \input{missing} b \includegraphics{", "a b"),
]


def body(tex: str) -> str:
    """A document's text, without the newline at its end."""
    source = "\\documentclass{article}\\begin{document}" + tex + "\\end{document}"
    return to_text(Package("latex", {"main.tex": source.encode()})).text.strip()


@pytest.mark.parametrize("tex, right", ROWS, ids=[row[0][:40] for row in ROWS])
def test_row(tex: str, right: str) -> None:
    """Each piece of TeX becomes exactly its right answer."""
    assert body(tex) == right


def paper(text: str = "body", head: str = "") -> bytes:
    """A small paper."""
    return (
        "\\documentclass{aastex}"
        + head
        + "\\begin{document}\\title{On $x$\\thanks{no}}\n"
        "\\author{A. Body}\\affil{Somewhere}\\begin{abstract}Short.\\end{abstract}\n"
        "\\section{One}" + text + "\\end{document}"
    ).encode()


def tarred(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """An archive of these members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def test_document_parts() -> None:
    """Title, abstract, sections and body each have their place."""
    text = to_text(paper())
    assert text.text == "# On $x$\n\n## Abstract\n\nShort.\n\n## One\n\nbody\n"
    assert (text.title, text.abstract) == ("On $x$", "Short.")
    assert text.sections == [(1, "One")]


def test_abstracts_of_other_classes() -> None:
    """A&A has five arguments; a command and loose authors are abstract and front matter."""
    five = (
        rb"\documentclass{aa}\begin{document}\abstract{A.}{B.}{C.}{D.}{E.}"
        rb"\section{S}x\end{document}"
    )
    assert to_text(five).abstract == "A. B. C. D. E."
    loose = (
        rb"\documentclass{article}\begin{document}\begin{center}{\Large T}\\ A. Body\end{center}"
        rb"\begin{abstract}Abs.\end{abstract}x\end{document}"
    )
    assert to_text(loose).text == "## Abstract\n\nAbs.\n\nx\n"


def test_plain_tex_and_old_latex() -> None:
    """Neither needs a preamble of today."""
    assert to_text(
        rb"\magnification=1200 \def\x{word} A \x{} in $y$.\bye junk"
    ).text == ("A word in $y$.\n")
    assert (
        to_text(rb"\documentstyle[12pt]{article}\begin{document}old\end{document}").text
        == "old\n"
    )


@pytest.mark.parametrize("wrap", ["folder", "tar.gz", "tar", "gz", "tex"])
def test_kinds_by_bytes(wrap: str, tmp_path: Path) -> None:
    """The same paper in every wrapping; the file's name lies."""
    data = paper()
    if wrap == "folder":
        (tmp_path / "ms.tex").write_bytes(data)
        package = read_package(tmp_path)
    else:
        packed = {
            "tar.gz": tarred({"ms.tex": data}),
            "tar": tarred({"ms.tex": data}, "w"),
            "gz": gzip.compress(data),
            "tex": data,
        }[wrap]
        (tmp_path / "paper.pdf").write_bytes(packed)
        package = read_package(tmp_path / "paper.pdf")
    assert package.kind == "latex"
    assert to_text(package).title == "On $x$"


@pytest.mark.parametrize(
    "data, kind",
    [
        (b"%PDF-1.5 x", "pdf"),
        (b"%!PS-Adobe x", "postscript"),
        (b"<!DOCTYPE html><html>no</html>", "html"),
        (b"%auto-ignore\nThis paper was withdrawn", "withdrawn"),
        (b"This paper has been withdrawn by the author.", "withdrawn"),
        (b"", "empty"),
        (b"% only a comment", "empty"),
        (bytes(range(256)) * 50, "unreadable"),
        (gzip.compress(b"%PDF-1.5 x"), "pdf"),
        (gzip.compress(paper())[:60], "unreadable"),
        (tarred({"a.pdf": b"%PDF-1.5 x", "fig.png": b"x"}), "pdf"),
        (tarred({"a.pdf": b"%PDF-1.5 x", "ms.tex": paper()}), "latex"),
        (tarred({"paper.tex": b"%auto-ignore"}), "withdrawn"),
    ],
)
def test_kind(data: bytes, kind: str) -> None:
    """What is no LaTeX is named, and its text is empty with a reason."""
    package = read_package(data)
    assert package.kind == kind
    if kind != "latex":
        assert to_text(package).text == "" and to_text(package).dropped[0][0] == kind
    assert (package.pdf is not None) == (kind == "pdf")


def test_hostile_members_are_refused() -> None:
    """Links, devices and paths that climb out are left out by name; the paper is read."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in ("../evil.tex", "/etc/evil.tex", "a/../../evil.tex", "ms.tex"):
            data = paper(r"\input{../evil}\input{/etc/passwd}")
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind in (("link.tex", tarfile.SYMTYPE), ("dev.tex", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    package = read_package(file.getvalue())
    assert list(package.files) == ["ms.tex"] and len(package.refused) == 5
    assert "root:" not in to_text(package).text


def test_an_archive_within_a_package_is_refused_by_name() -> None:
    inner = tarred({"main.tex": b"\\documentclass{article}"})
    package = read_package(tarred({"inner.tar.gz": inner, "a/b.zip": b"PK"}))
    assert package.kind == "empty"
    assert "inner.tar.gz: an archive within the package" in package.reason
    assert [name for name, _ in package.refused] == ["inner.tar.gz", "a/b.zip"]


def test_names_in_other_encodings_are_read() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", encoding="latin-1") as archive:
        source = b"\\documentclass{article}\\begin{document}Read.\\end{document}"
        member = tarfile.TarInfo("M\xfcller.tex")
        member.size = len(source)
        archive.addfile(member, io.BytesIO(source))
    assert to_text(read_package(packed.getvalue())).text.strip() == "Read."


def test_too_many_members_refuse_the_package() -> None:
    package = read_package(tarred({f"{k}.tex": b"a" for k in range(10_001)}, "w"))
    assert (package.kind, package.reason) == ("unreadable", "more than 10,000 members")


def test_bomb_is_refused() -> None:
    """Half a gigabyte of zeros is not unpacked."""
    bomb = gzip.compress(gzip.compress(bytes(400_000_000), 1), 1)
    package = read_package(bomb)
    assert package.kind == "unreadable" and "more than" in package.reason


def test_symlink_in_folder(tmp_path: Path) -> None:
    """A link in a folder is not followed."""
    (tmp_path / "ms.tex").write_bytes(paper(r"\input{passwd}"))
    (tmp_path / "passwd.tex").symlink_to("/etc/passwd")
    package = read_package(tmp_path)
    assert [name for name, _ in package.refused] == ["passwd.tex"]


def test_main_file_among_others() -> None:
    """The paper, not the reply, the supplement or the figure."""
    files = {
        "aaa_response.tex": paper("reply " * 500).replace(b"{One}", b"{Reply}"),
        "supplement.tex": paper("more " * 900).replace(b"{One}", b"{More}"),
        "fig.tex": rb"\documentclass{standalone}\begin{document}x\end{document}",
        "sub/part.tex": b"the part",
        "zz.tex": paper(
            r"\input{sub/part} \include{Sub/PART.tex} \input sub/part" + "\n end"
        ),
    }
    text = to_text(Package("latex", files))
    assert text.text.endswith("## One\n\nthe part the part the part end\n")
    files["00README.XXX"] = b"supplement.tex toplevelfile\n"
    assert to_text(Package("latex", files)).sections == [(1, "More")]


def test_cyclic_input_and_local_style() -> None:
    """A file that reads itself is read once; a style of the author's brings its macros."""
    files = {
        "main.tex": paper(r"\hi\input{main}\input{a}", r"\usepackage{mine}"),
        "a.tex": rb"[a]\input{b}",
        "b.tex": rb"[b]\input{a}",
        "mine.sty": rb"\newcommand\hi{hello}\def\section{broken}",
    }
    assert to_text(Package("latex", files)).text.endswith("## One\n\nhello[a][b]\n")


@pytest.mark.parametrize(
    "data",
    [
        "Müller’s naïve é".encode(),
        "Müller’s naïve é".encode("cp1252"),
        "Müller’s naïve é".encode("mac_roman"),
        b"\\usepackage[applemac]{inputenc}" + "Müller’s naïve é".encode("mac_roman"),
        "Müller’s naïve ".encode() + "é".encode("cp1252"),
    ],
)
def test_encodings(data: bytes) -> None:
    """Five ways to write one name."""
    source = b"\\documentclass{article}\\begin{document}" + data + b"\\end{document}"
    assert to_text(source).text == "Müller’s naïve é\n"


def test_names_from_bib_and_bbl() -> None:
    """A citation that is a word takes its names from the bibliography's file."""
    tex = paper(r"\citet{a} and \citet{b} agree.", r"\usepackage{natbib}")
    bib = rb"@article{a, author = {M{\"u}ller, A. and Oe, B.}, year = {2001}}"
    bbl = (
        rb"\begin{thebibliography}{}\bibitem[{Body {et~al.}(1999)Body, Oe}]{b} x"
        rb"\end{thebibliography}"
    )
    text = to_text(Package("latex", {"ms.tex": tex, "r.bib": bib, "ms.bbl": bbl})).text
    assert text.endswith("Müller and Oe (2001) and Body et al. (1999) agree.\n")


def test_captions_can_be_left_out() -> None:
    """The setting, and that what is left out is named."""
    tex = paper(r"x\begin{figure}\caption{cap}\end{figure}")
    assert "Figure 1: cap" in to_text(tex).text
    text = to_text(Package("latex", {"a.tex": tex}), captions=False)
    assert "cap" not in text.text and ("figure", "a float is no prose") in text.dropped


def test_pseudocode_is_lines() -> None:
    """An algorithm's steps, not its markup."""
    tex = (
        r"\begin{algorithm}\caption{A}\begin{algorithmic}\STATE $x \gets 1$\IF{$x>0$}\STATE stop"
        r"\ENDIF\end{algorithmic}\end{algorithm}"
    )
    assert body(tex) == "Algorithm 1: A\n$x \\gets1$\nif $x>0$ then\nstop\nend if"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ends_soon(name: str) -> None:
    """Two CPU-seconds are enough for anything, and the sound beginning is kept."""
    started = time.process_time()
    text = body("The sound part. " + HOSTILE[name])
    assert time.process_time() - started < 2.0
    assert "The sound part." in text
    assert len(text) < 5_000_000


@pytest.mark.parametrize("name", FOUND)
def test_found_by_fuzzing(name: str) -> None:
    """What once raised, hung or lost the sentence behind it does so no more."""
    started = time.process_time()
    text = body(FOUND[name] + "\n\nThe sound part.\n\n")
    assert time.process_time() - started < 1.0
    assert "The sound part." in text
    assert text.count("$") % 2 == 0


def test_attacks_by_chance() -> None:
    """Two hundred small attacks from one seed: no exception, no mark left, no end without one."""
    started = time.process_time()
    for attack in attacks(200, seed=4):
        text = body("The sound part. " + attack)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), attack
        assert "The sound part." in text, attack
        assert to_text(attack.encode()) is not None
    assert time.process_time() - started < 20


def test_packages_without_a_paper() -> None:
    """Names that are none, and nothing that could be the paper."""
    assert to_text(Package("latex", {"a.bbl": b"x"})).dropped[0][0] == "empty"
    package = Package("latex", {".": b"\\section{a}", "..": b"", "": b"\\input{.}"})
    assert to_text(package) == to_text(package)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad package never stops the rest; the report tells of each."""
    (tmp_path / "good.tar.gz").write_bytes(tarred({"ms.tex": paper()}))
    (tmp_path / "bad.tar.gz").write_bytes(b"\x1f\x8bbroken")
    (tmp_path / "only.pdf").write_bytes(b"%PDF-1.4")
    inputs = [
        str(tmp_path / name)
        for name in ("bad.tar.gz", "good.tar.gz", "only.pdf", "none")
    ]
    assert command([*inputs, "--out", str(tmp_path / "out")]) == 0
    assert "1 of 4" in capsys.readouterr().out
    lines = (tmp_path / "out" / "report.jsonl").read_text().splitlines()
    found = {record["name"]: record["status"] for record in map(json.loads, lines)}
    assert found == {"bad": "unreadable", "good": "ok", "only": "pdf", "none": "failed"}
    assert (tmp_path / "out" / "good.txt").read_text().startswith("# On $x$")
    assert not (tmp_path / "out" / "bad.txt").exists()


def test_command_usage() -> None:
    """A wrong use is told in a sentence with exit code 2."""
    run = subprocess.run(
        [sys.executable, "-m", "cosmosage.latex"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr and run.stderr
