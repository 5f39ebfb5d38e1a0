"""``python -m cosmosage.evaluation MODEL... --corpus FILE --questions FILE --out DIR``."""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cosmosage.corpus.contamination import overlap_sentence
from cosmosage.corpus.sides import first_month
from cosmosage.evaluation import compare, evaluate, name_models, statistics
from cosmosage.evaluation.asking import ask, judge_asked
from cosmosage.evaluation.choices import MEASURES
from cosmosage.evaluation.judge import Judge, calibrate, read_graded
from cosmosage.evaluation.passages import with_retrieval
from cosmosage.evaluation.questions import read_questions


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure models, print their figures, and what each gained over the first."""
    parser = argparse.ArgumentParser(
        prog="python -m cosmosage.evaluation",
        description="Bits per byte and multiple choice, with 95 %% intervals; "
        "every further model is compared with the first.",
    )
    parser.add_argument(
        "models", nargs="+", metavar="[NAME=]MODEL", help="folder or hub name"
    )
    for option, what in (
        ("--corpus", "texts, .jsonl[.gz]"),
        ("--questions", ".jsonl[.gz]"),
    ):
        parser.add_argument(
            option, nargs="+", default=[], metavar="[NAME=]FILE", help=what
        )
    parser.add_argument(
        "--margin",
        nargs="+",
        default=[],
        metavar="NAME=NUMBER",
        help="of sets on which nothing may be lost: per cent of bits, or points, that are nothing",
    )
    parser.add_argument(
        "--after",
        metavar="MONTH",
        help="that the first model was made before, 2024-07: texts since then, apart",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True)
    parser.add_argument("--length", type=int, metavar="TOKENS", help="context of texts")
    parser.add_argument(
        "--ask",
        type=int,
        metavar="K",
        help="have the questions answered in writing too, once plainly and K times by chance",
    )
    parser.add_argument(
        "--index",
        type=Path,
        metavar="DIR",
        help="of the corpus: ask each question with its passages, too",
    )
    parser.add_argument(
        "--trained-on",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="the texts of the training: what of the sets stood there is told apart",
    )
    parser.add_argument("--judge", metavar="MODEL@ADDRESS", help="who grades answers")
    parser.add_argument(
        "--graded",
        type=Path,
        metavar="FILE",
        help="by people: what the judge is held to",
    )
    given = parser.parse_args(arguments)
    try:
        graded = _check(given)
        models = _models(given.models)
        texts, questions = (
            {name: Path(path) for name, path in _by_name(files).items()}
            for files in (given.corpus, given.questions)
        )
        margins = _margins(given.margin, [*texts, *questions], models)
        measured = _with_answers(questions) if given.ask is not None else questions
        if texts or measured or not questions:
            figures = evaluate(
                models,
                texts,
                measured,
                given.out,
                given.length,
                trained_on=given.trained_on,
                index=given.index if measured else None,
            )
            print(table(figures))
            for found in _compared(list(models), figures, margins, given):
                print("\n" + comparison(found))
        if given.ask is not None:
            for part in _asked(models, questions, graded, given):
                print("\n" + part, flush=True)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _check(given: argparse.Namespace) -> tuple[Judge, list[dict[str, Any]]] | None:
    """See that every option has something to work on, before hours are spent on the others; gives
    the judge, if there is one, and what people graded."""
    if given.judge and not given.graded:
        raise ValueError(
            "a judge needs --graded, answers that people graded: without it nobody knows how "
            "often it errs"
        )
    if given.graded and not given.judge:
        raise ValueError("--graded is what a judge is held to; name one with --judge")
    if given.judge and given.ask is None:
        raise ValueError("a judge grades answers in writing; add --ask K")
    if given.ask is not None and given.ask < 0:
        raise ValueError(f"--ask is {given.ask}; wanted how many answers by chance")
    for option in ("ask", "index"):
        if getattr(given, option) is not None and not given.questions:
            raise ValueError(f"--{option} is for questions; give some with --questions")
    if given.after:
        first_month(given.after)
    if not given.judge:
        return None
    judge = replace(Judge.at(given.judge), journal=given.out / "judge.jsonl")
    return judge, read_graded(given.graded)


def _margins(
    said: Sequence[str], sets: Sequence[str], models: Sequence[str]
) -> dict[str, float]:
    """Margins by the names of their sets, of which a further model may lose less."""
    out = {}
    for name, text in _by_name(said).items():
        try:
            out[name] = float(text)
        except ValueError:
            out[name] = math.nan
        if not 0 < out[name] < math.inf:
            raise ValueError(
                f"the margin of {name} is {text!r}; it has to be a number above 0, as "
                f"--margin {name}=1"
            )
        if name not in sets:
            raise ValueError(f"a margin is given for {name}, which is no set")
    if out and len(models) < 2:
        raise ValueError("a margin is for what a second model loses; name two")
    return out


def _with_answers(questions: dict[str, Path]) -> dict[str, Path]:
    """The sets of which some question has an answer, whose likelihood there is to measure."""
    return {
        name: path
        for name, path in questions.items()
        if not all(record.get("unanswerable") for record in read_questions(path))
    }


def _compared(
    models: Sequence[str],
    figures: dict[str, dict[str, Any]],
    margins: dict[str, float],
    given: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """Each further model against the first, and so again as both were asked with the corpus."""
    base, *others = models
    pairs = [(base, other) for other in others]
    if with_retrieval(base) in figures:
        pairs += [(with_retrieval(base), with_retrieval(other)) for other in others]
    for pair in pairs:
        sets = [*figures[pair[0]]["texts"], *figures[pair[0]]["questions"]]
        own = {name: margin for name, margin in margins.items() if name in sets}
        yield compare(given.out, *pair, own, given.after, sets)


def _asked(
    models: dict[str, str | Path],
    questions: dict[str, Path],
    graded: tuple[Judge, list[dict[str, Any]]] | None,
    given: argparse.Namespace,
) -> Iterator[str]:
    """Have each set of questions answered in writing, and all judged if there is a judge."""
    figures = {}
    for name, file in questions.items():
        figures[name] = ask(models, file, given.out / name, given.index, given.ask)
        yield f"{name}, answered in writing\n{asked_table(figures[name])}"
    if graded is None:
        return
    judge, known = graded[0], calibrate(*graded)
    (right, m), (wrong, k) = known["passes_right"], known["passes_wrong"]
    yield (
        f"the judge passes {right} of {m} answers that people marked right, and {wrong} of "
        f"{k} that they marked wrong (kappa {known['kappa']:.2f})"
    )
    for name, asked in figures.items():
        if not any(figure["n"] for figure in asked.values()):
            continue  # nothing in it has a right answer
        found = judge_asked(list(asked), given.out / name, judge, known)
        yield "\n".join(_judged(f"{name}, {each}", found[each]) for each in asked)


def _judged(name: str, figure: dict[str, Any]) -> str:
    low, high = figure["accuracy_interval"]
    return (
        f"{name}: {figure['accuracy']:.3f} right by the judge, corrected, [{low:.3f}, {high:.3f}] "
        f"(it passed {figure['judged']:.3f} of {figure['n']}"
        + ("" if figure["fits"] else ", other than its errors on graded ones allow")
        + ")"
    )


def asked_table(figures: dict[str, dict[str, Any]]) -> str:
    """What models wrote, side by side; a sentence tells what is of the plain answer, and what of
    that which most samples agree on."""
    heads = "model right overlap exact numbers words abstained unanswerable".split()
    counts = "exact numeric words abstained unanswerable answered agreed_right".split()
    rows = [[*heads, "answered by chance", "most agree: right", "agreement", "AUROC"]]
    rows[0].append("n")
    for name, figure in figures.items():
        rows.append(
            [name]
            + [_with_interval(figure, key) for key in ("right", "overlap")]
            + [
                " of ".join(map(str, figure[key])) if key in figure else "-"
                for key in counts
            ]
            + [f"{figure['agreement']:.2f}" if "agreement" in figure else "-"]
            + [
                (
                    _with_interval(figure, "auroc")
                    if figure.get("auroc") is not None
                    else "-"
                )
            ]
            + [str(figure["n"])]
        )
    out = (
        f"{_aligned(rows)}\nright to unanswerable: of the plain answer; most agree and AUROC: of "
        "the one that most samples agree on, where at least one says something"
    )
    for name, figure in figures.items():
        if figure.get("auroc") is not None:
            out += f"\n{name}: AUROC {figure['auroc_verdict']}, p {figure['auroc_p_holm']:.4f} "
            out += "(Holm's, for all that are shown)"
    return out


def _models(given: Sequence[str]) -> dict[str, str | Path]:
    """Models by the names that they were given, or by those of their folders."""
    if not any("=" in model for model in given):
        return name_models(given)
    return name_models(_by_name(given))


def _by_name(given: Sequence[str]) -> dict[str, str]:
    """What was given by its name, of which no two are alike: one would be lost without a word."""
    out: dict[str, str] = {}
    for name, value in map(_pair, given):
        if name in out:
            raise ValueError(
                f"{out[name]} and {value} both go by the name {name}; give each its own, as "
                "NAME=..."
            )
        out[name] = value
    return out


def _pair(given: str) -> tuple[str, str]:
    """``NAME=VALUE``; a file alone goes by its own name."""
    name, found, value = given.partition("=")
    return (name, value) if found else (Path(given).name.partition(".")[0], given)


def table(figures: dict[str, dict[str, Any]]) -> str:
    """The models' figures side by side, as text."""
    rows = [["set", "model", "bits per byte", "n", "bytes"]]
    for name in next(iter(figures.values()))["texts"]:
        for model, record in figures.items():
            if name not in record["texts"]:  # one that was only asked, with the corpus
                continue
            figure = record["texts"][name]
            value = _with_interval(figure, "bits_per_byte")
            n, size = str(figure["n_documents"]), f"{figure['bytes']:,}"
            rows.append([name, model, value, n, size])
    parts = [_aligned(rows)] if len(rows) > 1 else []
    heads = "set model accuracy normalised letters majority n".split()
    choices, gold, notes = [[*heads, "letters picked"]], [], []
    gold.append(["set", "model", "bits per byte of the gold answer", "n"])
    for name, figure in next(iter(figures.values()))["questions"].items():
        for model, record in figures.items():
            figure = record["questions"][name]
            n = str(figure["n"])
            if "accuracy" not in figure:
                gold.append([name, model, _with_interval(figure, "bits_per_byte"), n])
                continue
            choices.append(
                [name, model]
                + [_with_interval(figure, measure) for measure in MEASURES]
                + [f"{figure['majority']:.3f}", n]
                + [" ".join(map(str, figure["picks"]["accuracy_letters"]))]
            )
        if "accuracy" in figure:
            notes.append(_sight(name, figure))
    if len(choices) > 1:
        parts.append("\n".join([_aligned(choices), *notes]))
    if len(gold) > 1:
        parts.append(_aligned(gold))
    return "\n\n".join(parts)


