"""The numbers in the sample's papers 14 to 26, computed again from first principles.

Each line names a paper, a string that stands in it, the value that an integral, a root or a
closed form gives, and how far the printed number may lie from it: half of its last digit.
"""

import math
from pathlib import Path

import numpy as np
import pytest

PAPERS = Path(__file__).resolve().parent.parent / "sample" / "papers"

# CODATA 2018, in SI units
C = 299792458.0
G = 6.67430e-11
PLANCK = 6.62607015e-34
BOLTZMANN = 1.380649e-23
STEFAN = 5.670374419e-8
THOMSON = 6.6524587321e-29
ELECTRON_KEV = 510.99895
PARSEC = 648000 / math.pi * 149597870700.0

C_KMS = C / 1e3
OM, LITTLE_H, H0 = 0.315, 0.674, 67.4
T_CMB = 2.7255  # K
SUN = 1.32712440018e20 / G  # kg, from the Sun's mass parameter
MPC = 1e6 * PARSEC  # m
RHO_C = (
    3 * (H0 * 1e3 / MPC) ** 2 / (8 * math.pi * G) * MPC**3 / SUN
)  # solar masses per Mpc^3
ARCSEC = math.pi / 648000


NODES, WEIGHTS = np.polynomial.legendre.leggauss(100)


def integral(function, low: float, high: float) -> float:
    """Gauss and Legendre's rule with a hundred nodes."""
    points = low + (high - low) * (NODES + 1) / 2
    return (
        (high - low)
        / 2
        * math.fsum(weight * function(point) for weight, point in zip(WEIGHTS, points))
    )


def root(function, low: float, high: float) -> float:
    """Bisection; the function has different signs at the ends."""
    rises = function(high) > 0
    assert (function(low) > 0) != rises
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if (function(middle) > 0) == rises else (middle, high)
    return low


def hubble(z: float) -> float:
    """H(z)/H0 in the flat reference model without radiation."""
    return math.sqrt(OM * (1 + z) ** 3 + 1 - OM)


def comoving(z: float) -> float:
    """Comoving distance in Mpc."""
    return C_KMS / H0 * integral(lambda x: 1 / hubble(x), 0, z)


def nfw_mass(x: float) -> float:
    """The mass inside x scale radii, without its constants."""
    return math.log(1 + x) - x / (1 + x)


def nfw_edge(overdensity: float, concentration: float) -> float:
    """The radius in scale radii of another overdensity, where c is that of 200."""
    target = overdensity / 200 * nfw_mass(concentration) / concentration**3
    return root(lambda x: nfw_mass(x) / x**3 - target, 0.1, 50)


def radius_200(mass: float) -> float:
    """R200 in kpc of a mass in solar masses."""
    return 1e3 * (3 * mass / (800 * math.pi * RHO_C)) ** (1 / 3)


def sound_horizon(z_drag: float) -> float:
    """The comoving sound horizon in Mpc, with 3.046 massless neutrinos."""
    photons = 4 * STEFAN / C**3 * T_CMB**4 * 8 * math.pi * G / (3 * (1e5 / MPC) ** 2)
    radiation = photons * (1 + 7 / 8 * (4 / 11) ** (4 / 3) * 3.046) / LITTLE_H**2

    def integrand(a: float) -> float:
        rate = H0 * math.sqrt(OM * a + radiation + (1 - OM - radiation) * a**4)
        return C_KMS / math.sqrt(3 * (1 + 0.75 * 0.0224 / photons * a)) / rate

    return integral(integrand, 0, 1 / (1 + z_drag))


def growth(log_a: float) -> float:
    """Heath's integral for the growing solution, equal to the scale factor early on."""
    a = math.exp(log_a)
    return (
        2.5
        * OM
        * hubble(1 / a - 1)
        * integral(lambda x: (OM / x + (1 - OM) * x * x) ** -1.5, 0, a)
    )


def grown(z: float) -> tuple[float, float]:
    """D(z) and the growth rate f(z), the latter by a central difference."""
    log_a, step = -math.log(1 + z), 1e-4
    rate = math.log(growth(log_a + step) / growth(log_a - step)) / (2 * step)
    return growth(log_a), rate


def modulus(z: float) -> float:
    """Distance modulus in the reference model."""
    return 5 * math.log10((1 + z) * comoving(z)) + 25


def excess_over_empty(z: float) -> float:
    """How much fainter than in an empty universe, in magnitudes."""
    return 5 * math.log10((1 + z) * comoving(z) / (C_KMS / H0 * z * (1 + z / 2)))


