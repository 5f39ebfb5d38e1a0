"""Verbatim stretches against a search by regular expressions, and on hostile input."""

import random
import re
from collections import namedtuple
from pathlib import Path

import pytest

from cosmosage import verbatim
from cosmosage.documents import passages, write_jsonl
from cosmosage.retrieval import CHARACTERS
from cosmosage.verbatim import Verbatim, find, share

FACT = (
    "The sound horizon at the drag epoch is 147.09 Mpc, by Planck's $\\Lambda$CDM fit"
)


def document(name: str, text: str, **more) -> dict:
    """A document's record."""
    return {
        "id": name,
        "text": text,
        "source": "arxiv",
        "title": f"On {name}",
        "licence": "CC BY 4.0",
        "url": f"https://example.org/{name}",
        **more,
    }


def opened(folder: Path, *texts: str) -> Verbatim:
    """The built and loaded array of some documents, named by their numbers."""
    path = folder / "train.jsonl"
    write_jsonl(path, [document(f"d{n}", text) for n, text in enumerate(texts)])
    verbatim.build([path], folder / "built")
    return Verbatim.load(folder / "built")


def only(found):
    """The single one of a list."""
    assert len(found) == 1, found
    return found[0]


def by_hand(texts, answer, shortest):
    """(start, end, words, count) of the stretches, found by trying all pairs of words."""
    words = [word.span() for word in re.finditer(r"\w+", answer)]
    out, reached = [], -1
    for first, (start, _) in enumerate(words):
        best = None
        for last in range(first, len(words)):
            quote = answer[start : words[last][1]].lower().split()
            pattern = r"\s+".join(map(re.escape, quote))
            found = re.compile(rf"(?<!\w)(?={pattern}(?!\w))")
            count = sum(len(found.findall(text.lower())) for text in texts)
            if not count:
                break
            best = last, count
        if best and best[0] + 1 - first >= shortest and words[best[0]][1] > reached:
            reached = words[best[0]][1]
            out.append((start, reached, best[0] + 1 - first, best[1]))
    return out


@pytest.mark.parametrize("seed", range(40))
def test_spans_are_those_of_a_search_by_hand(tmp_path, seed):
    draw = random.Random(seed)
    letters = draw.choice(["a", "ab", "ab\u00e9\u4e2d", "aB1_"])

    def text(size):
        made = ""
        for _ in range(size):
            made += "".join(draw.choices(letters, k=draw.randint(1, 2)))
            made += draw.choice([" ", " ", " ", "  ", ", ", "-", ".\n", "$", " (", ")"])
        return made

    texts = [text(draw.randint(1, 60)) for _ in range(draw.randint(1, 5))]
    array = opened(tmp_path, *texts)
    for shortest in (1, 3):
        for answer in (text(40), texts[0][3:] + text(5), text(3)):
            found = array.spans(answer, shortest)
            told = [(s.start, s.end, s.words, s.count) for s in found]
            assert told == by_hand(texts, answer, shortest)
            for span in found:
                quote = answer[span.start : span.end]
                pattern = r"\s+".join(map(re.escape, quote.lower().split()))
                whole = rf"(?<!\w){pattern}(?!\w)"
                having = [n for n, t in enumerate(texts) if re.search(whole, t.lower())]
                named = [int(place.document[1:]) for place in span.places]
                assert named == having[: verbatim.PLACES]


def test_a_table_of_many_pages_leads_to_the_right_one(tmp_path):
    draw = random.Random(1)
    common = (
        "of the large scale structure of the universe in the standard model ".split()
    )
    texts = [" ".join(draw.choices(common, k=3000)) for _ in range(4)]
    texts.append("in the standard model of the structure " * 700)
    array = opened(tmp_path, *texts)
    words = [text.split() for text in texts]
    for size in (1, 2, 3, 5, 8, 13, 200):
        quote = " ".join(words[size % 5][-size - 40 : -40])
        span = array.spans(quote, 1)[0]
        found = re.findall(rf"(?<!\w)(?={quote}(?!\w))", "\n".join(texts))
        assert (span.count, span.end) == (len(found), len(quote))


def test_a_place_names_the_passage_of_the_original(tmp_path):
    filler = "Each survey adds a sample of galaxies to the catalogue. " * 20
    text = f"{filler}\n\n{filler}\n\n{filler} {FACT}.\n\n{filler}"
    answer = "It says: the  SOUND horizon at the drag epoch is 147.09 Mpc, exactly."
    span = only(opened(tmp_path, filler, text).spans(answer))
    quote = answer[span.start : span.end]
    assert quote == "the  SOUND horizon at the drag epoch is 147.09 Mpc"
    assert span.words == 11 and span.count == 1
    place = only(span.places)
    cut = passages(text, CHARACTERS)
    assert place.document == "d1" and place.title == "On d1"
    assert place.licence == "CC BY 4.0" and place.url == "https://example.org/d1"
    start, end = find(cut[place.passage], quote)
    assert cut[place.passage][start:end] == FACT[: FACT.index(",")]
    assert share(answer, [span]) == pytest.approx(11 / 14)


