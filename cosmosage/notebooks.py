"""Run a notebook from top to bottom on the terminal, and clean one for keeping.

The same cells that a person runs in Jupyter are run here, in a kernel of their own, so that
the command and the notebook cannot drift apart. What they print is passed on as it comes.
The time left is told from how long each cell took when the notebook was last kept, scaled by
how fast this machine is so far: a guess, which grows better on the way.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from cosmosage.documents import whole_file

SECONDS = "cosmosage_seconds"
"""Name in a cell's metadata: how long it took."""


def with_parameters(book: NotebookNode, values: dict[str, str]) -> NotebookNode:
    """Set names in the cell that is tagged ``parameters``.

    Args:
        book: changed in place.
        values: Python expressions by name.

    Raises:
        ValueError: no such cell, or a name that it does not set.
    """
    for cell in book.cells:
        if "parameters" in cell.metadata.get("tags", []):
            break
    else:
        raise ValueError('the notebook has no cell with the tag "parameters"')
    for name, value in values.items():
        line = re.compile(
            rf"^{re.escape(name)} = [^#\n]*?(?P<note>  #.*)?$", re.MULTILINE
        )
        if not line.search(cell.source):
            raise ValueError(f"the parameters cell does not set {name}")
        cell.source = line.sub(
            lambda m, text=f"{name} = {value}": text + (m["note"] or ""), cell.source
        )
    return book


def title(cells: Sequence[NotebookNode], index: int) -> str:
    """The heading under which a cell stands, or its first line."""
    for cell in reversed(cells[:index]):
        if cell.cell_type == "markdown":
            if heading := re.search(r"^#+ (.+)$", cell.source, re.MULTILINE):
                return heading[1]
    return cells[index].source.splitlines()[0]


class _Client(NotebookClient):
    """Passes on what cells print while they run, bars with time left among it."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Show a message of the kernel's on the terminal, then treat it as usual."""
        if msg["msg_type"] == "stream":
            print(msg["content"]["text"], end="", file=sys.stderr, flush=True)
        return super().process_message(msg, cell, cell_index)


def until(book: NotebookNode, heading: str) -> NotebookNode:
    """Leave out of a notebook what stands from a heading on; changed in place.

    Raises:
        ValueError: there is no such heading.
    """
    for index, cell in enumerate(book.cells):
        if cell.cell_type == "markdown" and re.search(
            rf"^#+ {re.escape(heading)}$", cell.source, re.MULTILINE
        ):
            book.cells = book.cells[:index]
            return book
    raise ValueError(f"the notebook has no heading {heading!r}")


def execute(
    path: Path,
    out: Path,
    values: dict[str, str] | None = None,
    before: str | None = None,
) -> NotebookNode:
    """Run a notebook in its own folder and keep the executed one.

    Args:
        path: the notebook; left as it is.
        out: the executed notebook, written also when a cell failed.
        values: Python expressions for the parameters cell.
        before: a heading, at which it ends; None runs all of it.

    Returns:
        The executed notebook, cleaned.

    Raises:
        CellExecutionError: a cell failed.
    """
    book = with_parameters(nbformat.read(path, as_version=4), values or {})
    if before is not None:
        until(book, before)
    expected = [cell.metadata.get(SECONDS, 1.0) for cell in book.cells]
    code = [i for i, cell in enumerate(book.cells) if cell.cell_type == "code"]
    client = _Client(
        book,
        timeout=None,
        kernel_name="python3",
        # the kernel's warnings are about its own transport, on this machine alone
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent.resolve())}},
    )
    begun = time.monotonic()
    try:
        with client.setup_kernel():
            for number, index in enumerate(code, start=1):
                spent = time.monotonic() - begun
                done = sum(expected[i] for i in code if i < index)
                left = sum(expected[i] for i in code if i >= index)
                pace = spent / done if done > 5 else 1.0
                print(
                    f"[{number}/{len(code)}] {title(book.cells, index)}"
                    f" (about {_minutes(left * pace)} left in {path.name})",
                    file=sys.stderr,
                    flush=True,
                )
                start = time.monotonic()
                client.execute_cell(book.cells[index], index)
                book.cells[index].metadata[SECONDS] = round(time.monotonic() - start, 1)
    finally:
        clean(book)
        with whole_file(out) as file:
            nbformat.write(book, file)
    return book


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def clean(book: NotebookNode) -> NotebookNode:
    """Take from an executed notebook what would differ on another machine.

    Execution counts become 1 to n; progress bars, widget views, timestamps and home paths
    go. Changed in place.
    """
    here, home = str(Path.cwd()), str(Path.home())
    count = 0
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        outputs = []
        for output in cell.outputs:
            if output.get("name") == "stderr":
                continue
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                continue
            if output.output_type == "execute_result":
                output.execution_count = count
            outputs.append(_without(output, [here + "/", here, home]))
        cell.outputs = outputs
    book.metadata.pop("widgets", None)
    book.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    book.metadata["language_info"] = {"name": "python"}
    return book


def _without(value: Any, paths: list[str]) -> Any:
    """A JSON value with paths of this machine taken out of its strings."""
    if isinstance(value, str):
        for path in paths:
            value = value.replace(path, "" if path.endswith("/") else "~")
        return value
    if isinstance(value, list):
        return [_without(item, paths) for item in value]
    if isinstance(value, dict):
        return type(value)({key: _without(item, paths) for key, item in value.items()})
    return value


def last_words(book: NotebookNode) -> str:
    """What the last cell of an executed notebook printed."""
    return "".join(
        output.text
        for output in book.cells[-1].get("outputs", [])
        if output.get("name") == "stdout"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m cosmosage.notebooks NOTEBOOK... --out DIR``; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.notebooks",
        description="Run notebooks from top to bottom and keep the executed ones.",
    )
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder, or . to keep")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="a text for the parameters cell; an empty one leaves the cell as it is",
    )
    parser.add_argument("--before", metavar="HEADING", help="end at this heading")
    chosen = parser.parse_args(arguments)
    values = dict(item.partition("=")[::2] for item in chosen.set)
    try:
        for path in chosen.notebooks:
            book = execute(
                path,
                chosen.out / path.name,
                {name: repr(text) for name, text in values.items() if text},
                chosen.before,
            )
            print(last_words(book), end="", flush=True)
    except CellExecutionError as error:
        print(f"\n{error.ename}: {error.evalue}", file=sys.stderr)
        print(
            f"{path.name} stopped there; the notebook up to that cell is in "
            f"{chosen.out / path.name}. Mend the cause and run again: finished stages are "
            "not done twice.",
            file=sys.stderr,
        )
        return 1
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; run again to go on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
