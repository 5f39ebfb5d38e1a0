"""Data sets of all kinds as documents, by a column map; what is no document is named."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from cosmosage import corpus, importing, tokens
from cosmosage.documents import read_documents, read_jsonl, write_jsonl
from tests.test_corpus import papers, prose
from tests.tiny import tiny_tokenizer

PAIRS = [
    {"q": f"What is {n}?", "a": f"A number, {n}.", "number": n, "from": "me"}
    for n in range(5)
]
COLUMNS = {"question": "q", "answer": "a", "id": "number"}


def stored(folder: Path, kind: str) -> Path:
    """The pairs as a file or folder of one kind."""
    path = folder / f"pairs{kind}"
    data = datasets.Dataset.from_list(PAIRS)
    if kind in (".jsonl", ".jsonl.gz"):
        write_jsonl(path, PAIRS)
    elif kind == ".json":
        path.write_text(json.dumps(PAIRS))
    elif kind in (".csv", ".tsv"):
        with path.open("w", newline="") as file:
            dialect = "excel-tab" if kind == ".tsv" else "excel"
            writer = csv.DictWriter(file, PAIRS[0], dialect=dialect)
            writer.writeheader()
            writer.writerows(PAIRS)
    elif kind == ".parquet":
        data.to_parquet(path)
    elif kind == ".arrow":
        data.save_to_disk(folder / "saved")
        path = next((folder / "saved").glob("*.arrow"))
    elif kind == "saved splits":
        datasets.DatasetDict(train=data, test=data.select([0])).save_to_disk(path)
    else:
        data.save_to_disk(path)
    return path


KINDS = ".jsonl .jsonl.gz .json .csv .tsv .parquet .arrow saved".split()


@pytest.mark.parametrize("kind", [*KINDS, "saved splits"])
def test_pairs_of_every_kind_become_conversations(tmp_path, kind):
    out = tmp_path / "documents" / "pairs.jsonl.gz"
    given = stored(tmp_path, kind)
    counts = importing.documents(given, out, "pairs", COLUMNS, licence="CC0")
    assert counts == {"documents": 5, "removed": 0}
    found = list(read_documents(out))
    assert [document.id for document in found] == [f"pairs:{n}" for n in range(5)]
    for document, pair in zip(found, PAIRS):
        assert document.source == "pairs" and document.licence == "CC0"
        assert [turn["content"] for turn in document.messages] == [pair["q"], pair["a"]]
    before = out.stat().st_mtime_ns
    assert importing.documents(given, out, "pairs", COLUMNS, licence="CC0") == counts
    assert out.stat().st_mtime_ns == before
    other = importing.documents(given, out, "pairs", {"text": "a"})
    assert other["documents"] == 5 and next(read_documents(out)).text == "A number, 0."


def test_what_is_no_record_is_named_and_the_rest_goes_on(tmp_path):
    path, out = tmp_path / "p.jsonl", tmp_path / "out" / "web.jsonl.gz"
    lines = [
        b"no JSON",
        b'{"body": "good", "who": "A. Author", "when": "1998"}',
        b'{"body": "a \xff letter"}',
        b"[1]",
        b'{"body": " "}',
        b'{"body": 7}',
        b'{"who": "me"}',
        b'{"body": "year", "when": "soon"}',
        b'{"body": "good too"}',
        b"[" * 200_000,
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    columns = {"text": "body", "authors": "who", "year": "when"}
    counts = importing.documents(path, out, "web", columns)
    assert counts == {"documents": 2, "removed": 8}
    found = list(read_documents(out))
    assert [document.id for document in found] == ["web:2", "web:9"]
    assert found[0].authors == ("A. Author",) and found[0].year == 1998
    removed = {
        line["id"]: line["reason"]
        for line in read_jsonl(out.with_name("removed.web.jsonl"))
    }
    for number, reason in (
        (1, "no JSON"),
        (3, "no JSON"),
        (4, "not an object"),
        (5, "its text is"),
        (6, "its text is 7"),
        (7, "its text is None"),
        (8, "'year' is 'soon'"),
        (10, "no JSON"),
    ):
        assert reason in removed[f"web:{number}"]


def test_conversations_in_both_ways_of_writing_and_ids_that_repeat(tmp_path):
    turns = [("user", "Why?"), ("assistant", "So.")]
    plain = [{"role": role, "content": said} for role, said in turns]
    shared = [
        {"from": role, "value": said}
        for role, said in (("human", "Why?"), ("gpt", "So."))
    ]
    records = [
        {"id": "a", "talk": plain},
        {"id": "b", "talk": shared},
        {"id": "a", "talk": shared},
        {"id": "c", "talk": [{"role": "narrator", "content": "Then"}]},
        {"id": "d", "talk": "Why?"},
        {"id": "e", "talk": []},
        {"id": "f", "talk": ["Why?"]},
        {"id": "g", "talk": [{"role": "user"}]},
    ]  # fmt: skip
    path, out = tmp_path / "p.jsonl", tmp_path / "out" / "talks.jsonl.gz"
    write_jsonl(path, records)
    importing.documents(path, out, "talks", {"messages": "talk", "id": "id"})
    found = list(read_documents(out))
    assert [document.id for document in found] == ["talks:a", "talks:b"]
    assert all(document.messages == tuple(plain) for document in found)
    removed = list(read_jsonl(out.with_name("removed.talks.jsonl")))
    said = dict(zip("acdefg", (line["reason"] for line in removed)))
    assert "a record before it is called talks:a too" in said["a"]
    assert "narrator" in said["c"] and "have to be turns" in said["d"]
    assert "have to be turns" in said["e"] and "turns is 'Why?'" in said["f"]
    assert "None" in said["g"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": "words"}, "has no column 'words' for text; it has \\['a', 'from'"),
        ({"words": "a"}, "no field 'words'"),
        ({"title": "a"}, "which is no text"),
        ({"question": "q"}, "which is no text"),
    ],
)
@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_a_wrong_map_is_one_sentence(tmp_path, columns, said, kind):
    out = tmp_path / "out" / "x.jsonl.gz"
    with pytest.raises(ValueError, match=said):
        importing.documents(stored(tmp_path, kind), out, "x", columns)
    assert not out.exists()


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    out, text = tmp_path / "out" / "x.jsonl.gz", {"text": "a"}
    (tmp_path / "x.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/no'\ntR.")
    with pytest.raises(ValueError, match="x.pkl is none of .jsonl"):
        importing.documents(tmp_path / "x.pkl", out, "x", text)
    for name in ("none.jsonl", "none.csv"):
        with pytest.raises(FileNotFoundError, match=f"no file .*{name}"):
            importing.documents(tmp_path / name, out, "x", text)
    with pytest.raises(ValueError, match="no split 'dev'"):
        given = stored(tmp_path, "saved splits")
        importing.documents(given, out, "x", text, split="dev")
    with pytest.raises(ValueError, match="source is 'a b'"):
        importing.documents(given, out, "a b", text)


def test_pairs_go_through_corpus_and_rows(tmp_path):
    pairs = [{"q": f"{prose(n, 12)}?", "a": prose(100 + n, 60)} for n in range(20)]
    pairs[3]["a"] = ""
    write_jsonl(tmp_path / "pairs.jsonl", pairs)
    write_jsonl(tmp_path / "documents" / "arxiv.jsonl.gz", papers(20))
    out = tmp_path / "documents" / "pairs.jsonl.gz"
    columns = {"question": "q", "answer": "a"}
    importing.documents(tmp_path / "pairs.jsonl", out, "pairs", columns)
    sources = sorted((tmp_path / "documents").glob("*.jsonl.gz"))
    counts = corpus.build(sources, tmp_path / "corpus", workers="here")
    assert counts["removed_before"] == {"import": {"its answer is ''": 1}}
    train = tmp_path / "corpus" / "train.jsonl.gz"
    shares = {"arxiv": (0.8, 1), "pairs": (0.2, 3)}
    packed = tokens.pack(
        {"train": train}, tiny_tokenizer(), tmp_path / "rows", 256, "best fit", shares
    )
    assert packed["train"]["sources"]["pairs"]["share"] == pytest.approx(0.2, abs=0.02)
    assert packed["train"]["learnt"] < packed["train"]["tokens"]


def test_the_command(tmp_path):
    stored(tmp_path, ".csv")
    command = "-m cosmosage.importing pairs.csv --out out/pairs.jsonl.gz --source pairs"
    done = subprocess.run(
        [sys.executable, *command.split(), "--column=question=q", "--column=answer=a"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "5 documents, 0 left out\n"
    done = subprocess.run(
        [sys.executable, *command.split(), "--column=text=words"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "no column 'words'" in done.stderr
    assert "Traceback" not in done.stderr
