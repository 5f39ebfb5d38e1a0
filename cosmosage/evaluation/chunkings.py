"""Which way of chunking teaches most: one training for each, on the same text and budget.

The budget is tokens read, since that is what costs time; a way that reads some of them twice
learns from fewer. The interval is over the held-out papers. It says nothing about the luck of the
order in which rows are learnt, so the first way is trained once more with another seed: a
difference smaller than that one's is no reason to choose.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cosmosage import models, tokens
from cosmosage.documents import (
    finish,
    finished,
    fingerprint,
    read_documents,
    write_jsonl,
)
from cosmosage.evaluation import compare, evaluate

FIRST = tokens.CHUNKINGS[0]
AGAIN = f"{FIRST}, another seed"
BEGINNING = 4000
"""Characters of each held-out document that are read: five models read them, and the beginnings of
many documents tell more than the whole of few."""


def compare_chunkings(
    train: Callable[[Any], Any],
    settings: Any,
    texts: Mapping[str, Path],
    out: Path,
    max_tokens: int,
) -> list[dict[str, Any]]:
    """Train once for each way of chunking; measure each on the beginnings of held-out documents.

    Finished work is not done again; the models are not kept.

    Args:
        train: ``fine_tune.fine_tune``.
        settings: ``fine_tune.Settings`` that all trainings share.
        texts: files of documents: ``train``, and ``test`` to be judged by.
        out: a folder for rows, models and figures.
        max_tokens: that each training reads; 0: nothing is tried.

    Returns:
        A record for each way, and one for the first with another seed: ``chunking``,
        ``rows``, ``padding``, ``context`` (share of the tokens that are read again) and, of the
        held-out documents, ``n``, ``bits_per_byte``, its ``difference`` from the first way in
        percent with an ``interval`` (95 %, paired by paper or book; null for a single one), the
        ``verdict``, and whether so few papers (``n_clusters``, with whole books) are
        ``decidable``. Fewer are better.

    Raises:
        ValueError: too little text; FileNotFoundError: no model or no file.
    """
    if not max_tokens:
        return []
    same = {k: v for k, v in asdict(settings).items() if k not in ("data", "out")}
    mark = out / "done.json"
    key = fingerprint(same, max_tokens, dict(texts), tokens.CHUNKINGS, BEGINNING)
    if counts := finished(mark, key):
        return counts["lines"]
    tokenizer = models.load_tokenizer(settings.base)
    packed, trained = {}, {}
    runs = {way: (way, settings.seed) for way in tokens.CHUNKINGS}
    for name, (way, seed) in (runs | {AGAIN: (FIRST, settings.seed + 1)}).items():
        rows = out / "rows" / way
        counts = tokens.pack(
            {"train": texts["train"]}, tokenizer, rows, settings.sequence_length, way
        )
        packed[name], trained[name] = counts["train"], out / "models" / name
        train(
            replace(
                settings,
                data=rows,
                out=trained[name],
                max_tokens=max_tokens,
                seed=seed,
                snapshots=False,
            )
        )
    judged = out / "test.jsonl"
    write_jsonl(
        judged,
        (
            replace(document, text=document.text[:BEGINNING], messages=())
            for document in read_documents(texts["test"])
        ),
    )
    evaluate(trained, judged, None, out / "figures")
    lines = []
    for name, counts in packed.items():
        line = compare(out / "figures", FIRST, name)["lines"][0]
        lines.append(
            {
                "chunking": name,
                "rows": counts["rows"],
                "padding": counts["padding"],
                "context": round(
                    counts["context"] / (counts["tokens"] + counts["context"]), 4
                ),
                "n": line["n"],
                "bits_per_byte": line["tuned"],
                "difference": line["percent"],
                "interval": line["percent_interval"],
                "verdict": line["verdict"] if name != FIRST else "",
                "decidable": line["decidable"],
                "n_clusters": line["n_clusters"],
            }
        )
    finish(mark, key, {"lines": lines})
    shutil.rmtree(out / "models")
    return lines
