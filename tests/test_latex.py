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
from latex_hostile import FOUND, HOSTILE, HOSTILE_FILES, attacks

from cosmosage.latex import Package, read_package, to_text
from cosmosage.latex.__main__ import main as command
from tests.latex_rows import PACKAGES, ROWS, SETTINGS


def body(tex: str, **settings: bool) -> str:
    """A document's text, without the newline at its end."""
    if "\\document" not in tex and "\\bye" not in tex:
        tex = "\\documentclass{article}\\begin{document}" + tex + "\\end{document}"
    package = Package("latex", {"main.tex": tex.encode()})
    return to_text(package, **settings).text.strip()


@pytest.mark.parametrize("tex, right", ROWS, ids=[row[0][:40] for row in ROWS])
def test_row(tex: str, right: str) -> None:
    """Each piece of TeX becomes exactly its right answer."""
    assert body(tex) == right


@pytest.mark.parametrize("files, right", PACKAGES, ids=str)
def test_package(files: dict[str, str], right: str) -> None:
    """What a document reads in from its package stands where it was asked for."""
    main = "\\documentclass{article}\\begin{document}" + files["body.tex"]
    texts = {**files, "main.tex": main + "\\end{document}"}
    del texts["body.tex"]
    package = Package("latex", {name: text.encode() for name, text in texts.items()})
    assert to_text(package).text.strip() == right


@pytest.mark.parametrize("setting, tex, kept, left_out", SETTINGS)
def test_setting(setting: str, tex: str, kept: str, left_out: str) -> None:
    """Each setting keeps what it names or leaves it out."""
    assert body(tex, **{setting: True}) == kept
    assert body(tex, **{setting: False}) == left_out


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


def test_names_from_a_long_bbl() -> None:
    """Only what can be named is read; a formula or a brace in the rest does no harm."""
    tex = paper(r"\citet{b} and \citet{d} agree \citep{a}.", r"\usepackage{natbib}")
    items = [
        rf"\bibitem[{{{name}(200{year})}}]{{{key}}}{end}"
        for year, (key, name, end) in enumerate(
            (
                ("a", "Abel", " $x {"),
                ("b", "Bode", " x"),
                ("c", "Cox", " \\end{x}"),
                ("d", "Day", " \\end{thebibliography}"),
            )
        )
    ]
    bbl = "\n\n".join([r"\begin{thebibliography}{}", *items]).encode()
    text = to_text(Package("latex", {"ms.tex": tex, "ms.bbl": bbl})).text
    assert text.endswith("Bode (2001) and Day (2003) agree.\n")


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


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_files_end_soon(name: str) -> None:
    """The same for a package whose other files attack, and for the memory of its text."""
    tex, other, text = HOSTILE_FILES[name]
    files = {"main.tex": paper(r"The sound part. " + tex), other: text.encode()}
    started = time.process_time()
    found = to_text(Package("latex", files)).text
    assert time.process_time() - started < 2.0
    assert "The sound part." in found
    assert len(found) < 5_000_000


def test_hostile_headers_end_soon() -> None:
    """Headers within headers, endless ones, and files of nothing but a length."""
    member = tarred({"ms.tex": paper("The sound part.")}, "w")[:1024]

    def headers(kind: bytes, count: int, data: bytes) -> bytes:
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, len(data)
        one = info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)
        return one * count

    for attack in (
        headers(b"L", 3_000, b"a\0"),
        headers(b"x", 3_000, b"12 path=abc\n"),
        headers(b"x", 1, b"1" * 900_000),
        headers(b"x", 1, b"2 " * 450_000 + b"="),
        headers(b"L", 1, b"a/" * 450_000),
        (headers(b"x", 1, b"2 " * 500 + b"=") + member) * 600,
        headers(b"S", 1_500, b""),
    ):
        started = time.process_time()
        package = read_package(member + attack + member + bytes(1024))
        assert "The sound part." in to_text(package).text
        assert time.process_time() - started < 2.0


def test_hostile_bibliography_ends_soon() -> None:
    """Entries that never get to their key cost no more than a paper."""
    tex = paper(r"The sound \citet{x} part.")
    for bib in (b"@a{" * 300_000, b"@a{" + b" " * 900_000, b"@" * 900_000):
        started = time.process_time()
        text = to_text(Package("latex", {"ms.tex": tex, "refs.bib": bib})).text
        assert time.process_time() - started < 2.0
        assert text.endswith("The sound part.\n")


@pytest.mark.parametrize("name", FOUND)
def test_found_by_fuzzing(name: str) -> None:
    """What once raised, hung or lost the sentence behind it does so no more."""
    started = time.process_time()
    text = body(FOUND[name] + "\n\nThe sound part.\n\n")
    assert time.process_time() - started < 2.0
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


def test_command_settings(tmp_path: Path) -> None:
    """The options of the command are the settings of to_text."""
    tex = r"x\begin{figure}\caption{cap}\end{figure}\begin{tabular}{cc}1&2\end{tabular}"
    (tmp_path / "a.tex").write_bytes(paper(tex + r"\acknowledgments Thanks."))
    inputs = [str(tmp_path / "a.tex"), "--out", str(tmp_path / "out")]
    assert command([*inputs, "--no-captions", "--tables", "--no-acknowledgements"]) == 0
    text = (tmp_path / "out" / "a.txt").read_text()
    assert "1 | 2" in text and "cap" not in text and "Thanks" not in text


def test_command_usage() -> None:
    """A wrong use is told in a sentence with exit code 2."""
    run = subprocess.run(
        [sys.executable, "-m", "cosmosage.latex"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr and run.stderr
