"""Which book is odd: against text broken on purpose, and figures known by hand or from scipy."""

import json
import random
import string
from collections import Counter

import matplotlib
import numpy as np
import pytest
import scipy.stats
from tiny import TEXT, tiny_model, tiny_tokenizer
from tongues import TONGUES

from cosmosage import books, plots, views
from cosmosage.corpus.filters import quality
from cosmosage.corpus.language import FUNCTION_WORDS, LEAST, language, shares
from cosmosage.documents import read_documents, write_jsonl
from cosmosage.evaluation import biopsies as room
from cosmosage.evaluation import statistics
from cosmosage.evaluation.biopsies import biopsies, compared, samples, signals

matplotlib.use("Agg")

HOSTILE = "<script>alert(1)</script>"


# language


@pytest.mark.parametrize("name", TONGUES)
def test_a_language_is_told_by_its_commonest_words(name):
    words = TONGUES[name].split()
    assert language(words) == name
    assert shares(words)["English"] < LEAST
    assert quality(TONGUES[name])[1].endswith(f"language: {name}")


def test_a_share_is_counted_word_by_word():
    words = "The light of (the) stars, and it IS seen.".split()
    assert shares(words)["English"] == pytest.approx(6 / 9)
    assert shares([]) == dict.fromkeys(FUNCTION_WORDS, 0.0)


def test_what_is_no_language_of_the_table_is_not_guessed():
    assert language("Вселенная расширяется со временем".split()) == "Cyrillic script"
    assert language("宇宙は膨張している".split()) == "Hiragana script"
    assert language("3.14 2.72 -1.0 42".split()) == "unknown"
    assert language("wkh xqlyhuvh lv hasdqglqj".split()) == "unknown"
    assert language([]) == "unknown"


# signals


def test_signals_by_hand():
    text = "aaaa bbbb!\n$x_!!! = 1$ cccc\nrepeated\n\nrepeated\n```\n!!!!\n```\nab 12"
    found = signals(text, "aaaa bbbb repeated".split().__contains__)
    # five words of four letters or more, of which four are known; the listing is none
    assert found["words_known"] == pytest.approx(4 / 5, abs=1e-4)
    prose = "aaaa bbbb!\n  cccc\nrepeated\n\nrepeated\n \nab 12"
    assert found["symbols"] == pytest.approx(1 / len(prose), abs=1e-4)
    # lines without the space around them: 10 + 4 + 8 + 8 + 5 characters, 8 of them again
    assert found["repeated_lines"] == pytest.approx(8 / 35, abs=1e-4)
    assert found["language"] == "unknown"
    empty = {"words_known": 0, "symbols": 0, "repeated_lines": 0, "language": "unknown"}
    assert signals("", bool) == empty


def test_a_word_is_known_if_the_tokenizer_has_it_as_one_token():
    tokenizer = tiny_tokenizer()
    is_known = room.known_to(tokenizer)
    vocabulary = tokenizer.get_vocab()
    words = {word.strip(string.punctuation) for word in TEXT.split()} | {"zygote"}
    for word in words:
        oracle = {f"\u0120{word}", f"\u0120{word.lower()}"} & set(vocabulary)
        assert is_known(word) == bool(oracle), word
    assert len(set(map(is_known, words))) == 2


# samples


def _pages(count, text="The expansion is measured with supernovae. " * 25):
    return [
        {"book": "book:a", "page": n, "status": "ok", "text": f"{n}. {text}"}
        for n in range(1, count + 1)
    ]


def test_samples_are_spread_over_a_book():
    assert [sample["page"] for sample in samples(_pages(9), 3)] == [2, 5, 8]
    assert [sample["page"] for sample in samples(_pages(2), 8)] == [1, 2]
    assert not samples([], 8)


