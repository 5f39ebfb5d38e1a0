"""Our reading of TeX against TeX itself, word for word, where it is installed.

Each row of the table whose right answer is plain text is typeset alone by pdflatex and read
back from the PDF. Rows that article and its few packages cannot typeset (astronomers'
commands, broken input) are left out: their answers are held by hand.
"""

import re
import shutil
import subprocess
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pymupdf
import pytest
from test_latex import ROWS

PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}\usepackage{lmodern}\input{glyphtounicode}\pdfgentounicode=1
\usepackage{textcomp,xcolor,xspace,amsmath,graphicx,url,comment,xparse,ifthen,etoolbox,units}
\usepackage{gensymb}
\usepackage[hidelinks]{hyperref}
\pagestyle{empty}\parindent=0pt\hyphenpenalty=10000\textwidth=16cm
\begin{document}
"""
SLOW = {r"\gls": "glossaries", r"\lst": "listings", r"\begin{t}": "amsthm"}
"""Packages that only rows with a certain command load."""

MARKED = re.compile(r"\$|[#`]|\*\*|\[\^|^[-\d]|^Figure|\n|http", re.MULTILINE)
"""What an answer has that is Markdown or maths and no word of the page."""

CHOSEN = re.compile(
    r"table|tabular|verbatim|bibliography|\\cite|\\[a-z]*ref\b|\\[hv]space|\\=|\\d\{|\\LaTeX"
)
"""What is left out or mended here on purpose, or that a PDF does not give back as a word."""


def words(text):
    """Words and signs, as a page and a text have them in common."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
    for sign, plain in (("[“”„]", '"'), ("[‘’]", "'"), ("…|\\. \\. \\.", "...")):
        text = re.sub(sign, plain, text)
    return text.split()


def typeset(folder, tex):
    """The words of a page; None where TeX finds a fault in the row."""
    folder.mkdir()
    loads = [rf"\usepackage{{{name}}}" for sign, name in SLOW.items() if sign in tex]
    preamble = PREAMBLE.replace(
        r"\begin{document}", "".join(loads) + r"\begin{document}"
    )
    (folder / "row.tex").write_text(preamble + tex + "\n\\end{document}\n", "utf-8")
    command = ["pdflatex", "-halt-on-error", "-no-shell-escape", "row.tex"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=False, timeout=10
        )
    except subprocess.TimeoutExpired:  # a macro without an end, which TeX follows
        return None
    if done.returncode or not (folder / "row.pdf").is_file():
        return None
    with pymupdf.open(folder / "row.pdf") as pages:
        return [word for page in pages for word in words(page.get_text())]


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="TeX is not installed")
def test_rows_are_what_tex_typesets(tmp_path):
    plain = [
        row for row in ROWS if not MARKED.search(row[1]) and not CHOSEN.search(row[0])
    ]
    folders = [tmp_path / str(place) for place in range(len(plain))]
    with ThreadPoolExecutor(2) as pool:
        pages = list(pool.map(typeset, folders, (tex for tex, _ in plain)))
    compared = [(row, page) for row, page in zip(plain, pages) if page is not None]
    assert len(compared) > len(ROWS) // 5
    wrong = [
        (tex, right, page) for (tex, right), page in compared if words(right) != page
    ]
    assert not wrong, "\n".join(
        f"{tex}\n  ours {words(right)}\n  TeX  {page}" for tex, right, page in wrong
    )
