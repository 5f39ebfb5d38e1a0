"""The corpus room against hand-written answers and a brute-force oracle of true Jaccard."""

import gzip
import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cosmosage import corpus
from cosmosage.corpus.choosing import freedom
from cosmosage.corpus.cleaning import clean
from cosmosage.corpus.duplicates import near_duplicates, sign
from cosmosage.corpus.filters import quality
from cosmosage.corpus.sides import SIDES, position, side_at, split
from cosmosage.corpus.steps import STEPS
from cosmosage.corpus.words import jaccard, spans, word_hashes
from cosmosage.documents import read_documents, read_json, read_jsonl, write_jsonl

FUNCTION_WORDS = (
    "the of and to is that for with by this we from at which it not have".split()
)


def prose(seed: int, words: int = 300) -> str:
    """Seeded words of which a third are English function words."""
    draw = random.Random(seed)
    out = []
    for _ in range(words):
        if draw.random() < 0.33:
            out.append(draw.choice(FUNCTION_WORDS))
        else:
            out.append(
                "".join(draw.choices("abcdefghilmnoprstu", k=draw.randint(4, 8)))
            )
    return " ".join(out)


def edited(text: str, share: float, seed: int) -> str:
    """A copy with that share of its words replaced."""
    draw = random.Random(seed)
    words = text.split()
    for place in draw.sample(range(len(words)), round(share * len(words))):
        words[place] = f"edit{draw.randrange(10**6)}"
    return " ".join(words)


def trigrams(text: str) -> set[tuple[str, ...]]:
    """The word 3-grams, as Python's own tuples."""
    words = re.findall(r"[^\W_]+", text.lower())
    return set(zip(words, words[1:], words[2:]))


def oracle(left: str, right: str) -> float:
    """True Jaccard similarity of the word 3-grams."""
    one, other = trigrams(left), trigrams(right)
    return len(one & other) / len(one | other)


def record(name: str, text: str, **more) -> dict:
    """A document's record."""
    return {"id": name, "text": text, "source": "arxiv", **more}


def papers(count: int, start: int = 0) -> list[dict]:
    """Unlike documents with arXiv ids."""
    return [
        record(f"arxiv:2407.{number:05}v1", prose(number))
        for number in range(start, start + count)
    ]


def built(tmp_path: Path, records: list[dict], **settings) -> tuple[dict, Path]:
    """The counts and the folder of a corpus of these records."""
    source, out = tmp_path / "documents" / "arxiv.jsonl.gz", tmp_path / "corpus"
    write_jsonl(source, records)
    return corpus.build([source], out, **settings), out


def sides_of(out: Path) -> dict[str, str]:
    """Every document's side, as it is on disk."""
    return {
        document.id: side
        for side in SIDES
        for document in read_documents(out / f"{side}.jsonl.gz")
    }


def removed_of(out: Path) -> dict[str, dict]:
    """The removal of each id, as it is on disk."""
    return {line["id"]: line for line in read_jsonl(out / "removed.jsonl.gz")}


# cleaning


def test_clean_leaves_formulas_and_listings_alone():
    formula = "$$\n\\Omega_m  =   0.3\t\\quad\n\n\\Omega_m  =   0.3\n$$"
    inline = "$e\u0301 +  \u212b$"
    listing = "```\nfor  x in  y:\n\tpass\n```"
    text = f"Some   prose {inline} here.\n\n{formula}\n\n{listing}\n\nCosts \\$5  and \\$6."
    out = clean(text)
    for kept in (formula, inline, listing):
        assert kept in out
    assert out.startswith("Some prose $e\u0301")
    assert out.endswith("Costs \\$5 and \\$6.")


@pytest.mark.parametrize(
    ("dirty", "wanted"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("a\x00b\x07c\u200bd\xade\ufefff", "abcdef"),
        ("one\r\ntwo\rthree\x0cfour", "one\ntwo\nthree\nfour"),
        ("ten\u00a0km  \u2009apart \n", "ten km apart"),
        ("a\n\n\n \t\n\nb", "a\n\nb"),
        ("- one\n  -  two", "- one\n  - two"),
        ("a $5 note\n\nand  a $6  one", "a $5 note\n\nand a $6 one"),
        (" \n\t\n", ""),
    ],
)
def test_clean_mends(dirty, wanted):
    assert clean(dirty) == wanted


