"""The numbers of the sample's textbook, computed a second time.

The book's own numbers came from adaptive integration and an integrated growth equation;
here quadrature is Gauss-Legendre, growth is Heath's integral and the constants are CODATA's,
written out. A row holds a chapter, words of it with the number between ``<`` and ``>``, the
value and how far the printed number may lie from it: half of its last digit, or more where
the book says "about".
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

CHAPTERS = Path(__file__).parent.parent / "sample" / "book" / "source"

# CODATA 2018 and IAU 2015, SI units
C, G, K_B, H_BAR = 299792458.0, 6.67430e-11, 1.380649e-23, 1.054571817e-34
EV, M_P, M_E, A_RAD = 1.602176634e-19, 1.67262192e-27, 9.1093837e-31, 7.565733e-16
SIGMA_T, AU, MPC, GYR = 6.6524587e-29, 1.495978707e11, 3.0856775815e22, 3.15576e16
SUN = 1.98841e30
MEV = 1e6 * EV
ARCSEC = math.pi / 180 / 3600

# the book's reference model
HUBBLE, OM, OB_H2, T0, N_EFF, SIGMA8 = 0.674, 0.315, 0.0224, 2.7255, 3.044, 0.811
H0 = HUBBLE * 1e5 / MPC
RHO_C = 3 * H0**2 / (8 * math.pi * G)
OG = A_RAD * T0**4 / C**2 / RHO_C
OR = OG * (1 + 7 / 8 * (4 / 11) ** (4 / 3) * N_EFF)
OL = 1 - OM - OR
OB = OB_H2 / HUBBLE**2
N_GAMMA = 2 * 1.2020569 / math.pi**2 * (K_B * T0 / H_BAR / C) ** 3
N_B = OB * RHO_C / M_P
D_H = C / H0 / MPC
Z_STAR, Z_DRAG = 1089.9, 1060.0

NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def integral(function, low, high):
    """Gauss-Legendre quadrature of a function of an array."""
    half = (high - low) / 2
    return half * float(WEIGHTS @ function(low + half * (NODES + 1)))


def rate(z):
    """H/H0 at a redshift."""
    return np.sqrt(OR * (1 + z) ** 4 + OM * (1 + z) ** 3 + OL)


def comoving(z):
    """Comoving distance in Mpc."""
    return D_H * integral(lambda y: np.exp(y) / rate(np.expm1(y)), 0.0, math.log1p(z))


def age(z):
    """Age in Gyr; the substitution y = ln(1+z) ends where the rest is 1e-12 of it."""
    return integral(lambda y: 1 / rate(np.expm1(y)), math.log1p(z), 32.0) / H0 / GYR


def sound_horizon(z):
    """Comoving sound horizon in Mpc."""
    loading = 3 * OB / (4 * OG)

    def speed(y):
        return 1 / np.sqrt(3 * (1 + loading * np.exp(-y)))

    return D_H * integral(
        lambda y: speed(y) * np.exp(y) / rate(np.expm1(y)), math.log1p(z), 32.0
    )


def conformal(z):
    """Particle horizon at a redshift, comoving Mpc."""
    return D_H * integral(lambda y: np.exp(y) / rate(np.expm1(y)), math.log1p(z), 32.0)


def growth(z):
    """Heath's integral, D/a -> 1 early on; matter and a constant only."""

    def late(a):
        return np.sqrt(OM / a**3 + 1 - OM)

    a = 1 / (1 + z)
    return 2.5 * OM * late(a) * integral(lambda x: (x * late(x)) ** -3, 0.0, a)


def saha(z):
    """Ionised fraction of hydrogen in equilibrium, helium being neutral."""
    t = K_B * T0 * (1 + z)
    n_h = 0.755 * N_B * (1 + z) ** 3
    s = (M_E * t / (2 * math.pi * H_BAR**2)) ** 1.5 * math.exp(-13.6057 * EV / t) / n_h
    return 2 / (1 + math.sqrt(1 + 4 / s))


def root(function, low, high):
    """Bisection."""
    sign = function(low) > 0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if (function(middle) > 0) == sign else (low, middle)
    return low


def clock(mev, g_star):
    """Age in s at a temperature in MeV."""
    rho = math.pi**2 / 30 * g_star * (mev * MEV) ** 4 / (H_BAR * C) ** 3 / C**2
    return 0.5 / math.sqrt(8 * math.pi * G * rho / 3)


