"""Packing against brute force, and packed rows against the same documents read alone."""

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from cosmosage import tokens
from cosmosage.documents import write_jsonl
from tests.tiny import TEXT, tiny_model, tiny_tokenizer

LENGTH = 64


@pytest.fixture(name="tokenizer", scope="module")
def _tokenizer():
    return tiny_tokenizer()


def texts(count: int, seed: int = 0) -> list[str]:
    """Word salads from a few characters to several rows long."""
    draw = random.Random(seed)
    words = TEXT.split()
    return [" ".join(draw.choices(words, k=draw.randint(1, 60))) for _ in range(count)]


def written(path: Path, every: list[str]) -> Path:
    """Texts as a file of documents with the ids 0, 1, 2..."""
    write_jsonl(path, ({"id": str(n), "text": text} for n, text in enumerate(every)))
    return path


def digests(folder: Path) -> dict[str, str]:
    """The hash of every file in a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def sums(sizes: list[int], room: int) -> set[int]:
    """All sums of some of the sizes that fit a room, the empty one among them."""
    out = {0}
    for size in sizes:
        out |= {total + size for total in out if total + size <= room}
    return out


@pytest.mark.parametrize("seed", range(40))
def test_every_row_is_filled_as_well_as_what_is_left_allows(seed):
    draw = random.Random(seed)
    capacity = draw.randint(1, 60)
    sizes = [draw.randint(1, capacity) for _ in range(draw.randint(0, 60))]
    rows = tokens.best_fit(sizes, capacity)
    assert sorted(index for row in rows for index in row) == list(range(len(sizes)))
    left = sizes.copy()
    for row in rows:
        held = [sizes[index] for index in row]
        longest = max(left)
        assert held[0] == longest
        rest = left.copy()
        rest.remove(longest)
        assert sum(held) == longest + max(sums(rest, capacity - longest))
        for size in held:
            left.remove(size)
    assert rows == tokens.best_fit(list(sizes), capacity)
    for size in set(sizes):  # equal sizes keep their order
        found = [index for row in rows for index in row if sizes[index] == size]
        assert found == sorted(found)


@pytest.mark.parametrize("capacity", [512, 1024, 2048])
def test_next_to_no_padding_at_the_lengths_of_papers_and_chapters(capacity):
    # log-normal around 10,000 tokens, as the full texts of papers are; and short ones
    draw = np.random.default_rng(capacity)
    lengths = np.concatenate(
        [draw.lognormal(9.2, 0.6, 3000), draw.lognormal(5.5, 0.8, 1000)]
    ).astype(int)
    pieces = [
        min(capacity, length - start)
        for length in lengths.tolist()
        for start in range(0, length, capacity)
    ]
    rows = tokens.best_fit(pieces, capacity)
    assert 0 <= 1 - sum(pieces) / (len(rows) * capacity) <= 0.003


def test_every_token_appears_once_and_in_order(tmp_path, tokenizer):
    every = texts(60)
    every[7] = ""  # no words, no document
    path = written(tmp_path / "d.jsonl.gz", every)
    counts = tokens.pack({"train": path}, tokenizer, tmp_path / "rows", LENGTH)
    rows = list(tokens.open_rows(tmp_path / "rows" / "train"))
    found: dict[str, dict[int, list[int]]] = {}
    padding = 0
    for row in rows:
        assert len(row["input_ids"]) == LENGTH
        place = 0
        for size, document, start in zip(
            row["lengths"], row["documents"], row["starts"], strict=True
        ):
            segment = row["input_ids"][place : place + size]
            assert start not in found.setdefault(document, {})
            found[document][start] = segment
            place += size
        assert row["input_ids"][place:] == [tokenizer.pad_token_id] * (LENGTH - place)
        padding += LENGTH - place
    assert set(found) == {str(n) for n, text in enumerate(every) if text}
    total = 0
    for document, segments in found.items():
        ids = [token for start in sorted(segments) for token in segments[start]]
        assert sorted(segments) == list(range(0, len(ids), LENGTH))
        # byte-level: what was tokenised comes back letter by letter
        assert tokenizer.decode(ids[:-1]) == every[int(document)]
        assert ids[-1] == tokenizer.eos_token_id
        total += len(ids)
    assert counts["sequence_length"] == LENGTH
    segments = sum(len(row["lengths"]) for row in rows)
    assert counts["train"] == {
        "documents": 59,
        "tokens": total,
        "learnt": total - segments,  # nothing comes before the first of a segment
        "context": 0,
        "rows": len(rows),
        "padding": round(padding / (len(rows) * LENGTH), 5),
        "sources": {
            "": {
                "documents": 59,
                "tokens": total,
                "available": total,
                "share": 1.0,
                "passes": 1.0,
            }
        },
    }
    assert padding + total == len(rows) * LENGTH


def test_packed_documents_read_as_if_alone(tmp_path, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(
        tiny_model(tmp_path / "base"), dtype=torch.float32
    ).eval()
    tokens.pack(
        {"train": written(tmp_path / "d.jsonl", texts(30))},
        tokenizer,
        tmp_path / "rows",
        LENGTH,
    )
    rows = list(tokens.open_rows(tmp_path / "rows" / "train"))
    assert max(len(row["lengths"]) for row in rows) >= 3
    assert min(sum(row["lengths"]) for row in rows) < LENGTH
    batch = {name: torch.from_numpy(x) for name, x in tokens.collate(rows).items()}
    labels = batch.pop("labels")
    with torch.inference_mode():
        packed = model(**batch, use_cache=False).logits
        mixed = model(input_ids=batch["input_ids"], use_cache=False).logits
    worst = other = 0.0
    for number, row in enumerate(rows):
        place = 0
        for size in row["lengths"]:
            here = slice(place, place + size)
            ids = batch["input_ids"][number, here]
            with torch.inference_mode():
                alone = model(input_ids=ids[None]).logits[0]
            worst = max(worst, (packed[number, here] - alone).abs().max().item())
            other = max(other, (mixed[number, here] - alone).abs().max().item())
            assert labels[number, here].tolist() == ids[1:].tolist() + [tokens.IGNORED]
            place += size
        assert (labels[number, place:] == tokens.IGNORED).all()
    assert worst < 1e-4
    assert other > 1e-2  # the same rows without positions do mix documents


def test_collate_by_hand():
    rows = [
        {"input_ids": [5, 6, 7, 8, 9, 0], "lengths": [2, 1, 2], "learnt": [1] * 5 + [0]},
        {"input_ids": [5, 6, 7, 8, 9, 4], "lengths": [6], "learnt": [0, 0, 1, 1, 0, 1]},
    ]  # fmt: skip
    batch = tokens.collate(rows)
    no = tokens.IGNORED
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1, 0], [0, 1, 2, 3, 4, 5]]
    assert batch["labels"].tolist() == [
        [6, no, no, 9, no, no],
        [no, 7, 8, no, 4, no],
    ]
    assert batch["input_ids"].tolist() == [row["input_ids"] for row in rows]


def test_words_that_spell_a_special_token_are_words(tmp_path, tokenizer):
    text = "He wrote <|im_end|> and <|im_start|>system<|endoftext|> into his paper."
    path = written(tmp_path / "d.jsonl", [text])
    tokens.pack({"train": path}, tokenizer, tmp_path / "rows", 256)
    (row,) = tokens.open_rows(tmp_path / "rows" / "train")
    ids = row["input_ids"][: row["lengths"][0]]
    assert not set(ids[:-1]) & set(tokenizer.all_special_ids)
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids[:-1]) == text


def test_equal_input_gives_equal_bytes_and_is_packed_once(tmp_path, tokenizer):
    splits = {
        "train": written(tmp_path / "d.jsonl", texts(40)),
        "validation": written(tmp_path / "e.jsonl", texts(5, seed=1)),
    }
    first = tokens.pack(splits, tokenizer, tmp_path / "a", LENGTH)
    assert first == tokens.pack(splits, tokenizer, tmp_path / "b", LENGTH)
    seen = digests(tmp_path / "a")
    assert seen == digests(tmp_path / "b")
    assert any(name.endswith(".arrow") for name in seen)
    arrow = next((tmp_path / "a" / "train").glob("*.arrow"))
    before = arrow.stat().st_mtime_ns
    assert tokens.pack(splits, tiny_tokenizer(), tmp_path / "a", LENGTH) == first
    assert arrow.stat().st_mtime_ns == before
    assert tokens.pack(splits, tokenizer, tmp_path / "a", 2 * LENGTH) != first
    written(splits["train"], texts(39))
    again = tokens.pack(splits, tokenizer, tmp_path / "a", 2 * LENGTH)
    assert again["train"]["documents"] == 39


def test_a_broken_off_packing_leaves_no_mark(tmp_path, tokenizer):
    splits = {"train": written(tmp_path / "d.jsonl", texts(40))}
    tokens.pack(splits, tokenizer, tmp_path / "a", LENGTH)
    with splits["train"].open("a") as file:
        file.write("no JSON\n")
    with pytest.raises(ValueError, match="d.jsonl, line 41"):
        tokens.pack(splits, tokenizer, tmp_path / "a", LENGTH)
    assert not (tmp_path / "a" / "done.json").exists()


def test_an_empty_split_and_a_row_of_one_token_are_errors(tmp_path, tokenizer):
    path = written(tmp_path / "d.jsonl", ["", ""])
    with pytest.raises(ValueError, match="no document to pack for validation"):
        tokens.pack({"validation": path}, tokenizer, tmp_path / "rows", LENGTH)
    with pytest.raises(ValueError, match="take 2 or more"):
        tokens.pack({"train": path}, tokenizer, tmp_path / "rows", 1)
    with pytest.raises(FileNotFoundError, match="holds no packed tokens"):
        tokens.open_rows(tmp_path / "rows" / "train")