def test_samples_come_from_pages_that_nothing_is_cut_from():
    pages = _pages(10)
    entries = "\n\n".join(f"term {n}, {n}, {n + 3}" for n in range(1, 30))
    pages[8]["text"] = f"# Index\n\n{entries}"
    pages[9]["text"] = entries
    pages[3] |= {"status": "garbled", "reason": "no letters"}
    assert {sample["page"] for sample in samples(pages, 8)} == {1, 2, 3, 5, 6, 7, 8}
    # where nothing is left whole, what there is is looked at
    assert {sample["page"] for sample in samples(pages[8:], 8)} == {9, 10}
    assert {sample["page"] for sample in samples([pages[3]], 8)} == {4}


def test_text_without_sentences_is_sampled_piece_by_piece():
    rows = " ".join(f"{n:04d}" for n in range(2000))
    found = samples([_pages(1)[0] | {"text": rows}], 4)
    assert [len(sample["text"]) for sample in found] == [room.CHARACTERS] * 4
    assert all(sample["text"] in rows for sample in found)
    # what is left behind the last whole piece is no sample of its own, if it is short
    assert len(samples([_pages(1)[0] | {"text": rows[: room.CHARACTERS + 50]}], 4)) == 1


# the rule


@pytest.mark.parametrize("n", [2, 3, 8, 40])
def test_an_interval_of_a_mean_is_students(n):
    values = np.random.default_rng(n).normal(1.3, 0.25, n)
    ends = scipy.stats.t.interval(0.95, n - 1, np.mean(values), scipy.stats.sem(values))
    assert statistics.mean_interval(list(values)) == pytest.approx(list(ends))


def test_one_value_tells_no_interval():
    assert statistics.mean_interval([1.3]) is None


def test_an_interval_of_a_mean_holds_as_often_as_it_says():
    draw = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        low, high = statistics.mean_interval(draw.normal(1.3, 0.25, 8))
        held += low <= 1.3 <= high
    assert 0.935 < held / 2000 < 0.965  # three standard errors


def test_the_robust_deviation_is_scipys_but_never_below_the_error():
    means = np.random.default_rng(3).normal(1.3, 0.1, 25)
    oracle = scipy.stats.median_abs_deviation(means, scale="normal")
    found = statistics.robust(means, [0.0] * 25)
    assert found == pytest.approx((np.median(means), oracle), rel=1e-4)
    means[:11] += 100.0  # nearly half of them are odd
    assert statistics.robust(means, [0.0] * 25)[1] < 1.0
    assert statistics.robust([1.0, 1.0, 1.2], [0.05, 0.1, 0.2]) == (1.0, 0.1)


def _book(name, mean, keep=True, **changed):
    """A book whose eight samples scatter around a mean by .2 at most."""
    values = [mean + step for step in (-0.2, -0.1, -0.1, 0.0, 0.0, 0.1, 0.1, 0.2)]
    read = [
        {"page": n, "text": f"{name} {HOSTILE}", "bits_per_byte": value}
        for n, value in enumerate(sorted(values, reverse=True), start=1)
    ]
    told = {"words_known": 0.9, "symbols": 0.04, "repeated_lines": 0.0}
    line = {"book": f"book:{name}", "keep": keep, "why": "", "samples": read}
    return line | told | {"language": "English", "statuses": {"ok": 9}} | changed


SHELF = [_book(f"plain-{n}", 1.2 + 0.05 * n) for n in range(6)]


def _odd(shelf):
    return {book["book"][5:]: book["odd"] for book in compared(shelf) if book["odd"]}


def test_broken_smooth_and_foreign_books_stand_apart_and_no_other():
    broken, smooth = _book("broken", 3.0), _book("smooth", 0.3)
    foreign = _book("foreign", 1.4, language="German", words_known=0.1)
    found = _odd([*SHELF, broken, smooth, foreign])
    assert set(found) == {"broken", "smooth", "foreign"}
    assert "above the books' median" in found["broken"][0]
    assert "below the books' median" in found["smooth"][0]
    assert found["foreign"] == [
        "10 % of the words are known",
        "language German, most are English",
    ]
    assert not _odd(SHELF)