def modulus(distance):
    """Distance modulus of a luminosity distance in Mpc."""
    return 5 * math.log10(distance) + 25


def virial(mass):
    """Radius in Mpc and circular speed in km/s of a halo of 200 times the critical density."""
    radius = (mass * SUN / (4 / 3 * math.pi * 200 * RHO_C)) ** (1 / 3)
    return radius / MPC, math.sqrt(G * mass * SUN / radius) / 1e3


def recoil(particle, nucleus):
    """Largest recoil in keV at 220 km/s; masses in GeV."""
    reduced = particle * nucleus / (particle + nucleus)
    return 2 * reduced**2 * (2.2e5 / C) ** 2 / nucleus * 1e6


Z_TURN = root(lambda z: (1 + z) / D_H / rate(z) * D_H**2 - comoving(z), 1.0, 2.0)
EVENT = D_H * integral(lambda a: 1 / np.sqrt(OR + OM * a + OL * a**4), 0.0, 1.0)
FUTURE = D_H * integral(lambda x: 1 / rate(x - 1), 0.0, 1.0)
# where the rotation curve of ln(1+x) - x/(1+x) is flat
NFW_PEAK = root(lambda x: (x / (1 + x)) ** 2 - math.log1p(x) + x / (1 + x), 1.0, 4.0)
Z_HALF = root(lambda z: saha(z) - 0.5, 1200.0, 1600.0)
MATTER = OM * RHO_C * MPC**3 / SUN
TEMPERATURE_STAR = K_B * T0 * (1 + Z_STAR) / EV
LENS = (comoving(2) - comoving(0.3)) / comoving(2)
DECADE = H0 * 10 * 3.15576e7 * C * 100  # cm/s per decade and unit of drift/H0

