"""Checkpoints that are cut, spoilt or half written, as a crash and a bad disk leave them."""

import json
import os
import signal
import time

import pytest
import torch

from cosmosage import checkpoints


def tensors(value: float) -> dict[str, dict[str, torch.Tensor]]:
    """Two groups that a test can tell by their value."""
    return {
        "weights": {"a.weight": torch.full((50, 4), value).bfloat16()},
        "moments": {"a.weight.first": torch.full((50, 4), value / 3)},
    }


def assert_holds(found, value: float) -> None:
    """See that a checkpoint came back with everything that went in."""
    assert found is not None
    groups, state = found
    assert state == {"steps": value}
    for name, group in tensors(value).items():
        for key, tensor in group.items():
            assert torch.equal(groups[name][key], tensor)
            assert groups[name][key].dtype == tensor.dtype


def test_there_and_back(tmp_path):
    assert checkpoints.newest(tmp_path / "absent") is None
    path = checkpoints.save(tmp_path, 7, tensors(7), {"steps": 7})
    assert path == tmp_path / "step-00000007"
    assert_holds(checkpoints.newest(tmp_path), 7)


def test_only_the_newest_is_kept(tmp_path):
    for step in (1, 2, 10):
        checkpoints.save(tmp_path, step, tensors(step), {"steps": step})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]
    checkpoints.save(tmp_path, 10, tensors(11), {"steps": 11})  # the same step again
    assert_holds(checkpoints.newest(tmp_path), 11)


def cut(path):
    """Leave the first half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    """Change one bit, and neither length nor time."""
    held = bytearray(path.read_bytes())
    held[-1] ^= 1
    before = path.stat()
    path.write_bytes(held)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def forget_hashes(path):
    """JSON that is whole, and no manifest."""
    path.write_text(json.dumps({"step": 2}))


@pytest.mark.parametrize(
    "name, spoil",
    [
        ("weights.safetensors", cut),
        ("weights.safetensors", flip),
        ("moments.safetensors", lambda path: path.unlink()),
        ("checkpoint.json", lambda path: path.unlink()),
        ("checkpoint.json", cut),
        ("checkpoint.json", forget_hashes),
    ],
)
def test_a_spoilt_checkpoint_is_passed_over(tmp_path, name, spoil):
    # a crash between the renaming of one and the removal of the other leaves both
    folder = tmp_path / "run"
    newer = checkpoints.save(tmp_path, 2, tensors(2), {"steps": 2})
    checkpoints.save(folder, 1, tensors(1), {"steps": 1})
    newer = newer.rename(folder / newer.name)
    assert_holds(checkpoints.newest(folder), 2)
    spoil(newer / name)
    assert_holds(checkpoints.newest(folder), 1)
    checkpoints.save(folder, 3, tensors(3), {"steps": 3})
    assert [path.name for path in folder.iterdir()] == ["step-00000003"]


def test_leftovers_are_removed(tmp_path):
    checkpoints.save(tmp_path, 1, tensors(1), {"steps": 1})
    leftover = tmp_path / ".step-00000002.part"
    leftover.mkdir()
    (leftover / "weights.safetensors").write_bytes(b"half")
    assert_holds(checkpoints.newest(tmp_path), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_failed_save_leaves_the_one_before(tmp_path):
    checkpoints.save(tmp_path, 1, tensors(1), {"steps": 1})
    with pytest.raises(TypeError):
        checkpoints.save(tmp_path, 2, tensors(2), {"steps": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert_holds(checkpoints.newest(tmp_path), 1)


def test_a_kill_at_any_moment_leaves_a_whole_one(tmp_path):
    for delay in (0.0, 0.01, 0.02, 0.03, 0.05):
        child = os.fork()
        if child == 0:
            step = 1000
            while True:
                step += step < 1002  # then the same step again and again
                checkpoints.save(tmp_path, step, tensors(step), {"steps": step})
        until = time.monotonic() + 20
        while not list(tmp_path.glob("step-*")):
            assert time.monotonic() < until
            time.sleep(0.002)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = checkpoints.newest(tmp_path)
        assert_holds(found, found[1]["steps"])
        assert not list(tmp_path.glob(".*"))
