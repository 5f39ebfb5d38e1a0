"""Training against HF Trainer and TRL, which share no line with it but the model's."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

import fine_tune
from cosmosage import models, tokens
from cosmosage.documents import write_jsonl
from fine_tune import Settings
from tests.runs import LENGTH, losses, row_of, settings, weights
from tests.tiny import CHAT, TEXT, tiny_model

ROWS = 36
PLAIN = {"use_cpu": True, "report_to": [], "save_strategy": "no", "disable_tqdm": True}
ANSWERS_MARKED = CHAT.replace(
    "{{ message['content'] }}<|im_end|>\n",
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|im_end|>{% endif %}\n",
)
"""The same words, with the marks by which TRL knows what to learn; ours finds out without."""


@pytest.fixture(name="base", scope="module")
def _base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "base")


class _Recording(Trainer):
    """A trainer in our order of the rows, which keeps every loss unrounded."""

    seen: list[float]

    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(train_dataset)

    def compute_loss(
        self, *args, **kwargs
    ):  # pylint: disable=signature-differs  # all go on
        loss = super().compute_loss(*args, **kwargs)
        self.seen.append(loss.item())
        return loss


class _RecordingSFT(_Recording, SFTTrainer):
    """The same of TRL's."""


def optimisers(
    model: torch.nn.Module, run: Settings, steps: int
) -> tuple[torch.optim.AdamW, LambdaLR]:
    """torch's AdamW with a run's rates."""
    adamw = torch.optim.AdamW(
        [
            {
                "params": [p for p in model.parameters() if p.ndim > 1],
                "weight_decay": run.weight_decay,
            },
            {
                "params": [p for p in model.parameters() if p.ndim <= 1],
                "weight_decay": 0.0,
            },
        ],
        lr=run.learning_rate,
        betas=(0.9, 0.95),
        eps=1e-8,
    )

    def share(step: int) -> float:
        rate = fine_tune.learning_rate(run, min(step, steps - 1), steps)
        return rate / run.learning_rate

    return adamw, LambdaLR(adamw, share)


def assert_equal_to(trainer: _Recording, run: Settings) -> None:
    """See that a run gave the losses and the final weights of a trainer."""
    trainer.seen = []
    trainer.train()
    ours = losses(run.out)
    assert len(ours) == len(trainer.seen) >= 10
    np.testing.assert_allclose(ours, trainer.seen, atol=1e-5, rtol=0)
    assert ours[0] - ours[-1] > 0.01  # it went somewhere
    final = weights(run.out)
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(final[name], parameter.detach(), atol=1e-4, rtol=0)


@pytest.mark.usefixtures("fp32")
def test_losses_and_weights_are_those_of_hf_trainer(base, tmp_path):
    # rows of one document each, as a trainer without packing reads them
    ids = np.random.default_rng(0).integers(3, 320, (ROWS, LENGTH)).tolist()
    rows = [row_of(row, str(n)) for n, row in enumerate(ids)]
    Dataset.from_list(rows, features=tokens.FEATURES).save_to_disk(tmp_path / "train")
    run = settings(base, tmp_path, tmp_path / "ours", epochs=1.5)
    steps = fine_tune.fine_tune(run)["steps"]
    order = [
        int(row)
        for epoch in range(math.ceil(run.epochs))
        for row in fine_tune.order(run.seed, epoch, ROWS)
    ]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    trainer = _Recording(
        model,
        TrainingArguments(
            tmp_path / "theirs",
            per_device_train_batch_size=run.rows_per_step,
            max_steps=steps,
            max_grad_norm=run.clip_norm,
            **PLAIN,
        ),
        train_dataset=Dataset.from_list(
            [{"input_ids": ids[row], "labels": ids[row]} for row in order]
        ),
        optimizers=optimisers(model, run, steps),
    )
    assert_equal_to(trainer, run)


def conversations() -> list[list[dict]]:
    """Of one turn and of several, with and without instructions at the head."""
    words = TEXT.split()
    spoken = [" ".join(words[n : n + 3 + n % 5]) for n in range(30)]
    return [
        [{"role": "system", "content": spoken[n]}] * (n % 2)
        + [
            {"role": role, "content": spoken[n + 7 * turn + place]}
            for turn in range(1 + n % 3)
            for place, role in enumerate(("user", "assistant"))
        ]
        for n in range(9)
    ]


@pytest.mark.usefixtures("fp32")
def test_conversations_are_learnt_as_by_trl(base, tmp_path: Path):
    tokenizer = models.load_tokenizer(base)
    tokenizer.chat_template = ANSWERS_MARKED
    lines = [{"messages": turns} for turns in conversations()]
    file = tmp_path / "conversations.jsonl"
    write_jsonl(file, lines)
    tokens.pack({"train": file}, tokenizer, tmp_path / "tokens", 256)
    rows = len(tokens.open_rows(tmp_path / "tokens" / "train"))
    # all of them are a step, so that it is one whatever row they came to lie in
    run = settings(
        base,
        tmp_path / "tokens",
        tmp_path / "ours",
        sequence_length=256,
        rows_per_step=rows,
        epochs=12.0,
    )
    assert 1 < rows < len(lines)
    assert fine_tune.fine_tune(run)["steps"] == 12
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    trainer = _RecordingSFT(
        model,
        SFTConfig(
            tmp_path / "theirs",
            assistant_only_loss=True,
            bf16=False,
            max_length=256,
            per_device_train_batch_size=len(lines),
            max_steps=12,
            max_grad_norm=run.clip_norm,
            **PLAIN,
        ),
        train_dataset=Dataset.from_list(lines),
        processing_class=tokenizer,
        optimizers=optimisers(model, run, 12),
    )
    assert_equal_to(trainer, run)