ROWS = [
    ("01", r"at $z = 7$ at $<972.5>$~nm", 121.567 * 8, 0.05),
    ("01", r"the background radiation had $<10.9>\K$", 4 * T0, 0.05),
    ("01", r"a galaxy at $100\Mpc$ recedes at $<6740>\kms$", 100 * HUBBLE * 100, 5),
    ("01", r"h^{-1}\Gyr = <14.5>\Gyr", 1 / H0 / GYR, 0.05),
    ("01", r"$<2.18>\times10^{-18}\,\mathrm{s^{-1}}$", H0 * 1e18, 0.005),
    ("01", r"h^{-1}\Mpc = <4448>\Mpc$", D_H, 0.5),
    (
        "01",
        r"with a redshift above $<1.48>$",
        root(lambda z: comoving(z) - D_H, 1, 2),
        0.005,
    ),
    ("01", r"further away than $<44.5>\Mpc$", 3000 / 67.4, 0.05),
    ("01", r"the Sun travels at $<370>\kms$", 3.362e-3 / T0 * C / 1e3, 0.5),
    ("01", r"of $+<2.2>\,\mathrm{cm", (2 - rate(1)) / 2 * DECADE, 0.05),
    ("01", r"to $-<5.5>\,\mathrm{cm", (rate(4) - 5) / 5 * DECADE, 0.05),
    ("01", r"vanishes at $z = <1.92>$", root(lambda z: 1 + z - rate(z), 1, 3), 0.005),
    ("02", r"<1.878>\times10^{-26}\,h^2", RHO_C / HUBBLE**2 * 1e26, 0.0006),
    ("02", r"$<8.53>\times10^{-27}\,\mathrm{kg", RHO_C * 1e27, 0.005),
    ("02", r"the mass of $<5.1>$ protons per cubic metre", RHO_C / M_P, 0.05),
    ("02", r"$<1.26>\times10^{11}\Msun$", RHO_C * MPC**3 / SUN / 1e11, 0.005),
    ("02", r"\Omega_\gamma h^2 = <2.47>\times10^{-5}", OG * HUBBLE**2 * 1e5, 0.005),
    ("02", r"\Or = <9.2>\times10^{-5}", OR * 1e5, 0.05),
    ("02", r"\frac{\Om}{\Or} = <3421>", OM / OR, 0.5),
    ("02", r"it still made up $<24>$ per cent", OR / (OR + OM / 1091) * 100, 0.5),
    ("02", r"at $z = <0.30>$, when", (OL / OM) ** (1 / 3) - 1, 0.005),
    ("02", r"^{1/3} = <1.63> ,", (2 * OL / OM) ** (1 / 3), 0.005),
    ("02", r"happened $<7.7>\Gyr$ after", age((2 * OL / OM) ** (1 / 3) - 1), 0.05),
    ("02", r"\Or - \OL = -<0.53>", OL - OM / 2 - OR, 0.005),
    (
        "02",
        r"= <1.09>\times10^{-52}\,\mathrm{m^{-2}}",
        3 * OL * H0**2 / C**2 * 1e52,
        0.005,
    ),
    ("02", r"evaluate it for $h = 0.674$. [$<9.67>\Gyr$]", 2 / 3 / H0 / GYR, 0.005),
    ("02", r"was matter then? [$<308>\Hunit$", 67.4 * rate(3), 0.5),
    ("03", r"at $z = <1.59>$", Z_TURN, 0.005),
    ("03", r"the maximum is $<1794>\Mpc$", comoving(Z_TURN) / (1 + Z_TURN), 0.5),
    (
        "03",
        r"corresponds to $<8.70>$~kpc",
        comoving(Z_TURN) / (1 + Z_TURN) * 1e3 * ARCSEC,
        0.005,
    ),
    ("03", r"has a modulus of $<42.33>$", modulus(1.5 * comoving(0.5)), 0.005),
    (
        "03",
        r"matter only it would be $<41.94>$",
        modulus(3 * D_H * (1 - 1.5**-0.5)),
        0.005,
    ),
    (
        "03",
        r"in an empty one $<42.22>$",
        modulus(1.5 * D_H * math.sinh(math.log(1.5))),
        0.005,
    ),
    ("02", r"would add $<69>$ per cent", (OR / OG - 1) * 100, 0.5),
    ("03", r"and leaves $<13.79>\Gyr$", age(0), 0.005),
    ("03", r"H_0t_0 = <0.951>$", age(0) * GYR * H0, 0.0005),
    ("03", r"$<7.95>\Gyr$ for $z = 1$", age(0) - age(1), 0.005),
    ("03", r"a} = <14.1>\,\mathrm{Gpc}", EVENT / 1e3, 0.05),
    ("03", r"a} = <5.11>\,\mathrm{Gpc}", FUTURE / 1e3, 0.005),
    ("03", r"above $<1.87>$ are", root(lambda z: comoving(z) - FUTURE, 1, 3), 0.005),
    (
        "03",
        r"there are $<165>\,\mathrm{Gpc^3}$",
        4 / 3 * math.pi * (comoving(1) / 1e3) ** 3,
        0.5,
    ),
    ("03", r"the full result, $<178>$ million years", age(20) * 1e3, 0.5),
    ("04", r"$<411>$ per cubic centimetre", N_GAMMA / 1e6, 0.5),
    ("04", r"= <2.42>\,g_*^{-1/2}", clock(1, 1), 0.005),
    ("04", r"the Universe is $<0.74>$ seconds old", clock(1, 10.75), 0.005),
    ("04", r"Today this is $<1.945>\K$", T0 * (4 / 11) ** (1 / 3), 0.0005),
    ("04", r"each family has $<112>$ neutrinos", 3 / 11 * N_GAMMA / 1e6, 0.5),
    ("04", r"n_\gamma} = <6.1>\times10^{-10}", N_B / N_GAMMA * 1e10, 0.05),
    ("04", r"fall to $0.1\MeV$? [$<132>$ s]", clock(0.1, 3.38), 0.5),
    ("04", r"eV\,cm^{-3}}$. [$<0.261>$]", A_RAD * T0**4 / EV / 1e6, 0.0005),
    ("05", r"Half of the hydrogen is neutral at $<3740>\K$", T0 * (1 + Z_HALF), 5),
    ("05", r"or $z = <1370>$", Z_HALF, 5),
    ("05", r"T = <2970>\K", T0 * (1 + Z_STAR), 5),
    ("05", r"t = <371>\,000", age(Z_STAR) * 1e6, 0.5),
    ("05", r"at last scattering $R = <0.62>$", 0.75 * OB / OG / (1 + Z_STAR), 0.005),
    ("05", r"H(z)} = <144>\Mpc", sound_horizon(Z_STAR), 0.5),
    (
        "05",
        r"= 0.0104 = <0.596>^\circ",
        math.degrees(sound_horizon(Z_STAR) / comoving(Z_STAR)),
        0.0005,
    ),
    ("05", r"sound horizon is then $<147>\Mpc$", sound_horizon(Z_DRAG), 0.5),
    (
        "05",
        r"\pi/\theta_* = <302>$",
        math.pi * comoving(Z_STAR) / sound_horizon(Z_STAR),
        0.5,
    ),
    (
        "05",
        r"larger by $<12>$ per cent",
        (conformal(Z_STAR) / math.sqrt(3) / sound_horizon(Z_STAR) - 1) * 100,
        0.5,
    ),
    (
        "06",
        r"the mass is $<1.0>\times10^{15}\Msun$",
        3e12 * 1.5 * MPC / G / SUN / 1e15,
        0.05,
    ),
    (
        "06",
        r"at $z = 2$ this is $<22>$ arcseconds",
        4 * math.pi * (1e6 / C) ** 2 * LENS / ARCSEC,
        0.5,
    ),
    (
        "06",
        r"contains $<5.6>\times10^{11}\Msun$",
        2.2e5**2 * 0.05 * MPC / G / SUN / 1e11,
        0.05,
    ),
    ("06", r"\Ob/\Om = <0.157>$", OB / OM, 0.0005),
    (
        "06",
        r"wavelength of $<1.2>$~kpc",
        2 * math.pi * H_BAR * C**2 / (1e-22 * EV) / 1e5 / MPC * 1e3,
        0.05,
    ),
    ("06", r"$<27>$~keV for xenon", recoil(100, 131.29 * 0.9315), 0.5),
    ("06", r"at $220\kms$. [$<1.2>$~keV]", recoil(10, 67.7), 0.05),
    ("06", r"spherical? [$<52>$~kpc", 2 * math.pi * 8.2, 0.5),
    ("06", r"at $<2.2>\,r_{\mathrm{s}}$", NFW_PEAK, 0.05),
    ("07", r"$D/a$ has dropped to $<0.79>$", growth(0), 0.005),
    ("07", r"model $f = <0.53>$ now", OM**0.55, 0.005),
    (
        "07",
        r"\Or}} = <0.0104>\Mpc^{-1}",
        H0 / C * MPC * math.sqrt(2 * OM**2 / OR),
        0.00005,
    ),
    (
        "07",
        r"$<2.8>\times10^{14}\Msun$, a rich",
        4 / 3 * math.pi * (8 / HUBBLE) ** 3 * MATTER / 1e14,
        0.05,
    ),
    (
        "07",
        r"subtends $<4.3>^\circ$",
        math.degrees(sound_horizon(Z_DRAG) / comoving(0.5)),
        0.05,
    ),
    (
        "07",
        r"spans $<0.044>$ in redshift",
        sound_horizon(Z_DRAG) * rate(0.5) / D_H,
        0.0005,
    ),
    ("07", r"which is $<0.43>$ today", SIGMA8 * OM**0.55, 0.005),
    ("07", r"= <1.686> ,", 0.15 * (12 * math.pi) ** (2 / 3), 0.0005),
    ("07", r"$18\pi^2 = <178>$", 18 * math.pi**2, 0.5),
    ("07", r"Within a radius of $<212>$~kpc", virial(1e12)[0] * 1e3, 0.5),
    ("07", r"velocity there is $<143>\kms$", virial(1e12)[1], 0.5),
    (
        "07",
        r"a sphere of $<1.8>\Mpc$",
        (1e12 / (4 / 3 * math.pi * MATTER)) ** (1 / 3),
        0.05,
    ),
    ("07", r"with $a$. [$<0.61>$ and", growth(1) / growth(0), 0.005),
    ("07", r"Universe was $<670>$ million years old", age(7.7) * 1e3, 5),
    ("08", r"\OL\rhoc = <5.8>\times10^{-27}", OL * RHO_C * 1e27, 0.05),
    (
        "08",
        r"smaller by $<123>$ powers of ten",
        math.log10(C**5 / H_BAR / G**2 / OL / RHO_C),
        0.5,
    ),
    ("08", r"At $z = 9$ matter was $<460>$ times", OM / OL * 1e3, 5),
    ("08", r"H_0\sqrt{\OL} = <55.8>\Hunit", 67.4 * math.sqrt(OL), 0.05),
    ("08", r"every $<17.5>\Gyr$", 1 / H0 / math.sqrt(OL) / GYR, 0.05),
    (
        "08",
        r"or $<117>\Gyr$ for $w = -1.1$",
        2 / 0.3 / H0 / math.sqrt(1 - OM) / GYR,
        0.5,
    ),
    ("08", r"reference model. [$<0.831>$]", SIGMA8 * math.sqrt(OM / 0.3), 0.0005),
    (
        "08",
        r"less than $<1.4>\times10^{16}\GeV$",
        (1.5 * math.pi**2 * 2.1e-9 * 0.036) ** 0.25 * 2.435e18 / 1e16,
        0.05,
    ),
]


