"""Claim: trained on a few papers and books, a model expects papers that it never saw better by six
per cent, and all other text worse by one at most.

    python -m benchmarks.gain DOCUMENTS... --general FILE [--questions FILE...] [--out DIR]

DOCUMENTS are files that ``arxiv.documents`` and ``books.documents`` wrote; ``--general`` holds
texts of any other kind, of which every second one is for choosing and the rest for judging. Papers
are split by the hash of their names: 60 % train, 20 % choose, 20 % judge. The model is trained
once; of its snapshots and of the mixtures with the base that one is kept which learnt most on the
choosing side with the interval of its loss on general text below the margin. The table then shows
base, tuned and kept model on texts that nothing was chosen by. An hour or two on two cores.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import fine_tune
from cosmosage import corpus, evaluation, models, plots, tokens
from cosmosage.documents import read_jsonl, write_jsonl
from cosmosage.evaluation.__main__ import comparison, table
from cosmosage.evaluation.trade import choose, trade, ways

MARGIN = 1.0
"""Per cent of the bits per byte of general text that may be lost."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, choose, judge, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--general", type=Path, required=True)
    parser.add_argument("--questions", nargs="*", type=Path, default=[])
    parser.add_argument("--base", default="data/base")
    parser.add_argument("--out", type=Path, default=Path("data/gain"))
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--epochs", type=float, default=1.0)
    given = parser.parse_args(arguments)
    out = given.out
    sets = split(given.documents, given.general, out, given.questions)
    sides = {
        side: out / "corpus" / f"{side}.jsonl.gz" for side in ("train", "validation")
    }
    tokens.pack(sides, models.load_tokenizer(given.base), out / "tokens", 512)
    settings = fine_tune.Settings(
        base=given.base,
        data=out / "tokens",
        out=out / "tuned",
        learning_rate=given.rate,
        epochs=given.epochs,
        snapshots=True,
        remainders=True,
        validations=3,
    )
    print(fine_tune.fine_tune(settings))
    series = ways(given.base, settings.out, out / "mixed")
    choosing = sets["choose papers"], sets["choose general"]
    points = trade(given.base, series, *choosing, out / "choosing")
    ax = plots.trade(points, MARGIN)
    ax.figure.savefig(out / "trade.png", dpi=150, bbox_inches="tight")
    chosen = choose(points, MARGIN)
    print(
        f"kept: {chosen['name']}, {chosen['learned']:+.1f} % and {chosen['forgotten']:+.1f} %"
    )
    judged = {"base": given.base, "tuned": settings.out, "kept": chosen["path"]}
    figures = evaluation.evaluate(
        judged,
        {"papers": sets["papers"], "general": sets["general"]},
        {path.name.partition(".")[0]: path for path in given.questions},
        out / "judging",
        trained_on=[sides["train"]],
    )
    print(table(figures))
    for name in ("tuned", "kept"):
        compared = evaluation.compare(
            out / "judging", "base", name, {"general": MARGIN}
        )
        print("\n" + comparison(compared))


def split(
    files: Sequence[Path], general: Path, out: Path, questions: Sequence[Path]
) -> dict[str, Path]:
    """The corpus, and the files of the sets to choose and to judge by."""
    corpus.build(files, out / "corpus", held_out=0.4, evaluation_sets=questions)
    texts = list(read_jsonl(general))
    papers = {
        side: [
            record
            for record in read_jsonl(out / "corpus" / f"{side}.jsonl.gz")
            if not record["id"].startswith("book:")
        ]
        for side in ("validation", "test")
    }
    sets = {
        "choose papers": papers["validation"],
        "papers": papers["test"],
        "choose general": texts[::2],
        "general": texts[1::2],
    }
    files_of = {name: out / "sets" / f"{name}.jsonl" for name in sets}
    for name, records in sets.items():
        write_jsonl(files_of[name], records)
    return files_of


if __name__ == "__main__":
    main()
