"""Train, validation and test by the hash of a document's id: stable as the corpus grows.

A random split would need a seed and move every document when one is added. A hash of the id
moves none, at the price that the shares are only about right, and by chance empty in a
corpus of a few documents; those are filled up, and that is noted.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

SIDES = ("train", "validation", "test")

_VERSION = re.compile(r"^(arxiv:.+?)v(\d+)$")
LEAST_HELD_OUT = 2  # documents on each held-out side, once there are eight


def without_version(name: str) -> tuple[str, int]:
    """``arxiv:2407.04420v2`` as (``arxiv:2407.04420``, 2); other ids as they are, with 0."""
    match = _VERSION.match(name)
    return (match[1], int(match[2])) if match else (name, 0)


def position(name: str) -> float:
    """Where an id lies in [0, 1): its SHA-256 without the version; evenly spread, forever."""
    stem = without_version(name)[0].encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(stem).digest()[:6], "big") / 2**48


def side_at(here: float, held_out: float) -> str:
    """The side of a position in a large corpus: test first, then validation, then train."""
    if here < held_out / 2:
        return "test"
    return "validation" if here < held_out else "train"


def split(names: Iterable[str], held_out: float = 0.2) -> dict[str, str]:
    """A side for every document, by its id alone while the corpus is large.

    Half of ``held_out`` is test, half validation (``side_at``). Chance would leave a side of a
    small corpus empty or take most of it; so from eight papers on, each held-out side has at
    least two and at most a quarter of them (below eight: one), those with the smallest
    positions. Only such a corpus can move a document as it grows.

    Args:
        names: ids; versions of a paper go to one side.
        held_out: share of the documents in both held-out sides together, up to .5.

    Returns:
        ``train``, ``validation`` or ``test`` by id.
    """
    names = list(names)
    stems = sorted({without_version(name)[0] for name in names}, key=_by_position)
    least = LEAST_HELD_OUT if len(stems) >= 8 else 1
    most = max(least, len(stems) // 4)
    wanted = Counter(side_at(position(stem), held_out) for stem in stems)
    test = min(max(wanted["test"], least), most)
    both = wanted["test"] + wanted["validation"]
    validation = min(max(both - test, least), most)
    row = ["test"] * test + ["validation"] * validation + ["train"] * len(stems)
    sides = dict(zip(stems, row))
    return {name: sides[without_version(name)[0]] for name in names}


def _by_position(name: str) -> tuple[float, str]:
    return position(name), name
