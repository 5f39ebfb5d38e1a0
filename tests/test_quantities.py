"""Numbers of running text and TeX, as a person would read them."""

import time

import pytest

from cosmosage.quantities import Quantity, numbers, quantities


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
        ("4 ohm", 4, "Ohm"),
        # powers of ten
        ("$10^{12}\\,M_\\odot$", 1e12, "solMass"),
        ("10$^{12}$ M$_\\odot$", 1e12, "solMass"),
        ("10^12 M_sun", 1e12, "solMass"),
        ("10¹² M☉", 1e12, "solMass"),
        ("$2\\times10^{12}\\,h^{-1}M_{\\odot}$", 2e12, "solMass / h"),
        ("10^{12.5} solar masses", 10**12.5, "solMass"),
        ("10^{-5}", 1e-5, None),
        ("10**6 K", 1e6, "K"),
        ("1.4 x 10^-3", 1.4e-3, None),
        ("(1.4 ± 0.2) × 10⁻³ eV", 1.4e-3, "eV"),
        ("a share of 6.1 x 10-10", 6.1e-10, None),  # as it comes out of a PDF
        # errors
        ("67.4 \\pm 0.5 km/s/Mpc", 67.4, "km / (Mpc s)"),
        ("(67.4 +/- 0.5) km/s/Mpc", 67.4, "km / (Mpc s)"),
        ("67.4(5) km/s/Mpc", 67.4, "km / (Mpc s)"),
        ("$67.4^{+0.5}_{-0.4}$ km/s/Mpc", 67.4, "km / (Mpc s)"),
        ("67.4 plus or minus 0.5 km per second per megaparsec", 67.4, "km / (Mpc s)"),
        # numbers
        ("30,000", 30_000, None),
        ("30\\,000 light-years", 30_000, "lyr"),
        ("370 000 years", 370_000, "yr"),
        ("-0.5", -0.5, None),
        ("w = −1", -1, None),
        ("minus one", -1, None),
        (r"\textcolor{red}{5}\,Mpc", 5, "Mpc"),
        ("At exactly 5/4", 1.25, None),
        ("$\\frac{1}{3}$", 1 / 3, None),
        ("10-20 Mpc", 10, "Mpc"),
        # units
        ("13.8 Gyr", 13.8, "Gyr"),
        ("147\\,\\mathrm{Mpc}", 147, "Mpc"),
        ("100 $h^{-1}$ Mpc", 100, "Mpc / h"),
        ("11 erg/s cm^2 Hz^-1", 11, "erg / (Hz s cm2)"),
        ("112 neutrinos per cm^3", 112, "1 / cm3"),
        ("21-cm line", 21, "cm"),
        ("30 cm in front of it", 30, "cm"),
        ("30 cm - A long way", 30, "cm"),
        ("3 A in each of them", 3, "A"),
        ("it was 5 ... or 6", 5, None),
    ],
)
def test_a_number_and_its_unit(text, value, unit):
    first = next(quantities(text))
    assert first.value == pytest.approx(value)
    assert first.unit == unit


@pytest.mark.parametrize(
    "text, values",
    [
        ("H0 and SN1987A, sigma8 of 0.8, 3 of them", [0.8, 3]),
        ("3C273 in 2MASS and 6dF, the 2s state, the 3rd in 3D", []),
        ("$(1+z)^2$ and $(1-\\beta\\mu^2)^{-4}$, r/8, $2^n$", []),
        ("1e999999 10^999999 10^{999.5} 5/0", []),
        ("1e-999999 and 9e307 million", []),
    ],
)
def test_numbers_in_names_and_formulas_are_none(text, values):
    assert [q.value for q in quantities(text)] == values


@pytest.mark.parametrize(
    "text, expected",
    [
        ("10 to 20 per cent", [(10, "%", 20)]),
        ("between 10 and 20 million years", [(10e6, "yr", 20e6)]),
        ("between -1.1 and -0.9", [(-1.1, None, -0.9)]),
        ("100 Mpc to 0.2 Gpc", [(100, "Mpc", 200)]),
        ("10--20 Mpc", [(10, "Mpc", 20)]),
        ("100 or 147 Mpc", [(100, "Mpc", None), (147, "Mpc", None)]),
        ("1000 to 1 million", [(1000, None, 1e6)]),
        ("z = 3 and 147 Mpc", [(3, None, None), (147, "Mpc", None)]),
    ],
)
def test_a_range_is_one_quantity(text, expected):
    assert list(quantities(text)) == [
        Quantity(pytest.approx(low), unit, high and pytest.approx(high))
        for low, unit, high in expected
    ]


@pytest.mark.parametrize(
    "text, found",
    [
        (r"$H_0 = 67.4 \pm 0.5\,{\rm km\,s^{-1}}\,{\rm Mpc}^{-1}$", {67.4, 0.5}),
        ("67.4 km s^-1 Mpc$^{-1}$ or 67.4km/s", {67.4}),
        (r"$2\times10^{5}$", {2, 10, 5}),
        ("2 x 10^5, 2x10^5 and 2 × 10^5", {2, 10, 5}),
        (r"10,000 or $10\,000$ or 10{,}000", {10_000}),
        ("0.30 and .3", {0.3}),
        ("the H0 of SN1987A at z^2", set()),
        (r"$x_{2}$ or $x_2 \lesssim70$, \alpha^{2}", {70}),
        ("370 000 years, 10⁵ K, minus three", {370_000, 10, 5, 3}),
        (r"$\frac{2\pi^2}{45}\,g\,T^{4}$ and $\frac{2}{3H_0}$", {2, 45, 3}),
        (r"$f = \Omega^{0.55}$ of the burning to $^{4}$He", {0.55, 4}),
    ],
)
def test_numbers_are_the_same_in_tex_and_in_words(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "{", "1/", "10^", "1 x 10", "5 ± ", "1_", "_{", " ", "5 km ", "1,000"]
    + ["3 (", "m/", "-", "\\", "1.", "(1", "e9", "1km", "^+1_-1", "1 to ", "$", "−"],
)
def test_hostile_text_takes_a_time_that_grows_with_its_length(piece):
    """100 kB in seconds: quadratic expressions took minutes."""
    before = time.process_time()
    for read in (quantities, numbers):
        list(read("1 " + piece * (100_000 // len(piece))))
    assert time.process_time() - before < 20


def test_kinds_of_quantities():
    age = Quantity(13.8e9, "yr")
    assert age.matches(Quantity(13.9, "Gyr"))
    assert not age.matches(Quantity(15, "Gyr"))
    assert not age.matches(Quantity(13.8e9, "Mpc"))
    assert not age.matches(Quantity(13.8e9))
    assert Quantity(0.0).matches(Quantity(0.01))
