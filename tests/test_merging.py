"""Weights between two models, against the arithmetic by hand."""

import pytest
import torch
from tiny import tiny_model
from transformers import AutoModelForCausalLM

from cosmosage import merging, models


@pytest.fixture(name="two")
def _two(tmp_path):
    """A base, and the same with noise in its weights."""
    base = tiny_model(tmp_path / "base")
    model, tokenizer = models.load(base, torch.float32)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(tmp_path / "tuned")
    tokenizer.save_pretrained(tmp_path / "tuned")
    return base, tmp_path / "tuned"


def weights(folder):
    """A saved model's weights in fp32, one behind the other."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return torch.cat([weight.flatten() for weight in model.parameters()]).detach()


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1])
def test_weights_lie_on_the_line(two, tmp_path, monkeypatch, share):
    monkeypatch.setattr(models, "working_dtype", lambda: torch.float32)
    base, tuned = map(weights, two)
    found = weights(merging.between(*two, share, tmp_path / "out"))
    torch.testing.assert_close(found, base + share * (tuned - base))


def test_small_steps_are_not_lost_in_bf16(two, tmp_path, monkeypatch):
    """A hundredth of the way is less than a step of bf16 for most weights, and right on average."""
    monkeypatch.setattr(models, "working_dtype", lambda: torch.bfloat16)
    base, tuned = (weights(folder).bfloat16().float() for folder in two)
    found = weights(merging.between(*two, 0.01, tmp_path / "out"))
    way = tuned - base
    slope = ((found - base) @ way / (way @ way)).item()
    assert slope == pytest.approx(0.01, rel=0.1)
    nearest = (base + 0.01 * way).bfloat16().float()
    assert (found - base).ne(0).sum() > (nearest - base).ne(0).sum()


def test_finished_work_is_not_done_again(two, tmp_path, monkeypatch):
    out = merging.between(*two, 0.5, tmp_path / "out")
    assert models.load_tokenizer(out)("a") == models.load_tokenizer(two[0])("a")
    monkeypatch.setattr(models, "load", None)
    assert merging.between(*two, 0.5, out) == out


def test_what_cannot_be_mixed(two, tmp_path):
    with pytest.raises(ValueError, match="between 0"):
        merging.between(*two, 1.2, tmp_path / "out")
    other = tiny_model(tmp_path / "other", width=16)
    with pytest.raises(ValueError, match="was not tuned from"):
        merging.between(two[0], other, 0.5, tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        merging.between(two[0], tmp_path / "none", 0.5, tmp_path / "out")
