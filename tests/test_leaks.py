"""Questions that hold their answer in other words."""

import pytest

from cosmosage.pairs.checks import fault

PASSAGE = (
    "Planck measured a Hubble constant of 67.4 km/s/Mpc from the cosmic microwave background. "
    "The sound horizon at recombination is 147 Mpc. "
    "Pulsars are rapidly rotating neutron stars."
)
PLANCK, HORIZON, PULSARS = (f"{part.strip(' .')}." for part in PASSAGE.split(". "))


@pytest.mark.parametrize(
    "question, answer, quote",
    [
        (
            "What is the 67.4 km/s/Mpc value of the Hubble constant that Planck measures?",
            "Planck measured 67.4 km/s/Mpc.",
            PLANCK,
        ),
        (
            "What is the sound horizon at recombination (147 Mpc)?",
            "A length of 147 Mpc at the recombination",
            HORIZON,
        ),
        (
            "Which neutron stars rotate rapidly and are called pulsars?",
            "Pulsars are rapidly rotating neutron stars.",
            PULSARS,
        ),
    ],
)
def test_an_answer_in_the_words_of_its_question_is_unfit(question, answer, quote):
    assert fault(question, answer, quote, PASSAGE) == "question leaks the answer"


@pytest.mark.parametrize(
    "question, answer, quote",
    [
        ("What Hubble constant did Planck measure?", "Planck: 67.4 km/s/Mpc", PLANCK),
        (
            "From what did Planck measure the Hubble constant?",
            "It measured it from the cosmic microwave background.",
            PLANCK,
        ),
        ("How long is the sound horizon at recombination?", "147 Mpc long", HORIZON),
        ("What stars are pulsars?", "Pulsars are rotating neutron stars.", PULSARS),
        (
            "Which neutron stars are called pulsars?",
            "Those that are rotating rapidly",
            PULSARS,
        ),
    ],
)
def test_an_answer_that_adds_to_its_question_is_fit(question, answer, quote):
    assert fault(question, answer, quote, PASSAGE) is None
