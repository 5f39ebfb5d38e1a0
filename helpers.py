"""What a cell needs: the run, tables, previews and the report.

A cell shows one thing, so everything here takes what a room has written and gives one thing
to look at: a table or a piece of HTML; pictures are drawn in ``cosmosage.plots``. Nothing is
computed here that a figure rests on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes

from cosmosage import books, latex, ledger, plots, report, views
from cosmosage import listing as listings
from cosmosage.documents import (
    read_documents,
    read_json,
    read_jsonl,
    whole_file,
)
from cosmosage.scales import OWN, SCALES, Scale

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Run:
    """One run: its scale, and where everything of it lies."""

    name: str
    scale: Scale
    data: Path
    """``data/<name>``: all that the run writes."""

    def __truediv__(self, name: str) -> Path:
        return self.data / name

    @property
    def papers(self) -> str:
        """The query, or the folder's path."""
        return _place(self.scale.papers)

    @property
    def books(self) -> Path:
        """The folder of books."""
        return Path(_place(self.scale.books))

    @property
    def questions(self) -> Path:
        """The multiple-choice questions."""
        return Path(_place(self.scale.questions))

    @property
    def texts(self) -> dict[str, Path]:
        """The sets of texts to be judged by: of the run's own documents, and of anything else."""
        general = Path(_place(self.scale.general))
        return {"held-out": self / "corpus" / "test.jsonl.gz", "general": general}

    @property
    def asked(self) -> dict[str, Path]:
        """The sets of questions: with choices, and open ones."""
        open_ones = Path(_place(self.scale.open_questions))
        return {"choices": self.questions, "open": open_ones}

    @property
    def unanswerable(self) -> Path:
        """Questions to which it is right to give no answer."""
        return Path(_place(self.scale.unanswerable))

    @property
    def base(self) -> str:
        """The base model's folder or name."""
        return _place(self.scale.base)

    @property
    def tuned(self) -> Path:
        """Where the fine-tuned model lies."""
        return self / "models" / "tuned"

    @property
    def documents(self) -> list[Path]:
        """The files of documents that there are, by name: papers, books, what was imported."""
        return sorted((self / "documents").glob("*.jsonl.gz"))

    @property
    def training(self) -> dict[str, Any]:
        """What ``fine_tune.Settings`` takes."""
        shared = (
            "method embeddings learning_rate sequence_length rows_per_step micro_batch epochs "
            "max_tokens gradient_checkpointing snapshots"
        )
        values = {name: getattr(self.scale, name) for name in shared.split()}
        return values | {"base": self.base, "data": self / "tokens", "out": self.tuned}

    def trial(self, name: str) -> dict[str, Any]:
        """The same for a short run of one row a step, in a folder of its own."""
        return self.training | {
            "out": self / name,
            "max_tokens": self.scale.sweep_tokens,
            "rows_per_step": 1,
            "micro_batch": 1,
            "validations": 2,
            "validation_rows": 4,
            "snapshots": False,
        }

    @property
    def ask(self) -> list[str]:
        """Five questions to ask of a model."""
        asked = read_jsonl(HERE / "sample" / "questions" / "ask.jsonl")
        return [line["question"] for line in asked]

    def _repr_html_(self) -> str:
        return _html(self.settings())

    def settings(self) -> pd.DataFrame:
        """The scale's fields and values."""
        return views.table(
            [
                {"setting": f.name, "value": getattr(self.scale, f.name)}
                for f in fields(self.scale)
            ]
        )


def _place(path: str) -> str:
    """A path below the repository as seen from anywhere; what is no path there, unchanged."""
    here = HERE / path
    return str(here) if here.exists() or path.startswith("data/") else path


