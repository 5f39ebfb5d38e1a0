"""Numbers and words of answers, as a person would read them."""

import pytest

from cosmosage.evaluation import written
from cosmosage.evaluation.quantities import Quantity, quantities


@pytest.mark.parametrize(
    "text, value, unit",
    [
        ("about 147 Mpc at the drag epoch", 147, "Mpc"),
        ("67.4 km/s/Mpc", 67.4, "km / (Mpc s)"),
        ("67.4 km s^-1 Mpc^-1, says Planck", 67.4, "km / (Mpc s)"),
        ("$67.4\\pm0.5\\,\\mathrm{km\\,s^{-1}\\,Mpc^{-1}}$", 67.4, "km / (Mpc s)"),
        ("13.8 billion years", 13.8e9, "yr"),
        ("5.5 million years.", 5.5e6, "yr"),
        ("$1.2\\times10^{-5}$ eV", 1.2e-5, "eV"),
        ("3e8 m/s", 3e8, "m / s"),
        ("by 3 per cent", 3, "%"),
        ("-40 degrees", -40, "deg"),
        ("2.7255 K", 2.7255, "K"),
        ("370,000 years", 370_000, "yr"),
        ("at z = 1060 as the drag ends", 1060, None),
        ("$10^{12}\\,M_\\odot$", 10, None),
        ("4 ohm", 4, "Ohm"),
        ("it was 5 ... or 6", 5, None),
    ],
)
def test_a_number_and_its_unit(text, value, unit):
    first = next(quantities(text))
    assert first.value == pytest.approx(value)
    assert first.unit == unit


def test_numbers_in_words_are_none():
    assert [
        q.value for q in quantities("H0 and SN1987A, sigma8 of 0.8, 3 of them")
    ] == [
        0.8,
        3,
    ]


def test_kinds_of_quantities():
    age = Quantity(13.8e9, "yr")
    assert age.matches(Quantity(13.9, "Gyr"))
    assert not age.matches(Quantity(15, "Gyr"))
    assert not age.matches(Quantity(13.8e9, "Mpc"))
    assert not age.matches(Quantity(13.8e9))
    assert Quantity(0.0).matches(Quantity(0.01))


@pytest.mark.parametrize(
    "gold, answer, right",
    [
        ("About 147 Mpc", "It is 0.147 Gpc in such a model", True),
        ("About 147 Mpc", "It is 180 Mpc, or 147 Mpc", False),
        ("About 147 Mpc", "At z = 1060 it is 147 Mpc", True),
        ("About 147 Mpc", "It is large", False),
        ("2 ohm", "2", False),
        ("Near 0.63", "z of 0.64", True),
        ("The baryons", "147", None),
    ],
)
def test_a_numeric_answer(gold, answer, right):
    assert written.numeric(gold, answer) is right


def test_words_in_common():
    assert written.overlap("The dark energy", "dark energy!") == 1
    assert written.overlap("dark energy", "dark matter") == 0.5
    assert written.overlap("dark energy", "") == 0
    assert written.score("The CMB.", "the cmb") == {
        "exact": True,
        "overlap": 1.0,
        "numeric": None,
    }