def test_the_figures_of_the_rule_are_those_of_numpy():
    found = compared([*SHELF, _book("broken", 3.0)])
    means = [book["bits_per_byte"] for book in found]
    assert means == sorted(means, reverse=True) and means[0] == pytest.approx(3.0)
    middle = np.median(means)
    deviation = scipy.stats.median_abs_deviation(means, scale="normal")
    assert found[0]["deviations"] == pytest.approx((3.0 - middle) / deviation, rel=1e-4)
    low, high = found[0]["usual"]
    assert (low + high) / 2 == pytest.approx(middle)
    assert (high - low) / 2 == pytest.approx(3 * deviation, rel=1e-4)


def test_one_book_or_two_have_nothing_to_compare_with():
    for shelf in (SHELF[:1], [SHELF[0], _book("broken", 3.0, language="German")]):
        for book in compared(shelf):
            assert book["deviations"] is None and book["usual"] is None
            assert not book["odd"]
        assert "nothing to compare" in views.oddities(compared(shelf)).data
    # but a book of which no word is known needs no other
    assert set(_odd([_book("garbled", 3.0, words_known=0.0)])) == {"garbled"}
    assert set(_odd([_book("copies", 1.0, repeated_lines=0.97)])) == {"copies"}


def test_a_dropped_book_is_not_compared_with_and_one_without_text_is_last():
    dropped = [_book(f"dropped-{n}", 3.0, keep=False) for n in range(9)]
    silent = _book("silent", 0.0, samples=[], words_known=0.0)
    found = compared([silent, *dropped, *SHELF])
    assert found[-1]["book"] == "book:silent" and found[-1]["bits_per_byte"] is None
    assert found[-1]["interval"] is None and not found[-1]["odd"]
    assert found[-2]["usual"][1] < 2.0
    single = compared([book | {"samples": book["samples"][:1]} for book in SHELF])
    assert all(book["interval"] is None for book in single)


@pytest.mark.parametrize(
    "spoil, signal",
    [
        (lambda text: text.translate({ord(c): ord(c) + 3 for c in "abcdefghij"}), 0),
        (lambda text: " ".join(text.replace(" ", "")), 0),
        (lambda text: TONGUES["German"] * 9, 0),
        (lambda text: "\n".join(f"{n}.5 {n}.25" for n in range(900)), 0),
        (lambda text: (text[:150] + "\n") * 9, 1),
    ],
    ids=["font map", "letters apart", "German", "numbers", "one page"],
)
def test_text_broken_on_purpose_is_seen_without_a_model(spoil, signal):
    draw = random.Random(5)
    words = [word.strip(".,;?:") for word in TEXT.split()]
    text = " ".join(draw.choice(words) for _ in range(900))
    is_known = {word.lower() for word in words}.__contains__
    plain, broken = (signals(part, is_known) for part in (text, spoil(text)))
    assert not _odd([_book("it", 1.3, **plain)])
    (reason,) = _odd([_book("it", 1.3, **broken)])["it"]
    assert ("of the words are known", "is repeated lines")[signal] in reason


# from files to a decision


@pytest.fixture(name="run")
def make_run(tmp_path):
    """Four books of plain text, one of them of numbers, read into a run's folder."""
    draw = random.Random(7)
    words = [word.strip(".,;?:") for word in TEXT.split()]
    (tmp_path / "shelf").mkdir()
    for name in ("alpha", "beta", "gamma"):
        lines = [" ".join(draw.choices(words, k=60)) + "." for _ in range(12)]
        (tmp_path / "shelf" / f"{name}.txt").write_text("\n\n".join(lines), "utf-8")
    rows = [" ".join(str(draw.random()) for _ in range(9)) for _ in range(40)]
    (tmp_path / "shelf" / "table.txt").write_text("\n".join(rows), "utf-8")
    tiny_model(tmp_path / "base")
    books.catalogue(tmp_path / "shelf", tmp_path / "data" / "books")
    books.extract(tmp_path / "data" / "books")
    return tmp_path