def start(
    scale: str = "sample",
    papers: str | None = None,
    books_folder: str | None = None,
    name: str | None = None,
    **changes: Any,
) -> Run:
    """The run that a notebook is about.

    Args:
        scale: ``sample`` or ``full``.
        papers: a folder of papers of one's own (or a file of numbers, or another query).
        books_folder: a folder of books of one's own.
        name: of the run's folder below ``data/``; by default the scale's, and for papers or
            books of one's own that with the folders' names.
        changes: other values for fields of ``Scale``.

    Raises:
        ValueError: an unknown scale or field.
        FileNotFoundError: a folder of one's own is not there.
    """
    if scale not in SCALES:
        raise ValueError(f"SCALE is {scale!r}; it has to be one of {', '.join(SCALES)}")
    known = {field.name for field in fields(Scale)}
    if unknown := sorted(set(changes) - known):
        raise ValueError(
            f"there is no setting {unknown[0]!r}; there are {sorted(known)}"
        )
    settings = SCALES[scale]
    own = [path for path in (papers, books_folder) if path]
    if own and scale == "sample":
        settings = replace(settings, **OWN)
    for field, path in (("papers", papers), ("books", books_folder)):
        if path:
            folder = Path(path).expanduser()
            if field == "books" and not folder.is_dir():
                raise FileNotFoundError(f"there is no folder {path} with books in it")
            found = str(folder.resolve()) if folder.exists() else path
            settings = replace(settings, **{field: found})
    if own and name is None:
        parts = [scale, *(Path(path).resolve().name for path in own)]
        name = "-".join(dict.fromkeys(parts))
    settings = replace(settings, **changes)
    return Run(name or scale, settings, HERE / "data" / (name or scale))


def shelve(run: Run) -> pd.DataFrame:
    """Books to documents, chapter by chapter: what ``textbooks.ipynb`` does step by step.

    Returns:
        The catalogue, with what each book gave. Empty where the run has no books.
    """
    if not run.books.is_dir():
        print(f"no books: there is no folder {run.books}")
        return views.table([])
    books.catalogue(run.books, run / "books")
    books.extract(run / "books")
    books.documents(run / "books", run / "documents" / "books.jsonl.gz")
    return views.shelf(run.data)


# --- tables ------------------------------------------------------------------


def listing(run: Run) -> pd.DataFrame:
    """The papers that were collected, by id, with what became of each."""
    texts = {document.id for path in run.documents for document in read_documents(path)}
    rows = []
    for record in listings.read(run / "arxiv"):
        name = f"{record['id']}v{record['version']}"
        known = {f"arxiv:{name}", f"paper:{record['id']}"}
        rows.append(
            {
                "paper": name,
                "title": record["title"],
                "published": record["published"][:10],
                "licence": listings.licence_name(record["licence"]) or "not told",
                "text": "yes" if known & texts else "no",
            }
        )
    return views.table(rows)


def licences(run: Run) -> pd.DataFrame:
    """The papers' licences: how many have each, and whether their text may be handed on."""
    counts = Counter(paper["licence"] for paper in listings.read(run / "arxiv"))
    lines = []
    for licence, count in counts.most_common():
        name = listings.licence_name(licence) or "not told"
        line = {"licence": name, "papers": count}
        line["share"] = f"{100 * count / counts.total():.1f} %"
        public = listings.may_use(licence, "public")
        lines.append(line | {"text may be handed on": "yes" if public else "no"})
    return views.table(lines)


def removed(run: Run) -> pd.DataFrame:
    """All that fell out on the way into the corpus, with step and reason."""
    rows = [
        {
            "id": line["id"],
            "step": line["step"],
            "reason": line["reason"],
            "repeats": line.get("repeats", ""),
        }
        for line in read_jsonl(run / "corpus" / "removed.jsonl.gz")
    ]
    return views.table(rows)


def shares(packed: dict[str, Any]) -> pd.DataFrame:
    """The sources that training reads: documents, tokens, share and passes as they came out.

    Args:
        packed: what ``tokens.pack`` gave.
    """
    return views.table(
        [
            {
                "source": source,
                "documents": line["documents"],
                "tokens": f"{line['tokens']:,}",
                "share": f"{100 * line['share']:.1f} %",
                "passes": f"{line['passes']:.2f}",
            }
            for source, line in packed["train"]["sources"].items()
        ]
    )