def chapter(number):
    """A chapter's source in one line of single spaces."""
    (path,) = CHAPTERS.glob(f"{number}_*.tex")
    return " ".join(path.read_text("utf-8").split())


@pytest.mark.parametrize(
    "number, words, value, tolerance", ROWS, ids=[f"{r[0]}:{r[1][:40]}" for r in ROWS]
)
def test_number(number, words, value, tolerance):
    """The words stand in the chapter, and their number agrees."""
    printed = float(words[words.index("<") + 1 : words.index(">")])
    assert words.replace("<", "").replace(">", "") in chapter(number)
    assert abs(printed - value) <= tolerance


@pytest.mark.parametrize(
    "z, row",
    [
        (0.1, "0.1 & 434 & 395 & 478 & 12.44"),
        (0.5, "0.5 & 1951 & 1301 & 2927 & 8.58"),
        (1, "1 & 3401 & 1700 & 6802 & 5.84"),
        (2, r"2 & 5311 & 1770 & 15\,930 & 3.27"),
        (3, r"3 & 6505 & 1626 & 26\,020 & 2.14"),
        (6, r"6 & 8421 & 1203 & 58\,950 & 0.93"),
        (10, r"10 & 9629 & 875 & 105\,900 & 0.47"),
    ],
)
def test_table_of_distances(z, row):
    """The table's rows, to one in two thousand or half of the last digit."""
    assert row in chapter("03")
    *distances, printed_age = [float(x) for x in row.replace("\\,", "").split("&")[1:]]
    chi = comoving(z)
    assert distances == pytest.approx([chi, chi / (1 + z), chi * (1 + z)], 5e-4, 0.5)
    assert printed_age == pytest.approx(age(z), abs=0.005)


