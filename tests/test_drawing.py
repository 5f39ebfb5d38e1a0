"""Answers as branches of one sequence, held against each written alone, and against chance."""

import numpy as np
import pytest
import torch

from cosmosage import models
from cosmosage.evaluation.drawing import draw
from tests.tiny import TEXT, tiny_model

PROMPTS = [
    "The Hubble constant is",
    "The light of",
    TEXT,
    "Question: what sets the density of dark energy, and how did it change? Answer:",
]
SEEDS = [11, 12, 13, 14]


@pytest.fixture(name="loaded", scope="module")
def _loaded(tmp_path_factory):
    return models.load(tiny_model(tmp_path_factory.mktemp("model")), torch.float32)


def drawn(loaded, prompts, seeds, samples=3, temperature=1.0, tokens=24):
    """The answers of the tiny model."""
    how = {"samples": samples, "temperature": temperature, "max_new_tokens": tokens}
    return draw(*loaded, prompts, seeds, **how)


def alone(loaded, prompt, seed, sample, temperature=1.0, count=24):
    """One answer by the definition: a word at a time, the whole text read again for each."""
    model, tokenizer = loaded
    ids = tokenizer(prompt)["input_ids"]
    start = len(ids)
    chance = np.random.default_rng(seed).random((count, 3))[:, sample]
    for step in range(count):
        with torch.inference_mode():
            scores = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        shares = (scores.double() / temperature).softmax(-1).numpy()
        ids.append(int(np.searchsorted(shares.cumsum(), chance[step], side="right")))
        text = tokenizer.decode(ids[start:], skip_special_tokens=True)
        if ids[-1] == tokenizer.eos_token_id or "\n" in text.lstrip():
            break
    return text.strip().partition("\n")[0].strip()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_branches_are_what_each_would_be_alone(loaded, temperature):
    found = drawn(loaded, PROMPTS, SEEDS, temperature=temperature)
    for prompt, seed, answers in zip(PROMPTS, SEEDS, found):
        assert answers.samples == [
            alone(loaded, prompt, seed, sample, temperature) for sample in range(3)
        ]
        whole = models.complete(*loaded, [prompt], 24)[0]
        assert answers.plain == whole.partition("\n")[0].strip()
    assert len({text for answers in found for text in answers.samples}) == 12


def test_answers_are_the_same_whatever_is_asked_beside(loaded):
    together = drawn(loaded, PROMPTS, SEEDS)
    back = drawn(loaded, PROMPTS[::-1], SEEDS[::-1])[::-1]
    one = [drawn(loaded, [p], [s])[0] for p, s in zip(PROMPTS, SEEDS)]
    assert together == back == one
    assert drawn(loaded, PROMPTS[:1], [99])[0].samples != one[0].samples
    assert [each.plain for each in drawn(loaded, PROMPTS, SEEDS, samples=0)] == [
        each.plain for each in together
    ]
    assert not drawn(loaded, [], [])


def test_words_are_drawn_as_likely_as_the_model_holds_them(loaded):
    model, tokenizer = loaded
    ids = torch.tensor([tokenizer(PROMPTS[0])["input_ids"]])
    with torch.inference_mode():
        shares = model(ids).logits[0, -1].float().softmax(-1)
    likeliest = int(shares.argmax())
    word = tokenizer.decode([likeliest]).strip()
    same = [k for k in range(len(shares)) if tokenizer.decode([k]).strip() == word]
    expected = float(shares[same].sum())
    samples = drawn(loaded, PROMPTS[:1], [5], 3_000, tokens=1)[0].samples
    error = (expected * (1 - expected) / len(samples)) ** 0.5
    assert samples.count(word) / len(samples) == pytest.approx(expected, abs=4 * error)


def test_an_answer_ends_with_its_line(loaded, monkeypatch):
    """The tiny model is made to write a line end, an answer and another line."""
    model, tokenizer = loaded
    text = tokenizer("\nOne\ntwo")["input_ids"]
    read = []

    def forward(input_ids, past_key_values, **more):
        read.append(input_ids.shape[1])
        scores = torch.full((*input_ids.shape, len(tokenizer)), -50.0)
        if "logits_to_keep" in more:
            scores = scores[:, more["logits_to_keep"]]
        scores[..., text[len(read) - 1]] = 50.0
        return type("Out", (), {"logits": scores, "cache": past_key_values})

    monkeypatch.setattr(model, "forward", forward)
    (answers,) = drawn(loaded, PROMPTS[:1], [1], 2)
    assert answers.plain == "One" and answers.samples == ["One", "One"]
    ended = text.index(tokenizer("\n")["input_ids"][0], 1)
    assert len(read) == ended + 1 < len(text)


def test_a_prompt_that_does_not_fit_is_named(loaded):
    with pytest.raises(ValueError, match="the model reads 1000 beside its answer"):
        drawn(loaded, [TEXT * 20], [1])
