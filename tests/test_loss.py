"""The loss of each token against the model's own scores."""

import contextlib

import numpy as np
import pytest
import torch
from torch.nn.functional import linear_cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM

from cosmosage import tokens
from cosmosage.loss import (
    ScoredLosses,
    TokenLosses,
    has_plain_head,
    offloaded,
    on_device,
)
from tests.tiny import tiny_model

SMALL = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}


def two_documents(vocabulary: int, length: int = 24) -> dict[str, np.ndarray]:
    """A row of two documents, whose second begins in the middle, and padding."""
    ids = np.random.default_rng(0).integers(3, vocabulary, length).tolist()
    row = {
        "input_ids": ids,
        "learnt": [True] * length,
        "lengths": [length // 2, length // 2 - 4],
    }
    return tokens.collate([row, row])


def by_hand(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Minus the logarithm of each label's probability, from the model's own scores."""
    given = {name: batch[name] for name in ("input_ids", "position_ids")}
    # without a cache: a model that fills one takes a row for a single document
    scores = model(**given, use_cache=False).logits
    labels = batch["labels"]
    right = scores.log_softmax(-1).gather(-1, labels.clamp_min(0)[..., None])[..., 0]
    return torch.where(labels == tokens.IGNORED, torch.zeros(()), -right)


@pytest.mark.parametrize(
    "kind, more, plain",
    [
        ("llama", {}, True),
        ("gemma2", {"head_dim": 8, "final_logit_softcapping": 5.0}, False),
        ("cohere", {"logit_scale": 0.25}, False),
        ("granite", {"logits_scaling": 4.0}, False),
        ("phi", {}, False),  # its head has a bias
    ],
    ids=["llama", "capped", "scaled", "divided", "biased"],
)
def test_the_losses_are_those_of_the_models_scores(kind, more, plain):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SMALL, **more)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lm_head.bias" in name:
                parameter.normal_()
    model.eval()
    assert has_plain_head(model) == plain
    batch = on_device(two_documents(model.config.vocab_size), model.device)
    losses = TokenLosses(model)(**batch)
    wanted = by_hand(model, batch)
    torch.testing.assert_close(losses, wanted, atol=1e-5, rtol=1e-5)
    assert (losses[batch["labels"] == tokens.IGNORED] == 0).all()
    assert (losses > 0).sum() == 2 * (11 + 7)


def test_the_gradients_are_those_of_the_models_scores(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path))
    batch = on_device(two_documents(320), model.device)
    sides = []
    for losses in (TokenLosses(model)(**batch), by_hand(model, batch)):
        losses.sum().backward()
        sides.append({name: p.grad for name, p in model.named_parameters()})
        model.zero_grad(set_to_none=True)
    for name, gradient in sides[0].items():
        torch.testing.assert_close(gradient, sides[1][name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("at_once", [1, 1000, 1 << 20])
def test_losses_in_the_place_of_scores_are_torchs(monkeypatch, at_once):
    """In fp32 to the last digits, in bf16 nearer to exact than torch's own."""
    monkeypatch.setattr("cosmosage.loss._SCORES_AT_ONCE", at_once)
    torch.manual_seed(0)
    hidden, matrix = torch.randn(50, 16), torch.randn(300, 16)
    labels = torch.randint(0, 300, (50,))
    labels[::7] = tokens.IGNORED
    weights = torch.rand(50)
    found = {}
    for name, dtype in (("exact", torch.float32), ("bf16", torch.bfloat16)):
        given = [x.bfloat16().to(dtype).requires_grad_() for x in (hidden, matrix)]
        ours = ScoredLosses.apply(*given, labels, True)
        torchs = linear_cross_entropy(
            *given, labels, ignore_index=tokens.IGNORED, reduction="none"
        )
        found[name] = [
            [x.float(), *torch.autograd.grad((x * weights).sum(), given)]
            for x in (ours, torchs)
        ]
    for ours, torchs in zip(*found["exact"]):
        torch.testing.assert_close(ours, torchs, atol=1e-5, rtol=1e-5)
    off = [
        [
            ((x.float() - y).norm() / y.norm()).item()
            for x, y in zip(side, found["exact"][1])
        ]
        for side in found["bf16"]
    ]
    assert all(ours < 0.01 for ours in off[0])
    assert all(ours <= theirs for ours, theirs in zip(*off)), off


def test_what_does_not_learn_gets_no_gradient(tmp_path):
    """A frozen matrix, as under adapters; and nothing is kept where nothing learns."""
    hidden = torch.randn(5, 8, requires_grad=True)
    matrix, labels = torch.randn(30, 8), torch.arange(5)
    ScoredLosses.apply(hidden, matrix, labels, True).sum().backward()
    assert hidden.grad is not None and matrix.grad is None
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path))
    batch = on_device(two_documents(320), model.device)
    with torch.no_grad():
        quiet = TokenLosses(model)(**batch)
    assert not quiet.requires_grad
    torch.testing.assert_close(quiet, TokenLosses(model)(**batch).detach())


def test_what_is_kept_elsewhere_comes_back(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path))
    batch = on_device(two_documents(320), model.device)
    ends = []
    for wanted in (False, True):
        with offloaded(wanted, model) as context:
            assert context is None
            loss = TokenLosses(model)(**batch).sum()
        loss.backward()
        ends.append([p.grad.clone() for p in model.parameters()])
        model.zero_grad(set_to_none=True)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert isinstance(offloaded(False, model), contextlib.nullcontext)
