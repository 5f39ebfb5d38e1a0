"""Several runs side by side: what each gained over its base, and which is better than which.

A run's own gain says nothing of another's: two gains whose intervals overlap may differ, and two
that look unlike may not. So the tuned models meet each other on the same texts and questions,
paired as base and tuned are, and where they have none in common that is said.
"""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from cosmosage import evaluation, ledger, plots, report, views
from cosmosage.documents import read_json

_PLACES = {"out", "data", "key"}
"""Settings that differ between any two runs and tell nothing."""


def compare(folders: Mapping[str, Path], page: Path) -> HTML:
    """Compare finished runs, and write one page that holds all of it.

    Args:
        folders: of the runs, by their names: each with ``models/tuned`` and, in ``evaluation``, the
            figures of ``base`` and ``tuned``.
        page: the HTML file to write.

    Returns:
        The tables, for a cell: a line a run and measure, with the settings in which the runs
        differ; then a line a pair of runs and measure.

    Raises:
        ValueError: fewer than two runs, or a run's base and tuned model were measured differently.
        FileNotFoundError: a run is not there, or not evaluated.
    """
    if len(folders) < 2:
        raise ValueError("there is nothing to compare; name two runs or more")
    for name, folder in folders.items():
        if not (folder / "models" / "tuned" / "settings.json").is_file():
            raise FileNotFoundError(f"there is no trained run {name} in {folder}")
    outs = {name: folder / "evaluation" for name, folder in folders.items()}
    differing = _differing(folders)
    own = [
        {"run": name, **differing[name], **_about(line)}
        | views.figures_of(line, {"base": "base", "tuned": "tuned"})
        for name, out in outs.items()
        for line in evaluation.compare(out, "base", "tuned")["lines"]
        if line["group"] == "all"
    ]
    found = evaluation.compare_runs(outs, "tuned")
    between = [
        {"run": line["run"], "against": line["against"], **_about(line)}
        | views.figures_of(line, {"base": "the other's", "tuned": "the run's"})
        for line in found["lines"]
    ]
    gained, paired = (views.table(rows).to_html(index=False) for rows in (own, between))
    unlike = "".join(f"<li>{html.escape(line)}</li>" for line in found["unlike"])
    paired = (paired if between else "") + (f"<ul>{unlike}</ul>" if unlike else "")
    curves = {
        name: folder / "models" / "tuned"
        for name, folder in folders.items()
        if (folder / "models" / "tuned" / "validation.jsonl").is_file()
    }
    shown = [
        report.Section(
            "What each gained over its base",
            "Whole sets, as in each run's report. "
            + ("" if any(differing.values()) else "The runs differ in no setting."),
            gained,
        ),
        report.Section(
            "Which is better than which",
            "The tuned models on the same texts and questions, pair by pair; p is Holm's over all "
            "pairs. A difference inside the noise is none, and neither is one that so few papers "
            "could not tell. What is compared is these models: whether the settings made the "
            "difference, or the luck of a seed, only further seeds can tell.",
            (_forest(found["lines"]) if between else "") + paired,
        ),
        report.Section(
            "Training",
            "Validation rows; each run has its own.",
            "".join(
                f"<h3>{html.escape(name)}</h3>"
                + report.picture(
                    plots.png(plots.bits(folder)), f"{name}: bits per byte"
                )
                for name, folder in curves.items()
            ),
        ),
    ]
    report.write(
        page,
        f"cosmosage: {', '.join(folders)}",
        [*map(_sentence, found["lines"]), *found["unlike"]],
        shown,
    )
    print(page)
    return HTML(gained + paired)


def _about(line: dict[str, Any]) -> dict[str, str]:
    return {"set": line["set"], "measure": plots.measure(line)}


def _forest(lines: Sequence[dict[str, Any]]) -> str:
    """The differences between runs as a picture."""
    named = [
        line | {"set": f"{line['run']} against {line['against']}, {line['set']}"}
        for line in lines
    ]
    compared = {"base": "the other", "tuned": "the run named first", "lines": named}
    return report.picture(plots.png(plots.differences(compared)), "runs in pairs")


def _sentence(line: dict[str, Any]) -> str:
    """A difference between two runs for the head of the page."""
    low, high = line["interval"] or (float("nan"),) * 2
    return (
        f"{line['run']} against {line['against']}, {line['set']}, {plots.measure(line)}: "
        f"{line['difference']:+.3f} (95 % {low:+.3f} to {high:+.3f}, n = {line['n']}): "
        f"{views.verdict(line)}" + " (fewer are better)" * ("percent" in line)
    )


def _differing(folders: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The settings that are not the same in all runs; ``rows``: what was learnt from, by hash."""
    told = {}
    for name, folder in folders.items():
        settings = read_json(folder / "models" / "tuned" / "settings.json")
        rows = {
            line["run"]: line["data"]
            for line in ledger.read(folder / "models" / "HISTORY.md")
        }
        told[name] = {k: v for k, v in settings.items() if k not in _PLACES}
        told[name]["base"] = Path(settings["base"]).name
        told[name]["rows"] = rows.get(settings["key"], "")[:8]
    frame = pd.DataFrame(told).T.map(lambda value: "" if value is None else str(value))
    frame = frame.loc[:, frame.nunique() > 1]
    frame.columns = [str(name).replace("_", " ") for name in frame.columns]
    return frame.fillna("").to_dict("index")