def dark_energy(z: float, w_0: float, w_a: float) -> float:
    """Density of dark energy in units of today's, by integrating the conservation law."""

    def slope(x: float) -> float:
        return 3 * (1 + w_0 + w_a * x / (1 + x)) / (1 + x)

    return math.exp(integral(slope, 0, z))


def stretched(z: float, w_0: float, w_a: float) -> float:
    """Change of the comoving distance against the cosmological constant, in per cent."""
    distance = integral(
        lambda x: (OM * (1 + x) ** 3 + (1 - OM) * dark_energy(x, w_0, w_a)) ** -0.5,
        0,
        z,
    )
    return 100 * (distance / integral(lambda x: 1 / hubble(x), 0, z) - 1)


def thermal(x: float) -> float:
    """The spectral function of the thermal Sunyaev-Zel'dovich effect."""
    return x / math.tanh(x / 2) - 4


def thermal_intensity(x: float) -> float:
    """The same in intensity."""
    return x**4 * math.exp(x) / math.expm1(x) ** 2 * thermal(x)


def time_left(chirp: float, frequency: float) -> float:
    """Seconds to coalescence; the chirp mass in solar masses."""
    scale = G * SUN * chirp / C**3
    return 5 / 256 * scale ** (-5 / 3) * (math.pi * frequency) ** (-8 / 3)


PEAK = root(lambda x: nfw_mass(x) - (x / (1 + x)) ** 2, 1, 5)
GHZ = BOLTZMANN * T_CMB / PLANCK / 1e9
CHIRP = 1.4 / 2**0.2
LENSES = (comoving(0.3), comoving(1.0))
CRITICAL = (
    C**2
    / (4 * math.pi * G)
    * (LENSES[1] / 2)
    / (LENSES[0] / 1.3 * (LENSES[1] - LENSES[0]) / 2)
    / MPC
)  # kg/m^2
EINSTEIN = 4 * math.pi * (1000 / C_KMS) ** 2 * (1 - LENSES[0] / LENSES[1]) / ARCSEC
TAU = THOMSON * 5e3 * 0.25 * MPC * math.pi
Y_0 = TAU * 8 / ELECTRON_KEV
BETA = grown(0.5)[1] / 2
PLANCK_GEV = 2.435e18
TENSION = 73.04 - 67.36

NFW, LENS, BAO, RSD, SN, TWO_H, CPL, INF, GW, SZ, RUNG, ISW, TWIN = (
    "2600.00014v1",
    "2600.00015v1",
    "2600.00016v1",
    "2600.00017v1",
    "2600.00018v1",
    "2600.00019v1",
    "2600.00033v1",
    "2600.00021v1",
    "2600.00022v1",
    "2600.00023v1",
    "astro-ph_0600024v1",
    "2600.00025v1",
    "2600.00026v1",
)