def test_clean_keeps_one_of_repeated_paragraphs_and_running_heads():
    long = "This paragraph of more than ten words says the same thing again."
    body = [
        f"{prose(number, 20)}\nA. Author and B. Author\n{prose(-number, 20)}"
        for number in range(5)
    ]
    text = "\n\n".join(
        [long, body[0], "Proof.", body[1], long, body[2], "Proof.", body[3], body[4]]
    )
    out = clean(text)
    assert out.count(long) == 1
    assert out.count("A. Author and B. Author") == 1
    assert out.count("Proof.") == 2
    assert all(line in out for part in body for line in part.split("\n"))
    assert clean(out) == out


def test_clean_keeps_repeated_formulas_and_table_rows():
    row = "| the same row | of a table | again |"
    text = "\n\n".join(["$$E = mc^2$$\n" + row] * 6)
    assert clean(text) == text


# filters


def test_quality_takes_prose_with_much_maths():
    formula = "$\\rho_{c} = 3 H^2 / 8 \\pi G + \\Lambda / 3 - k / a^2 = 0$"
    text = " ".join(f"{prose(n, 6)} {formula}" for n in range(30))
    assert quality(text) is None
    assert quality(prose(1, 60)) is None


def test_quality_names_its_reason():
    french = (
        "La cosmologie moderne décrit une expansion accélérée dans laquelle les galaxies "
        "s'éloignent les unes des autres, selon une loi linéaire que Hubble a établie "
        "avant la guerre. Les mesures du fond diffus donnent aujourd'hui une densité de "
        "matière précise, mais leur désaccord avec les mesures locales reste inexpliqué. "
    )
    german = (
        "Die moderne Kosmologie beschreibt eine beschleunigte Ausdehnung, in der sich die "
        "Galaxien nach einem linearen Gesetz voneinander entfernen, das vor dem Krieg "
        "gefunden wurde. Die Messungen der Hintergrundstrahlung ergeben heute eine genaue "
        "Dichte, doch der Widerspruch zu den örtlichen Messungen bleibt ungeklärt. "
    )
    assert quality(prose(1, 49))[0] == "too short"
    assert quality("$" + prose(1, 400) + "$ few words")[0] == "too short"
    assert (
        quality(" ".join(map(str, range(200))) + prose(2, 60))[0] == "too few letters"
    )
    assert quality(french * 2)[0] == "not English"
    assert quality(german * 2)[0] == "not English"
    assert quality(prose(3, 40) + " " + (prose(4, 30) + " ") * 3)[0] == "repeats itself"


# duplicates


def test_word_hashes_see_words_as_a_regular_expression_does():
    text = (
        "The H_0 value—67.4 km/s—is\n\u03a9-like; CAF\u00c9 caf\u00e9 \u5b87\u5b99 \u5b99\u5b87 x"
        + "y" * 5000
    )
    words = re.findall(r"[^\W_]+", text.lower())
    hashes = word_hashes(text)
    assert len(hashes) == len(words)
    assert len(set(hashes.tolist())) == len(set(words))
    assert [hashes.tolist().index(each) for each in hashes] == [
        words.index(word) for word in words
    ]
    assert word_hashes("").size == word_hashes(" .,; ").size == 0


def test_jaccard_is_the_true_one():
    for seed in range(20):
        left = prose(seed, 120)
        right = edited(left, seed / 20, seed)
        mine = jaccard(spans(word_hashes(left)), spans(word_hashes(right)))
        assert mine == pytest.approx(oracle(left, right), abs=1e-12)


