"""What the model reads is chosen here, and everything that falls out leaves with a reason.

A corpus is built in stages over shards of a few megabytes, by one process or by many on any
number of machines, with the same bytes as result; ``steps`` holds what is done to a shard,
this file what needs them all. Of a document some hundred bytes stay in memory, its id and a
few numbers, and everything else on the disk, so that all of arXiv fits a workstation.

Command: ``python -m cosmosage.corpus FILES... --out DIR``, and ``--explain ID`` for one
document.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np

from cosmosage.corpus import steps
from cosmosage.corpus.choosing import Chooser
from cosmosage.corpus.contamination import Question, questions, summary
from cosmosage.corpus.duplicates import BANDS, THRESHOLD, clusters, portions
from cosmosage.corpus.ledger import Ledger, added, by_reason
from cosmosage.corpus.reading import cut, read_removed
from cosmosage.corpus.sides import (
    SIDES,
    first_month,
    position,
    side_at,
    split,
    split_by_time,
    without_version,
)
from cosmosage.corpus.spool import Spool, save
from cosmosage.corpus.workers import Workers
from cosmosage.documents import (
    alone,
    fingerprint,
    finish,
    finished,
    read_jsonl,
    whole_file,
    write_json,
    write_jsonl,
)
from cosmosage.listing import Level, may_use

RULES = 5  # raise it when a step changes its mind: finished corpora are then built anew
_A_TASK = 200_000  # keys of a band, or passages, that are worth a task of their own


@dataclass(frozen=True)
class _Choice:
    """What a corpus depends on, besides its sources."""

    held_out: float
    licences: Level
    after: str

    def __post_init__(self) -> None:
        if not 0 < self.held_out <= 0.5:
            raise ValueError(
                f"held_out is {self.held_out}; it is a share above 0 and up to 0.5, "
                "such as 0.2"
            )
        may_use("", self.licences)
        if self.after:
            first_month(self.after)


def build(
    sources: Sequence[Path],
    out: Path,
    *,
    held_out: float = 0.2,
    licences: Level = "study",
    after: str = "",
    evaluation_sets: Sequence[Path] = (),
    workers: str | Executor = "processes",
) -> dict[str, Any]:
    """Choose what the model reads: clean, filter, deduplicate, split; every loss explained.

    Writes ``train``, ``validation`` and ``test.jsonl.gz`` (documents, in the order of the
    sources), ``removed.jsonl.gz`` (id, step, reason, and ``repeats``: the id whose text this
    one repeats, or ``passage``: the beginning of what was cut out of a document; first the
    lines of the ``removed.*.jsonl`` beside the sources), ``contamination.json`` (how much of
    each evaluation set the sources held) and ``done.json``. Equal sources give
    equal bytes, whoever did the work. Finished work is not done again, and what was cut off
    goes on with the shards that are missing.

    Args:
        sources: document files, ``.jsonl`` or ``.jsonl.gz``.
        out: folder of the corpus; it needs room for the text twice over while it is built.
        held_out: share of the documents in validation and test together, half each.
        licences: ``public``: only documents whose licence lets text and model be handed on.
        after: ``2024-07``: what came out in that month or later is held out, half for
            validation, half for test, and nothing else is.
        evaluation_sets: questions, ``.jsonl``, that the model will be judged by: what overlaps
            them is cut, and a document of which less than half is left, or a conversation, leaves.
        workers: ``here``, ``threads``, ``processes`` (one a core), the address of a Dask
            scheduler, whose workers have to see ``out`` under the same path, or an executor.

    Returns:
        Counts: ``steps`` (a list in order; documents, words and characters in and out of each),
        ``removed`` and ``removed_before`` (documents by step and reason: here, and while the
        sources were made), ``passages`` (parts that were cut, likewise), ``sides`` (documents,
        words, characters of each), ``contamination`` (as in the file), ``notes``. Words are
        what white space separates, formulas included.

    Raises:
        FileNotFoundError: a source does not exist.
        ValueError: a setting is none, a source or an evaluation set is damaged, or too little
            is left for training and validation; ``removed.jsonl.gz`` then tells why.
        BlockingIOError: another process is building there.
    """
    choice = _Choice(held_out, licences, after)
    sources, out = [Path(source) for source in sources], Path(out).resolve()
    asked_in = [Path(path) for path in evaluation_sets]
    for path in asked_in:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file with questions; name another")
    if len({path.name for path in asked_in}) < len(asked_in):
        raise ValueError(
            f"two evaluation sets have one name among {asked_in}; rename one"
        )
    for source in sources:
        if not source.is_file():
            raise FileNotFoundError(
                f"{source} is no file; write the documents first "
                "(arxiv.documents, books.documents) or name another file"
            )
    before = sorted(
        {path for source in sources for path in source.parent.glob("removed.*.jsonl")}
    )
    key = fingerprint(
        *(
            RULES,
            installed_version("rensa"),
            vars(choice),
            *sources,
            "|",
            *before,
            "|",
            *asked_in,
        )
    )
    mark, removed = out / "done.json", out / "removed.jsonl.gz"
    written = [removed, out / "contamination.json", *_sides(out).values()]
    if all(path.is_file() for path in written):
        if (counts := finished(mark, key)) is not None:
            return counts
    with alone(out), Workers(workers) as hands:
        # an old mark must not vouch for a mixture, should this run die half-way
        mark.unlink(missing_ok=True)
        work = out / f".work-{key}"
        for other in out.glob(".work-*"):
            if other != work:
                shutil.rmtree(other)
        asked = [item for path in asked_in for item in questions(path)]
        counts = _Build(work, choice, hands).run(sources, before, out, asked)
        finish(mark, key, counts)
        shutil.rmtree(work)
    return counts


def _sides(out: Path) -> dict[str, Path]:
    return {side: out / f"{side}.jsonl.gz" for side in SIDES}


class _Build:
    """One corpus on its way: stages in their order, and what passes between them."""

    def __init__(self, work: Path, choice: _Choice, workers: Workers):
        self.work, self.choice, self.workers = work, choice, workers
        self.ledger = Ledger()
        for part in ("shards", "clean", "tasks", "passages", "repeated", "parts"):
            (work / part).mkdir(parents=True, exist_ok=True)

    def stage(self, name: str, function: Any, tasks: Iterable[tuple]) -> list[Any]:
        """One function over its tasks; each is told the work folder first."""
        return self.workers.run(
            self.work / "tasks", name, function, [(self.work, *task) for task in tasks]
        )

    def run(
        self,
        sources: Sequence[Path],
        before: Sequence[Path],
        out: Path,
        asked: Sequence[Question],
    ) -> dict[str, Any]:
        """All stages; writes everything but the mark."""
        write_jsonl(self.work / "questions.jsonl", map(asdict, asked))
        shards = cut(sources, self.work / "shards")
        made = self.stage(
            "clean and filter",
            steps.prepare,
            [(shard, self.choice.licences) for shard in shards],
        )
        counted = [summary.pop("documents") for summary in made]
        write_json(self.work / "clean" / "counts.json", counted)
        spool = Spool(self.work / "clean", counted)
        rows = self._choose(spool)
        keep = np.zeros(len(spool), bool)
        keep[rows] = True
        save(self.work / "keep.npy", keep)
        trimmed = self._trim(spool)
        earlier = [record for path in before for record in read_removed(path)]
        everything = added([*made, self.ledger.summary(), *trimmed])
        self._write_removed(out / "removed.jsonl.gz", earlier, spool)
        counts = self._summary(everything) | {"removed_before": by_reason(earlier)}
        counts["contamination"] = self._contamination(spool, asked)
        write_json(out / "contamination.json", counts["contamination"])
        return counts | self._write_sides(spool, out, counts["steps"])

    # --- which documents ------------------------------------------------------

    def _choose(self, spool: Spool) -> np.ndarray:
        """The rows that stay: of each id, paper and text the best copy."""
        chooser = Chooser(spool, self.ledger)
        rows = chooser.exact(chooser.versions(chooser.ids()))
        save(self.work / "alive.npy", rows)
        a_task = max(1, min(BANDS, _A_TASK // max(1, len(rows))))
        firsts = range(0, BANDS, a_task)
        self.stage(
            "find near duplicates",
            steps.find_candidates,
            [(first, min(first + a_task, BANDS)) for first in firsts],
        )
        found = [np.load(self.work / "pairs" / f"{first:02}.npy") for first in firsts]
        pairs, similar = self._verified("candidates", np.concatenate(found))
        true = pairs[similar >= THRESHOLD]
        label = clusters(len(spool), true)
        kept = chooser.best(rows, label[rows])
        out = np.flatnonzero(kept != rows)
        evidence, measured = self._verified(
            "evidence", np.sort(np.stack([rows[out], kept[out]], axis=1), axis=1)
        )
        return chooser.near(
            rows, kept, true, dict(zip(map(tuple, evidence.tolist()), measured))
        )

    def _verified(self, name: str, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs in the order of their portions, and the similarities that were needed."""
        parts = list(portions(pairs))
        pairs = np.concatenate([np.empty((0, 2), np.int64), *parts])
        save(self.work / f"{name}.npy", pairs)
        ends = np.cumsum([len(part) for part in parts]).tolist()
        tasks = [(name, *ends_of) for ends_of in zip([0, *ends], ends)]
        self.stage(f"verify {name}", steps.verify, tasks)
        similar = [
            np.load(self.work / name / f"{first:012}.npy") for _, first, _ in tasks
        ]
        return pairs, np.concatenate([np.empty(0), *similar])

    # --- which of their words -------------------------------------------------

    def _trim(self, spool: Spool) -> list[dict[str, Any]]:
        shards = range(spool.shards)
        listed = self.stage(
            "list passages", steps.list_passages, [(shard,) for shard in shards]
        )
        parts = 1 + sum(part["passages"] for part in listed) // (20 * _A_TASK)
        self.stage(
            "find repeated passages",
            steps.find_passages,
            [(part, parts) for part in range(parts)],
        )
        return self.stage("trim", steps.trim, [(shard, parts) for shard in shards])

    # --- what is written ------------------------------------------------------

    def _write_removed(
        self, path: Path, earlier: list[dict[str, Any]], spool: Spool
    ) -> None:
        def lines() -> Iterator[dict[str, Any]]:
            yield from earlier
            for shard in range(spool.shards):
                yield from read_jsonl(spool.stem(shard).with_suffix(".removed.jsonl"))
            yield from self.ledger.removed
            for shard in range(spool.shards):
                yield from read_jsonl(spool.stem(shard).with_suffix(".cut.jsonl"))

        write_jsonl(path, lines())

    def _contamination(self, spool: Spool, asked: Sequence[Question]) -> dict[str, Any]:
        cuts = (
            record
            for shard in range(spool.shards if asked else 0)
            for record in read_jsonl(spool.stem(shard).with_suffix(".cut.jsonl"))
            if "questions" in record
        )
        return summary(asked, cuts)

    def _write_sides(
        self, spool: Spool, out: Path, table: list[dict[str, Any]]
    ) -> dict[str, Any]:
        left = np.concatenate(
            [np.empty((0, 3), np.int64)]
            + [
                np.load(spool.stem(shard).with_suffix(".left.npy"))
                for shard in range(spool.shards)
            ]
        )  # (n_left, 3): row, words, characters
        rows, names = left[:, 0], spool.names()
        names = [names[row] for row in rows.tolist()]
        if self.choice.after:
            months = spool.facts()["month"][rows].tolist()
            sides = split_by_time(names, months, self.choice.after)
            notes = _undated(months)
        else:
            sides = split(names, self.choice.held_out)
            notes = _moved(sides, self.choice.held_out)
        places = np.array([SIDES.index(sides[name]) for name in names], np.uint8)
        for number, side in enumerate(SIDES[:2]):
            if not (places == number).any():
                raise ValueError(
                    f"{len(rows)} of {table[0]['documents_in']} documents are left, too few "
                    f"for a {side} side; add documents, or read in "
                    f"{out / 'removed.jsonl.gz'} why the others fell out"
                )
        by_row = np.full(len(spool), len(SIDES), np.uint8)
        by_row[rows] = places
        save(self.work / "sides.npy", by_row)
        shards = range(spool.shards)
        self.stage("write", steps.write_sides, [(shard,) for shard in shards])
        for side, path in _sides(out).items():
            joined = self.work / side  # the parts are compressed already
            with whole_file(joined, "wb") as file:
                for shard in shards:
                    part = self.work / "parts" / f"{side}-{shard:05}.gz"
                    file.write(part.read_bytes())
            joined.replace(path)
        return {
            "sides": {
                side: {
                    "documents": int((places == number).sum()),
                    "words": int(left[places == number, 1].sum()),
                    "characters": int(left[places == number, 2].sum()),
                }
                for number, side in enumerate(SIDES)
            },
            "notes": notes,
        }

    def _summary(self, everything: dict[str, Any]) -> dict[str, Any]:
        counts = everything.get("counts", {})
        return {
            "steps": [
                {
                    "step": step,
                    **{
                        f"{what}_{way}": counts.get(step, {}).get(f"{what}_{way}", 0)
                        for what in ("documents", "words", "characters")
                        for way in ("in", "out")
                    },
                }
                for step in steps.STEPS
            ],
            "removed": everything.get("removed", {}),
            "passages": everything.get("passages", {}),
            "masked": everything.get("masked", {}).get("clean", {}),
        }


