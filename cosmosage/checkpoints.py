"""Checkpoints that are whole, or not there.

A checkpoint is a folder that is written under a temporary name and renamed; its last file
carries the hash of every other, and a checkpoint whose hashes do not hold is passed over.
Only the newest is kept: the price is that one cannot go back further than one.
"""

import hashlib
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from cosmosage.cards import Cards
from cosmosage.documents import read_json, write_json

_MANIFEST = "checkpoint.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(
    folder: Path,
    step: int,
    tensors: dict[str, dict[str, torch.Tensor]],
    state: dict,
    wait: Callable[[], None] = lambda: None,
) -> Path:
    """Write ``folder/step-<step>``, then remove the checkpoints before it.

    Args:
        folder: where a run's checkpoints lie.
        step: how many optimiser steps were made.
        tensors: one safetensors file a name: ``{"weights": {...}, "moments": {...}}``.
        state: what else is needed to go on; JSON.
        wait: is called before the older ones are removed; where parts of a checkpoint lie in
            several folders, until all of them are written.

    Raises:
        OSError: no room, or not writable; the checkpoint before is untouched.
    """
    target = folder / f"step-{step:08d}"
    scratch = folder / f".step-{step:08d}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        for name, group in tensors.items():
            path = scratch / f"{name}.safetensors"
            save_file({key: t.detach().contiguous() for key, t in group.items()}, path)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        hashes = {path.name: _sha256(path) for path in sorted(scratch.iterdir())}
        write_json(
            scratch / _MANIFEST, {"step": step, "sha256": hashes, "state": state}
        )
        if target.exists():  # of the same step: it stays in sight until the new one is
            aside = target.with_name(f"{target.name}.old")
            shutil.rmtree(aside, ignore_errors=True)
            target.rename(aside)
        scratch.rename(target)
    except SafetensorError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise OSError(
            f"the checkpoint {target} could not be written ({error}); see that the disk has "
            "room and run again, the checkpoint before it is kept"
        ) from error
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    wait()
    for old in folder.glob("step-*"):
        if old != target:
            shutil.rmtree(old)
    return target


def newest(
    folder: Path, most: float = math.inf
) -> tuple[dict[str, dict[str, torch.Tensor]], dict] | None:
    """The newest whole checkpoint: its tensors and state; None if there is none.

    Leftovers of writes that were cut off are removed.

    Args:
        folder: where a run's checkpoints lie.
        most: steps that it may be of.
    """
    for leftover in folder.glob(".step-*.part"):
        shutil.rmtree(leftover)
    there = {path: int(path.name[5:13]) for path in folder.glob("step-*")}
    for path in sorted(there, reverse=True):
        if there[path] > most:
            continue
        if (manifest := _whole(path)) is not None:
            tensors = {
                name.removesuffix(".safetensors"): load_file(path / name)
                for name in manifest["sha256"]
            }
            return tensors, manifest["state"]
    return None


def _whole(path: Path) -> dict | None:
    """A checkpoint's manifest, if all that it names is there and as it was written."""
    try:
        manifest = read_json(path / _MANIFEST)
        hashes = manifest["sha256"].items()
        return manifest if all(_sha256(path / n) == h for n, h in hashes) else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


class Checkpoints:
    """A run's checkpoints in a folder: one for all cards, or of each card its part.

    Args:
        folder: where they lie.
        cards: that train together.
        shard: whether each keeps a part of the model; all have to be there again to go on.
    """

    def __init__(self, folder: Path, cards: Cards, shard: bool) -> None:
        self.cards, self.shard = cards, shard
        self.folder = folder / f"card-{cards.index}" if shard else folder

    def save(self, step: int, tensors: dict[str, dict], state: dict) -> None:
        """Write that of a step; the ones before it are there until all parts are written."""
        if self.shard:
            save(self.folder, step, tensors, {"step": step} | state, self.cards.wait)
        elif self.cards.first:
            save(self.folder, step, tensors, {"step": step} | state)
        self.cards.wait()

    def newest(self) -> tuple[dict[str, dict[str, torch.Tensor]], dict] | None:
        """The newest that all cards have whole; None if there is none."""
        found = newest(self.folder)
        own = found[1]["step"] if found else 0
        if (agreed := self.cards.least(own)) < own:
            found = newest(self.folder, agreed)
        return found if agreed else None


def make_way(out: Path, key: str) -> None:
    """Keep a run with other settings that is in the way, and take back one with these.

    Nothing that took hours is overwritten. The settings move last: a folder with them is
    asked again whose run it holds, if this is cut off.

    Args:
        out: folder of a run.
        key: of the run that is to come, which stands in its ``settings.json``.
    """
    settings = out / "settings.json"
    if settings.is_file() and (old := read_json(settings)["key"]) != key:
        aside = out.with_name(f"{out.name}.{old}")
        aside.mkdir(exist_ok=True)
        for path in sorted(out.iterdir(), key=lambda path: path == settings):
            if path.name != ".lock":
                path.rename(aside / path.name)
        tqdm.write(f"{out} held a run with other settings or data; it's now in {aside}")
    before = out.with_name(f"{out.name}.{key}")
    if not settings.is_file() and before.is_dir():
        for path in sorted(
            before.iterdir(), key=lambda path: path.name == settings.name
        ):
            path.rename(out / path.name)
        before.rmdir()
        tqdm.write(f"{before} held a run with these settings; it is back in {out}")