def test_planted_copies_are_found_and_unlike_texts_are_not():
    shared = prose(999, 100)  # a collaboration's boilerplate in 40 of the texts
    texts = [prose(n, 300) + (" " + shared if n < 40 else "") for n in range(200)]
    originals = range(0, 200, 2)
    texts += [edited(texts[n], 0.05 + 0.05 * n / 200, n) for n in originals]
    sets = list(map(trigrams, texts))
    true = {
        (left, right)
        for right, one in enumerate(sets)
        for left, other in enumerate(sets[:right])
        if len(one & other) >= 0.5 * len(one | other)
    }
    assert true == {(original, 200 + place) for place, original in enumerate(originals)}
    found = near_duplicates(texts)
    assert {(left, right) for left, right, _ in found} == true
    for left, right, similarity in found:
        assert similarity == pytest.approx(oracle(texts[left], texts[right]), abs=1e-12)


def test_signatures_do_not_depend_on_batches_and_stand_for_similarity():
    left = prose(1, 2000)
    right = edited(left, 0.08, 1)
    sets = [spans(word_hashes(text)) for text in (left, right, prose(2, 50), "")]
    whole, alone = sign(iter(sets)), [sign([each]) for each in sets]
    assert (whole.bits == np.concatenate([each.bits for each in alone])).all()
    assert (whole.keys == np.concatenate([each.keys for each in alone], axis=1)).all()
    assert whole.bits.shape == (4, 256) and whole.keys.shape == (64, 4)
    agreement = float(np.mean(whole.bits[0] == whole.bits[1]))
    assert agreement == pytest.approx(
        oracle(left, right), abs=0.12
    )  # 4 sigma of 256 draws


def test_every_verified_pair_of_a_bucket_joins_once():
    texts = [prose(5, 200)] * 4 + [prose(6, 200)] * 3
    found = near_duplicates(texts)
    assert len(found) == 5  # a forest: 7 texts in 2 clusters
    assert {similarity for *_, similarity in found} == {1.0}


# the whole


def test_copies_leave_and_the_best_stays(tmp_path):
    long, other = prose(900, 400), prose(901, 400)
    nonexclusive = "http://arxiv.org/licenses/nonexclusive-distrib/1.0/"
    records = papers(10) + [
        record("arxiv:2501.00001v1", edited(long, 0.06, 1)),
        record("arxiv:2501.00002v1", long + " and a little more of it"),
        record("book:one#1", edited(long, 0.09, 2)),
        record("arxiv:2502.00001v1", other, licence=nonexclusive),
        record(
            "arxiv:2502.00002v1", other.upper().replace(" ", "\n"), licence="CC BY 4.0"
        ),
    ]
    _, out = built(tmp_path, records)
    removed, kept = removed_of(out), sides_of(out)
    assert set(removed) == {"arxiv:2501.00001v1", "book:one#1", "arxiv:2502.00001v1"}
    assert removed["book:one#1"]["step"] == "near duplicates"
    assert removed["book:one#1"]["repeats"] == "arxiv:2501.00002v1"
    assert removed["arxiv:2502.00001v1"]["step"] == "exact duplicates"
    assert removed["arxiv:2502.00001v1"]["repeats"] == "arxiv:2502.00002v1"
    assert len(kept) == 12


def test_a_chain_of_copies_says_through_whom(tmp_path):
    words = prose(70, 400).split()
    first = " ".join(words + ["tail"] * 2)
    last = " ".join(words[160:] + prose(71, 160).split())
    middle = " ".join(words[80:] + prose(71, 80).split())
    assert oracle(first, last) < 0.5 < min(oracle(first, middle), oracle(middle, last))
    records = papers(8) + [
        record("arxiv:2501.00001v1", first),
        record("arxiv:2501.00002v1", middle),
        record("arxiv:2501.00003v1", last),
    ]
    _, out = built(tmp_path, records)
    removed = removed_of(out)
    assert set(removed) == {"arxiv:2501.00002v1", "arxiv:2501.00003v1"}
    chained = removed["arxiv:2501.00003v1"]
    assert chained["repeats"] == "arxiv:2501.00001v1"
    assert chained["through"] == ["arxiv:2501.00002v1"]
    assert chained["similarity"] == pytest.approx(oracle(first, last), abs=1e-4)