def _moved(sides: dict[str, str], held_out: float) -> list[str]:
    moved = sum(
        side_at(position(name), held_out) != side for name, side in sides.items()
    )
    if not moved:
        return []
    return [
        f"{moved} of {len(sides)} documents were moved to another side than their hash gives, "
        "so that none is too small; they may change sides when documents are added"
    ]


def _undated(months: Sequence[int]) -> list[str]:
    undated = sum(month == 0 for month in months)
    if not undated:
        return []
    return [f"{undated} of {len(months)} documents have no date and are for training"]


def explain(out: Path, name: str) -> list[dict[str, Any]]:
    """Why a document is in or out: its side, or its records of removal; also what repeats it.

    Args:
        out: folder of a finished corpus.
        name: a document's id, with or without the version.

    Raises:
        FileNotFoundError: there is no finished corpus.
    """
    out = Path(out)
    if not (out / "done.json").is_file():
        raise FileNotFoundError(f"{out} holds no finished corpus; build it first")

    def meant(other: Any) -> bool:
        return isinstance(other, str) and name in (other, without_version(other)[0])

    found = []
    for side in SIDES:
        for record in read_jsonl(out / f"{side}.jsonl.gz"):
            if meant(record["id"]):
                found.append({"id": record["id"], "side": side})
    for record in read_jsonl(out / "removed.jsonl.gz"):
        if meant(record["id"]) or meant(record.get("repeats")):
            found.append(record)
    return found