def test_no_row_is_trivial():
    """Every row's tolerance is at most a twentieth of its number."""
    loose = [words for _, words, value, tolerance in ROWS if tolerance > value / 20]
    assert not loose


def test_pdf_is_of_this_source():
    """The PDF names its source's hash; else run the command in the main file's head."""
    source = b"".join(path.read_bytes() for path in sorted(CHAPTERS.glob("*.tex")))
    pdf = CHAPTERS.parent / "cosmology-by-numbers.pdf"
    assert hashlib.sha256(source).hexdigest().encode() in pdf.read_bytes()


def test_questions_are_balanced():
    """52 questions; no letter, no length gives the answer away; documents are chapters."""
    path = CHAPTERS.parent.parent / "questions" / "part_c.jsonl"
    questions = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [q["id"] for q in questions] == [f"sample-{n:03d}" for n in range(89, 141)]
    chapters = {f"book:cosmology-by-numbers#{n}" for n in range(1, 9)}
    for group, wanted in (questions[:12], chapters), (questions[12:], {None}):
        assert {q["document"] for q in group} == wanted
        answers = [q["answer"] for q in group]
        assert all(answers.count(n) == len(group) // 4 for n in range(4))
        longest = sum(
            all(len(q["choices"][q["answer"]]) > len(c) for c in wrong_choices(q))
            for q in group
        )
        assert longest <= len(group) / 4


def wrong_choices(question):
    """The three distinct choices that are not the answer."""
    wrong = set(question["choices"]) - {question["choices"][question["answer"]]}
    assert len(wrong) == 3
    return wrong
