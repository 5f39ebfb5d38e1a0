"""Retrieval against BM25 computed by its formula, and on passages whose place is known."""

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest

from cosmosage import retrieval
from cosmosage.documents import passages, write_jsonl
from cosmosage.retrieval import Index, words

FILLER = (
    "Observations of the large-scale structure constrain the parameters of the model. "
    "Each survey adds a sample of galaxies to the catalogue and an estimate of its errors. "
)
FACTS = {
    "arxiv:2401.00001v1": "The sound horizon at the drag epoch is 147 Mpc.",
    "arxiv:2401.00002v1": "Cepheids calibrate the luminosity of supernovae, hence $H_0$.",
    "arxiv:2401.00003v1": "Weak lensing shears the images of galaxies by one per cent.",
    "arxiv:2401.00004v1": "Reionisation leaves an optical depth of $\\tau = 0.054$ behind.",
    "book:primer#2": "Friedmann's equation ties the expansion rate to the density.",
}


def document(name: str, text: str, **more) -> dict:
    """A document's record."""
    return {
        "id": name,
        "text": text,
        "source": "books" if name.startswith("book") else "arxiv",
        "title": f"On {name}",
        "authors": ["A. Author", "B. Author"],
        "year": 2024,
        "licence": "CC BY 4.0",
        "url": f"https://example.org/{name}",
        **more,
    }


def around(fact: str) -> str:
    """Three passages with the fact in the second."""
    return f"{FILLER * 8}\n\n{FILLER * 3}{fact} {FILLER * 3}\n\n{FILLER * 8}"


@pytest.fixture(name="small")
def small_corpus(tmp_path) -> Path:
    """A file of five documents, each with one fact."""
    path = tmp_path / "train.jsonl.gz"
    write_jsonl(path, [document(name, around(fact)) for name, fact in FACTS.items()])
    return path


def opened(folder: Path, *sources: Path) -> Index:
    """A built and loaded index."""
    retrieval.build(list(sources), folder)
    return Index.load(folder)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("How large is the sound horizon?", "arxiv:2401.00001v1"),
        ("what do CEPHEID variables calibrate", "arxiv:2401.00002v1"),
        ("by how much are images sheared in weak lensing?", "arxiv:2401.00003v1"),
        ("value of \\tau", "arxiv:2401.00004v1"),
        ("Friedmann equation", "book:primer#2"),
    ],
)
def test_the_known_passage_comes_first(small, tmp_path, question, name):
    first = opened(tmp_path / "index", small).search(question)[0]
    assert (first.document, first.number) == (name, 1)
    assert FACTS[name] in first.text
    assert first.text == passages(around(FACTS[name]), retrieval.CHARACTERS)[1]
    assert first.title == f"On {name}" and first.authors == ("A. Author", "B. Author")
    assert first.year == 2024 and first.licence == "CC BY 4.0"
    assert first.url == f"https://example.org/{name}" and first.score > 0


def bm25(bags: dict, question: str) -> dict:
    """Of each passage, by the formula."""
    mean = sum(map(Counter.total, bags.values())) / len(bags)
    out = {}
    for place, bag in bags.items():
        out[place] = 0.0
        for word in set(words(question)):
            having = sum(word in other for other in bags.values())
            rarity = math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))
            norm = 1.5 * (1 - 0.75 + 0.75 * bag.total() / mean)
            out[place] += rarity * bag[word] / (bag[word] + norm)
    return out


