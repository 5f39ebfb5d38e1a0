"""Sources to text, in processes that may die.

Each paper is read by a child process, with a limit on its time and memory; one that hangs
or dies costs that paper and nothing else.
"""

import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from cosmosage import books, latex
from cosmosage.children import Child, Died, Silent, serve
from cosmosage.documents import fingerprint, read_json, write_json

_SECONDS = 120.0  # for one paper; the slowest honest ones take a tenth of it
_MEMORY_BYTES = 3 * 2**30  # for one worker: two of them fit into 8 GB beside a notebook


def version() -> str:
    """A hash of the code that makes the text: when it changes, texts are made anew."""
    house = Path(__file__).resolve().parent
    rooms = ("children", "latex", "books", "convert")
    return fingerprint(
        *(
            path
            for path in sorted(house.rglob("*.py"))
            if path.relative_to(house).parts[0].removesuffix(".py") in rooms
        )
    )


def texts(
    sources: list[Path], kept: Path, *, seconds: float = _SECONDS
) -> Iterator[dict[str, str]]:
    """Convert sources, as many at a time as there are cores.

    Each text is kept when it is made, so that a run that was cut off goes on where it
    stopped, and a new paper costs one conversion.

    Args:
        sources: files as arXiv serves them.
        kept: the folder of the texts that are made, ``<name of the source>.json``.
        seconds: the longest time for one paper.

    Yields:
        For each source in order text, title, abstract and reason; the reason is empty if
        there is a text, and says why if there is none.
    """
    code, wanted = version(), []
    for source in sources:
        seen, text = source.stat(), kept / f"{source.name}.json"
        key = fingerprint(seen.st_size, seen.st_mtime_ns, code)
        if not text.is_file() or read_json(text)["fingerprint"] != key:
            wanted.append((source, text, key))
    if wanted:
        _convert(wanted, seconds)
    for source in sources:
        yield read_json(kept / f"{source.name}.json")


def _convert(wanted: list[tuple[Path, Path, str]], seconds: float) -> None:
    """Make texts: each from a source, to a file, with the key that it is kept by."""
    workers = min(os.cpu_count() or 1, len(wanted))
    idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
    # a session of its own: an interrupt is for the one who waits, and the reader of PDF
    # files, a child of the child, ends with it
    everyone = [
        Child("cosmosage.convert", start_s=seconds, own_session=True)
        for _ in range(workers)
    ]
    for child in everyone:
        idle.put(child)

    def one(job: tuple[Path, Path, str]) -> None:
        source, text, key = job
        child = idle.get()
        try:
            write_json(text, {"fingerprint": key, **_ask(child, source, seconds)})
        finally:
            idle.put(child)

    pool = ThreadPoolExecutor(workers)
    try:
        for _ in tqdm(pool.map(one, wanted), "texts", len(wanted), unit=" papers"):
            pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in everyone:
            child.close()


def _ask(child: Child, path: Path, seconds: float) -> dict[str, str]:
    """One source to text, or the reason why there is none."""
    try:
        return child.ask(str(path.resolve()), seconds)
    except Silent:
        return _nothing(f"not converted within {seconds:g} s")
    except Died as death:
        return _nothing(f"the converter died of it ({death.words or death.code})")


def _nothing(reason: str) -> dict[str, str]:
    return {"text": "", "title": "", "abstract": "", "reason": reason}


def _text(path: Path) -> dict[str, str]:
    """What a source says."""
    package = latex.read_package(path)
    if package.kind == "latex":
        found = latex.to_text(package)
        if not found.text.strip():
            return _nothing("no text came out of its LaTeX")
        return {
            "text": found.text,
            "title": found.title,
            "abstract": found.abstract,
            "reason": "",
        }
    if package.kind == "pdf":
        book = books.to_text(package.pdf)
        if not book.text.strip():
            reasons = "; ".join(book.reasons[:3]) or book.status
            return _nothing(f"no text came out of its PDF: {reasons}")
        return {**_nothing(""), "text": book.text}
    return _nothing(f"{package.kind}: {package.reason}")


def _answer(path: str, _: Callable[[str], None]) -> dict[str, str]:
    try:
        return _text(Path(path))
    except (ValueError, OSError, RecursionError, MemoryError) as error:
        return _nothing(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    serve(_answer, _MEMORY_BYTES)
