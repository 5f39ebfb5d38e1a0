"""Adapters against what peft makes of them, and merged against unmerged."""

import pytest
import torch
from peft.tuners.lora.layer import LoraLayer
from transformers import AutoModelForCausalLM

from cosmosage import adapters, models
from tests.tiny import logits, tiny_model


def trained(model: torch.nn.Module) -> torch.nn.Module:
    """The same with adapters that do something, as after a training."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05, generator=draw)
            if "magnitude" in name:
                parameter.mul_(1.1)
    return model


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora"])
def test_merged_weights_give_the_adapters_scores(kind, tmp_path):
    base = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path / "base"))
    before = logits(base)
    model = trained(adapters.attach(base, 8, 0, kind))
    wanted = logits(model)
    assert (wanted - before).abs().max() > 0.1
    merged = adapters.merge(model, 0)
    assert (logits(merged) - wanted).abs().max() < 1e-4
    merged.save_pretrained(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert (logits(again) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_over_four_bits_they_are_merged_with_what_they_were_trained_beside(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setattr(models, "working_dtype", lambda: torch.float32)
    folder = tiny_model(tmp_path / "base", width=64)
    model = adapters.load_in_4_bits(folder)
    small = [p for p in model.parameters() if p.dtype == torch.uint8]
    assert len(small) == 14  # seven linear layers in each of two
    exact = logits(AutoModelForCausalLM.from_pretrained(folder))
    assert 0.05 < (logits(model) - exact).abs().mean() < 1  # of four bits, and no noise
    model = trained(adapters.attach(model, 8, 0, kind))
    wanted = logits(model)
    merged = adapters.merge(model, 0)
    assert all(p.dtype != torch.uint8 for p in merged.parameters())
    merged.save_pretrained(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert not hasattr(again.config, "quantization_config")
    close = (logits(again) - wanted).abs().max()
    assert close < 1e-4, close


def test_the_scales_of_the_kinds(tmp_path):
    scales = {}
    for kind in ("lora", "rslora"):
        base = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path / kind))
        model = adapters.attach(base, 16, 0, kind)
        layer = next(m for m in model.modules() if isinstance(m, LoraLayer))
        scales[kind] = layer.scaling["default"]
    assert scales == {"lora": 2.0, "rslora": 8.0}  # 32 / 16 and 32 / 4