def test_a_decision_is_kept_and_the_table_shows_on_which_figures(run, monkeypatch):
    data, folder = run / "data", run / "data" / "books"
    target = data / "documents" / "books.jsonl.gz"
    before = biopsies(run / "base", folder, 3)
    assert len(before) == 4 and all(len(book["samples"]) == 3 for book in before)
    assert {"book:table"} == {
        book["book"] for book in before if "language unknown" in str(book["odd"])
    }
    values = [s["bits_per_byte"] for s in before[0]["samples"]]
    assert values == sorted(values, reverse=True)
    assert json.loads(json.dumps(before)) == before

    # nothing is read twice, neither in a second run nor after a decision
    monkeypatch.setattr(room, "losses", None)
    assert biopsies(run / "base", folder, 3) == before
    books.decide(folder, "book:table", keep=False, why="numbers, no sentences")
    for _ in range(2):  # the next run, and one more
        books.catalogue(run / "shelf", folder)
        assert books.extract(folder)["books"] == 3
        books.documents(folder, target)
    assert {d.id for d in read_documents(target)} == {
        f"book:{name}" for name in ("alpha", "beta", "gamma")
    }
    after = {book["book"]: book for book in biopsies(run / "base", folder, 3)}
    was = next(book for book in before if book["book"] == "book:table")
    now = after["book:table"]
    assert (now["keep"], now["why"]) == (False, "numbers, no sentences")
    assert now["bits_per_byte"] == was["bits_per_byte"]
    table = views.by_loss(list(after.values())).set_index("book")
    assert not table.loc["book:table", "keep"]
    assert table.loc["book:table", "why"] == "numbers, no sentences"
    assert table.loc["book:table", "bits per byte"] == f"{was['bits_per_byte']:.3f}"
    assert "book:table" not in views.oddities(list(after.values())).data
    shelf = views.shelf(data).set_index("book")
    assert list(shelf["documents"]) == [1, 1, 1, 0]
    assert shelf.loc["book:table", "why"] == "numbers, no sentences"

    books.decide(folder, "book:table", keep=True, why="")
    books.extract(folder)
    assert biopsies(run / "base", folder, 3) == before


def test_a_book_that_was_dropped_before_it_was_read_has_its_line(run):
    folder = run / "data" / "books"
    books.decide(folder, "book:table", keep=False, why="known")
    books.extract(folder)
    found = biopsies(run / "base", folder, 1)
    assert found[-1]["book"] == "book:table" and found[-1]["bits_per_byte"] is None
    line = views.by_loss(found).iloc[-1]
    assert (line["bits per byte"], line["why"]) == ("no text", "known")


def test_books_without_any_text_are_one_sentence(run):
    folder = run / "data" / "books"
    empty = [page | {"text": "", "status": "empty"} for page in _pages(2)]
    write_jsonl(folder / "pages.jsonl.gz", empty)
    with pytest.raises(ValueError, match="has text; see in the catalogue's table"):
        biopsies(run / "base", folder, 2)


# what is shown


def test_the_odd_are_shown_with_their_text_and_it_is_no_markup():
    hostile = _book("broken", 3.0) | {"book": f"book:{HOSTILE}"}
    shown = views.oddities(compared([*SHELF, hostile])).data
    assert "<script" not in shown
    # three samples and the book's name
    assert shown.count("&lt;script&gt;") == 4
    assert "1 of 7 books stand" in shown and "3.20 bits per byte" in shown
    assert "overflow:auto" in shown
    calm = views.oddities(compared(SHELF)).data
    assert "None of 6 books stands apart" in calm and "plain-5" in calm
    smooth = views.oddities(compared([*SHELF, _book("smooth", 0.3)])).data
    assert "page 8, 0.10 bits per byte" in smooth  # the least surprising first


