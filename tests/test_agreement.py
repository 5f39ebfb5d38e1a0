"""Answers that mean the same, as a person sorted them."""

import pytest

from cosmosage.agreement import abstains, agreement, same_meaning

AGE = "How old is the universe?"
FAR = "How large is the sound horizon at z = 1060?"
SOUND = "Why do the baryons decouple later than the photons?"


@pytest.mark.parametrize(
    "question, one, other, same",
    [
        (AGE, "13.8 billion years", "The universe is 13.8 Gyr old.", True),
        (AGE, "13.8 billion years", "About 20 billion years", False),
        (AGE, "It is 13.8 billion years", "Nobody has measured it", False),
        (
            SOUND,
            "There are over a billion photons for each baryon",
            "Each baryon faces a billion photons",
            True,
        ),
        (
            SOUND,
            "There are over a billion photons for each baryon",
            "Helium stays ionised until the drag epoch ends",
            False,
        ),
        # numbers of one kind are compared, and none of the question's
        (FAR, "At z = 1060 it is 147 Mpc", "147 Mpc", True),
        (FAR, "At z = 1060 it is 147 Mpc", "At z = 1060 it is 100 Mpc", False),
        (FAR, "With w = -1 it is 147 Mpc", "It is 0.147 Gpc, the 3rd", True),
        (FAR, "100 Mpc or 147 Mpc", "147 Mpc", False),
        (FAR, "147 Mpc", "147", True),
        (FAR, "147 Mpc", "10 million years", False),
        ("Is it 3 ohm or 6 ohm?", "3 ohm", "6 ohm", False),
        ("Is it 3 ohm or 6 ohm?", "3 ohm", "It is 3 ohm", True),
        # plurals and function words tell nothing apart
        (SOUND, "Photons outnumber protons", "The photon outnumbers a proton", True),
        (SOUND, "I do not know.", "The passages do not hold the answer.", True),
        (SOUND, "I do not know.", "Helium stays ionised.", False),
        # whoever denies, or says the opposite, says something else
        (
            SOUND,
            "Dark energy drives the expansion",
            "Dark energy does not drive the expansion",
            False,
        ),
        (SOUND, "It couldn’t cool", "It could cool", False),
        (SOUND, "No, it is not cold", "It is not cold", True),
        (SOUND, "Not only baryons cool", "Baryons cool", True),
        (SOUND, "The curvature is positive", "The curvature is negative", False),
        (SOUND, "It increases with time", "It decreases with time", False),
        (SOUND, "The gas is hotter inside", "The gas is hotter outside", False),
        (SOUND, "Helium forms before stars", "Helium forms after stars", False),
        (AGE, "It grew by 5 Mpc", "It shrank by 5 Mpc", False),
        (SOUND, "From early to late times it grows", "Late and early it grows", True),
        # the order of words is not looked at
        (SOUND, "Galaxies form before clusters", "Clusters form before galaxies", True),
    ],
)
def test_meaning(question, one, other, same):
    for pair in ((one, other), (other, one)):
        assert same_meaning(question, *pair) is same


def test_the_largest_group_speaks():
    found = agreement(
        AGE,
        ["13.8 Gyr", "20 Gyr", "13.7 billion years", "14 Gyr or so", "I don’t know"],
    )
    assert found.groups == ((0, 2, 3), (1,), (4,)) and found.k == 5
    assert found.silent == (False, False, True) and found.largest == (0, 2, 3)
    assert found.share == 0.6 and str(found) == "3 of 5 agree"


def test_silence_speaks_for_no_answer():
    found = agreement(AGE, ["I don't know", "", "13.8 Gyr", "The answer is:", "20 Gyr"])
    assert found.groups == ((0, 1, 3), (2,), (4,)) and found.largest == (2,)
    assert found.share == 0.2 and str(found) == "no two of 5 agree"
    found = agreement(AGE, ["I don't know", ""])
    assert found.share == 0 and not found.largest
    assert str(found) == "none of them gives an answer"


def test_one_answer_and_none():
    assert str(agreement(AGE, ["13.8 Gyr"])) == "a single answer"
    found = agreement(AGE, [])
    assert (found.k, found.share, str(found)) == (0, 0.0, "no answers")


def test_silence():
    assert abstains(" ... ") and abstains("This cannot be determined.")
    assert abstains("The answer is:") and abstains("Answer to this question is ...")
    assert not abstains("The density is not negative.") and not abstains("No.")
    assert not abstains("The answer is 4.")


@pytest.mark.parametrize(
    "answer",
    [
        "No answer",
        "I have no idea",
        "Unknown.",
        "The answer is: unknown",
        "n/a",
        "N.A.",
        "Not enough information",
        "There is not enough information to say.",
        "The text does not provide this",
        "The excerpts don't mention it",
        "I do not have that information",
        "I can't be sure",
        "At z = 1060 the size is not known.",
        "I do not know whether it is 147 Mpc",
        "I don't know, but I can look it up.",
        "The passages give some reasons, but the cause is unknown",
    ],
)
def test_an_answer_that_gives_none(answer):
    assert abstains(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The nature of dark matter is unknown, but its density parameter is 0.27",
        "Its density parameter is 0.27; its nature is unknown.",
        "It is not known exactly; 147 Mpc",
        "I do not know, 147 Mpc",
        "I am not sure, but the baryons",
        "The passages do not say so. However, the baryons decouple later.",
        "An unknown particle",
        "It loses no information",
        "None",
    ],
)
def test_an_answer_that_goes_on_gives_one(answer):
    assert not abstains(answer)