def test_shared_abstracts_and_template_prose_stay(tmp_path):
    shared = prose(5000, 100)
    records = [
        record(
            f"arxiv:2407.{n:05}v1", f"{shared}\n\n{prose(n, 300)}\n\n{prose(5001, 80)}"
        )
        for n in range(30)
    ]
    counts, out = built(tmp_path, records)
    assert sum(side["documents"] for side in counts["sides"].values()) == 30
    assert not counts["removed"]
    kept = {
        document.id: document.text
        for side in SIDES
        for document in read_documents(out / f"{side}.jsonl.gz")
    }
    for number, each in enumerate(records):  # the first tells it, the others their own
        own = prose(number, 300)
        assert kept[each["id"]] == (own if number else each["text"])
    cut = Counter(line["id"] for line in read_jsonl(out / "removed.jsonl.gz"))
    assert cut == {each["id"]: 2 for each in records[1:]}
    assert counts["passages"] == {"repeated passages": {"said before": 58}}


def test_the_newest_version_stays_whatever_its_text(tmp_path):
    records = papers(8) + [
        record("arxiv:astro-ph/9901001v2", prose(50)),
        record("arxiv:astro-ph/9901001v10", prose(51)),
        record("arxiv:astro-ph/9901001v1", prose(52)),
        record("arxiv:2300.00001v1", prose(53)),
        record("arxiv:2300.00001v2", "withdrawn"),
    ]
    _, out = built(tmp_path, records)
    removed, kept = removed_of(out), sides_of(out)
    assert "arxiv:astro-ph/9901001v10" in kept
    assert removed["arxiv:astro-ph/9901001v2"]["repeats"] == "arxiv:astro-ph/9901001v10"
    assert removed["arxiv:astro-ph/9901001v1"]["step"] == "versions"
    assert "arxiv:2300.00001v1" in kept  # the newer one has no text to learn from
    assert removed["arxiv:2300.00001v2"]["reason"] == "too short"


def test_what_is_in_is_out_or_removed_and_the_funnel_agrees(tmp_path):
    records = papers(40) + [
        record("arxiv:1v1", "short"),
        record("arxiv:2v1", prose(1)),
        record("arxiv:3v1", edited(prose(2), 0.07, 1)),
        record("arxiv:4v1", "?! 12 34"),
    ]
    counts, out = built(tmp_path, records)
    removed, kept = removed_of(out), sides_of(out)
    names = {each["id"] for each in records}
    assert set(removed) | set(kept) == names and not set(removed) & set(kept)
    assert all(line["step"] and line["reason"] for line in removed.values())
    for line in removed.values():  # what it repeats is there, or itself explained
        assert line.get("repeats", "arxiv:2407.00000v1") in names
    steps = counts["steps"]
    assert [step["step"] for step in steps] == list(STEPS)
    assert steps[0]["documents_in"] == len(records)
    for step, following in zip(steps, steps[1:]):
        assert step["documents_out"] == following["documents_in"]
        assert step["words_out"] == following["words_in"]
        assert step["characters_out"] == following["characters_in"]
    for step in steps:
        lost = sum(counts["removed"].get(step["step"], {}).values())
        assert step["documents_in"] - step["documents_out"] == lost
    for what in ("documents", "words", "characters"):
        total = sum(side[what] for side in counts["sides"].values())
        assert total == steps[-1][f"{what}_out"]
    texts = [
        document.text
        for side in SIDES
        for document in read_documents(out / f"{side}.jsonl.gz")
    ]
    assert sum(len(text.split()) for text in texts) == steps[-1]["words_out"]


def test_removals_of_earlier_rooms_are_taken_over(tmp_path):
    beside = tmp_path / "documents" / "removed.arxiv.jsonl"
    beside.parent.mkdir()
    beside.write_text(
        json.dumps(
            {"id": "arxiv:9v1", "step": "latex", "reason": "withdrawn: no source"}
        )
        + '\n{"id": "arxiv:8v1"}\nnot json\n[NaN]\n{"id": NaN}\n',
        encoding="utf-8",
    )
    counts, out = built(tmp_path, papers(10))
    lines = list(read_jsonl(out / "removed.jsonl.gz"))
    assert lines[0] == {
        "id": "arxiv:9v1",
        "step": "latex",
        "reason": "withdrawn: no source",
    }
    assert lines[1]["reason"] == "no reason given"
    assert [line["reason"] for line in lines[2:]] == ["broken line"] * 3
    assert counts["removed_before"] == {
        "latex": {"withdrawn": 1},
        "arxiv": {"no reason given": 1},
        "read": {"broken line": 3},
    }
    assert counts["removed"] == {}