def _sight(name: str, figure: dict[str, Any]) -> str:
    """What a set's questions can see, and how many of them the corpus held."""
    least, most = (
        100 * statistics.smallest_difference(figure["n"], share) for share in (0.2, 0.3)
    )
    return (
        f"{name}: {figure['n']} questions see a difference of {least:.1f} to {most:.1f} points "
        "(80 % power, models that differ on 20 to 30 % of them); "
        + overlap_sentence(figure.get("overlap"))
    )


def comparison(compared: dict[str, Any]) -> str:
    """What ``compare`` found, as text."""
    rows = ["set measure group n difference interval p sees verdict".split()]
    for line in compared["lines"]:
        percent = "percent" in line
        value = line["percent"] if percent else 100 * line["difference"]
        edges = line["percent_interval"] if percent else line["interval"]
        scale, unit = (1, " %") if percent else (100, " points")
        p, sees = line.get("p_holm"), line["smallest_difference"]
        rows.append(
            [
                line["set"],
                line["measure"],
                line["group"],
                str(line["n"]),
                f"{value:+.1f}{unit}",
                f"[{scale * edges[0]:+.1f}, {scale * edges[1]:+.1f}]" if edges else "-",
                "-" if p is None else f"{p:.3f}",
                "-" if sees is None else f"{scale * sees:.1f}{unit}",
                _verdict(line) + margin_note(line),
            ]
        )
    said = [
        f"{name}: {n} texts are neither since nor before: their month is not known"
        for name, n in compared["undated"].items()
        if n
    ] + [knowledge_sentence(line) for line in compared["knowledge"]]
    table_ = _aligned(rows)
    return "\n".join([f"{compared['tuned']} against {compared['base']}", table_, *said])


