"""Work on many things that a kill may interrupt: what is done is saved chunk by chunk."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cosmosage.documents import write_jsonl


def in_chunks(
    save: Path,
    key: str,
    items: Sequence[dict[str, Any]],
    work: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    weight: Callable[[dict[str, Any]], float],
) -> list[dict[str, Any]]:
    """Results for all items, so that a kill costs one chunk.

    The save file is appended to: its first line is the fingerprint, and a last line that a
    kill cut short is dropped. One that is damaged, or whose results are of other items, counts
    for nothing.

    Args:
        save: the file; whoever asks deletes it when the results are kept elsewhere.
        key: a fingerprint of all that the results depend on.
        items: to be worked on, in order; each has an ``id``.
        work: items to their results, in order; each with its item's ``id``.
        weight: an item's share of a chunk.
    """
    results = _saved(save, key)
    if [result.get("id") for result in results] != [
        item["id"] for item in items[: len(results)]
    ]:
        results = []
    write_jsonl(save, [{"fingerprint": key}, *results])
    with tqdm(
        total=len(items), initial=len(results), desc=save.stem.strip("."), leave=False
    ) as bar:
        while len(results) < len(items):
            chunk, filled = [], 0.0
            for item in items[len(results) :]:
                chunk.append(item)
                filled += weight(item)
                if filled >= 1:
                    break
            new = work(chunk)
            with save.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(result) + "\n" for result in new)
            results += new
            bar.update(len(new))
    return results


def _saved(save: Path, key: str) -> list[dict[str, Any]]:
    if not save.is_file():
        return []
    try:
        lines = save.read_text("utf-8").split("\n")[:-1]  # a cut line has no end
        head, *results = map(json.loads, lines)
    except ValueError:  # damaged, or nothing there
        return []
    whole = head == {"fingerprint": key} and all(isinstance(r, dict) for r in results)
    return results if whole else []