@pytest.mark.parametrize("candidates", [1, 4, 50])
def test_scores_are_bm25_with_the_neighbours_and_the_document(
    small, tmp_path, monkeypatch, candidates
):
    monkeypatch.setattr(retrieval, "CANDIDATES", candidates)
    question = "sound horizon of the galaxies in the survey survey"
    index = opened(tmp_path / "index", small)
    bags = {
        (name, number): Counter(words(f"On {name}") + words(text))
        for name, fact in FACTS.items()
        for number, text in enumerate(passages(around(fact), retrieval.CHARACTERS))
    }
    alone = bm25(bags, question)
    for k in (1, 4, 10):
        found = index.search(question, k)
        assert len(found) == k
        best = sorted(alone, key=lambda place: -alone[place])[: max(candidates, k)]
        shares = Counter()
        for name, number in best:
            shares[name] += alone[name, number]
        for passage in found:
            place = passage.document, passage.number
            beside = [(place[0], place[1] + step) for step in (-1, 1)]
            wanted = alone[place]
            if place in best:
                wanted += 0.15 * sum(alone.get(other, 0.0) for other in beside)
                share = shares[place[0]] / max(shares.values())
                wanted += 0.25 * max(alone.values()) * share
            assert passage.score == pytest.approx(wanted, rel=1e-5)
        assert [p.score for p in found] == sorted(
            (p.score for p in found), reverse=True
        )
        heard = Counter(passage.document for passage in found)
        assert max(heard.values()) <= max(1, 0.8 * k)


def test_a_document_is_not_heard_alone_and_ties_keep_the_order(tmp_path):
    same = "\n\n".join([f"quasar {FILLER * 8}"] * 4)
    path = tmp_path / "train.jsonl"
    records = [document(f"arxiv:{n}v1", same, title="Same") for n in range(3)]
    write_jsonl(path, records)
    found = opened(tmp_path / "index", path).search("quasar", k=8)
    # the two in the middle have a neighbour on either side, and no document's is another's
    assert [(p.document, p.number) for p in found] == [
        *(("arxiv:0v1", 1), ("arxiv:0v1", 2), ("arxiv:1v1", 1), ("arxiv:1v1", 2)),
        *(("arxiv:2v1", 1), ("arxiv:2v1", 2), ("arxiv:0v1", 0), ("arxiv:0v1", 3)),
    ]
    found = index_of_one(tmp_path / "one", records[:1]).search("quasar", k=3)
    assert [p.number for p in found] == [1, 2]


def index_of_one(folder: Path, records: list[dict]) -> Index:
    """An index of some records."""
    write_jsonl(folder / "records.jsonl", records)
    return opened(folder / "index", folder / "records.jsonl")


def test_the_words_around_decide_between_equal_passages(tmp_path):
    def text(*passages_of):
        return "\n\n".join(f"{words_of} {FILLER * 8}" for words_of in passages_of)

    records = [
        document("far", text("helium", "quiet", "quiet", "bias"), title=""),
        document("near", text("quiet", "helium", "bias", "quiet"), title=""),
    ]
    found = index_of_one(tmp_path, records).search("helium bias", k=2)
    assert [(p.document, p.number) for p in found] == [("near", 1), ("far", 0)]


def test_a_document_is_found_whole_by_its_id(small, tmp_path):
    index = opened(tmp_path / "index", small)
    for name, fact in FACTS.items():
        source = index.document(name)
        assert source.document == name and source.title == f"On {name}"
        assert source.passages == tuple(passages(around(fact), retrieval.CHARACTERS))
        assert source.authors == ("A. Author", "B. Author") and source.year == 2024
        assert source.licence == "CC BY 4.0"
        assert source.url == f"https://example.org/{name}"
    for passage in index.search("galaxies", 9):
        source = index.document(passage.document)
        assert source.passages[passage.number] == passage.text
    for name in ("", "arxiv:2401", "../done.json", "arxiv:2401.00001v1 "):
        assert index.document(name) is None
    empty = [document("none", "", title=""), document("some", "Light.")]
    index = index_of_one(tmp_path / "two", empty)
    assert not index.document("none").passages
    assert index.document("some").passages == ("Light.",)


