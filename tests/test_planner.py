"""The plan against real models: counted weights, measured activations, known sizes."""

import copy

import peft
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from cosmosage import models, planner
from tests.tiny import tiny_model

RUN = {
    "method": "full",
    "lora_rank": 16,
    "micro_batch": 4,
    "sequence_length": 128,
    "gradient_checkpointing": False,
    "tokens": 10**6,
    "card": "RTX A6000",
}


@pytest.fixture(name="base", scope="module")
def _base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "base")


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


def really_saved(config, layers: int, rows: int, length: int, again: bool) -> int:
    """Bytes that autograd keeps on a real forward pass in bf16, weights left out.

    The rows are packed, as in training: documents of 30 tokens that don't see each other.

    Every tensor is held, so that no two of them can have had one address.
    """
    config = copy.deepcopy(config)
    config.num_hidden_layers = layers
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).train()
    if again:
        model.activation_checkpointing_enable()
    weights = {p.data_ptr() for p in model.parameters()}
    held = []

    def keep(tensor):
        held.append(tensor)
        return tensor

    ids = torch.arange(rows * length).view(rows, length) % config.vocab_size
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held.append(
            model.model(
                input_ids=ids,
                position_ids=(torch.arange(length) % 30).expand(rows, length),
                use_cache=False,
            ).last_hidden_state
        )
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}
    return sum(size for address, size in sizes.items() if address not in weights)


@pytest.mark.parametrize("again", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("layers, rows, length", [(1, 2, 64), (2, 4, 128), (4, 1, 300)])
def test_traced_activations_are_the_real_ones(base, layers, rows, length, again):
    config = AutoConfig.from_pretrained(base)
    real = really_saved(config, layers, rows, length, again)
    traced = planner.saved_bytes(config, layers, rows, length, again)
    assert traced == pytest.approx(real, rel=0.1)
    assert (
        traced > rows * length * config.hidden_size * 2
    )  # one layer's input, at least


def test_the_extrapolation_meets_the_real_deep_model(base):
    config = AutoConfig.from_pretrained(base)
    config.num_hidden_layers = 9
    folder = base.parent / "deep"
    config.save_pretrained(folder)
    planned = planner.plan(folder, **RUN).memory_gib["activations"] * 2**30
    assert planned == pytest.approx(really_saved(config, 9, 4, 128, False), rel=0.1)


def test_weights_are_counted_as_they_are(base):
    model = models.load(base, torch.float32)[0]
    count = sum(p.numel() for p in model.parameters())
    full = planner.plan(base, **RUN)
    assert full.parameters == full.trainable == count
    assert full.memory_gib["weights"] * 2**30 == pytest.approx(2 * count)
    assert full.memory_gib["gradients"] * 2**30 == pytest.approx(2 * count)
    assert full.memory_gib["optimiser"] * 2**30 == pytest.approx(8 * count)
    assert full.peak_gib == pytest.approx(sum(full.memory_gib.values()))


def test_adapters_are_counted_as_peft_makes_them(base):
    model = models.load(base, torch.float32)[0]
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=5, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    real = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    planned = planner.plan(base, **RUN | {"method": "lora", "lora_rank": 5})
    assert planned.trainable == real
    assert planned.memory_gib["optimiser"] * 2**30 == pytest.approx(8 * real)


def test_checkpointing_keeps_less_and_computes_more(base):
    plain = planner.plan(base, **RUN)
    again = planner.plan(base, **RUN | {"gradient_checkpointing": True})
    assert again.memory_gib["activations"] < 0.7 * plain.memory_gib["activations"]
    assert again.flops / plain.flops == pytest.approx(4 / 3)
    for part in ("weights", "gradients", "optimiser", "logits"):
        assert again.memory_gib[part] == plain.memory_gib[part]


def test_llama_3_8b_by_hand(llama):
    made = planner.plan(
        llama,
        **RUN
        | {"micro_batch": 1, "sequence_length": 2048, "gradient_checkpointing": True},
    )
    # 2 x 128256 x 4096 embeddings; a layer: 2 x 4096 x 4096, 2 x 4096 x 1024,
    # 3 x 4096 x 14336 and two norms; the last norm
    assert made.parameters == 8_030_261_248
    gib = {name: size * 2**30 / 1e9 for name, size in made.memory_gib.items()}
    assert gib["weights"] == pytest.approx(16.06, abs=0.01)  # GB, as the hub shows it
    assert gib["optimiser"] == pytest.approx(4 * 16.06, abs=0.04)
    assert gib["logits"] == pytest.approx(2 * 2 * 2048 * 128_256 / 1e9)
    # at least every layer's input; no more than three of a layer's own
    assert 32 * 2048 * 4096 * 2 / 1e9 < gib["activations"] < 3
    assert not made.fits
    # 6 operations a weight of the matrices and a token, a third more by recomputation;
    # attention, 2 x 4096 x 1024 a layer and token, is 3 % of it
    matrices = 8_030_261_248 - 128_256 * 4096
    assert made.flops == pytest.approx(8 * matrices * 10**6, rel=0.05)
    hours = made.flops / (154.8e12 * planner.EFFICIENCY) / 3600
    assert made.hours == pytest.approx(hours)


def test_what_does_not_fit_comes_with_advice(llama):
    made = planner.plan(llama, **RUN | {"sequence_length": 2048})
    assert not made.fits and made.peak_gib > made.available_gib == 48
    short = f"{made.peak_gib - 48:.1f} GiB too much"
    for word in (
        short,
        "micro_batch=2",
        "gradient_checkpointing=True",
        'method="lora"',
    ):
        assert word in made.advice
    lora = RUN | {"method": "lora", "micro_batch": 1, "gradient_checkpointing": True}
    small = planner.plan(llama, **lora | {"sequence_length": 2048})
    assert small.fits and not small.advice
    tight = planner.plan(llama, **lora | {"sequence_length": 32_768})
    assert tight.advice.endswith(
        "too much: a shorter sequence_length, or a smaller base"
    )


def test_an_unknown_card_names_the_known(base):
    with pytest.raises(ValueError, match="unknown card 'Abacus'.*RTX A6000"):
        planner.plan(base, **RUN | {"card": "Abacus"})


def test_by_default_the_device_at_hand_is_measured(base):
    made = planner.plan(base, **RUN | {"card": None})
    assert made.fits and made.available_gib > 0.5
    # between a slow core and a fast GPU, whatever this runs on
    speed = made.flops / (made.hours * 3600 * planner.EFFICIENCY)
    assert 1e8 < speed < 1e16
