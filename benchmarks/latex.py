"""LaTeX to text: our speed beside that of the converters that happen to be installed.

    python benchmarks/latex.py CORPUS [--scorer FILE] [--limit N]

CORPUS is a folder of packages (folders, .tar.gz, .gz, .tex). Each converter gets the same main
file, one paper after the other on one core; times are CPU-seconds, those of a child process
included. FILE is a scorer called as ``python FILE CORPUS OUT``; its line that begins with MEAN
is printed. A converter that is not installed is named and left out.
"""

import argparse
import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position  # the package lies beside this folder, not in the path
from cosmosage.latex import Package, read_package, to_text
from cosmosage.latex.source import Sources

LIMIT_S = 120  # seconds that a child process may take for one paper

Converter = Callable[[Package, str], str]


def ours(package: Package, _source: str) -> str:
    """This repository."""
    return to_text(package).text


def pylatexenc(_package: Package, source: str) -> str:
    """pylatexenc's latex2text, maths kept."""
    # only present where somebody installed it
    module = importlib.import_module("pylatexenc.latex2text")
    return str(module.LatexNodes2Text(math_mode="verbatim").latex_to_text(source))


@contextlib.contextmanager
def unpacked(package: Package, source: str) -> Iterator[Path]:
    """The package's texts in a folder, the main file under a name of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in package.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        main_file = Path(folder, "benchmark-main.tex")
        main_file.write_text(source, "utf-8")
        yield main_file


def arxiv_md(package: Package, source: str) -> str:
    """arxiv-md, without assets."""
    module = importlib.import_module("arxiv_md")
    options = module.ConvertOptions(render_assets=False)
    with unpacked(package, source) as file:
        return str(module.convert_path(file, options).markdown)


def child(*command: str) -> Converter:
    """A converter that is a program: called in the package's folder, main file last."""

    def convert(package: Package, source: str) -> str:
        with unpacked(package, source) as file:
            run = subprocess.run(
                [*command, file.name],
                cwd=file.parent,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LIMIT_S,
                check=False,
            )
        return run.stdout

    return convert


def converters() -> dict[str, Converter]:
    """Ours, and the peers that are here; those that are not are said to be absent."""
    found: dict[str, Converter] = {"cosmosage": ours}
    for name, module, call in (
        ("pylatexenc", "pylatexenc", pylatexenc),
        ("arxiv-md", "arxiv_md", arxiv_md),
    ):
        if importlib.util.find_spec(module):
            found[name] = call
        else:
            print(f"{name}: not installed, left out")
    pandoc = "pandoc"
    if importlib.util.find_spec("pypandoc"):  # pypandoc_binary brings the program along
        pandoc = importlib.import_module("pypandoc").get_pandoc_path()
    for name, command in {
        "pandoc": (pandoc, "-f", "latex", "-t", "markdown", "--wrap=none"),
        "detex": ("detex", "-l"),
    }.items():
        if shutil.which(command[0]):
            found[name] = child(*command)
        else:
            print(f"{name}: not installed, left out")
    return found


def measure(
    name: str, convert: Converter, corpus: Path, limit: int | None, out: Path
) -> str:
    """Convert the corpus; a line with seconds, speed and failures."""
    seconds = megabytes = 0.0
    papers = failed = 0
    for path in sorted(corpus.iterdir())[:limit]:
        package = read_package(path)
        if package.kind != "latex":
            continue
        sources = Sources(package.files)
        source = sources.text(sources.main())
        texts = (
            data
            for file, data in package.files.items()
            if file.lower().endswith(".tex")
        )
        megabytes += sum(map(len, texts)) / 1e6
        papers += 1
        text = ""
        before = os.times()
        # peers fail in ways of their own; that is one of the things measured
        with contextlib.suppress(Exception):
            text = convert(package, source)
        after = os.times()
        seconds += sum(after[:4]) - sum(before[:4])
        failed += len(text) < 1000
        (out / f"{path.name.removesuffix('.tar.gz')}.txt").write_text(
            text, "utf-8", "replace"
        )
    speed = megabytes / max(seconds, 1e-9)
    return f"{name:12} {papers:6} {failed:6} {seconds:9.2f} {speed:14.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--scorer", type=Path)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    found = converters()
    print(f"{'':12} {'papers':>6} {'failed':>6} {'CPU-s':>9} {'MB TeX/CPU-s':>14}")
    for name, convert in found.items():
        with tempfile.TemporaryDirectory() as folder:
            print(measure(name, convert, options.corpus, options.limit, Path(folder)))
            if options.scorer:
                command = [
                    sys.executable,
                    str(options.scorer),
                    str(options.corpus),
                    folder,
                ]
                run = subprocess.run(
                    command, capture_output=True, text=True, check=False
                )
                print(
                    next(
                        (x for x in run.stdout.splitlines() if x.startswith("MEAN")), ""
                    )
                )


if __name__ == "__main__":
    main()
