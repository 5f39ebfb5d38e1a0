"""What was trained, from what, and what came of it: a card in each model, a line in the history.

Both are Markdown, since people read them where models lie: in an editor, on the hub. The history
is read back as a table, so its form is kept narrow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock

from cosmosage.documents import whole_file

COLUMNS = (
    *("run", "data", "base", "recipe", "steps", "tokens", "hours"),
    *("loss before", "loss after", "bits per byte before", "bits per byte after"),
)
"""Of the history. ``run`` is the hash of all that decides the weights, ``data`` that of the rows;
losses are on validation rows, in nats a token."""


def record(
    history: Path,
    key: str,
    data: str,
    settings: Mapping[str, Any],
    counts: Mapping[str, Any],
) -> None:
    """Add a run to a history, or put it in the place of the line that it has there.

    Args:
        history: a Markdown file; made if missing.
        key: hash of all that decides the weights.
        data: hash of the rows.
        settings: of the run.
        counts: what ``fine_tune`` returns.
    """
    recipe = f"{settings['method']}, rate {settings['learning_rate']:g}"
    if settings["method"] != "full":
        recipe += f", {settings['adapter']} of rank {settings['lora_rank']}"
    recipe += f", {settings['rows_per_step']} x {settings['sequence_length']} a step"
    losses = counts["validation_loss"] or (None, None)
    bits = counts["bits_per_byte"] or (None, None)
    hours = round(counts["seconds"] / 3600, 3)
    values = [key, data, Path(settings["base"]).name, recipe, counts["steps"]]
    values += [counts["tokens"], hours, *losses, *bits]
    with filelock.FileLock(history.with_name(f".{history.name}.lock")):
        lines = {each["run"]: each for each in read(history)}
        lines[key] = dict(zip(COLUMNS, map(_cell, values), strict=True))
        with whole_file(history) as file:
            file.write("# What was trained here\n\n")
            file.write(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n")
            for line in lines.values():
                file.write(f"| {' | '.join(line[name] for name in COLUMNS)} |\n")


def read(history: Path) -> list[dict[str, str]]:
    """The lines of a history, oldest first; none where there is no file."""
    if not history.is_file():
        return []
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in history.read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    return [dict(zip(COLUMNS, row)) for row in rows if row[0] != COLUMNS[0]]


def _cell(value: Any) -> str:
    """A value as a table's cell takes it."""
    if value is None:
        return "—"
    return str(value).replace("|", "/").replace("\n", " ")


def card(name: str, settings: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    """A model's README: what it is, what it read, its figures and its recipe.

    Args:
        name: of the model.
        settings: what the run depended on.
        counts: what ``fine_tune`` returns.
    """
    values = "\n".join(f"| {key} | {value} |" for key, value in settings.items())
    held_out, bits = counts["validation_loss"], counts["bits_per_byte"]
    change = f"{held_out[0]:.4f} -> {held_out[1]:.4f}" if held_out else "not measured"
    by_bits = f"{bits[0]:.4f} -> {bits[1]:.4f}" if bits else "not measured"
    return f"""# {name}

A causal language model fine-tuned with cosmosage from `{settings["base"]}`, under the licence
of that model. The documents that it read, each with its licence, are those of
`{settings["data"]}`.

| figure | value |
|---|---|
| steps | {counts["steps"]} |
| tokens read | {counts["tokens"]} |
| seconds | {counts["seconds"]} |
| peak memory, GiB | {counts["memory_gib"]} |
| loss in training, nats a token, last tenth of the steps | {counts["loss"]} |
| loss on validation rows, nats a token, before -> after | {change} |
| bits per byte on validation rows, before -> after | {by_bits} |

| setting | value |
|---|---|
{values}
"""
