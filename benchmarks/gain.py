"""Claim: the mean of two models that were trained for one pass, on a dozen papers and on the same
with some books, expects papers that it never saw better by six per cent, and all other text worse
by one at most.

    python -m benchmarks.gain DOCUMENTS... --general FILE [--questions FILE...] [--out DIR]

DOCUMENTS are files that ``arxiv.documents`` and ``books.documents`` wrote; ``--general`` holds
texts of any other kind. Of few papers a part would be too few to judge by; so models are trained
for each of four folds of papers, on the papers of the other three and on the books that were
named, and each paper, general text and question is read by one model, which was not trained on it.
A book that repeats a paper stays out. How much of the gain is left half of the way back to the
base, and what that changes in other text, is drawn to ``OUT/trade.png``. Three hours on two cores;
what is finished stays.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fine_tune
from cosmosage import corpus, evaluation, merging, models, plots, tokens
from cosmosage.corpus import sides
from cosmosage.documents import read_jsonl, write_jsonl
from cosmosage.evaluation import trade
from cosmosage.evaluation.__main__ import comparison
from cosmosage.evaluation.exposure import TAINTED, marks
from cosmosage.evaluation.questions import read_questions

FOLDS = 4
MARGIN = 1.0
"""Per cent of the bits per byte of general text that may be lost."""
SHARES = (0.5, 0.75)
"""Of the way from base to tuned model, at which their weights are mixed."""
LENGTH = 1024
"""Tokens a row: as many as the evaluation reads at once. Rows of half that length gained half a
per cent less."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and judge every fold, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--general", type=Path, required=True)
    parser.add_argument("--questions", nargs="*", type=Path, default=[])
    parser.add_argument("--base", default="data/base")
    parser.add_argument("--out", type=Path, default=Path("data/gain"))
    given = parser.parse_args(arguments)
    split(given.documents, given.general, given.questions, given.out)
    folds = [given.out / f"fold-{number}" for number in range(FOLDS)]
    named = [judge(given.base, fold) for fold in folds][0]
    judged = [fold / "judged" for fold in folds]
    margins = {"general": MARGIN}
    compared = {
        name: evaluation.compare(judged, "base", name, margins) for name in named
    }
    points = [
        point | {"series": "mixed with the base"}
        for each in compared.values()
        for point in plots.traded(each)
    ]
    plots.trade(points, MARGIN).figure.savefig(given.out / "trade.png", dpi=150)
    print(comparison(compared["tuned"]))
    for point in points:
        print(
            f"{point['name']}: papers {point['learned']:+.2f} %, "
            f"general text {point['forgotten']:+.2f} %"
        )


def split(
    files: Sequence[Path], general: Path, questions: Sequence[Path], out: Path
) -> None:
    """Clean all documents, and write what each fold learns from and is judged on."""
    corpus.build(files, out / "corpus", evaluation_sets=questions)
    cleaned = [
        record
        for side in ("train", "validation", "test")
        for record in read_jsonl(out / "corpus" / f"{side}.jsonl.gz")
    ]
    books = [record for record in cleaned if record["id"].startswith("book:")]
    papers = [record for record in cleaned if not record["id"].startswith("book:")]
    papers.sort(key=lambda record: sides.position(record["id"]))
    write_jsonl(out / "papers.jsonl", papers)
    part = ("texts", "books")
    seen = marks([out / "papers.jsonl"], {part: books})[part]
    repeating = {
        record["id"].partition("#")[0]
        for record in books
        if seen[record["id"]]["seen"] >= TAINTED
    }
    books = [each for each in books if each["id"].partition("#")[0] not in repeating]
    print(f"{len(papers)} papers; not read, as they repeat some: {sorted(repeating)}")
    sets: dict[str, list[dict[str, Any]]] = {"general": list(read_jsonl(general))}
    for path in questions:
        sets[path.stem] = read_questions(path)
    for number in range(FOLDS):
        fold = out / f"fold-{number}"
        others = [paper for k, paper in enumerate(papers) if k % FOLDS != number]
        write_jsonl(fold / "train" / "papers.jsonl", others)
        write_jsonl(fold / "train" / "papers and books.jsonl", others + books)
        write_jsonl(fold / "papers.jsonl", papers[number::FOLDS])
        for name, records in sets.items():
            write_jsonl(fold / f"{name}.jsonl", records[number::FOLDS])


def judge(base: str, fold: Path) -> list[str]:
    """Train without a fold, and read and ask what was withheld; gives the models' names."""
    texts = {name: fold / f"{name}.jsonl" for name in ("papers", "general")}
    questions = {
        path.stem: path
        for path in sorted(fold.glob("*.jsonl"))
        if path.stem not in texts
    }
    trained_on, judged = sorted((fold / "train").glob("*.jsonl")), fold / "judged"
    trained = [train(base, file, fold / "models" / file.stem) for file in trained_on]
    tuned = merging.between(*trained, 0.5, fold / "models" / "mean")
    ends = {"base": base, "tuned": tuned}
    evaluation.evaluate(ends, texts, questions, judged, trained_on=trained_on)
    mixed = trade.ways(base, tuned, fold / "mixed", SHARES)["mixed with the base"]
    evaluation.evaluate(mixed, texts, None, judged, trained_on=trained_on)
    return list(mixed)


def train(base: str, documents: Path, out: Path) -> Path:
    """Train on documents for one pass; gives the model's folder."""
    tokenizer = models.load_tokenizer(base)
    tokens.pack({"train": documents}, tokenizer, out / "tokens", LENGTH)
    settings = fine_tune.Settings(
        base=base,
        data=out / "tokens",
        out=out / "tuned",
        embeddings=False,
        learning_rate=1e-4,
        sequence_length=LENGTH,
        rows_per_step=2,
        micro_batch=2,
    )
    fine_tune.fine_tune(settings)
    return settings.out


if __name__ == "__main__":
    main()
