"""Books to text: our speed and text beside those of the readers that happen to be installed.

    python benchmarks/books.py CORPUS [--scorer FILE]

CORPUS holds a folder a document, each with doc.pdf, doc.epub or doc.djvu. Every reader gets
the same files with its defaults, in child processes; a reader that is not installed is named
and left out. Speed is that on the PDFs, in pages a CPU-second of these processes; on a machine
that others use, too, only the ratio to plain PyMuPDF in the same run holds. FILE is a scorer
called as ``python FILE CORPUS OUT --json SCORES``; it writes a number a document and measure.
With Tesseract installed, five pages are also made pictures and read by ours.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pymupdf

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 1200  # seconds that a reader may take for all files
ENDINGS = (".pdf", ".epub", ".djvu")
MEASURES = {  # the scorer's names, and what is printed above them
    "rec5s": "recall",  # of the source's runs of five words, as they stand
    "order": "order",  # share of them that is in the source's order
    "hyph": "hyphens",  # words left divided, per 1,000
    "hdr": "heads",  # running heads left, a page
    "num": "numbers",  # lines that are only a number, a page
    "uni": "unicode",  # letters that are none, per 1,000 words
    "math": "debris",  # share of characters in lines that are a formula's remains
}
SCAN_PAGES, SCAN_DPI = 5, 150


@dataclass(frozen=True)
class Reader:
    """What reads files, and what must be there for it."""

    name: str
    needs: str
    """A Python module or a program."""
    endings: tuple[str, ...] = (".pdf",)
    text: Callable[[Path], str] | None = None
    """Reads one file in Python; a program is called as NEEDS FILE TARGET."""

    @property
    def is_here(self) -> bool:
        """Whether it is installed."""
        find = importlib.util.find_spec if self.text else shutil.which
        return self.name == "cosmosage.books" or bool(find(self.needs))


@dataclass
class Result:
    """What one reader took and gave."""

    seconds: float = 0.0
    """Of a processor, for the PDFs."""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of the documents that it gave text of."""


def plain(file: Path) -> str:
    """PyMuPDF's ``get_text``."""
    pymupdf.TOOLS.mupdf_display_errors(False)
    with pymupdf.open(file) as document:
        return "\n".join(page.get_text() for page in document)


def markdown(file: Path) -> str:
    """pymupdf4llm's Markdown."""
    return str(importlib.import_module("pymupdf4llm").to_markdown(str(file)))


def pdfminer(file: Path) -> str:
    """pdfminer.six's ``extract_text``."""
    return str(importlib.import_module("pdfminer.high_level").extract_text(str(file)))


def pypdf(file: Path) -> str:
    """pypdf's ``extract_text``."""
    pages = importlib.import_module("pypdf").PdfReader(str(file)).pages
    return "\n".join(page.extract_text() for page in pages)


READERS = (
    Reader("cosmosage.books", "", ENDINGS),
    Reader("PyMuPDF", "pymupdf", (".pdf", ".epub"), plain),
    Reader("pymupdf4llm", "pymupdf4llm", (".pdf", ".epub"), markdown),
    Reader("pdftotext", "pdftotext"),
    Reader("pdfminer.six", "pdfminer", text=pdfminer),
    Reader("pypdf", "pypdf", text=pypdf),
    Reader("djvutxt", "djvutxt", (".djvu",)),
)


def quietly(*command: str | Path) -> None:
    """Run a child process whose faults are one of the things that are measured."""
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LIMIT_S, check=False)