@pytest.mark.parametrize("kept", [None, 0.0, 0.5])
def test_a_damaged_index_says_to_build_again(small, tmp_path, kept):
    folder = tmp_path / "index"
    retrieval.build([small], folder)
    for path in sorted(folder.glob("index-*/**/*")):
        if not path.is_file() or path.stat().st_size < 2:
            continue
        raw = path.read_bytes()
        path.unlink()
        if kept is not None:
            path.write_bytes(raw[: int(kept * len(raw))])
        with pytest.raises(ValueError, match="is not whole.*run retrieval.build"):
            Index.load(folder)
        path.write_bytes(raw)
    assert Index.load(folder).search("horizon")
    shutil.rmtree(next(folder.glob("index-*")))
    with pytest.raises(ValueError, match="is not whole.*run retrieval.build"):
        Index.load(folder)


def test_nothing_to_look_up_gives_nothing(small, tmp_path):
    index = opened(tmp_path / "index", small)
    for question in (
        "",
        "  \n",
        "what is it about?",
        "!?$$",
        "zymurgy",
        "\ud800",
        "\x00",
    ):
        assert not index.search(question)
    assert not index.search("horizon", k=0)
    assert len(index.search("galaxies " * 100_000, k=3)) == 3
    assert not index.search(" ".join(f"no{n}" for n in range(9999)) + " horizon")


def test_a_reloaded_and_a_second_index_answer_alike(small, tmp_path):
    index = opened(tmp_path / "one", small)
    other = opened(tmp_path / "two", small)
    assert len(index) == len(other) == 15
    for question in (
        "survey of galaxies",
        "horizon",
        "density parameters of the model",
    ):
        found = index.search(question, k=7)
        assert found and found == Index.load(tmp_path / "one").search(question, k=7)
        assert found == other.search(question, k=7)
    files = [
        {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert files[0] == files[1]


def test_a_second_build_skips_and_an_open_index_outlives_the_next(small, tmp_path):
    folder = tmp_path / "index"
    counts = retrieval.build([small], folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert retrieval.build([small], folder) == counts
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    assert counts["documents"] == 5 and counts["passages"] == 15
    old = Index.load(folder)
    before = old.search("sound horizon")
    write_jsonl(
        small, [document("arxiv:9v1", "Primordial helium is a quarter of the mass.")]
    )
    assert retrieval.build([small], folder)["passages"] == 1
    assert old.search("sound horizon") == before
    assert Index.load(folder).search("helium")[0].document == "arxiv:9v1"
    assert len(list(folder.glob("index-*"))) == 1


def test_passages_without_words_do_no_harm(tmp_path):
    path = tmp_path / "train.jsonl"
    empty = [
        document(f"arxiv:{n}v1", text, title="") for n, text in enumerate(("", "$$=$$"))
    ]
    write_jsonl(
        path, [*empty, document("arxiv:2v1", "Dark energy.", authors=[], year=None)]
    )
    index = opened(tmp_path / "index", path)
    assert len(index) == 2
    assert [passage.text for passage in index.search("energy")] == ["Dark energy."]


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.jsonl is no file"):
        retrieval.build([tmp_path / "absent.jsonl"], tmp_path / "index")
    with pytest.raises(FileNotFoundError, match="holds no finished index; run"):
        Index.load(tmp_path / "index")
    write_jsonl(tmp_path / "empty.jsonl", [document("arxiv:1v1", "...", title="")])
    with pytest.raises(ValueError, match="empty.jsonl held no words"):
        retrieval.build([tmp_path / "empty.jsonl"], tmp_path / "index")
    mark = tmp_path / "index" / "done.json"
    mark.write_text(json.dumps({"fingerprint": "../../elsewhere", "counts": {}}))
    with pytest.raises(ValueError, match="is no mark of an index"):
        Index.load(tmp_path / "index")


def test_words_are_folded_as_documented():
    assert words("The Galaxies' masses, Schr\u00f6dinger") == [
        "galaxy",
        "masse",
        "schrodinger",
    ]
    assert words("bias mass CMB-lensing's $\\Omega_m$") == [
        *("bia", "mass", "cmb", "lensing", "s", "omega", "m"),
    ]
