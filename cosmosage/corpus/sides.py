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
_PAIR = re.compile(r"^pair:(.+)/\d+$", re.DOTALL)
_NUMBERED = re.compile(
    r"arxiv:(?P<old>[a-z-]+(?:\.[A-Z]{2})?/)?(?P<year>\d\d)(?P<month>0[1-9]|1[0-2])"
)
LEAST_HELD_OUT = 2  # documents on each held-out side, once there are eight


def without_version(name: str) -> tuple[str, int]:
    """``arxiv:2407.04420v2`` as (``arxiv:2407.04420``, 2); other ids as they are, with 0."""
    match = _VERSION.match(name)
    return (match[1], int(match[2])) if match else (name, 0)


def stem(name: str) -> str:
    """What goes to one side under one name: a paper's versions, and pairs written from it.

    ``pair:arxiv:2407.04420v2/3``, the third pair that ``pairs`` wrote from a paper, is where
    the paper is: ``arxiv:2407.04420``.
    """
    pair = _PAIR.match(name)
    return without_version(pair[1] if pair else name)[0]


def position(name: str) -> float:
    """Where an id lies in [0, 1): the SHA-256 of its stem; evenly spread, forever."""
    key = stem(name).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(key).digest()[:6], "big") / 2**48


def side_at(here: float, held_out: float) -> str:
    """The side of a position in a large corpus: test first, then validation, then train."""
    if here < held_out / 2:
        return "test"
    return "validation" if here < held_out else "train"


def month(name: str, year: int | None) -> int:
    """When a document came out, in months since the year 0; 0 where nothing tells.

    A paper's number at arXiv tells the month of its first version; of anything else only the
    year is known, and its December stands for it: what may be newer counts as newer.
    """
    if match := _NUMBERED.match(stem(name)):
        short = int(match["year"])
        century = 1900 if match["old"] and short > 50 else 2000
        return 12 * (century + short) + int(match["month"]) - 1
    return 0 if not year or year < 0 else 12 * year + 11


def first_month(after: str) -> int:
    """``2024-07``, ``2024-07-15`` or ``2024``: the month that begins the time held out.

    Raises:
        ValueError: it is none of these.
    """
    match = re.fullmatch(r"(\d{4})(?:-(0[1-9]|1[0-2])(?:-\d\d)?)?", after)
    if not match:
        raise ValueError(f"after is {after!r}; it has to be a month such as 2024-07")
    return 12 * int(match[1]) + int(match[2] or 1) - 1


def split_by_time(
    names: Iterable[str], months: Iterable[int], after: str
) -> dict[str, str]:
    """A side for every document by its date: validation and test hold what is newer.

    What came out in the month of ``after`` or later goes half to test, half to validation, by
    the hash of its id; all else is for training, also what has no date. A model that was made
    before then cannot have seen what it is judged by.

    Args:
        names: ids.
        months: of each, as ``month`` gives it.
        after: ``2024-07``.
    """
    first = first_month(after)
    return {
        name: side_at(position(name), 1.0) if when >= first else "train"
        for name, when in zip(names, months)
    }


def split(names: Iterable[str], held_out: float = 0.2) -> dict[str, str]:
    """A side for every document, by its id alone while the corpus is large.

    Half of ``held_out`` is test, half validation (``side_at``). Chance would leave a side of a
    small corpus empty or take most of it; so from eight papers on, each held-out side has at
    least two and at most a quarter of them (below eight: one), those with the smallest
    positions. Only such a corpus can move a document as it grows.

    Args:
        names: ids; versions of a paper go to one side, and so do pairs written from it.
        held_out: share of the documents in both held-out sides together, up to .5.

    Returns:
        ``train``, ``validation`` or ``test`` by id.
    """
    names = list(names)
    stems = sorted(set(map(stem, names)), key=_by_position)
    least = LEAST_HELD_OUT if len(stems) >= 8 else 1
    most = max(least, len(stems) // 4)
    wanted = Counter(side_at(position(each), held_out) for each in stems)
    test = min(max(wanted["test"], least), most)
    both = wanted["test"] + wanted["validation"]
    validation = min(max(both - test, least), most)
    row = ["test"] * test + ["validation"] * validation + ["train"] * len(stems)
    sides = dict(zip(stems, row))
    return {name: sides[stem(name)] for name in names}


def _by_position(name: str) -> tuple[float, str]:
    return position(name), name