def test_hostile_lines_are_named_and_the_rest_goes_on(tmp_path):
    good = [json.dumps(each).encode() for each in papers(10)]
    deep = b'{"id": "x", "text": ' + b"[" * 100_000
    hostile = [
        b"\xff\xfe not utf-8",
        b'{"id": "arxiv:1v1", "text": "cut off',
        deep,
        b"[]",
        b"null",
        b'"text"',
        b'{"text": "no id"}',
        b'{"id": " ", "text": "blank id"}',
        b'{"id": "arxiv:2v1", "text": 5}',
        b'{"id": "arxiv:3v1", "text": "t", "column": 1}',
        b'{"id": "arxiv:4v1", "text": "t", "authors": "A. Author"}',
        b'{"id": "arxiv:5v1", "text": "t", "authors": [1]}',
        b'{"id": "arxiv:6v1", "text": "t", "year": NaN}',
        b'{"id": "arxiv:7v1", "text": "t", "title": null}',
        b'{"id": "arxiv:8v1", "text": "lone \\ud800 surrogate"}',
        b'{"id": "arxiv:9v1", "text": ""}',
        json.dumps(record("arxiv:2407.00003v1", prose(77))).encode(),
    ]
    lines = [line for pair in zip(good, hostile) for line in pair] + hostile[10:]
    source = tmp_path / "arxiv.jsonl.gz"
    mark = b"\xef\xbb\xbf"  # of the order of bytes, as some editors set it
    source.write_bytes(gzip.compress(mark + b"\n".join([*lines, b"", b"  "])))
    counts = corpus.build([source], tmp_path / "corpus")
    removed = list(read_jsonl(tmp_path / "corpus" / "removed.jsonl.gz"))
    assert set(sides_of(tmp_path / "corpus")) == {each["id"] for each in papers(10)}
    assert Counter(line["reason"] for line in removed) == {
        "broken line": 3,
        "not a document": 11,
        "lone surrogate": 1,
        "no words": 1,
        "id seen before": 1,
    }
    assert counts["steps"][0]["documents_in"] == len(lines)
    assert removed[0]["id"] == "arxiv.jsonl.gz, line 2"
    assert "unknown field 'column'" in next(
        line["detail"] for line in removed if line["id"] == "arxiv:3v1"
    )


# splitting


def test_split_is_stable_as_the_corpus_grows():
    names = [f"arxiv:2407.{n:05}v1" for n in range(2000)]
    small, large = split(names[:400]), split(names)
    assert all(large[name] == side for name, side in small.items())
    shares = Counter(large.values())
    for side in ("validation", "test"):  # 4 sigma of a binomial with n = 2,000, p = .1
        assert abs(shares[side] - 200) < 54


def test_versions_share_a_side_and_position_is_the_hash_of_the_stem():
    both = split([f"arxiv:2407.{n:05}v{v}" for n in range(50) for v in (1, 2)])
    for number in range(50):
        assert len({both[f"arxiv:2407.{number:05}v{v}"] for v in (1, 2)}) == 1
    # printf arxiv:2407.04420 | sha256sum
    by_hand = 0x6CF88861B6F5 / 16**12
    assert position("arxiv:2407.04420v1") == position("arxiv:2407.04420v7") == by_hand
    assert position("book:a#1") != position("book:a#2")


@pytest.mark.parametrize("count", [3, 5, 8, 9, 16, 24, 30, 76])
def test_small_corpora_have_every_side(count):
    for start in range(30):
        names = [f"arxiv:{start}.{n:05}v1" for n in range(count)]
        sides = split(names)
        sizes = Counter(sides.values())
        assert sizes["validation"] >= (2 if count >= 8 else 1)
        assert sizes["test"] >= (2 if count >= 8 else 1)
        assert sizes["train"] >= count / 3
        assert sides == split(reversed(names))
        where = sorted(position(name) for name in names)
        assert {position(n) for n in names if sides[n] == "test"} == set(
            where[: sizes["test"]]
        )