def test_pages_that_were_not_read_are_listed_with_their_reason(tmp_path):
    pages = [page | {"reason": ""} for page in _pages(9)]
    (tmp_path / "books").mkdir()
    write_jsonl(tmp_path / "books" / "pages.jsonl.gz", pages)
    assert views.unread(tmp_path).to_dict("records") == [
        {"book": "every book", "pages": "all", "status": "ok"}
    ]
    for number in (2, 3, 4, 7):
        pages[number - 1] |= {"status": "garbled", "reason": "no letters"}
    write_jsonl(tmp_path / "books" / "pages.jsonl.gz", pages)
    (line,) = views.unread(tmp_path).to_dict("records")
    assert (line["pages"], line["reason"]) == ("2–4, 7", "no letters")


def test_a_page_beyond_the_end_and_a_book_without_pictures(tmp_path):
    line = {"book": "book:notes", "page": 1, "status": "ok", "text": "all of <it>"}
    write_jsonl(tmp_path / "books" / "pages.jsonl.gz", [line])
    entry = {"id": "book:notes", "file": "notes.txt"}
    write_jsonl(tmp_path / "books" / "catalogue.jsonl", [entry])
    shown = views.pages_beside(tmp_path, page=15).data
    assert "all of &lt;it&gt;" in shown and "<img" not in shown
    # of a PDF that is cut short, text may be left and no picture
    (tmp_path / "notes.pdf").write_bytes(b"%PDF-1.7\n")
    entry["file"] = str(tmp_path / "notes.pdf")
    write_jsonl(tmp_path / "books" / "catalogue.jsonl", [entry])
    shown = views.pages_beside(tmp_path, page=1).data
    assert "no picture" in shown and "all of &lt;it&gt;" in shown
    with pytest.raises(ValueError, match="no page of book:other"):
        views.pages_beside(tmp_path, 1, "book:other")


@pytest.mark.parametrize("count", [1, 2, 200])
def test_every_books_pages_are_drawn_to_the_full_length(tmp_path, count):
    draw = random.Random(count)
    kinds = list(plots.STATUSES)
    pages = [
        {"book": f"book:{n}", "page": page, "status": draw.choice(kinds[: 1 + n % 6])}
        for n in range(count)
        for page in range(1, 9)
    ]
    write_jsonl(tmp_path / "pages.jsonl.gz", pages)
    ax = plots.statuses(tmp_path)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == min(count, plots.ROWS)
    ends = Counter()
    for bars in ax.containers:
        for place, bar in enumerate(bars):
            ends[place] += bar.get_width()
    assert all(end == pytest.approx(100) for end in ends.values())
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    counts = Counter(page["status"] for page in pages)
    assert legend == [f"{kind} ({counts[kind]})" for kind in kinds if counts[kind]]
    if count > plots.ROWS:
        assert names[-1] == f"{count - plots.ROWS + 1} others"
    matplotlib.pyplot.close(ax.figure)


@pytest.mark.parametrize("count", [1, 3, 90])
def test_every_sample_is_in_the_histogram_and_the_odd_have_rows(count):
    shelf = [_book(f"plain-{n}", 1.2 + 0.002 * n) for n in range(count)]
    found = compared([*shelf, _book("broken", 3.0), _book("gone", 3.0, keep=False)])
    top, below = plots.biopsies(found)
    assert sum(bar.get_height() for bar in top.patches[: 8 * count + 8]) >= 8 * count
    names = [label.get_text() for label in below.get_yticklabels()]
    assert names[0] == "broken" and "gone" not in names
    assert len(names) == min(count + 1, plots.ROWS)
    assert "bits per byte" in below.get_xlabel()
    assert ("too few books" in below.get_xlabel()) == (count + 1 < room.FEWEST)
    matplotlib.pyplot.close(top.figure)
