"""Attention in blocks against torch's own, under masks of many kinds."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoConfig, AutoModelForCausalLM

from cosmosage import attention
from tests.test_loss import SMALL

ROWS, LENGTH, HEADS, WIDTH = 2, 600, 6, 16
"""Of two whole blocks and a part of one."""


def causal() -> torch.Tensor:
    """(1, 1, length, length)."""
    return torch.ones(1, 1, LENGTH, LENGTH, dtype=torch.bool).tril()


def documents() -> torch.Tensor:
    """Each row of its own documents, some of one token, one across two blocks."""
    sizes = [[1, 1, 200, 300, 98], [513, 1, 86]]
    number = torch.stack(
        [torch.arange(len(row)).repeat_interleave(torch.tensor(row)) for row in sizes]
    )
    return causal() & (number[:, :, None] == number[:, None])[:, None]


MASKS = {
    "causal": causal,
    "documents": documents,
    "a window": lambda: causal() & ~causal().tril(-50),
    "both ways": lambda: torch.ones_like(causal()),
    "every other": lambda: causal() & (torch.arange(LENGTH) % 2 == 0)
    | torch.eye(LENGTH, dtype=torch.bool),
}


def given(groups: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Query, key and value, of which two are no contiguous tensors."""
    torch.manual_seed(0)
    shapes = [(ROWS, LENGTH, heads, WIDTH) for heads in (HEADS, groups, groups)]
    made = [torch.randn(shape, dtype=dtype) for shape in shapes]
    made[1] = made[1].transpose(1, 2).contiguous().transpose(1, 2)
    return [x.requires_grad_() for x in made]


def torchs(q, k, v, mask, scale) -> torch.Tensor:
    """The same by torch, with all products at once."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    done = scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=scale, enable_gqa=True
    )
    return done.transpose(1, 2)


@pytest.mark.parametrize("groups", [6, 2, 1])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_results_and_gradients_are_torchs(mask, groups):
    inputs = given(groups, torch.float32)
    toward = torch.randn(ROWS, LENGTH, HEADS, WIDTH)
    found, wanted = (how(*inputs, mask(), 0.3) for how in (attention.attend, torchs))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    sides = [torch.autograd.grad(x, inputs, toward) for x in (found, wanted)]
    for one, other in zip(*sides, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_bf16_is_as_near_to_exact_as_torchs():
    inputs = given(2, torch.bfloat16)
    exact = [x.detach().float().requires_grad_() for x in inputs]
    toward = torch.randn(ROWS, LENGTH, HEADS, WIDTH).bfloat16()
    wanted = torch.autograd.grad(
        torchs(*exact, documents(), 0.3), exact, toward.float()
    )
    off = [
        max(
            ((one.float() - other).norm() / other.norm()).item()
            for one, other in zip(torch.autograd.grad(x, inputs, toward), wanted)
        )
        for x in (how(*inputs, documents(), 0.3) for how in (attention.attend, torchs))
    ]
    assert off[0] < max(0.01, 1.5 * off[1])


def test_torch_finds_no_fault_with_the_operation():
    inputs = given(2, torch.float32)
    torch.library.opcheck(attention.attend, (*inputs, documents(), 0.25))


@pytest.mark.parametrize(
    "kind, more",
    [
        ("llama", {}),
        ("mistral", {"sliding_window": 7}),
        (
            "qwen2",
            {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
        ),
        (
            "llama4_text",
            {"attention_chunk_size": 6, "head_dim": 8, "num_local_experts": 2},
        ),
        ("llama", {"attention_dropout": 0.5}),  # left to torch while it trains
    ],
    ids=["plain", "window", "window in one layer", "chunks", "dropout"],
)
def test_a_model_says_the_same_with_and_without(kind, more):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SMALL, **more)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").train()
    ids = torch.randint(3, 96, (2, 40))
    positions = torch.cat([torch.arange(23), torch.arange(17)]).expand(2, 40)
    sides = []
    for blocks in (False, True):
        if blocks:
            attention.use_blocks(model)
            assert attention.NAME in str(vars(model.config))
        torch.manual_seed(0)
        scores = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        scores.square().mean().backward()
        sides.append(
            [scores, *(p.grad for p in model.parameters() if p.grad is not None)]
        )
        model.zero_grad(set_to_none=True)
    for one, other in zip(*sides, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_saved_model_does_not_ask_for_it(tmp_path):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SMALL))
    attention.use_blocks(model)
    model.save_pretrained(tmp_path)
    assert attention.NAME not in (tmp_path / "config.json").read_text("utf-8")


def test_a_model_that_attends_in_another_way_is_left_alone():
    config = AutoConfig.for_model("llama", **SMALL)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    attention.use_blocks(model)
    assert attention.NAME not in str(vars(model.config))