def knowledge_sentence(line: dict[str, Any]) -> str:
    """Whether a gain on questions is memory or learning, in words."""
    in_bits = line["measure"] == "gold_beyond_others"
    scale, unit = (1, "bits per byte") if in_bits else (100, "points")

    def told(kind: str) -> tuple[str, str]:
        edges = line[f"{kind}_interval"]
        sure = ", ".join(f"{scale * edge:+.2g}" for edge in edges) if edges else "?"
        return (
            f"{scale * line[kind]:+.2g}",
            f"[{sure}], p {line[f'{kind}_p_holm']:.3f},",
        )

    read, sure = told("contained")
    return (
        f"{line['set']}, {line['measure']}: {read} {unit} {sure} on {line['n'][0]} questions "
        f"whose documents were trained on, {' '.join(told('withheld'))} on {line['n'][1]} whose "
        f"documents were withheld; {' '.join(told('beyond'))} between them: {_verdict(line)}"
    )


def _verdict(line: dict[str, Any]) -> str:
    return line["verdict"] + ("" if line["decidable"] else ": too few to tell")


def margin_note(line: dict[str, Any]) -> str:
    """What a margin lets one say of a line; nothing where there is none."""
    if "margin" not in line:
        return ""
    unit = "%" if "percent" in line else "points"
    said = {True: "lost less than", False: "lost more than", None: "may have lost"}
    return f"; {said[line['kept']]} {line['margin']:g} {unit}"


def _with_interval(record: dict[str, Any], key: str) -> str:
    if key not in record:
        return "-"
    edges = record[f"{key}_interval"]
    return f"{record[key]:.3f}" + (
        f" [{edges[0]:.3f}, {edges[1]:.3f}]" if edges else ""
    )


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