def test_a_stretch_runs_from_one_passage_into_the_next_but_not_into_a_document(
    tmp_path,
):
    filler = "Each survey adds a sample of galaxies. " * 35
    text = f"{filler}and ends here.\n\nBegins anew with {filler}"
    assert len(passages(text, CHARACTERS)) == 2
    array = opened(tmp_path, text, "quasars are the first words")
    span = only(array.spans("and ends here. Begins anew with each survey"))
    assert span.words == 8 and span.places[0].passage == 0
    span = only(array.spans("galaxies quasars are the first words", 2))
    assert span.words == 5 and span.places[0].document == "d1"


@pytest.mark.parametrize(
    ("original", "quote", "wanted"),
    [
        ("Die STRA\u00dfE des W\u00fcrfels", "strasse des", "STRA\u00dfE des"),
        ("\u0130stanbul \u2014 a\u00a0city", "a city", "a\u00a0city"),
        ("the \ufb01rst \u201clight\u201d", 'first "light', "\ufb01rst \u201clight"),
        ("x \u2212 1 \U0001d6fc y", "- 1 \U0001d6fc y", "\u2212 1 \U0001d6fc y"),
        ("one\x00two  three", "onetwo three", "one\x00two  three"),
        ("part of it, art of it", "art of it", "art of it"),
        ("part of it", "art of it", None),
        ("anything", "", None),
    ],
)
def test_the_normal_form_leads_back_to_the_characters(
    tmp_path, original, quote, wanted
):
    found = find(original, quote)
    assert (found and original[slice(*found)]) == wanted
    if wanted and quote[0].isalnum():
        assert found[0] == original.rindex(wanted)
        span = only(opened(tmp_path, original).spans(f"\u00e9 {quote} \u00e9", 1))
        assert (span.start, span.end) == (2, 2 + len(quote))


@pytest.mark.parametrize(
    "answer",
    [
        "a" * 10_000,
        "a " * 10_000,
        "\x00" * 10_000,
        "\n" * 10_000,
        "\ud800 \ud800",
        "",
        " ",
        "\x00galaxies\x00form\n\x01",
        "\u0130" * 9_000,
        "a\u0301 " * 6_000,
    ],
)
def test_hostile_answers_are_looked_up_as_any(tmp_path, answer):
    array = opened(tmp_path, "a " * 20_000, "a" * 20_000, "how\x01galaxies form\n", "")
    for span in array.spans(answer, 1):
        assert 0 <= span.start < span.end <= len(answer) and span.count
        assert len(span.places) <= verbatim.PLACES
    assert [s.words for s in array.spans("\x00galax\x00ies\x02form\n", 1)] == [2]


def test_a_long_answer_is_refused(tmp_path):
    array = opened(tmp_path, "galaxies form")
    with pytest.raises(ValueError, match="20001 characters and 20000 are looked up"):
        array.spans("a" * 20_001)


def test_a_build_that_died_leaves_the_old_one_and_is_done_again(tmp_path, monkeypatch):
    old = opened(tmp_path, "galaxies form in haloes")

    def killed(*_):
        raise KeyboardInterrupt

    path = tmp_path / "train.jsonl"
    write_jsonl(path, [document("new", "haloes form in voids")])
    with monkeypatch.context() as patched:
        patched.setattr(verbatim, "divsufsort", killed)
        with pytest.raises(KeyboardInterrupt):
            verbatim.build([path], tmp_path / "built")
    assert len(list((tmp_path / "built").glob("verbatim-*"))) == 2
    for array in (old, Verbatim.load(tmp_path / "built")):
        assert array.spans("galaxies form in haloes", 4)
    counts = verbatim.build([path], tmp_path / "built")
    assert counts["words"] == 4 and counts["documents"] == counts["passages"] == 1
    assert Verbatim.load(tmp_path / "built").spans("haloes form in voids", 4)
    assert old.spans("galaxies form in haloes", 4)
    assert len(list((tmp_path / "built").glob("verbatim-*"))) == 1
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "built").rglob("*")}
    assert verbatim.build([path], tmp_path / "built") == counts
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "built").rglob("*")} == times


FILES = [f"{n}.npy" for n in ("places", "keys", "starts", "owners", "numbers")]


@pytest.mark.parametrize("name", [*FILES, "text.bin", "documents.jsonl"])
@pytest.mark.parametrize("kept", [None, 0.0, 0.5])
def test_a_damaged_build_says_to_build_again(tmp_path, name, kept):
    opened(tmp_path, "galaxies form in haloes", "and haloes in galaxies")
    path = only(list((tmp_path / "built").glob(f"*/{name}")))
    raw = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(ValueError, match="is not whole.*run verbatim.build"):
        Verbatim.load(tmp_path / "built")


def test_errors_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="absent.jsonl is no file"):
        verbatim.build([tmp_path / "absent.jsonl"], tmp_path / "built")
    with pytest.raises(FileNotFoundError, match="no finished verbatim; run verbatim"):
        Verbatim.load(tmp_path / "built")
    write_jsonl(tmp_path / "empty.jsonl", [document("d", "...")])
    with pytest.raises(ValueError, match="empty.jsonl held no words"):
        verbatim.build([tmp_path / "empty.jsonl"], tmp_path / "built")
    write_jsonl(tmp_path / "large.jsonl", [document("d", "galaxies " * 1000)])
    little = namedtuple("Memory", "available")(1000)
    monkeypatch.setattr(verbatim.psutil, "virtual_memory", lambda: little)
    with pytest.raises(MemoryError, match="fewer documents"):
        verbatim.build([tmp_path / "large.jsonl"], tmp_path / "built")
