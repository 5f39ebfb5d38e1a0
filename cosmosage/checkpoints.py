"""Checkpoints that are whole, or not there.

A checkpoint is a folder that is written under a temporary name and renamed; its last file
carries the hash of every other, and a checkpoint whose hashes do not hold is passed over.
Only the newest is kept: the price is that one cannot go back further than one.
"""

import hashlib
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cosmosage.documents import read_json, write_json

_MANIFEST = "checkpoint.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(
    folder: Path, step: int, tensors: dict[str, dict[str, torch.Tensor]], state: dict
) -> Path:
    """Write ``folder/step-<step>``, then remove the checkpoints before it.

    Args:
        folder: where a run's checkpoints lie.
        step: how many optimiser steps were made.
        tensors: one safetensors file a name: ``{"weights": {...}, "moments": {...}}``.
        state: what else is needed to go on; JSON.

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
    for old in folder.glob("step-*"):
        if old != target:
            shutil.rmtree(old)
    return target


def newest(folder: Path) -> tuple[dict[str, dict[str, torch.Tensor]], dict] | None:
    """The newest whole checkpoint: its tensors and state; None if there is none.

    Leftovers of writes that were cut off are removed.
    """
    for leftover in folder.glob(".step-*.part"):
        shutil.rmtree(leftover)
    for path in sorted(folder.glob("step-*"), reverse=True):
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
