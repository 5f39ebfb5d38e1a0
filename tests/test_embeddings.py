"""Training with the vectors of words left as they are, and what happens to them otherwise."""

import pytest
import torch
from transformers import AutoModelForCausalLM

import fine_tune
from cosmosage import models, planner, tokens
from tests.runs import assert_same, settings, weights

WORDS = "model.embed_tokens.weight"


def untied(base, folder):
    """The same model with a head of its own."""
    model, tokenizer = models.load(base, torch.float32)
    head = model.get_input_embeddings().weight.detach().clone()
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(head)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.usefixtures("fp32")
def test_words_that_the_data_do_not_hold_move_most_or_not_at_all(base, data, tmp_path):
    # the gradient of a word that never comes is small, and AdamW makes it a whole step
    rows = tokens.open_sides(data)[0]
    there = torch.tensor(sorted({each for row in rows["input_ids"] for each in row}))
    before = models.load(base, torch.float32)[0].state_dict()
    moved = {}
    for learnt in (True, False):
        run = settings(base, data, tmp_path / str(learnt), embeddings=learnt)
        fine_tune.fine_tune(run)
        moved[learnt] = {
            name: (tensor - before[name]).abs()
            for name, tensor in weights(run.out).items()
        }
    absent = torch.ones(len(before[WORDS]), dtype=torch.bool)
    absent[there] = False
    assert absent.sum() > 100
    assert moved[True][WORDS][absent].mean() > moved[True][WORDS][~absent].mean()
    assert not moved[False].pop(WORDS).any()
    assert all(change.any() for change in moved[False].values())


@pytest.mark.parametrize("way", [{}, {"gradient_checkpointing": True}])
def test_a_head_of_its_own_stays_too(base, data, tmp_path, way):
    start = untied(base, tmp_path / "untied")
    run = settings(start, data, tmp_path / "run", embeddings=False, epochs=0.5, **way)
    fine_tune.fine_tune(run)
    before = models.load(start)[0].state_dict()
    after = AutoModelForCausalLM.from_pretrained(run.out, dtype="auto").state_dict()
    same = {name for name, tensor in after.items() if torch.equal(tensor, before[name])}
    assert same == {WORDS, "lm_head.weight"}


def test_what_was_cut_off_goes_on_with_the_same_bits(base, data, tmp_path, monkeypatch):
    whole = settings(base, data, tmp_path / "whole", embeddings=False)
    fine_tune.fine_tune(whole)
    cut = settings(
        base, data, tmp_path / "cut", embeddings=False, checkpoint_minutes=1e-9
    )

    class Killed(Exception):
        """In place of a kill."""

    def killed(*_args, **_more):
        raise Killed

    steps = fine_tune._Run.step  # pylint: disable=protected-access

    def until_the_fifth(run, step, rate):
        return killed() if step == 5 else steps(run, step, rate)

    monkeypatch.setattr("fine_tune._Run.step", until_the_fifth)
    with pytest.raises(Killed):
        fine_tune.fine_tune(cut)
    monkeypatch.undo()
    fine_tune.fine_tune(cut)
    assert_same(whole.out, cut.out)


def test_the_plan_counts_what_learns(base, data, tmp_path):
    start = untied(base, tmp_path / "untied")
    for folder, matrices in ((base, 1), (start, 2)):
        model = models.load(folder, torch.float32)[0]
        words = matrices * model.get_input_embeddings().weight.numel()
        plans = {
            learnt: planner.plan(
                settings(folder, data, tmp_path / "run", embeddings=learnt), None
            )
            for learnt in (True, False)
        }
        assert plans[True].trainable - plans[False].trainable == words
        saved = (
            plans[True].memory_gib["optimiser"] - plans[False].memory_gib["optimiser"]
        )
        assert saved * 2**30 == pytest.approx(8 * words)
        assert plans[False].peak_gib < plans[True].peak_gib
        assert plans[False].flops_per_token < plans[True].flops_per_token