def seconds_of(reader: Reader, files: list[Path], out: Path) -> float:
    """Have files read into ``out/DOCUMENT.txt``; the children's user and system time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not reader.needs:
        quietly(sys.executable, "-m", "cosmosage.books", "--out", out, *files)
    elif reader.text:
        quietly(sys.executable, __file__, *files, "--as", reader.name, "--out", out)
    else:
        for file in files:
            quietly(reader.needs, file, out / f"{file.parent.name}.txt")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def be(name: str, files: list[Path], out: Path) -> None:
    """The inside of a child process: read files as the reader of that name does."""
    read = next(reader.text for reader in READERS if reader.name == name)
    assert read is not None, f"{name} is no reader in Python"
    for file in files:
        # peers fail in ways of their own; then there is no text
        with contextlib.suppress(Exception):
            text = read(file)
            (out / f"{file.parent.name}.txt").write_text(text, "utf-8", "replace")


def measure(
    reader: Reader, files: list[Path], corpus: Path, scorer: Path | None
) -> Result:
    """Read what the reader can read; time it on the PDFs, and have the texts scored."""
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        if pdfs := [
            x for x in files if x.suffix == ".pdf" and x.suffix in reader.endings
        ]:
            result.seconds = seconds_of(reader, pdfs, out)
        if rest := [x for x in files if x.suffix in reader.endings and x not in pdfs]:
            seconds_of(reader, rest, out)
        if scorer:
            told = out / "scores.json"
            command = [sys.executable, scorer, corpus, out, "--json", told]
            subprocess.run(command, check=True, capture_output=True)
            scores = json.loads(told.read_text("utf-8"))
            texts = {x.stem for x in out.glob("*.txt") if x.read_bytes().strip()}
            result.scores = {name: scores[name] for name in sorted(texts & set(scores))}
    return result


def pages_in(file: Path) -> int:
    """Pages of a file; none where PyMuPDF cannot open it."""
    pymupdf.TOOLS.mupdf_display_errors(False)
    with contextlib.suppress(pymupdf.FileDataError), pymupdf.open(file) as document:
        return int(document.page_count)
    return 0


def print_speeds(results: dict[str, Result], pages: int) -> None:
    """Table 1."""
    print(f"{'':22}{'pages a CPU-second':>20}{'to PyMuPDF':>12}")
    base = results["PyMuPDF"].seconds
    for name, result in results.items():
        if took := result.seconds:
            print(f"{name:22}{pages / took:20.1f}{base / took:12.3f}")


def row(scores: list[dict[str, float]]) -> str:
    """The means of the measures over some documents, in columns."""
    means = (sum(x[key] for x in scores) / len(scores) for key in MEASURES)
    return "".join(f"{mean:9.3f}" for mean in means)


def print_scores(results: dict[str, Result], pdfs: set[str]) -> None:
    """Table 2: every document, then the means over what all readers of PDFs gave text of."""
    heading = f"{'':22}" + "".join(f"{name:>9}" for name in MEASURES.values())
    for document in sorted({x for result in results.values() for x in result.scores}):
        print(f"\n{document}\n{heading}")
        for name, result in results.items():
            if document in result.scores:
                print(f"{name:22}{row([result.scores[document]])}")
    given = [set(x.scores) for x in results.values() if pdfs & set(x.scores)]
    common = sorted(set.intersection(*given)) if given else []
    print(
        f"\nmeans over {len(common)} documents: {', '.join(common)}\n{heading}  texts"
    )
    for name, result in results.items():
        if common and set(common) <= set(result.scores):
            scores = [result.scores[document] for document in common]
            print(f"{name:22}{row(scores)}{len(result.scores):7}")


def fives(file: Path) -> set[tuple[str, ...]]:
    """The runs of five words in a text."""
    words = re.findall(r"\w+", file.read_text("utf-8").lower())
    return set(zip(*(words[start:] for start in range(5)), strict=False))


def print_scan(file: Path) -> None:
    """Make pictures of a PDF's first pages, and have ours read these and the pages."""
    with tempfile.TemporaryDirectory() as folder, pymupdf.open(file) as document:
        layer, scan = Path(folder, "layer.pdf"), Path(folder, "scan.pdf")
        document.select(range(min(SCAN_PAGES, document.page_count)))
        document.save(layer)
        with pymupdf.open() as pictures:
            for page in document:
                grey = page.get_pixmap(dpi=SCAN_DPI, colorspace=pymupdf.csGRAY)
                new = pictures.new_page(width=page.rect.width, height=page.rect.height)
                new.insert_image(new.rect, pixmap=grey)
            pictures.save(scan)
        seconds_of(READERS[0], [layer], Path(folder))
        took = seconds_of(READERS[0], [scan], Path(folder)) / document.page_count
        wanted = fives(layer.with_suffix(".txt"))
        share = len(wanted & fives(scan.with_suffix(".txt"))) / max(len(wanted), 1)
        print(
            f"\nOCR, first {document.page_count} pages of {file.parent.name} as grey "
            f"pictures of {SCAN_DPI} dpi: {took:.1f} CPU-seconds a page, {share:.3f} of the "
            "text layer's runs of five words"
        )


def compare(corpus: Path, scorer: Path | None) -> None:
    """Print the tables."""
    files = [x for end in ENDINGS for x in sorted(corpus.glob(f"*/doc{end}"))]
    pages = {x: pages_in(x) for x in files if x.suffix == ".pdf"}
    if not any(pages.values()):
        raise ValueError(f"{corpus} holds no readable */doc.pdf; wanted some")
    results = {}
    for reader in READERS:
        if reader.is_here:
            results[reader.name] = measure(reader, files, corpus, scorer)
        else:
            print(f"{reader.name}: not installed, left out")
    print(f"{len(pages)} PDFs, {sum(pages.values())} pages")
    print_speeds(results, sum(pages.values()))
    if scorer:
        print_scores(results, {x.parent.name for x in pages})
    if shutil.which("tesseract"):
        print_scan(next(x for x, count in pages.items() if count))
    else:
        print("tesseract: not installed, no line on OCR")


def main() -> int:
    """Read the arguments; 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="+", type=lambda text: Path(text).resolve())
    parser.add_argument("--scorer", type=lambda text: Path(text).resolve())
    parser.add_argument("--as", dest="name", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.name:
        be(given.name, given.corpus, given.out)
        return 0
    try:
        compare(given.corpus[0], given.scorer)
    except (ValueError, FileNotFoundError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
