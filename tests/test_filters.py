"""Each rule of the filter on either side of its threshold, and on junk that has to fall."""

import pytest

from benchmarks.rules import junk
from cosmosage.corpus import filters
from cosmosage.corpus.cleaning import clean
from cosmosage.corpus.filters import Page, licence, quality
from cosmosage.documents import Document
from tests.test_corpus import prose

CC_BY = "http://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    "rule, falls, stays",
    [
        (filters.too_short, prose(1, 49), prose(1, 50)),
        (filters.too_short, "$" + prose(1, 400) + "$ few words", prose(1, 400)),
        (filters.too_few_letters, "67.4 " * 41 + "a " * 59, "67.4 " * 40 + "a " * 60),
        (filters.not_english, "the " * 7 + "x " * 93, "the " * 8 + "x " * 92),
        (
            filters.unread_tex,
            r"\cite{a} " * 3 + "x " * 97,
            r"\cite{a} " * 2 + "x " * 98,
        ),
        (
            filters.unread_tex,
            r"see~\ref " * 3 + "x " * 9,
            r"$\alpha x$ " * 9 + "x 1\\2 " * 9,
        ),
        (filters.repeats_itself, prose(3, 100) + " " + prose(3, 44), prose(3, 200)),
    ],
)
def test_a_rule_falls_at_its_threshold(rule, falls, stays):
    assert rule(Page(falls)) and rule(Page(stays)) is None


def test_repeated_words_are_counted_by_hand():
    # 30 of 100 words stand in ten-word spans that occurred before: at the threshold
    text = prose(3, 70)
    again = " ".join(text.split()[:30])
    assert filters.repeats_itself(Page(f"{text} {again}")) is None
    more = " ".join(text.split()[:31])
    assert "0.31 of the words" in filters.repeats_itself(Page(f"{text} {more}"))


def test_every_kind_of_junk_falls():
    text = prose(5, 3000)
    assert quality(text) is None
    fates = {kind: quality(clean(each)) for kind, each in junk([text]).items()}
    assert {kind for kind, fate in fates.items() if fate is None} == set()
    assert len({reason for reason, _ in fates.values()}) == len(filters.RULES)


def test_a_public_model_takes_what_may_be_handed_on():
    free = Document(id="a", text="", source="arxiv", licence=CC_BY)
    bound = Document(
        id="b",
        text="",
        source="arxiv",
        licence="http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
    )
    unknown = Document(id="c", text="", source="books")
    for document in (free, bound, unknown):
        assert licence(document, "study") is None
    assert licence(free, "public") is None
    assert licence(bound, "public")[1].startswith("arXiv's non-exclusive licence")
    assert licence(unknown, "public") == (
        "licence",
        "not told; a public model takes what may be handed on and changed",
    )