def chunkings(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Ways of chunking as a table.

    Args:
        lines: what ``chunkings.compare_chunkings`` gave.
    """
    rows = []
    for line in lines:
        low, high = line["interval"] or (float("nan"),) * 2
        first = not line["verdict"]
        rows.append(
            {
                "chunking": line["chunking"],
                "rows": line["rows"],
                "padding": f"{100 * line['padding']:.2f} %",
                "read again": f"{100 * line['context']:.1f} %",
                "bits per byte": f"{line['bits_per_byte']:.4f}",
                "difference": "" if first else f"{line['difference']:+.2f} %",
                "95 % interval": "" if first else f"{low:+.2f} to {high:+.2f} %",
                "verdict": "" if first else views.verdict(line),
            }
        )
    return views.table(rows)


def plan_table(plan: Any) -> pd.DataFrame:
    """A plan of ``fine_tune.plan`` for people: memory by part, work, time, and whether it fits."""
    return views.table([{"what": what, "value": value} for what, value in plan.lines()])


def sweep_table(result: dict[str, Any]) -> pd.DataFrame:
    """The trials of a sweep, the best first, and what the winner gains with other seeds.

    Args:
        result: what ``sweeps.sweep`` gave.
    """
    trials = [t for t in result["trials"] if t["bits_per_byte"] is not None]
    ranked = sorted(trials, key=lambda trial: (trial["pruned"], trial["bits_per_byte"]))
    rows = [
        {name: f"{value:.3g}" for name, value in trial["values"].items()}
        | {
            "bits per byte": f"{trial['bits_per_byte']:.4f}",
            "": f"pruned at step {trial['steps']}" if trial["pruned"] else "",
        }
        for trial in ranked
    ]
    if result["interval"] is not None:
        low, high = result["interval"]
        inside = "inside the noise" if low <= 0 <= high else "more than luck"
        rows.append(
            dict.fromkeys(result["winner"], "")
            | {
                "bits per byte": f"{-result['gain']:+.4f}",
                "": f"winner against first, {len(result['first'])} other seeds: "
                f"{-high:+.4f} to {-low:+.4f}, {inside}",
            }
        )
    return views.table(rows)


def history(run: Run) -> pd.DataFrame:
    """All trainings of a run's folder, each with its data by hash, recipe and figures."""
    return views.table(ledger.read(run.tuned.parent / "HISTORY.md"))


# --- previews ----------------------------------------------------------------


def paper_beside(run: Run, paper: str | None = None) -> HTML:
    """A paper's LaTeX beside the text that was made from it.

    Args:
        run: whose papers are converted.
        paper: a document's id; by default the first that came with LaTeX.

    Raises:
        ValueError: there is no such paper.
    """
    for document in read_documents(run / "documents" / "arxiv.jsonl.gz"):
        if paper not in (None, document.id):
            continue
        name = document.id.partition(":")[2].replace("/", "_")
        found = sorted((run / "arxiv" / "sources").glob(f"{name}*"))
        package = latex.read_package(found[0])
        if package.kind == "latex":
            break
    else:
        raise ValueError(f"there is no paper {paper or 'with LaTeX'} in this run")
    # the main file is what declares a class; without one, the longest will do
    main = max(
        package.files.items(),
        key=lambda item: (b"\\begin{document}" in item[1], len(item[1])),
    )
    source = main[1].decode("utf-8", "replace")
    cells = [
        (main[0], report.quoted(source)),
        (document.id, report.quoted(document.text)),
    ]
    return HTML(report.columns(cells))


# --- results ----------------------------------------------------------------

ASKED = 20
"""Questions whose written answers the page shows; the files have them all."""


def headlines(run: Run, compared: dict[str, Any]) -> list[str]:
    """The run's figures, a sentence each, with n, interval and baseline."""
    trained = read_json(run.tuned / "done.json")["counts"]
    figures = read_json(run / "evaluation" / f"{compared['tuned']}.json")["questions"]
    lines = [
        f"trained on {trained['tokens']:,} tokens in {trained['seconds']:.0f} s "
        f"({trained['tokens'] / trained['seconds']:.0f} tokens/s)"
    ]
    return lines + views.gains(compared, figures)


def compare(names: Sequence[str]) -> HTML:
    """Several finished runs side by side: a table here, and all of it in ``data/compare.html``.

    Args:
        names: of the runs' folders below ``data/``.

    Raises:
        ValueError: fewer than two runs.
        FileNotFoundError: there is no such run, or it is not evaluated.
    """
    # pylint: disable-next=import-outside-toplevel  # it brings torch: seconds, for this alone
    from cosmosage import runs

    data = HERE / "data"
    return runs.compare({name: data / name for name in names}, data / "compare.html")


def write_report(
    run: Run,
    counts: dict[str, Any],
    packed: dict[str, Any],
    compared: dict[str, Any],
    answers: Sequence[dict[str, Any]],
    asked: dict[str, dict[str, Any]] | None = None,
    *,
    points: Sequence[dict[str, Any]] = (),
) -> None:
    """Write ``report.html`` and ``result.png``, then print where it is and the figures.

    Args:
        run: that is finished.
        counts: what ``corpus.build`` gave.
        packed: what ``tokens.pack`` gave.
        compared: what ``evaluation.compare`` gave.
        answers: what ``assistant.ask_all`` gave.
        asked: what ``asking.ask`` gave, if it wrote into the run's ``evaluation``.
        points: for ``plots.trade``; by default the tuned model, if a set has a margin.
    """
    lines = headlines(run, compared)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 3.6), layout="constrained", width_ratios=(2, 3)
    )
    plots.loss(run.tuned, left)
    whole = [line for line in compared["lines"] if line["group"] == "all"]
    plots.differences({**compared, "lines": whole}, right)  # the parts: in the report
    with whole_file(run / "result.png", "wb") as file:
        figure.savefig(file, format="png", dpi=90)
    plt.close(figure)
    shown = report.Section
    training = _picture(plots.loss(run.tuned), "loss against tokens")
    if (run.tuned / "validation.jsonl").is_file():
        training += _picture(plots.bits(run.tuned), "bits per byte by source")
    changed = _picture(plots.differences(compared), "differences")
    if places := points or plots.traded(compared):
        margin = places[0].get("margin", 1.0)
        changed += _picture(plots.trade(places, margin), "learned against forgotten")
    sections = [
        shown(
            "What the corpus holds",
            "Documents left after each step, and on each side of the split.",
            _picture(plots.funnel(counts, packed), "documents and tokens by step")
            + _html(removed(run)),
        ),
        shown(
            "Training",
            "Loss in training, and loss and bits per byte on documents that the model does not "
            "learn from.",
            training,
        ),
        shown(
            "What it changed",
            "Documents that were held out, and questions that were not trained on. A difference "
            "whose interval holds zero is inside the noise, and so is one whose p, which allows "
            "for how many were looked at together, is not below .05. Where there are too few "
            "papers to tell, no figures could have brought it there.",
            changed + _html(views.results(compared)) + _said(compared),
        ),
        shown("Five questions", "", views.side_by_side(answers).data),
    ]
    if asked:
        given = views.written(run / "evaluation", asked)[: ASKED * len(asked)]
        sections.append(
            shown(
                "Answers in writing",
                "Whether answers that agree when a question is asked again are right more often. "
                "Right and wrong are told by numbers with units and by words. Below are the first "
                f"{ASKED} questions at most.",
                _picture(plots.reliability(asked), "agreement against right answers")
                + _picture(plots.risk_coverage(asked), "risk over coverage")
                + views.side_by_side(given, run.documents).data,
            )
        )
    sections.append(shown("Settings", "", _html(run.settings())))
    path = report.write(run / "report.html", f"cosmosage: {run.name}", lines, sections)
    print("\n".join([str(path), *lines]))


def _picture(ax: Axes | Sequence[Axes], what: str) -> str:
    return report.picture(plots.png(ax), what)


def _said(compared: dict[str, Any]) -> str:
    """Whether what was gained on questions is memory, below the table."""
    known = views.knowledge(compared)
    return _html(known) if len(known) else ""


def _html(frame: pd.DataFrame) -> str:
    return frame.to_html(index=False)
