"""Bad input, dates, passages that are said again, conversations: each by hand."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cosmosage import corpus
from cosmosage.corpus import reading
from cosmosage.corpus.passages import passages, repeated, thinned
from cosmosage.corpus.sides import SIDES, position
from cosmosage.documents import read_documents, read_jsonl, write_jsonl
from tests.test_corpus import built, papers, prose, record, removed_of, sides_of

# bad input


def test_what_is_too_large_is_named_and_never_held(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST", 20_000)
    large = prose(9, 10_000)
    lines = [json.dumps(each) for each in papers(9)]
    lines[3:3] = [
        json.dumps(record("arxiv:1v1", large)),
        json.dumps({"text": large, "id": "arxiv:2v1"}),  # its id is not at hand
        json.dumps(record("arxiv:3v1", prose(10, 1500))),
    ]
    source = tmp_path / "a.jsonl.gz"
    source.write_bytes(gzip.compress("\n".join(lines).encode()))
    counts = corpus.build([source], tmp_path / "corpus", workers="here")
    removed = removed_of(tmp_path / "corpus")
    assert set(removed) == {"arxiv:1v1", "a.jsonl.gz, line 5"}
    assert {line["reason"] for line in removed.values()} == {"too large"}
    assert len(sides_of(tmp_path / "corpus")) == 10
    assert counts["steps"][0]["documents_in"] == 12


def test_a_document_of_200_megabytes_costs_the_memory_of_a_shard(tmp_path):
    script = f"""
import json, resource
from pathlib import Path
from cosmosage import corpus
from cosmosage.corpus import reading
folder = Path({str(tmp_path)!r})
with (folder / "a.jsonl").open("w") as file:
    for line in (folder / "good.jsonl").read_text().splitlines():
        print(line, file=file)
    file.write('{{"id": "arxiv:1v1", "text": "')
    for _ in range(200):
        file.write("words and " * 100_000)
    file.write('"}}\\n')
    print(line.replace("2407.00008", "2407.00009"), file=file)
counts = corpus.build([folder / "a.jsonl"], folder / "corpus", workers="here")
assert counts["removed"]["read"] == {{"too large": 1}}, counts["removed"]
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""
    write_jsonl(tmp_path / "good.jsonl", papers(9))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 300_000  # kB; the document alone has 200,000


def test_licences_that_bar_it_leave_for_a_public_model(tmp_path):
    free = "http://creativecommons.org/licenses/by/4.0/"
    records = [{**each, "licence": free} for each in papers(10)] + [
        record(
            "arxiv:1v1", prose(90), licence="http://arxiv.org/licenses/nonexclusive"
        ),
        record("arxiv:2v1", prose(91)),
    ]
    _, out = built(tmp_path, records, licences="public")
    assert set(removed_of(out)) == {"arxiv:1v1", "arxiv:2v1"}
    with pytest.raises(ValueError, match="licences is 'mine'"):
        built(tmp_path, records, licences="mine")


# by time


def test_what_is_newer_is_held_out_and_nothing_else(tmp_path):
    records = papers(20) + [  # papers() are of July 2024
        record("arxiv:2406.00001v1", prose(70)),
        record("arxiv:astro-ph/9901001v1", prose(71)),
        record("arxiv:2408.00001v1", prose(72)),
        record("book:old", prose(73), year=2023),
        record("book:new", prose(74), year=2024),  # of its December, for all we know
        record("book:undated", prose(75)),
    ]
    counts, out = built(tmp_path, records, after="2024-07")
    sides = sides_of(out)
    assert {name for name, side in sides.items() if side == "train"} == {
        "arxiv:2406.00001v1",
        "arxiv:astro-ph/9901001v1",
        "book:old",
        "book:undated",
    }
    for name, side in sides.items():
        if side != "train":
            assert side == ("test" if position(name) < 0.5 else "validation")
    assert counts["notes"] == ["1 of 26 documents have no date and are for training"]
    for bad in ("July", "2024-13", "24-07"):
        with pytest.raises(ValueError, match="it has to be a month such as 2024-07"):
            built(tmp_path, records, after=bad)


# passages


def test_passages_are_cut_as_they_stand_and_paragraphs_stay_apart():
    said = "This research has made use of the data system that an agency of space runs."
    other = (
        "We thank the anonymous referee for the comments that made this paper better."
    )
    text = (
        f"# Results\n\nOne sentence $x. Y$ of its own. {said} Another one here.\n\n"
        f"{said} {other}\n\nThe end {said.lower()} Really."
    )
    keys = {key: text[slice(*span)] for key, span in passages(text)}
    assert sorted(keys.values()) == sorted([said, other, f"The end {said.lower()}"])
    cut = {key for key, passage in keys.items() if passage in (said, other)}
    out, cuts = thinned(text, cut)
    assert out == (
        "# Results\n\nOne sentence $x. Y$ of its own. Another one here.\n\n"
        f"The end {said.lower()} Really."
    )
    assert cuts == [said, said, other]
    assert thinned(text, set()) == (text, [])


def test_repeated_passages_by_hand():
    keys = np.array([7, 5, 7, 5, 7, 9, 2**64 - 1], np.uint64)
    rows = np.array([4, 3, 1, 1, 2, 0, 5], np.uint64)
    hashes, copies = repeated(keys, rows)
    assert hashes.tolist() == [7, 7] and copies.tolist() == [2, 4]
    empty = np.empty(0, np.uint64)
    assert [each.size for each in repeated(empty, empty)] == [0, 0]


def test_a_passage_of_two_documents_stays_and_of_three_one_is_left(tmp_path):
    twice, thrice = prose(800, 30) + ".", prose(801, 30) + "."
    records = papers(12)
    for number, shared in (
        (1, twice),
        (2, twice),
        (3, thrice),
        (5, thrice),
        (6, thrice),
    ):
        records[number]["text"] += f".\n\n{shared.capitalize()}"
    records[9]["text"] = f"{prose(802, 45)}.\n\n{thrice.capitalize()}"
    _, out = built(tmp_path, records)
    texts = {d.id: d.text for s in SIDES for d in read_documents(out / f"{s}.jsonl.gz")}
    told = [name for name, text in texts.items() if thrice.capitalize() in text]
    assert told == ["arxiv:2407.00003v1"]
    assert sum(twice.capitalize() in text for text in texts.values()) == 2
    # what is too short without it leaves for that reason
    removed = list(read_jsonl(out / "removed.jsonl.gz"))
    assert [
        line["reason"] for line in removed if line["id"] == "arxiv:2407.00009v1"
    ] == [
        "said before",
        "too short",
    ]


# conversations


def test_conversations_are_cleaned_and_compared_but_not_judged_as_prose(tmp_path):
    def asked(number, question, answer):
        turns = [("user", question), ("assistant", answer)]
        messages = [{"role": role, "content": words} for role, words in turns]
        return {"id": f"qa:{number}", "source": "qa", "messages": messages}

    records = papers(10) + [
        asked(1, "What  is\u200b it?", "Dark matter."),
        asked(2, "What is it?", "Dark matter!"),
        asked(3, "What is that?", "Dark energy."),
    ]
    _, out = built(tmp_path, records)
    kept = {d.id: d for s in SIDES for d in read_documents(out / f"{s}.jsonl.gz")}
    assert removed_of(out)["qa:2"]["repeats"] == "qa:1"
    assert kept["qa:1"].messages[0]["content"] == "What is it?"
    assert kept["qa:3"].text == "What is that?\n\nDark energy."
