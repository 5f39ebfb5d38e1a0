"""Written answers, graded as a person would."""

import pytest

from cosmosage.evaluation import written

FAR = "How large is the sound horizon at z = 1060?"
LAMBDA = "At which redshift did the acceleration begin for a density of 0.315?"
OHMS = "What do resistors of 6 ohm and 3 ohm in parallel resist?"


@pytest.mark.parametrize(
    "question, gold, answer, right",
    [
        (FAR, "About 147 Mpc", "It is 0.147 Gpc in such a model", True),
        (FAR, "About 147 Mpc", "It is 180 Mpc, or 147 Mpc", False),
        (FAR, "About 147 Mpc", "147 Mpc or 150 Mpc", False),
        (FAR, "About 147 Mpc", "150 or 147 Mpc", False),
        (FAR, "About 147 Mpc", "147 Mpc, that is 479 million light-years", True),
        (FAR, "About 147 Mpc", "147 Mpc; the peak at 220 is one degree", True),
        (FAR, "About 147 Mpc", "between 145 and 149 Mpc", True),
        (FAR, "About 147 Mpc", "between 100 and 200 Mpc", False),
        (FAR, "About 147 Mpc", "At z = 1060 it is 147 Mpc", True),
        (FAR, "About 147 Mpc", "It is large", False),
        (FAR, "About 147 Mpc", "I do not know whether it is 147 Mpc", False),
        (FAR, "147 or 150 Mpc", "147 or 150 Mpc", True),
        (FAR, "2 ohm", "2", False),
        (FAR, "147", "147 Mpc", False),
        (FAR, "Near 0.63", "z of 0.64", True),
        (FAR, "At exactly 5/4", "5/3", False),
        (FAR, "10 to 20 per cent", "about 15 per cent", True),
        (FAR, "10 to 20 per cent", "10 to 20 per cent", True),
        (FAR, "10^{12} M_\\odot", "10 solar masses", False),
        (FAR, "10^{12} M_\\odot", "a trillion, 1e12 solar masses", True),
        (FAR, "The baryons", "147", None),
        # numbers of the question
        (LAMBDA, "Near 0.63", "For 0.315 it is 0.63", True),
        (LAMBDA, "Near 0.63", "0.315", False),
        (OHMS, "2 ohm", "6 ohm and 3 ohm give 2 ohm", True),
        (OHMS, "2 ohm", "3 ohm", False),
        ("Is it 10 Mpc or 20 Mpc?", "20 Mpc", "20 Mpc", True),
        ("Is it 10 Mpc or 20 Mpc?", "20 Mpc", "10 Mpc", False),
        ("Is it 10 Mpc or 20 Mpc?", "20 Mpc", "10 or 20 Mpc", False),
    ],
)
def test_a_numeric_answer(question, gold, answer, right):
    assert written.numeric(question, gold, answer) is right


def test_words_in_common():
    assert written.overlap("The dark energy", "dark energy!") == 1
    assert written.overlap("dark energy", "dark matter") == 0.5
    assert written.overlap("dark energy", "") == 0
    assert written.score("What is it?", "The CMB.", "the cmb") == {
        "exact": True,
        "overlap": 1.0,
        "numeric": None,
    }


@pytest.mark.parametrize(
    "gold, answer, exact",
    [
        ("-1", "1", False),
        ("w = -1", "w = 1", False),
        ("-1", "−1", True),
        ("1e-5", "1e5", False),
        ("$10^{-5}$", "$10^5$", False),
        ("$10^{-5}$", "10⁻⁵", True),
        ("10^{12}", "10 12", False),
        ("10-20 Mpc", "10-20 Mpc.", True),
        ("∞", "", False),
        ("∞", "∞", True),
        ("?", "", False),
        ("2.5", "25", False),
    ],
)
def test_the_same_words_and_the_same_numbers(gold, answer, exact):
    found = written.score("What is it?", gold, answer)
    assert found["exact"] is exact and (found["overlap"] == 1) is exact