def funnel(counts: dict[str, Any]) -> str:
    """The counts of ``build`` as a table for people."""
    table = [f"{'step':<18}{'documents':>12}{'words':>16}  removed"]
    if counts["removed_before"]:
        table.append(f"{'before':<18}{'':>28}  {_reasons(counts['removed_before'])}")
    for step in counts["steps"]:
        lost = {step["step"]: counts["removed"].get(step["step"], {})}
        table.append(
            f"{step['step']:<18}{step['documents_out']:>12,}{step['words_out']:>16,}  "
            f"{_reasons(lost)}".rstrip()
        )
    for what, lost in (
        ("passages cut", _reasons(counts["passages"])),
        ("taken out", _listed(counts["masked"])),
    ):
        if lost:
            table.append(f"{what:<46}  {lost}")
    for name, held in counts["contamination"].items():
        table.append(
            f"{held['found']} of {held['questions']} questions of {name} found"
        )
    for side, count in counts["sides"].items():
        table.append(f"  {side:<16}{count['documents']:>12,}{count['words']:>16,}")
    return "\n".join([*table, *(f"note: {note}" for note in counts["notes"])])


def _reasons(removed: dict[str, dict[str, int]]) -> str:
    return ", ".join(filter(None, map(_listed, removed.values())))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())