NUMBERS = [
    (NFW, r"critical density today is $1.26\times10^{11}", RHO_C / 1e11, 1.26, 0.005),
    (NFW, "$8695$ for $c=5$", 200 / 3 * 125 / nfw_mass(5), 8695, 0.5),
    (NFW, r"$\Rv$ & 212 & 982 & 2116", radius_200(1e14), 982, 0.5),
    (NFW, r"r_{\rm max} = 2.163\,\rs", PEAK, 2.163, 0.0005),
    (NFW, r"\Mv[500]=0.722", nfw_mass(nfw_edge(500, 5)) / nfw_mass(5), 0.722, 0.0005),
    (NFW, "200m]=1.38", nfw_mass(nfw_edge(200 * OM, 5)) / nfw_mass(5), 1.38, 0.005),
    (NFW, r"$c_{500}=3.31$", nfw_edge(500, 5), 3.31, 0.005),
    (NFW, "$c=4.25$", 5.71 * (1e14 * LITTLE_H / 2e12) ** -0.084, 4.25, 0.005),
    (LENS, r"$2747\,M_\odot\,{\rm pc}^{-2}$", CRITICAL * PARSEC**2 / SUN, 2747, 0.7),
    (LENS, r"$0.574\,{\rm g\,cm^{-2}}$", CRITICAL / 10, 0.574, 0.0005),
    (LENS, r"\theta_{\rm E}=18.4''", EINSTEIN, 18.4, 0.05),
    (LENS, "5 & 0.031 & 0.032", EINSTEIN / 600, 0.031, 0.0005),
    (
        LENS,
        "ratio of $7.1$",
        EINSTEIN / 60 / 0.26 * (5 * math.pi * math.log(10)) ** 0.5,
        7.1,
        0.05,
    ),
    (
        LENS,
        "at redshift $0.43$",
        root(lambda z: comoving(z) - LENSES[1] / 2, 0, 1),
        0.43,
        0.005,
    ),
    (BAO, r"gives $\rd=146.9\Mpc$", sound_horizon(1060), 146.9, 0.05),
    (BAO, r"$150.5\Mpc$", sound_horizon(1020.8), 150.5, 0.05),
    (BAO, "0.51 & 13.49 & 22.73", comoving(0.51) / 147.1, 13.49, 0.005),
    (BAO, "2.33 & 39.17 & 8.62", C_KMS / H0 / hubble(2.33) / 147.1, 8.62, 0.005),
    (BAO, "16.89 & 20.82 & 2.48", math.degrees(147.1 / comoving(1)), 2.48, 0.005),
    (
        BAO,
        "$32$ cubic",
        4 * math.pi / 3 * (comoving(0.6) ** 3 - comoving(0.4) ** 3) / 1e9,
        32,
        0.5,
    ),
    (TWIN, r"gives $\rd=146.9\Mpc$", sound_horizon(1060), 146.9, 0.05),
    (RSD, "$f=0.761$", grown(0.5)[1], 0.761, 0.0005),
    (RSD, "0.0 & 0.315 & 0.527 & 0.530 & 0.427", 0.811 * grown(0)[1], 0.427, 0.0006),
    (
        RSD,
        "1.0 & 0.786 & 0.877 & 0.876 & 0.431",
        0.811 * grown(1)[0] * grown(1)[1] / grown(0)[0],
        0.431,
        0.0005,
    ),
    (
        RSD,
        "factor $1.283$",
        integral(lambda m: (1 + BETA * m * m) ** 2, 0, 1),
        1.283,
        0.0005,
    ),
    (
        RSD,
        "quadrupole is $0.590$",
        5 * integral(lambda m: (1 + BETA * m * m) ** 2 * (1.5 * m * m - 0.5), 0, 1),
        0.590,
        0.0005,
    ),
    (
        RSD,
        "is $0.580$ at $z=0.5$",
        comoving(0.5) * H0 * hubble(0.5) / C_KMS,
        0.580,
        0.0005,
    ),
    (SN, "0.5 & 42.332 & 0.388", modulus(0.5), 42.332, 0.0005),
    (SN, r"1.5 & 45.247 & 0.685 & $-0.089$", excess_over_empty(1.5), -0.089, 0.0005),
    (SN, "redshift of $1.17$", root(excess_over_empty, 0.9, 1.5), 1.17, 0.005),
    (SN, r"$z_{\rm acc}=0.63$", (2 * (1 - OM) / OM) ** (1 / 3) - 1, 0.63, 0.005),
    (SN, "$0.22$ mag at redshift", 5 / math.log(10) * 300 / C_KMS / 0.01, 0.22, 0.005),
    (TWO_H, "= 4.85", TENSION / math.hypot(1.04, 0.54), 4.85, 0.005),
    (TWO_H, "0.176~{", 5 * math.log10(73.04 / 67.36), 0.176, 0.0005),
    (TWO_H, "= 135.7", 147.09 * 67.36 / 73.04, 135.7, 0.05),
    (TWO_H, r"$68.57\pm0.48", 67.36 + TENSION / (1 + (1.04 / 0.54) ** 2), 68.57, 0.005),
    (
        TWO_H,
        "it is $12.7$~Gyr",
        977.79 / 73.04 * integral(lambda a: (a / (OM + (1 - OM) * a**3)) ** 0.5, 0, 1),
        12.7,
        0.05,
    ),
    (
        CPL,
        "$-0.838$ & $-0.62$ & 1.065 & 0.764",
        dark_energy(2, -0.838, -0.62),
        0.764,
        0.0005,
    ),
    (CPL, "$-1.1$ & $0$ & 0.885", dark_energy(0.5, -1.1, 0), 0.885, 0.0005),
    (CPL, "1.390 & $-1.54$ & $-1.95$", stretched(0.5, -0.9, 0), -1.54, 0.005),
    (CPL, "0.743 & $-2.26$ & $-1.83$", stretched(1, -0.752, -0.86), -1.83, 0.005),
    (
        CPL,
        "$12.7$ per cent",
        100 * dark_energy(0.40523, -0.752, -0.86) - 100,
        12.7,
        0.05,
    ),
    (CPL, "redshift $0.32$", 1 / (1 - 0.9 * 0.055 / 0.205) - 1, 0.32, 0.005),
    (INF, "$r=0.132$", 16 * 2 / (4 * 60 + 2), 0.132, 0.0005),
    (INF, r"\order{1.1}{26}", math.exp(60) / 1e26, 1.1, 0.05),
    (
        INF,
        r"\order{1.02}{16}",
        (1.5 * math.pi**2 * 2.1e-11) ** 0.25 * PLANCK_GEV / 1e16,
        1.02,
        0.005,
    ),
    (
        INF,
        r"\order{4.7}{13}",
        math.pi * PLANCK_GEV * (2.1e-9 * 0.018) ** 0.5 / 1e13,
        4.7,
        0.05,
    ),
    (
        INF,
        r"\order{1.4}{13}",
        PLANCK_GEV * (96 * math.pi**2 * 2.1e-9) ** 0.5 / 242 / 1e13,
        1.4,
        0.05,
    ),
    (GW, "1.219", CHIRP, 1.219, 0.0005),
    (GW, "54 seconds", time_left(CHIRP, 30), 54, 0.5),
    (
        GW,
        "$1570$~Hz",
        C**3 / (6**1.5 * math.pi * G * 2.8 * SUN),
        1570,
        5,
    ),
    (
        GW,
        r"$h=8.9\times10^{-23}$",
        4e23
        * (C / (40 * MPC))
        * (G * SUN * CHIRP / C**3) ** (5 / 3)
        * (100 * math.pi) ** (2 / 3),
        8.9,
        0.05,
    ),
    (GW, "v/d=68.9", 3017 / 43.8, 68.9, 0.05),
    (SZ, "217.5 GHz", root(thermal, 2, 6) * GHZ, 217.5, 0.05),
    (
        SZ,
        "at 129 GHz",
        min(np.linspace(1, 3, 20001), key=thermal_intensity) * GHZ,
        129,
        0.5,
    ),
    (
        SZ,
        "150 & 2.641 & $-0.953$ & $-260$",
        thermal(150 / GHZ) * T_CMB * 100,
        -260,
        0.5,
    ),
    (SZ, r"y_0=1.26\times10^{-4}", Y_0 * 1e4, 1.26, 0.005),
    (SZ, r"by $328\uK$", -thermal(150 / GHZ) * Y_0 * T_CMB * 1e6, 328, 0.5),
    (SZ, r"this is $22\uK$", TAU * 300 / C_KMS * T_CMB * 1e6, 22, 0.5),
    (RUNG, r"$206\,265$ astronomical units", 1 / ARCSEC, 206265, 0.5),
    (RUNG, r"\mu=18.477", 5 * math.log10(4959), 18.477, 0.0005),
    (RUNG, r"29.397\pm0.032", 5 * math.log10(7.576e5), 29.397, 0.0005),
    (RUNG, r"is $73.0\,", 10 ** (5 - 19.253 / 5 + 0.7142), 73.0, 0.05),
    (ISW, "today is $79$ per cent", 100 * grown(0)[0], 79, 0.5),
    (
        ISW,
        "since redshift $0.41$",
        root(lambda z: (1 + z) * grown(z)[0] - (1 + grown(0)[0]) / 2, 0.1, 1),
        0.41,
        0.005,
    ),
    (
        ISW,
        r"$-1.6\muK$",
        -0.2
        * (8 / 3 * OM * (1 - grown(0.5)[1]) * hubble(0.5) * (100 * H0 / C_KMS) ** 3)
        * T_CMB
        * 1e6,
        -1.6,
        0.05,
    ),
    (ISW, r"D_{\mathrm{M}}=1951\Mpc$", comoving(0.5), 1951, 0.5),
]


@pytest.mark.parametrize(
    "paper, printed, value, number, tolerance",
    NUMBERS,
    ids=[f"{paper}-{number}" for paper, _, _, number, _ in NUMBERS],
)
def test_a_printed_number_is_the_computed_one(paper, printed, value, number, tolerance):
    """The string stands in the paper, holds the number, and the number is right."""
    text = "\n".join(
        path.read_text("latin-1") for path in sorted((PAPERS / paper).rglob("*.tex"))
    )
    assert printed in text
    digits = printed.replace(r"\,", "").replace(r"\pm", " ")
    assert f"{abs(number):g}" in digits or f"{abs(number):.3f}" in digits
    assert value == pytest.approx(number, abs=tolerance)
