"""Short trainings of a tiny model, for the tests of what happens to a run."""

import random
from pathlib import Path

import torch
from safetensors.torch import load_file

import fine_tune
from cosmosage import tokens
from cosmosage.documents import read_jsonl, write_jsonl
from fine_tune import Settings
from tests.tiny import TEXT, tiny_tokenizer

LENGTH = 32


def packed(folder: Path) -> Path:
    """Packed tokens of short documents, with a validation side; ``train.jsonl`` lies beside."""
    draw, words = random.Random(0), TEXT.split()
    splits = {}
    for name, count in (("train", 60), ("validation", 8)):
        splits[name] = folder / f"{name}.jsonl"
        write_jsonl(
            splits[name],
            (
                {"text": " ".join(draw.choices(words, k=draw.randint(3, 12)))}
                for _ in range(count)
            ),
        )
    tokens.pack(splits, tiny_tokenizer(), folder / "tokens", LENGTH)
    return folder / "tokens"


def row_of(ids: list[int], document: str) -> dict:
    """A row that one document fills."""
    return {
        "input_ids": ids,
        "learnt": [True] * len(ids),
        "characters": list(range(len(ids))),
        "lengths": [len(ids)],
        "documents": [document],
        "starts": [0],
    }


def settings(base: Path, data: Path, out: Path, **more) -> Settings:
    """A short run at a rate that moves a tiny model."""
    values = {"sequence_length": LENGTH, "learning_rate": 3e-3, "epochs": 2.0}
    return Settings(base=base, data=data, out=out, **(values | more))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The final weights of a run."""
    return load_file(folder / "model.safetensors")


def assert_same(one: Path, other: Path) -> None:
    """See that two runs ended with the same bits."""
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def losses(folder: Path) -> list[float]:
    """The loss of every step."""
    return [entry["loss"] for entry in read_jsonl(folder / "metrics.jsonl")]


def said(capsys, *arguments) -> str:
    """The one sentence of a command that could not run."""
    capsys.readouterr()
    assert fine_tune.main([str(argument) for argument in arguments]) == 2
    lines = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("fine_tune: ")
    ]
    assert len(lines) == 1
    return lines[0]
