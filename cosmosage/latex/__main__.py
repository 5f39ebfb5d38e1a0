"""``python -m cosmosage.latex PACKAGE... --out DIR``: papers to text, one file each."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cosmosage.documents import whole_file, without_halves, write_jsonl
from cosmosage.latex import read_package, to_text

_ENDINGS = (".tar.gz", ".tgz", ".tar", ".tex.gz", ".gz", ".tex", ".pdf")


def convert(path: Path, out: Path, **settings: bool) -> dict[str, Any]:
    """Convert one package, with the settings of ``to_text``, and say how it went."""
    started = time.perf_counter()
    name = path.resolve().name
    if path.is_file():
        ending = next((end for end in _ENDINGS if name.lower().endswith(end)), "")
        name = name[: len(name) - len(ending)] or name
    record: dict[str, Any] = {
        "name": name,
        "status": "ok",
        "seconds": 0.0,
        "reason": "",
    }
    try:
        package = read_package(path)
        text = to_text(package, **settings)
        if package.kind != "latex":
            record.update(status=package.kind, reason=package.reason)
        elif not text.text:
            record.update(status="failed", reason="no text came out of the LaTeX")
        else:
            with whole_file(out / f"{name}.txt") as file:
                file.write(without_halves(text.text))
        record["dropped"] = [list(pair) for pair in text.dropped]
    # a fault of ours in one paper must not cost the night's other ten thousand
    except Exception as error:  # pylint: disable=broad-exception-caught
        record.update(status="failed", reason=f"{type(error).__name__}: {error}")
    record["seconds"] = round(time.perf_counter() - started, 3)
    return record


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.latex", description=__doc__
    )
    parser.add_argument("packages", nargs="+", type=Path, metavar="PACKAGE")
    parser.add_argument("--out", type=Path, required=True, help="folder for <name>.txt")
    parser.add_argument("--no-captions", action="store_true", help="leave captions out")
    parser.add_argument("--tables", action="store_true", help="keep tables")
    parser.add_argument("--code", action="store_true", help="keep listings")
    parser.add_argument(
        "--no-acknowledgements", action="store_true", help="leave that section out"
    )
    options = parser.parse_args(arguments)
    if options.out.exists() and not options.out.is_dir():
        print(f"{options.out} is a file; --out wants a folder", file=sys.stderr)
        return 2
    records = [
        convert(
            path,
            options.out,
            captions=not options.no_captions,
            tables=options.tables,
            code=options.code,
            acknowledgements=not options.no_acknowledgements,
        )
        for path in tqdm(
            options.packages, unit="paper", disable=len(options.packages) < 2
        )
    ]
    write_jsonl(options.out / "report.jsonl", records)
    good = sum(record["status"] == "ok" for record in records)
    print(
        f"{good} of {len(records)} converted; {options.out / 'report.jsonl'} tells of the rest"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
