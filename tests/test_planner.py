"""The plan against real models: counted weights, known sizes, what fits and what doesn't."""

import dataclasses
import json
from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

import fine_tune
from cosmosage import models, planner
from cosmosage.optimiser import AdamW
from fine_tune import UNSAID, Settings

GIB = 2**30


@pytest.fixture(name="llama", scope="module")
def _llama(tmp_path_factory):
    """A folder with the configuration of Llama 3 8B and nothing else."""
    folder = tmp_path_factory.mktemp("llama")
    LlamaConfig.from_dict(
        {
            "architectures": ["LlamaForCausalLM"],
            "vocab_size": 128_256,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": False,
        }
    ).save_pretrained(folder)
    return folder


@pytest.fixture(name="mistral", scope="module")
def _mistral(tmp_path_factory):
    """A file with the configuration of Mistral 7B."""
    folder = tmp_path_factory.mktemp("mistral")
    AutoConfig.for_model("mistral", sliding_window=None).save_pretrained(folder)
    return folder / "config.json"


def plan(base: Path, card: str | None = "RTX A6000", **given) -> planner.Plan:
    """The plan of a run that reads a million tokens."""
    settings = Settings(base, UNSAID, UNSAID, **{"max_tokens": 10**6} | given)
    return fine_tune.plan(settings, card)


LEAN = {
    "sequence_length": 4096,
    "rows_per_step": 1,
    "micro_batch": 1,
    "gradient_checkpointing": True,
    "step_in_backward": True,
    "optimiser_states": "8bit",
}
"""A full fine-tune with the least memory."""


def test_weights_are_counted_as_they_are(base):
    model = models.load(base, torch.float32)[0]
    count = sum(p.numel() for p in model.parameters())
    full = plan(base)
    assert full.parameters == full.trainable == count
    assert full.memory_gib["weights"] * GIB == pytest.approx(2 * count)
    assert full.memory_gib["optimiser"] * GIB == pytest.approx(8 * count)
    assert full.peak_gib == pytest.approx(sum(full.memory_gib.values()))


def test_adapters_are_counted_as_peft_makes_them(base):
    model = models.load(base, torch.float32)[0]
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=5, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    real = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    planned = plan(base, method="lora", lora_rank=5)
    assert planned.trainable == real
    assert planned.parameters == model.num_parameters() - real
    assert planned.memory_gib["optimiser"] * GIB == pytest.approx(8 * real)


def test_checkpointing_keeps_less_and_computes_more(base):
    plain, again = plan(base), plan(base, gradient_checkpointing=True)
    assert again.peak_gib < plain.peak_gib
    assert again.flops_per_token / plain.flops_per_token == pytest.approx(4 / 3)
    for part in ("weights", "optimiser"):
        assert again.memory_gib[part] == plain.memory_gib[part]


def test_gradients_of_several_parts_are_added_in_fp32(base):
    one, two = plan(base), plan(base, micro_batch=2)
    more = two.memory_gib["gradients"] - one.memory_gib["gradients"]
    assert more * GIB == pytest.approx(4 * one.parameters, rel=0.01)


def test_a_llama_of_8b_in_full_fits_one_card(llama):
    made = plan(
        llama,
        **LEAN,
    )
    # 2 x 128256 x 4096 embeddings; a layer: 2 x 4096 x 4096, 2 x 4096 x 1024,
    # 3 x 4096 x 14336 and two norms; the last norm
    assert made.parameters == 8_030_261_248
    size = {name: size * GIB / 1e9 for name, size in made.memory_gib.items()}
    assert size["weights"] == pytest.approx(16.06, abs=0.01)  # GB, as the hub shows it
    assert size["optimiser"] == pytest.approx(2.03125 * 8.030, abs=0.01)
    # at least every layer's input; no more than three of a layer's own
    assert 32 * 4096 * 4096 * 2 / 1e9 < size["activations"] < 3
    assert made.fits and made.peak_gib <= 33
    # 6 operations a weight of the matrices and a token, a third more by recomputation;
    # attention, 2 x 4096 x 2048 a layer and token, is 5 % of it
    matrices = 8_030_261_248 - 128_256 * 4096
    assert made.flops_per_token == pytest.approx(8 * matrices, rel=0.1)
    seconds = made.flops_per_token * 10**6 / (154.8e12 * planner.EFFICIENCY)
    assert made.hours == pytest.approx(seconds / 3600)
    assert made.energy_kwh == pytest.approx(0.3 * seconds / 3600)
    assert made.tokens_per_step == 4096


def test_so_does_mistral_from_a_file_of_its_configuration(mistral):
    made = plan(
        mistral,
        **LEAN,
    )
    assert made.parameters == 7_241_732_096
    assert made.fits and made.peak_gib <= 30
    short = plan(mistral, sequence_length=2048, gradient_checkpointing=True)
    assert short.flops_per_token / 1e9 == pytest.approx(59.0, abs=0.2)


