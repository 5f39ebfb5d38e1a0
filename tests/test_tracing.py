"""The traced memory of a step against what the allocator did in a real one."""

import copy

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig, AutoModelForCausalLM

from cosmosage import adapters, tracing
from cosmosage.loss import TokenLosses, compile_layers
from cosmosage.optimiser import AdamW
from cosmosage.tracing import Recipe

ROWS, LENGTH, LAYERS = 3, 96, 7


@pytest.fixture(name="config", scope="module")
def _config():
    return AutoConfig.for_model(
        "llama",
        vocab_size=1000,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )


def real_peak(config, recipe: Recipe) -> int:
    """Bytes that a real step of packed rows had allocated at most, beside weights and moments."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=recipe.dtype).train()
    if recipe.gradient_checkpointing:
        model.activation_checkpointing_enable()
    if recipe.method == "lora":
        model = adapters.attach(model, recipe.lora_rank, 0, recipe.adapter)
    losses = TokenLosses(model, True)
    ids = torch.randint(0, 1000, (ROWS, LENGTH))
    positions = (torch.arange(LENGTH) % 40).expand(ROWS, LENGTH)
    if recipe.compiled:
        compile_layers(model)
        losses(ids, positions, ids).sum().backward()
        model.zero_grad()
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    optimiser = AdamW(named, states="fp32" if recipe.state_bytes == 8 else "8bit")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        loss = losses(ids, positions, ids).sum()
        if recipe.step_in_backward:
            optimiser.backward(loss, 1e-4, 1.0)
        else:
            loss.backward()
    return allocated(seen)


def allocated(seen: profile) -> int:
    """Bytes that were allocated at most, beside those from before."""
    now = peak = 0
    events = (
        e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"
    )
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"dtype": torch.float32},
        {"gradient_checkpointing": True},
        {"step_in_backward": True, "state_bytes": 2.03},
        {"dtype": torch.float32, "compiled": True},
        {"method": "lora", "lora_rank": 5},
        {"method": "lora", "adapter": "dora", "gradient_checkpointing": True},
    ],
    ids=[
        "bf16",
        "fp32",
        "checkpoints",
        "in backward",
        "compiled",
        "lora",
        "dora, checkpoints",
    ],
)
def test_the_traced_peak_is_what_a_real_step_allocates(config, changed):
    recipe = Recipe(ROWS, LENGTH, in_parts=False, **changed)
    real = real_peak(config, recipe)
    traced = max(p.total() for p in tracing.trace(config, recipe).phases.values())
    assert traced == pytest.approx(real, rel=0.04)


def test_a_part_of_the_layers_stands_for_all(config):
    recipe = Recipe(ROWS, LENGTH)
    traced = tracing.trace(config, recipe)
    two = copy.deepcopy(config)
    two.num_hidden_layers = 2
    few = tracing.trace(two, recipe)
    real = AutoModelForCausalLM.from_config(config)
    assert traced.parameters == traced.trainable == real.num_parameters()
    assert traced.weights == 2 * real.num_parameters()
    less = AutoModelForCausalLM.from_config(two).num_parameters()
    assert few.parameters == less


def test_offloaded_activations_are_not_on_the_device(config):
    kept, away = (
        tracing.trace(config, Recipe(64, LENGTH, offload_activations=wanted))
        for wanted in (False, True)
    )
    small = away.phases["head"]["activations"]
    assert small < 0.1 * kept.phases["head"]["activations"]
    # they come back one layer at a time
    back = away.phases["backward of the top layer"]["activations"]
    assert small < back < 0.5 * kept.phases["head"]["activations"]


def test_scores_in_parts_take_less(config):
    wide = copy.deepcopy(config)
    wide.vocab_size = 8_000
    at_once, in_parts, all_of_them = (
        tracing.trace(wide, Recipe(ROWS, 512, **how)).phases["backward of the head"][
            "logits"
        ]
        for how in ({"in_parts": False}, {}, {"plain_head": False})
    )
    assert in_parts < at_once / 3 and at_once < all_of_them
    assert all_of_them >= 2 * 4 * ROWS * 512 * 8_000  # in fp32, with their gradient


@pytest.mark.parametrize("remainders", [False, True])
@pytest.mark.parametrize("states, state_bytes", [("fp32", 8.0), ("8bit", 2.03)])
def test_the_work_of_a_step_is_what_a_real_one_allocates(
    states, state_bytes, remainders
):
    weight = torch.nn.Parameter(torch.randn(1024, 1024).bfloat16())
    weight.grad = torch.randn_like(weight)
    optimiser = AdamW([("w", weight)], states=states, remainders=remainders)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        optimiser.step(1e-4)
    recipe = Recipe(1, 8, state_bytes=state_bytes, remainders=remainders)
    traced = tracing.work_of_a_step(recipe, weight.numel())
    assert traced == pytest.approx(allocated(seen), rel=0.04)


def test_a_step_works_on_some_millions_of_weights_at_once():
    sizes = [
        tracing.work_of_a_step(Recipe(1, 8, state_bytes=states, dtype=dtype), 10**9)
        for states in (8.0, 2.03)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert sizes == sorted(sizes)  # what is narrow is widened to be stepped
    assert sizes[-1] < 200 * 2**20
