"""``python benchmarks/books.py CORPUS [--scorer FILE]``: our book reader beside plain ones.

CORPUS holds a folder a document, each with ``doc.pdf``. The table gives pages a CPU-second
(of the process that reads and its children); with a scorer, a program that is called as
``FILE CORPUS OUT --json F`` and writes a number a measure for every document, also the
mean of each measure. PyMuPDF's and poppler's texts are as these tools give them.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pymupdf

ROOT = Path(__file__).resolve().parents[1]


def ours(files: list[Path], out: Path) -> None:
    """``cosmosage.books``, as its command."""
    command = [
        sys.executable,
        "-m",
        "cosmosage.books",
        *map(str, files),
        "--out",
        str(out),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def plain_pymupdf(files: list[Path], out: Path) -> None:
    """PyMuPDF's ``get_text``, in a process of its own like the others."""
    subprocess.run(
        [sys.executable, __file__, "--plain", str(out), *map(str, files)], check=True
    )


def pdftotext(files: list[Path], out: Path) -> None:
    """poppler's command with its defaults."""
    for file in files:
        target = out / f"{file.parent.name}.txt"
        subprocess.run(["pdftotext", "-q", str(file), str(target)], check=False)


def cpu_seconds() -> float:
    """What children that have ended used, user and system."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pages_in(files: list[Path]) -> int:
    """Pages of all files; a file that PyMuPDF cannot open counts none."""
    pymupdf.TOOLS.mupdf_display_errors(False)
    count = 0
    for file in files:
        try:
            with pymupdf.open(file) as document:
                count += document.page_count
        except pymupdf.FileDataError:
            continue
    return count


def measures(scorer: Path, corpus: Path, out: Path) -> dict[str, float]:
    """The mean of every measure over the documents that have pages."""
    told = out / "scores.json"
    command = [sys.executable, str(scorer), str(corpus), str(out), "--json", str(told)]
    subprocess.run(command, check=True, capture_output=True)
    scores = [s for s in json.loads(told.read_text("utf-8")).values() if s.get("words")]
    names = [name for name in scores[0] if isinstance(scores[0][name], float)]
    return {name: sum(score[name] for score in scores) / len(scores) for name in names}


def compare(corpus: Path, scorer: Path | None) -> None:
    """Print the table."""
    files = sorted(corpus.glob("*/doc.pdf"))
    if not files:
        raise ValueError(f"{corpus} holds no */doc.pdf; wanted a folder a document")
    pages = pages_in(files)
    print(f"{len(files)} files, {pages} pages")
    readers: dict[str, Callable[[list[Path], Path], None]] = {
        "cosmosage.books": ours,
        "PyMuPDF": plain_pymupdf,
        "pdftotext": pdftotext,
    }
    for name, reader in readers.items():
        with tempfile.TemporaryDirectory() as folder:
            start = cpu_seconds()
            reader(files, Path(folder))
            line = (
                f"{name:16} {pages / (cpu_seconds() - start):6.0f} pages a CPU-second"
            )
            if scorer:
                found = measures(scorer, corpus, Path(folder))
                line += "  " + " ".join(
                    f"{key} {value:.3f}" for key, value in found.items()
                )
            print(line)


def main() -> int:
    """Read the arguments; 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--scorer", type=Path)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain:
        pymupdf.TOOLS.mupdf_display_errors(False)
        for file in given.corpus:
            with pymupdf.open(file) as document:
                text = "\n".join(page.get_text() for page in document)
            (given.plain / f"{file.parent.name}.txt").write_text(
                text, "utf-8", "replace"
            )
        return 0
    try:
        compare(given.corpus[0], given.scorer)
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