def test_a_small_corpus_says_so_and_a_large_one_does_not(tmp_path):
    counts, out = built(tmp_path, papers(9))
    by_hash = {name: side_at(position(name), 0.2) for name in sides_of(out)}
    moved = sum(by_hash[name] != side for name, side in sides_of(out).items())
    assert counts["notes"] and counts["notes"][0].startswith(f"{moved} of 9 documents")
    counts, _ = built(tmp_path, papers(200))
    assert not counts["notes"]


def test_too_little_is_an_error_in_one_sentence(tmp_path):
    with pytest.raises(
        ValueError, match="2 of 3 documents are left, too few for a train side"
    ):
        built(tmp_path, papers(2) + [record("arxiv:1v1", "short")])
    assert removed_of(tmp_path / "corpus")["arxiv:1v1"]["reason"] == "too short"
    assert not (tmp_path / "corpus" / "done.json").exists()
    with pytest.raises(ValueError, match="held_out is 1.5"):
        built(tmp_path, papers(9), held_out=1.5)
    with pytest.raises(FileNotFoundError, match="absent.jsonl is no file"):
        corpus.build([tmp_path / "absent.jsonl"], tmp_path / "corpus")


# files


def test_equal_sources_give_equal_bytes_and_nothing_else(tmp_path):
    records = papers(30) + [record("arxiv:1v1", edited(prose(3), 0.05, 1))]
    found = []
    for name in ("one", "two"):
        _, out = built(tmp_path / name, records)
        found.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
    assert found[0] == found[1]
    assert set(found[0]) == {
        ".lock",
        *(f"{side}.jsonl.gz" for side in SIDES),
        "removed.jsonl.gz",
        "contamination.json",
        "done.json",
    }


def test_a_second_run_skips_and_a_changed_source_is_built_anew(tmp_path):
    counts, out = built(tmp_path, papers(12))
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again, _ = built(tmp_path, papers(12))
    assert again == counts == read_json(out / "done.json")["counts"]
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times
    more, _ = built(tmp_path, papers(13))
    assert more["steps"][0]["documents_in"] == 13
    assert len(sides_of(out)) == 13
    (out / "test.jsonl.gz").unlink()
    built(tmp_path, papers(13))
    assert (out / "test.jsonl.gz").is_file()


def test_a_damaged_source_stops_the_run_and_leaves_no_mark(tmp_path):
    _, out = built(tmp_path, papers(12))
    source = tmp_path / "documents" / "arxiv.jsonl.gz"
    source.write_bytes(source.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="arxiv.jsonl.gz is damaged after line"):
        corpus.build([source], out)
    assert not (out / "done.json").exists()


def test_the_command_prints_the_funnel_and_explains(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", papers(20) + [record("arxiv:1v1", prose(0))])
    command = [sys.executable, "-m", "cosmosage.corpus"]

    def run(*arguments):
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )

    out = tmp_path / "out"
    done = run(tmp_path / "a.jsonl", "--out", out)
    assert done.returncode == 0
    assert "1 same words" in done.stdout and "train" in done.stdout
    told = run("--out", out, "--explain", "arxiv:2407.00000")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert {line.get("repeats", line.get("side")) for line in lines} >= {"arxiv:1v1"}
    for arguments in (
        ["--out", out],
        [tmp_path / "b.jsonl", "--out", out],
        ["--out", out, "--explain", "arxiv:0000"],
        ["--out", tmp_path / "no", "--explain", "arxiv:0000"],
    ):
        failed = run(*arguments)
        assert failed.returncode == 2
        assert len(failed.stderr.splitlines()) == 1 and "Traceback" not in failed.stderr


def test_a_freer_licence_ranks_first():
    order = [
        "http://creativecommons.org/publicdomain/zero/1.0/",
        "http://creativecommons.org/licenses/by/4.0/",
        "http://creativecommons.org/licenses/by-nc-sa/4.0/",
        "http://creativecommons.org/licenses/by-nc-nd/4.0/",
        "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
        "",
    ]
    assert [freedom(licence) for licence in order] == [0, 1, 2, 3, 4, 5]
