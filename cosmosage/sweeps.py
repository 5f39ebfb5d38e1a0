"""Which rate, clipping, warm-up and rank: tried, not guessed, and told from luck.

optuna proposes values and ends trials that fall behind the others' median at the same step; all it
knows lies in one SQLite file, so that a sweep goes on where it was interrupted. A trial's figure is
bits per byte on the validation rows at its end. The best of several trials looks better than it is,
by the luck of its seed and by having been chosen: winner and first trial are run again with seeds
that neither has seen, in pairs, and it is the mean of these differences that counts.
"""

import dataclasses
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from scipy import stats
from tqdm.auto import tqdm

from cosmosage.documents import alone, finish, finished, fingerprint, read_jsonl
from cosmosage.settings import Settings

Train = Callable[[Settings, Callable[[Path], None]], dict]
"""``fine_tune.fine_tune``."""


@dataclass(frozen=True)
class Span:
    """Values from low to high."""

    low: float
    high: float
    log: bool = False
    """Whether a factor counts, not a difference."""


Space = Mapping[str, Span | Sequence[Any]]
"""Of each setting the span, or the values, to try."""


def usual(settings: Settings) -> Space:
    """What is worth trying: rate, clipping and warm-up, and with adapters their rank."""
    rate = settings.learning_rate
    space: dict[str, Span | Sequence[Any]] = {
        "learning_rate": Span(rate / 10, min(rate * 10, 0.5), log=True),
        "clip_norm": Span(0.1, 10, log=True),
        "warmup": Span(0.0, 0.3),
    }
    if settings.method != "full":
        space["lora_rank"] = (4, 8, 16, 32, 64)
    return space


def sweep(
    train: Train,
    settings: Settings,
    trials: int = 12,
    seeds: int = 3,
    space: Space | None = None,
) -> dict[str, Any]:
    """Search for better settings, and measure how much better they are.

    Args:
        train: ``fine_tune.fine_tune``.
        settings: to start from, which are the first trial; ``out`` is the folder of the sweep.
            Trials are short: set ``max_tokens``.
        trials: that end or are pruned.
        seeds: with which winner and first trial are run again, each its own.
        space: what to try; by default ``usual(settings)``.

    Returns:
        ``trials``, each with ``values``, ``bits_per_byte`` (the last that was measured),
        ``steps``, ``pruned``; ``winner``, the values; ``first`` and ``again``, bits per byte of
        first trial and winner by seed; ``gain``, the mean of what the winner takes off, and
        ``interval``, of 95 % (Student's t over the seeds), or None with fewer than two seeds, or
        where the first trial is the winner.

    Raises:
        ValueError: the settings hold out nothing to judge by.
    """
    space = usual(settings) if space is None else space
    described = {
        name: dataclasses.asdict(span) if isinstance(span, Span) else list(span)
        for name, span in space.items()
    }
    out = Path(settings.out)
    key = fingerprint(settings.key(), trials, seeds, described)
    with alone(out):
        if result := finished(out / "sweep.json", key):
            return result
        study = _study(out, fingerprint(settings.key(), described), settings, space)
        _search(study, train, settings, space, trials)
        best = study.best_trial
        given = _values(settings, space)
        first, again = (
            [
                _run(train, settings, values | {"seed": settings.seed + 1 + number})
                for number in range(seeds)
            ]
            for values in (given, best.params)
        )
        gains = [one - other for one, other in zip(first, again)]
        interval = None
        if seeds > 1 and best.params != given:
            found = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
            interval = [float(found.low), float(found.high)]
        result = {
            "trials": [_as_json(trial) for trial in _ended(study)],
            "winner": best.params,
            "first": first,
            "again": again,
            "gain": sum(gains) / seeds if seeds else None,
            "interval": interval,
        }
        shutil.rmtree(out / "trials", ignore_errors=True)
        return finish(out / "sweep.json", key, result)


def _study(out: Path, name: str, settings: Settings, space: Space) -> optuna.Study:
    """The study that lies in a folder, or a new one whose first trial are the settings."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'study.db'}",
        study_name=name,
        direction="minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
    )
    # otherwise it would propose again, after a crash, what it proposed at first
    seed = fingerprint(settings.seed, len(study.trials))
    study.sampler = optuna.samplers.TPESampler(seed=int(seed[:8], 16))
    if not study.trials:
        study.enqueue_trial(_values(settings, space))
    repeated = {trial.user_attrs.get("again") for trial in study.trials}
    for trial in study.trials:
        if trial.state == TrialState.RUNNING:  # its process was killed
            study.tell(trial.number, state=TrialState.FAIL)
        lost = trial.state in (TrialState.RUNNING, TrialState.FAIL)
        if lost and trial.params and trial.number not in repeated:
            study.enqueue_trial(trial.params, user_attrs={"again": trial.number})
    return study


def _search(
    study: optuna.Study, train: Train, settings: Settings, space: Space, trials: int
) -> None:
    def objective(trial: optuna.Trial) -> float:
        values = {name: _suggested(trial, name, span) for name, span in space.items()}
        tqdm.write(f"trial {len(_ended(study)) + 1} of {trials}: {_told(values)}")

        def judge(entry: Mapping[str, Any]) -> None:
            trial.report(entry["bits_per_byte"], entry["step"])
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            return _run(train, settings, values, judge)
        except ValueError as error:
            if not _ended(study):
                raise  # the settings themselves are at fault
            raise optuna.TrialPruned(str(error)) from error  # as a rate that diverges

    study.optimize(objective, n_trials=max(0, trials - len(_ended(study))))


def _run(
    train: Train,
    settings: Settings,
    values: Mapping[str, Any],
    judge: Callable[[Mapping[str, Any]], None] | None = None,
) -> float:
    """Train with some values changed, and give the bits per byte at the end.

    Args:
        train: ``fine_tune.fine_tune``.
        settings: the others.
        values: that are changed.
        judge: is given each validation after the first, and may end the training.
    """
    out = Path(settings.out) / "trials" / fingerprint(dict(values))[:12]
    seen = 0

    def watch(folder: Path) -> None:
        nonlocal seen
        file = folder / "validation.jsonl"
        entries = list(read_jsonl(file))[1:] if file.is_file() else []
        for entry in entries[seen:]:
            seen += 1
            if judge is not None:
                judge(entry)

    counts = train(dataclasses.replace(settings, out=out, **values), watch)
    if counts["bits_per_byte"] is None:
        raise ValueError("a sweep needs validation rows: hold some documents out")
    for weights in out.glob("*.safetensors"):
        weights.unlink()  # what they gave is known; the mark of their end stays
    return counts["bits_per_byte"][1]


def _values(settings: Settings, space: Space) -> dict[str, Any]:
    """What the settings have for what is tried; within its span."""
    values = {}
    for name, span in space.items():
        value = getattr(settings, name)
        if isinstance(span, Span):
            value = min(max(value, span.low), span.high)
        values[name] = value
    return values


def _suggested(trial: optuna.Trial, name: str, span: Span | Sequence[Any]) -> Any:
    if isinstance(span, Span):
        return trial.suggest_float(name, span.low, span.high, log=span.log)
    return trial.suggest_categorical(name, list(span))


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def _as_json(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    measured = trial.intermediate_values
    last = max(measured, default=0)
    value = trial.value if trial.value is not None else measured.get(last)
    return {
        "values": trial.params,
        "bits_per_byte": None if value is None or math.isnan(value) else value,
        "steps": last,
        "pruned": trial.state == TrialState.PRUNED,
    }


def _told(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items())
