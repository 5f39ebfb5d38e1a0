"""``python -m cosmosage.books FILE... --out DIR``: any book or paper to clean text."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cosmosage.books.chapters import trim
from cosmosage.books.shelf import book_name, find_books
from cosmosage.books.worker import PAGE_LIMIT_S, Engine, in_parallel
from cosmosage.documents import whole_file, write_jsonl


def main(arguments: list[str] | None = None) -> int:
    """Convert the files; 0 unless the arguments are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.books",
        description="PDF, DjVu, EPUB, HTML, text and Markdown to clean text, with a report.",
    )
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="or a book's folder"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="gets NAME.txt and report.jsonl"
    )
    parser.add_argument(
        "--page-limit-s",
        type=float,
        default=PAGE_LIMIT_S,
        help="seconds that a page may take",
    )
    given = parser.parse_args(arguments)
    try:
        report = convert(given.files, given.out, given.page_limit_s)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for status, count in sorted(Counter(line["status"] for line in report).items()):
        print(f"{count} {status}")
    return 0


def convert(inputs: list[Path], out: Path, page_limit_s: float) -> list[dict[str, Any]]:
    """Write ``<name>.txt`` for every input, and ``report.jsonl``."""
    named = _named(inputs)
    found = in_parallel(
        lambda one, engine: _convert(*one, out, engine), named, page_limit_s
    )
    report = list(tqdm(found, total=len(named), unit="file", disable=len(named) < 2))
    write_jsonl(out / "report.jsonl", report)
    return report


def _convert(name: str, path: Path, out: Path, engine: Engine) -> dict[str, Any]:
    """Write one text; its line of the report."""
    start = time.monotonic()
    found = engine.read(path)
    pages = found["pages"]
    chapters, cuts = trim(pages)
    with whole_file(out / f"{name}.txt") as file:
        file.writelines(chapter.text + "\n\n" for chapter in chapters)
    bad = [page for page in pages if page["status"] != "ok"]
    reasons = Counter(page["reason"] for page in bad).most_common(1)
    return {
        "name": name,
        "status": found["status"],
        "seconds": round(time.monotonic() - start, 3),
        "pages": dict(Counter(page["status"] for page in pages)),
        "reason": reasons[0][0] if reasons else "",
        "notes": found["notes"],
        "cut": {cut.name: cut.pages for cut in cuts},
        "dropped": found["dropped"],
    }


def _named(inputs: list[Path]) -> list[tuple[str, Path]]:
    """Each input with the name of its text; a generic name gives way to its folder's."""
    files = []
    for given in inputs:
        if given.is_dir():
            inside = find_books(given)
            if not inside:
                raise ValueError(
                    f"no book in {given}; wanted a PDF, DjVu, EPUB, HTML or text file"
                )
            files.append((given.resolve().name, inside[0]))
        elif given.is_file():
            files.append((book_name(given), given))
        else:
            raise FileNotFoundError(
                f"{given} does not exist; give files or folders of books"
            )
    names: Counter[str] = Counter()
    out = []
    for name, path in files:
        names[name] += 1
        out.append((name if names[name] == 1 else f"{name}-{names[name]}", path))
    return out


if __name__ == "__main__":
    sys.exit(main())