def test_what_does_not_fit_comes_with_advice(llama):
    made = plan(llama, sequence_length=2048)
    assert not made.fits and made.peak_gib > made.available_gib == 48
    short = f"{made.peak_gib + made.reserve_gib - 48:.1f} GiB too much"
    for word in (
        short,
        "micro_batch=2",
        "gradient_checkpointing=True",
        'optimiser_states="8bit"',
        "step_in_backward=True",
        'method="lora"',
    ):
        assert word in made.advice
    assert made.advice in str(made)
    lora = {"method": "lora", "micro_batch": 1, "gradient_checkpointing": True}
    small = plan(llama, **lora, sequence_length=2048)
    assert small.fits and not small.advice
    tight = plan(llama, **lora, sequence_length=65_536)
    for word in ("offload_activations=True", 'method="qlora"', "a smaller base"):
        assert word in tight.advice


def test_an_unknown_card_names_the_known(base):
    with pytest.raises(ValueError, match="unknown card 'Abacus'.*RTX A6000"):
        plan(base, "Abacus")


def test_by_default_the_device_at_hand_is_measured(base):
    made = plan(base, None)
    assert made.fits and made.available_gib > 0.5
    # between a slow core and a fast GPU, whatever this runs on
    assert 1e8 < made.flops_per_token * made.tokens_per_second < 1e16


def test_moments_of_a_byte_and_one_gradient_at_a_time(base):
    count = plan(base).parameters
    made = plan(base, optimiser_states="8bit", step_in_backward=True)
    assert made.memory_gib["optimiser"] * GIB == pytest.approx(2.03125 * count)
    assert made.memory_gib["gradients"] * GIB < count  # of 2 bytes each


@pytest.mark.parametrize("remainders", [False, True])
@pytest.mark.parametrize("states", ["fp32", "8bit"])
def test_what_the_optimiser_keeps_is_what_it_really_keeps(tmp_path, states, remainders):
    config = AutoConfig.for_model(
        "llama",
        vocab_size=2000,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
    )
    config.save_pretrained(tmp_path)
    given = {"optimiser_states": states, "remainders": remainders}
    planned = plan(tmp_path, **given).memory_gib["optimiser"] * GIB
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    kept = AdamW(model.named_parameters(), states=states, remainders=remainders).state()
    real = sum(tensor.numel() * tensor.itemsize for tensor in kept.values())
    # norms are too few to be kept in bytes
    assert planned == pytest.approx(real, rel=1e-9 if states == "fp32" else 0.01)


def test_of_fp32_weights_there_are_no_remainders(base, monkeypatch):
    for given in ({"method": "lora"}, {"method": "qlora"}):
        both = [plan(base, **given, remainders=kept) for kept in (False, True)]
        assert both[0].memory_gib == both[1].memory_gib
    monkeypatch.setattr(models, "working_dtype", lambda: torch.float32)
    both = [plan(base, None, remainders=kept) for kept in (False, True)]
    assert both[0].memory_gib == both[1].memory_gib


def test_weights_of_four_bits_by_hand(llama):
    made = plan(llama, method="qlora")
    # a layer's matrices: 2 x 4096 x 4096, 2 x 4096 x 1024, 3 x 4096 x 14336
    small = 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    rest = 8_030_261_248 - small
    bytes_of_all = small * 4.127 / 8 + rest * 2 + made.trainable * 4
    assert made.memory_gib["weights"] * GIB == pytest.approx(bytes_of_all, rel=1e-6)


@pytest.mark.parametrize(
    "card, chosen",
    [
        ("RTX A6000", {"method": "full", "optimiser_states": "8bit"}),
        ("RTX 4090", {"method": "lora"}),
    ],
)
def test_what_is_chosen_fits_and_what_is_better_does_not(llama, card, chosen):
    asked = Settings(llama, UNSAID, UNSAID, sequence_length=2048, rows_per_step=4)
    settings = planner.fitted(asked, card)
    for name, value in chosen.items():
        assert getattr(settings, name) == value
    assert planner.plan(settings, None, card).fits
    if not settings.step_in_backward:
        doubled = dataclasses.replace(settings, micro_batch=2 * settings.micro_batch)
        assert settings.micro_batch == 4 or not planner.plan(doubled, None, card).fits
    same = {"rows_per_step", "sequence_length", "learning_rate", "seed", "data"}
    assert all(getattr(settings, name) == getattr(asked, name) for name in same)


def test_nothing_fits_in_one_sentence(llama):
    asked = Settings(llama, UNSAID, UNSAID, sequence_length=2**20)
    with pytest.raises(ValueError, match="nothing fits RTX 4090.*smaller base"):
        planner.fitted(asked, "RTX 4090")


def test_the_command_needs_a_base_only(llama, capsys):
    given = ["plan", "--base", str(llama), "--card", "RTX 4090", "--method", "qlora"]
    given.append("--gradient-checkpointing")
    assert fine_tune.main(given) == 0
    shown = capsys.readouterr().out
    assert "GiB" in shown and "not said" in shown
    assert fine_tune.main([*given, "--json", "--max-tokens", "2048"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["tokens"] == 2048 and made["fits"] and made["hours"] > 0
    assert sum(made["memory_gib"].values()) == pytest.approx(made["peak_gib"])
