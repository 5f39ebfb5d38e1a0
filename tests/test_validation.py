"""The figures on held-out rows against those of documents read alone, and when to give up."""

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from cosmosage.loss import TokenLosses
from cosmosage.validation import Validation, held_out
from tests.tiny import tiny_model, tiny_tokenizer

TEXTS = {
    "arxiv:1": "The density of matter sets the rate.",
    "book:a": "Far galaxies are redshifted: light expands with the universe.",
    "arxiv:2": "π and Λ are letters of more than one byte.",
}


def row_of(names: list[str], length: int = 96) -> dict:
    """Documents in one row, with padding behind."""
    ids = [tiny_tokenizer()(TEXTS[name])["input_ids"] for name in names]
    flat = [token for part in ids for token in part]
    return {
        "input_ids": flat + [2] * (length - len(flat)),
        "learnt": [True] * len(flat) + [False] * (length - len(flat)),
        "lengths": [len(part) for part in ids],
        "documents": names,
    }


def test_bits_per_byte_by_source_are_those_of_documents_alone(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path)).eval()
    rows = [row_of(["arxiv:1", "book:a"]), row_of(["arxiv:2"])]
    found = held_out(TokenLosses(model), tiny_tokenizer(), rows, 2)
    nats, size, counted = {}, {}, 0
    for name, text in TEXTS.items():
        ids = tiny_tokenizer()(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            loss = model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        source = name.split(":", maxsplit=1)[0]
        counted += ids.shape[1] - 1
        nats[source] = nats.get(source, 0) + loss
        # the first token is read, not foretold
        foretold = tiny_tokenizer().decode(ids[0, 1:])
        size[source] = size.get(source, 0) + len(foretold.encode())
    for source, value in found["sources"].items():
        expected = nats[source] / size[source] / math.log(2)
        assert value == pytest.approx(expected, abs=1e-5)
    assert list(found["sources"]) == ["arxiv", "book"]
    assert found["loss"] == pytest.approx(sum(nats.values()) / counted, abs=1e-5)
    whole = sum(nats.values()) / sum(size.values()) / math.log(2)
    assert found["bits_per_byte"] == pytest.approx(whole, abs=1e-5)


def entries_of(losses: list[float], patience: int | None) -> Validation:
    """A validation that has seen these losses."""
    validation = Validation([{}], 1, patience)
    validation.entries = [{"loss": x, "bits_per_byte": x / 2} for x in losses]
    return validation


@pytest.mark.parametrize(
    "losses, patience, over",
    [
        ([3.0, 2.0], 1, False),
        ([3.0, 2.0, 2.1], 1, True),
        ([3.0, 2.0, 2.1], 2, False),
        ([3.0, 2.0, 2.1, 2.0], 2, True),  # as good is not better
        ([3.0, 3.1, 3.2], None, False),
        ([], 1, False),
    ],
)
def test_it_gives_up_when_the_best_is_old(losses, patience, over):
    assert entries_of(losses, patience).given_up == over


def test_the_figures_are_of_the_weights_that_are_kept():
    losses = [3.0, 2.0, 2.5]
    assert entries_of(losses, None).before_and_after("loss") == [3.0, 2.5]
    assert entries_of(losses, 3).before_and_after("loss") == [3.0, 2.0]
    assert entries_of(losses, 3).before_and_after("bits_per_byte") == [1.5, 1.0]
    assert entries_of([], None).before_and_after("loss") is None


def test_rows_are_spread_over_the_set():
    rows = [{"place": place} for place in range(10)]
    places = [row["place"] for row in Validation(rows, 4, None).rows]
    assert places == [0, 2, 5, 7]
    assert len(Validation(rows, 40, None).rows) == 10
    assert not Validation(None, 4, None).rows
    assert np.all(np.diff(places) > 0)
