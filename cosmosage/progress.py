"""How a training shows itself while it runs: a bar, a file of figures, a page that people know.

The file is always written, and holds all that a plot needs; a tracker is for those who watch many
runs on one page. accelerate speaks to the trackers, so that they differ by a word.
"""

import contextlib
import importlib.util
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from cosmosage.documents import write_jsonl

_EVERY = 10
"""Seconds between two looks of a watcher: a plot takes a tenth of one."""


class Progress:
    """The figures of a run as they come; a context.

    Args:
        out: folder of the run; ``metrics.jsonl`` is written there, one line a step.
        steps: of the whole run.
        metrics: the lines of the steps that were made before.
        settings: of the run.
        watch: is given the folder now and then.

    Raises:
        ValueError: the tracker that ``settings["track"]`` names is not installed.
    """

    def __init__(
        self,
        out: Path,
        steps: int,
        metrics: Sequence[dict],
        settings: Mapping[str, Any],
        watch: Callable[[Path], None],
    ) -> None:
        self.out, self.watch, self._shown = out, watch, time.monotonic()
        self._engine = _tracker(settings["track"], out, settings)
        write_jsonl(out / "metrics.jsonl", metrics)
        self._log = (out / "metrics.jsonl").open("a", encoding="utf-8")
        self._bar = tqdm(total=steps, initial=len(metrics), desc="train", unit=" steps")

    def step(self, entry: dict[str, float]) -> None:
        """Show the figures of a step."""
        self._log.write(json.dumps(entry) + "\n")
        self._log.flush()
        self._bar.set_postfix_str(
            f"loss {entry['loss']:.3f}, gradient {entry['grad_norm']:.2f}, "
            f"{entry['tokens'] / entry['seconds']:.0f} tokens/s, "
            f"{entry['memory_gib']:.1f} GiB"
        )
        self._bar.update()
        self._track(entry, entry["step"])
        if time.monotonic() - self._shown > _EVERY:
            self.watch(self.out)
            self._shown = time.monotonic()

    def validated(self, figures: Mapping[str, Any]) -> None:
        """Show what a validation gave."""
        sources = {f"validation_{name}": x for name, x in figures["sources"].items()}
        known = {f"validation_{n}": figures[n] for n in ("loss", "bits_per_byte")}
        self._track(known | sources, figures["step"])
        self.watch(self.out)

    def _track(self, figures: Mapping[str, float], step: int) -> None:
        if self._engine is not None:
            self._engine.log(figures, step=step)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()
        self._log.close()
        if self._engine is not None:
            self._engine.end_training()


def _tracker(
    name: str | None, folder: Path, settings: Mapping[str, Any]
) -> Accelerator | None:
    if name is None:
        return None
    if importlib.util.find_spec(name) is None:
        raise ValueError(
            f"{name} is not installed; pip install {name}, or set no track"
        )
    engine = Accelerator(log_with=name, project_dir=folder)
    plain = {key: value for key, value in settings.items() if value is not None}
    engine.init_trackers("cosmosage", config=plain)
    return engine


@contextlib.contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Ctrl-C, or the notebook's stop button, as something to look at between steps."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def see_it_learns(metrics: Sequence[dict]) -> None:
    """Look at the steps of a run so far.

    Raises:
        ValueError: the loss has grown by a nat, to where each right token is e times less likely.
    """
    first, last = (
        np.mean([entry["loss"] for entry in part])
        for part in (metrics[:3], metrics[-10:])
    )
    if len(metrics) > 10 and last > first + 1:
        raise ValueError(
            f"the loss grows: {first:.2f} in the first steps, {last:.2f} in the ten up to "
            f"step {len(metrics)}; take a lower learning_rate or a longer warmup"
        )
