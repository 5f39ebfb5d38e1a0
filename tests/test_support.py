"""Sentences cut as a person would, and marked as a person would mark them."""

import random

import pytest

from cosmosage.retrieval import Passage
from cosmosage.support import ENOUGH, sentences, share, unsupported

FACTS = Passage(
    document="arxiv:1v1",
    number=0,
    text=(
        "For Planck-like parameters the comoving sound horizon at the drag epoch is "
        "$r_d = 147.1\\,\\mathrm{Mpc}$, about two per cent more than at last scattering. The "
        "survey holds 1,000 galaxies at redshifts between 0.2 and 0.7, with $H_0 = 67.4$ km/s/Mpc."
    ),
    score=1.0,
    title="A note on baryon acoustic oscillations",
)
OTHER = Passage(
    document="arxiv:2v1",
    number=3,
    text="Cepheids calibrate the luminosity of supernovae and give 73 km/s/Mpc.",
    score=0.5,
)


def only(found: list):
    """The single one of a list."""
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("", []),
        (" \n\n ", []),
        ("See Riess et al. 2022. It is 73.", ["See Riess et al. 2022.", "It is 73."]),
        ("Riess et al. (2022) say so, cf. Fig. 3 and Sec. 4.2.1 of it.", None),
        ("Light, e.g. Lyman-alpha, i.e. UV, is absorbed vs. Emitted.", None),
        ("Eq. (3) holds, as E. Hubble and Dr. Leavitt knew.", None),
        ("It is 67.4 km/s. And 1.5 more.", ["It is 67.4 km/s.", "And 1.5 more."]),
        ("We set $a = 1. Then b$ holds.", None),
        ("So $$x = 1.\nY = 2.$$ follows.", None),
        ("It is $x$. $y$ is not.", ["It is $x$.", "$y$ is not."]),
        ("It costs \\$5. And \\$6.", ["It costs \\$5.", "And \\$6."]),
        ("He said (yes.) Then left.", ["He said (yes.)", "Then left."]),
        ('It "stopped." Then (no).', ['It "stopped."', "Then (no)."]),
        ("Wait... What?! No.", ["Wait...", "What?!", "No."]),
        ("A line\nand another", ["A line", "and another"]),
        ("- One. Two.\n- three\n", ["One.", "Two.", "three"]),
        ("1. First is 3.5 Mpc.\n2) second", ["First is 3.5 Mpc.", "second"]),
        (
            "# Results\n> quoted. Text",
            ["Results", "quoted. Text"][:1] + ["quoted.", "Text"],
        ),
        (
            "The redshift is z. The rest follows.",
            ["The redshift is z.", "The rest follows."],
        ),
        ("It ends in space.  \r\n\r\nNew.", ["It ends in space.", "New."]),
    ],
)
def test_sentences_end_where_a_person_ends_them(text, wanted):
    found = sentences(text)
    told = [sentence.text for sentence in found]
    assert told == ([text] if wanted is None else wanted)
    for sentence in found:
        assert text[sentence.start : sentence.end] == sentence.text


@pytest.mark.parametrize("seed", range(20))
def test_sentences_hold_every_word_once_and_in_order(seed):
    draw = random.Random(seed)
    parts = [
        "et al.",
        "Fig.",
        "3.5",
        "$x. Y$",
        "$",
        "$$",
        ".",
        "!",
        "\n",
        "- ",
        "A",
        "b",
        "\\",
    ]
    text = "".join(draw.choice(parts) + draw.choice(["", " "]) for _ in range(300))
    found = sentences(text)
    ends = [0, *(end for each in found for end in (each.start, each.end)), len(text)]
    assert ends == sorted(ends) and all(each.text.strip() for each in found)
    between = (text[first:last] for first, last in zip(ends[::2], ends[1::2]))
    assert not any(set(piece) & set("Abxe") for piece in between)


def test_hostile_text_is_cut_as_any():
    for text in (
        "." * 50_000,
        "$" * 5_000,
        ". A" * 20_000,
        "- " * 20_000,
        "\x00\ud800. A",
    ):
        assert all(text[s.start : s.end] == s.text for s in sentences(text))
        assert isinstance(unsupported(text, [FACTS]), list)


@pytest.mark.parametrize(
    "text",
    [
        "At the drag epoch the sound horizon is 147.1 Mpc [1].",
        "The comoving sound horizon is 0.1471 Gpc [1, 2].",
        "The sound horizon at last scattering is smaller by about 2 per cent.",
        "The survey holds 1000 galaxies.",
        "The survey holds $1{,}000$ galaxies at redshifts of 0.20 to 0.70.",
        "$H_0 = 67.40$ km/s/Mpc.",
        "$r_d = 147.1$ Mpc",
        "Cepheids calibrate supernovae [2].",
        "A note on baryon acoustic oscillations says so.",
        # what says nothing of the subject is neither
        "Yes. I hope this helps! Let me know.",
        "The passages do not say how old it is.",
        "",
        "Hello! How can I help you today? You're welcome!",
        "However,",
        "See also [1] and [2].",
        # nor is what only asks, heads or announces
        "Question: How old are quasars?\nCepheids calibrate supernovae.",
        '"How old are quasars?"',
        "# Overview\n**Key points**\n\n- **Quasars:**\nCepheids calibrate supernovae.",
        "The main properties are:\n1. Cepheids calibrate supernovae.",
    ],
)
def test_what_a_passage_says_is_not_marked(text):
    assert not unsupported(text, [FACTS, OTHER])


@pytest.mark.parametrize(
    "text",
    [
        "At the drag epoch the sound horizon is 149.1 Mpc [1].",
        "The comoving sound horizon is 147.1 Gpc.",
        "The comoving sound horizon is 147.1 kpc at the drag epoch.",
        "The survey holds 10,000 galaxies.",
        "Neutrinos oscillate between flavours as they travel.",
        "$\\Omega_\\Lambda = \\frac{\\Lambda c^2}{3 H^2}$",
        # half from one passage and half from another
        "Cepheids calibrate the comoving sound horizon, supernovae luminosity galaxies.",
        "It is 42.",
        # made up in what looks like a heading or an announcement
        "**Neutrinos oscillate between three flavours as they travel**",
        "Neutrinos oscillate between flavours as they travel through the Sun:",
        "**The Hubble constant is 70**",
        "**Quasars shine.**",
    ],
)
def test_what_no_passage_says_is_marked(text):
    sentence = only(unsupported(text, [FACTS, OTHER]))
    assert sentence.text == text
    assert unsupported(text, []) == [sentence]


def test_only_the_sentence_is_marked_that_is_made_up():
    text = (
        "Yes. The sound horizon is 147.1 Mpc [1].\n"
        "- Quasars power it by accretion. Cepheids calibrate supernovae."
    )
    sentence = only(unsupported(text, [FACTS, OTHER]))
    assert sentence.text == "Quasars power it by accretion."
    assert text[sentence.start : sentence.end] == sentence.text


def test_the_share_is_that_of_the_words():
    passage = Passage("d", 0, "galaxies form in halos", 0.0, "On voids")
    assert share("Galaxies form", passage) == 1.0
    assert share("galaxy halo void cluster", passage) == 0.75
    assert share("Galaxies form 3 stars", passage) == 0.0
    assert share("3", Passage("d", 0, "three stars", 0.0)) == 1.0
    assert 0.5 < ENOUGH < 0.75
