"""The numbers that papers 1 to 13 of the sample state, computed a second time.

A row names a paper, the words around a number (``@`` stands for it) and a function that
computes it here; the paper must agree to half a unit of the last digit that it prints.
"""

import functools
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cosmosage.documents import read_jsonl

SAMPLE = Path(__file__).parents[1] / "sample"

# the flat reference model of the papers
H, OM, OB, NS, SIGMA8, YP = 0.674, 0.315, 0.0224, 0.965, 0.811, 0.245
T0 = 2.7255  # K
N_EFF = 3.044
Z_STAR, Z_DRAG = 1089.9, 1059.9

# CODATA 2018 in SI units, unless a name says otherwise
LIGHT, C = 299792458.0, 299792.458  # m/s, km/s
KB, HBAR, PLANCK, EV = 1.380649e-23, 1.054571817e-34, 6.62607015e-34, 1.602176634e-19
M_E, M_P, M_H = 9.1093837015e-31, 1.67262192e-27, 1.6735575e-27
GRAVITY, EPSILON_0, THOMSON = 6.6743e-11, 8.8541878128e-12, 6.6524587e-29
MPC, GYR, M_SUN = 3.0856775814913673e22, 1e9 * 365.25 * 86400, 1.98841e30
BINDING = 13.605693 * EV  # of hydrogen
LYMAN_ALPHA = 121.567e-9  # m
ZETA3 = 1.2020569
RHO_C = 3 * (1e5 / MPC) ** 2 / (8 * np.pi * GRAVITY)  # kg/m^3 for h = 1

PHOTONS = np.pi**2 / 15 * (KB * T0) ** 4 / (HBAR**3 * LIGHT**5) / RHO_C
NEUTRINO = 7 / 8 * (4 / 11) ** (4 / 3)  # of one species, in units of the photons
RADIATION = PHOTONS * (1 + NEUTRINO * N_EFF)
MATTER = OM * H**2
OL = 1 - OM
H0 = 100 * H  # km/s/Mpc
HUBBLE_TIME = MPC / 1e3 / H0 / GYR  # Gyr
N_GAMMA = 2 * ZETA3 / np.pi**2 * (KB * T0 / (HBAR * LIGHT)) ** 3 / 1e6  # cm^-3
N_H = (1 - YP) * OB * RHO_C / M_H  # m^-3
Z_EQ = MATTER / RADIATION - 1
K_EQ = 100 / C * np.sqrt(2 * MATTER * (1 + Z_EQ))  # 1/Mpc
NU_MOMENTUM = 7 * np.pi**4 / (180 * ZETA3) * KB * T0 * (4 / 11) ** (1 / 3) / EV  # eV


NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def quad(function, low, high, panels=40):
    """The integral of a function of an array, by Gauss-Legendre in equal panels."""
    edges = np.linspace(low, high, panels + 1)
    half = (edges[1] - edges[0]) / 2
    x = (edges[:-1] + half)[:, None] + half * NODES
    return half * float(np.sum(function(x) @ WEIGHTS))


def where(function, value, low, high):
    """The argument at which a monotonic function takes a value, by bisection."""
    rising = function(high) > function(low)
    for _ in range(60):
        middle = (low + high) / 2
        if (function(middle) < value) == rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def peak(function, low, high):
    """Where a function of one maximum has it, by golden sections."""
    golden = (np.sqrt(5) - 1) / 2
    while high - low > 1e-7:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if function(left) < function(right):
            low = left
        else:
            high = right
    return (low + high) / 2


def expansion(z, radiation=RADIATION / H**2):
    """H(z) / H0, flat."""
    return np.sqrt(OM * (1 + z) ** 3 + radiation * (1 + z) ** 4 + 1 - OM - radiation)


def comoving(z):
    """Comoving distance in Mpc."""
    return C / H0 * quad(lambda y: np.exp(y) / expansion(np.expm1(y)), 0, np.log1p(z))


def conformal(z):
    """Comoving horizon in Mpc."""
    top = np.log1p(z)
    return C / H0 * quad(lambda y: np.exp(y) / expansion(np.expm1(y)), top, top + 30)


def inertia(z):
    """R: three quarters of the ratio of baryons to photons."""
    return 0.75 * OB / PHOTONS / (1 + z)


def sound_horizon(z, matter=MATTER, baryons=OB, radiation=RADIATION):
    """Comoving sound horizon in Mpc, without dark energy."""
    return (C / 100) * quad(
        lambda a: 1
        / np.sqrt(3 * (1 + 0.75 * baryons / PHOTONS * a))
        / np.sqrt(matter * a + radiation),
        0,
        1 / (1 + z),
    )


def slope(function, x, step=1e-3):
    """d ln f / d ln x."""
    ratio = function(x * (1 + step)) / function(x * (1 - step))
    return np.log(ratio) / np.log((1 + step) / (1 - step))


def age(z, radiation=0.0):
    """Age in Gyr, by integration."""
    top = np.log1p(z)
    return HUBBLE_TIME * quad(
        lambda y: 1 / expansion(np.expm1(y), radiation), top, top + 30
    )


def full_age(z):
    """Age in Gyr with radiation."""
    return age(z, RADIATION / H**2)


@functools.cache
def growth_history():
    """The growth equation in ln a, from deep in the matter era: ln a, D and dD/dlna."""

    def right(lna, y):
        matter = OM / (OM + OL * np.exp(3 * lna))
        return np.array([y[1], -(2 - 1.5 * matter) * y[1] + 1.5 * matter * y[0]])

    grid = np.linspace(np.log(1e-4), 6, 4001)
    step = grid[1] - grid[0]
    states = [np.array([1e-4, 1e-4])]
    for x in grid[:-1]:  # Runge and Kutta's fourth order
        y = states[-1]
        a = right(x, y)
        b = right(x + step / 2, y + step / 2 * a)
        c = right(x + step / 2, y + step / 2 * b)
        d = right(x + step, y + step * c)
        states.append(y + step / 6 * (a + 2 * b + 2 * c + d))
    return grid, *np.array(states).T


def growth(z):
    """D, equal to the scale factor early on."""
    grid, value, _ = growth_history()
    return np.exp(np.interp(-np.log1p(z), grid, np.log(value)))


def rate(z):
    """f = dlnD/dlna."""
    grid, value, derivative = growth_history()
    return np.interp(-np.log1p(z), grid, derivative / value)


def f_sigma8(z):
    """f sigma8 at a redshift."""
    return rate(z) * SIGMA8 * growth(z) / growth(0)


def angular_maximum():
    """Redshift of the maximum of the angular-diameter distance."""
    return peak(lambda z: comoving(z) / (1 + z), 1, 3)


def occupied(x):
    """Fermi's 1 / (exp(x) + 1)."""
    return 1 / (np.exp(np.clip(x, -700, 700)) + 1)


def saha(z):
    """Ionised fraction of hydrogen in equilibrium."""
    thermal = KB * T0 * (1 + z)
    right = (M_E * thermal / (2 * np.pi * HBAR**2)) ** 1.5 / (N_H * (1 + z) ** 3)
    right *= np.exp(-BINDING / thermal)
    return 2 / (1 + np.sqrt(1 + 4 / right))


def three_levels(z, x):
    """Rates in 1/s of the three-level atom: alpha n_H, beta, escape, two photons."""
    temperature, density = T0 * (1 + z), N_H * (1 + z) ** 3
    t4 = temperature / 1e4
    alpha = 1.14 * 4.309e-19 * t4**-0.6166 / (1 + 0.6703 * t4**0.53)  # m^3/s
    beta = alpha * (M_E * KB * temperature / (2 * np.pi * HBAR**2)) ** 1.5
    beta *= np.exp(-BINDING / (4 * KB * temperature))
    hubble = expansion(z) / (HUBBLE_TIME * GYR)
    escape = 8 * np.pi * hubble / (121.567e-9**3 * density * (1 - x))
    return alpha * density, beta, escape, 8.2245809


@functools.cache
def recombination():
    """The three-level atom from a redshift of 1900 to today: redshifts, X."""
    grid = np.arange(1900, -0.01, -0.05)
    x = saha(grid[0])
    history = [x]
    for z in grid[1:]:  # implicit, since the first steps are stiff
        recombine, beta, escape, pair = three_levels(z, x)
        step = 0.05 / (expansion(z) / (HUBBLE_TIME * GYR) * (1 + z))
        step *= (pair + escape) / (pair + escape + beta)
        up = step * beta * np.exp(-0.75 * BINDING / (KB * T0 * (1 + z)))
        a, b, c = step * recombine, 1 + up, x + up
        x = 2 * c / (b + np.sqrt(b * b + 4 * a * c))
        history.append(x)
    return grid[::-1], np.array(history)[::-1]


def ionised(z):
    """X of the three-level atom, of equilibrium before a redshift of 1900."""
    return np.where(z < 1900, np.interp(z, *recombination()), saha(z))


@functools.cache
def damping():
    """k_D at last scattering in 1/Mpc."""
    log = np.linspace(np.log1p(Z_STAR), np.log(1e8), 40001)
    z, helium = np.expm1(log), YP / (4 * (1 - YP))
    electrons = ionised(z) + helium * (
        occupied((1800 - z) / 100) + occupied((6000 - z) / 300)
    )
    path = 1 / (electrons * N_H * THOMSON * (1 + z) ** 2) / MPC
    r = inertia(z)
    bracket = (r * r / (1 + r) + 16 / 15) / (6 * (1 + r))
    rate_of = C / (H0 * expansion(z)) * (1 + z) * path * bracket
    return np.trapezoid(rate_of, log) ** -0.5


def thomson(z):
    """Optical depth to a sudden reionisation, by integration."""
    electrons = N_H * (1 + YP / (4 * (1 - YP)))
    path = LIGHT * THOMSON * electrons * HUBBLE_TIME * GYR
    return path * quad(lambda x: (1 + x) ** 2 / expansion(x, 0), 0, z)


def transfer(k):
    """The smooth transfer function of Eisenstein and Hu (1998); k in 1/Mpc."""
    share = OB / MATTER
    sound = 44.5 * np.log(9.83 / MATTER) / np.sqrt(1 + 10 * OB**0.75)
    alpha = 1 - 0.328 * np.log(431 * MATTER) * share
    alpha += 0.38 * np.log(22.3 * MATTER) * share**2
    shape = MATTER * (alpha + (1 - alpha) / (1 + (0.43 * k * sound) ** 4))
    q = k * (T0 / 2.7) ** 2 / shape
    log = np.log(2 * np.e + 1.8 * q)
    return log / (log + (14.2 + 731 / (1 + 62.5 * q)) * q * q)


def power(k):
    """The power spectrum in arbitrary units; k in h/Mpc."""
    return k**NS * transfer(k * H) ** 2


def variance(radius):
    """Top-hat variance in the units of `power`; radius in Mpc/h."""
    k = np.geomspace(1e-5, 400 / min(radius, 8), 40001)
    x = k * radius
    window = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    return np.trapezoid(power(k) * k**3 * window**2, np.log(k))


RHO_M = OM * RHO_C * MPC**3 / M_SUN  # M_sun/h per (Mpc/h)^3
DELTA_C = 3 / 20 * (12 * np.pi) ** (2 / 3)


def sigma(mass):
    """sigma(M) today; mass in M_sun/h."""
    radius = (3 * mass / (4 * np.pi * RHO_M)) ** (1 / 3)
    return SIGMA8 * np.sqrt(variance(radius) / variance(8.0))


def halos(mass, z=0.0):
    """dn/dlnM of Press and Schechter in (h/Mpc)^3."""
    nu = DELTA_C / sigma(mass) * growth(0) / growth(z)
    steep = abs(slope(sigma, mass, 1e-2))
    return np.sqrt(2 / np.pi) * RHO_M / mass * nu * steep * np.exp(-nu * nu / 2)


def typical_mass(z):
    """M* in M_sun/h."""
    ratio = growth(0) / growth(z)
    return np.exp(
        where(lambda x: sigma(np.exp(x)), DELTA_C * ratio, np.log(1e7), np.log(1e14))
    )


NEUTRON_GAP, NEUTRON_LIFE, ELECTRON = 1.29333, 878.4, 0.51099895  # MeV, s, MeV


def conversion(photon, neutrino, gap):
    """Born rate in 1/s of n to p; with a negative gap (in electron masses) of p to n."""
    z, zn, q = ELECTRON / photon, ELECTRON / neutrino, abs(gap)
    phase = quad(lambda e: e * (e - q) ** 2 * np.sqrt(e * e - 1), 1, q)

    def integrand(e):
        capture = (e + gap) ** 2 * occupied(-(e + gap) * zn) * occupied(e * z)
        emit = (e - gap) ** 2 * occupied((e - gap) * zn) * occupied(-e * z)
        return e * np.sqrt(e * e - 1) * (capture + emit)

    edges = (1, q, q + 2 + 10 / z, q + 60 / z)
    total = sum(quad(integrand, low, high, 8) for low, high in zip(edges, edges[1:]))
    return total / (NEUTRON_LIFE * phase)


def pairs(x, pressure):
    """Energy density of electron pairs in T^4; at 1/3 their pressure is added."""

    def integrand(y):
        energy = np.sqrt(y * y + x * x)
        return y * y * (energy + pressure * y * y / energy) * occupied(energy)

    return 2 / np.pi**2 * quad(integrand, 0, 60)


@functools.cache
def neutrons():
    """Temperature (MeV), neutron fraction and age (s), down to 0.07 MeV."""
    photon = np.geomspace(12, 0.07, 500)
    entropy = 2 + np.array(
        [45 / (2 * np.pi**2) * pairs(ELECTRON / t, 1 / 3) for t in photon]
    )
    neutrino = photon * (entropy / 5.5) ** (1 / 3)
    density = np.array([np.pi**2 / 15 + pairs(ELECTRON / t, 0) for t in photon])
    density = density * photon**4
    density += 7 / 8 * np.pi**2 / 15 * 3 * neutrino**4
    hubble = np.sqrt(8 * np.pi / 3 * density) / 1.220890e22 * 1e6 * EV / HBAR  # 1/s
    step = -np.diff(np.log(neutrino))
    gained = step / 2 * (1 / hubble[1:] + 1 / hubble[:-1])
    time = np.concatenate([[0], np.cumsum(gained)]) + 0.5 / hubble[0]
    gap = NEUTRON_GAP / ELECTRON
    down, back = (
        np.array([conversion(t, n, sign * gap) for t, n in zip(photon, neutrino)])
        / hubble
        for sign in (1, -1)
    )
    down, back = (np.sqrt(each[1:] * each[:-1]) for each in (down, back))
    fraction = [1 / (1 + np.exp(NEUTRON_GAP / photon[0]))]
    for width, lower, raised in zip(step, down, back):  # exact at constant rates
        rest = raised / (lower + raised)
        decay = np.exp(-(lower + raised) * width)
        fraction.append(rest + (fraction[-1] - rest) * decay)
    return photon[::-1], np.array(fraction)[::-1], time[::-1]


def neutron_fraction(temperature):
    """X_n at a temperature in MeV."""
    photon, fraction, _ = neutrons()
    return np.interp(temperature, photon, fraction)


def seconds(temperature):
    """The age at a temperature in MeV."""
    photon, _, time = neutrons()
    return np.interp(temperature, photon, time)


def drag(name):
    """Logarithmic derivative of the sound horizon at the drag epoch."""
    value = {"matter": MATTER, "baryons": OB}[name]
    return slope(lambda x: sound_horizon(Z_DRAG, **{name: x}), value)


def shared(mass):
    """The share of the matter in neutrinos of a summed mass in eV."""
    return mass / 93.14 / MATTER


NUMBERS = [
    # 1: the sound horizon
    ("00001v1", r"gives $\rd = @\Mpc$. At", lambda: sound_horizon(Z_DRAG)),
    ("00001v1", r"same integral gives $@\Mpc$", lambda: sound_horizon(Z_STAR)),
    ("00001v1", r"\frac{@}{1+z}, \label", lambda: inertia(0)),
    ("00001v1", r"$R \simeq @$, and", lambda: inertia(Z_DRAG)),
    ("00001v1", r"to $@\,c$. The", lambda: (3 * (1 + inertia(Z_DRAG))) ** -0.5),
    ("00001v1", r"\om{r} = @$", lambda: RADIATION),
    ("00001v1", r"\dlog{\rd}{\om{m}} = @,", lambda: drag("matter")),
    ("00001v1", r"\dlog{\rd}{\om{b}} = @ .", lambda: drag("baryons")),
    ("00001v1", r"H_0\rd = @\,", lambda: H0 * sound_horizon(Z_DRAG)),
    (
        "00001v1",
        r"$\rd$ would be $@\Mpc$",
        lambda: sound_horizon(Z_DRAG, baryons=1e-9),
    ),
    (
        "00001v1",
        r"lowers $\rd$ by $@$ per cent",
        lambda: 100
        - 100
        * sound_horizon(Z_DRAG, radiation=RADIATION + NEUTRINO * PHOTONS)
        / sound_horizon(Z_DRAG),
    ),
    (
        "00001v1",
        r"1.00 & 3401 & @ &",
        lambda: np.degrees(sound_horizon(Z_DRAG) / comoving(1)),
    ),
    # 2: the age
    ("00002v1", r"t_0 = @\unit{Gyr}, \qquad", lambda: age(0)),
    ("00002v1", r"\qquad H_0t_0 = @ .", lambda: age(0) / HUBBLE_TIME),
    (
        "00002v1",
        r"reduces $t_0$ by $@\unit{Myr}$",
        lambda: 1e3 * (age(0) - full_age(0)),
    ),
    ("00002v1", r"radiation gives $@\unit{kyr}$", lambda: 1e6 * full_age(Z_STAR)),
    ("00002v1", r"give an age of $@\unit{kyr}$", lambda: 1e6 * age(Z_STAR)),
    (
        "00002v1",
        r"z_{\mathrm{acc}} = @$ in",
        lambda: peak(lambda z: -expansion(z, 0) / (1 + z), 0, 2),
    ),
    ("00002v1", r"lookback time is $@\unit", lambda: age(0) - age(0.6323)),
    ("00002v1", r"1 & 5.85 & @ \\", lambda: age(0) - age(1)),
    # 3: distances
    ("00003v1", r"$z_{\rm max} = @$, where", angular_maximum),
    ("00003v1", r"where $\DA = @\Mpc$", lambda: comoving(1.588) / 2.588),
    ("00003v1", r"2 & 5311 & 1770 & @ &", lambda: 3 * comoving(2)),
    ("00003v1", r"3 & @ & 1626", lambda: comoving(3)),
    (
        "00003v1",
        r"the comoving distance is $@\,{\rm Gpc}$ and",
        lambda: comoving(Z_STAR) / 1e3,
    ),
    ("00003v1", r"is only $@\,{\rm Gpc}$ away", lambda: conformal(0) / 1e3),
    ("00003v1", r"right answer is $@\Mpc$", lambda: (comoving(1) - comoving(0.5)) / 2),
    (
        "00003v1",
        r"naive difference is $@\Mpc$",
        lambda: comoving(1) / 2 - comoving(0.5) / 1.5,
    ),
    # 4: growth, from the differential equation and not from the papers' integral
    ("00004v1", r"$D(1) = @$: the", lambda: growth(0)),
    ("00004v1", r"that is $@$ times its", lambda: growth(np.exp(-5.9) - 1) / growth(0)),
    ("00004v1", r"\Om(a)$ is $@$ today", lambda: np.log(rate(0)) / np.log(OM)),
    ("00004v1", r"exact value $f = @$ is", lambda: rate(0)),
    ("00004v1", r"1.0 & 0.607 & 0.786 & 0.877 & 0.876 & @ \\", lambda: f_sigma8(1)),
    ("00004v1", r"2.0 & @ &", lambda: growth(2) / growth(0)),
    (
        "00004v1",
        r"maximum of $0.476$ at $z = @$",
        lambda: peak(f_sigma8, 0, 2),
    ),
    # 5: neutrinos
    ("00005v2", r"T_\gamma = @\,{\rm K}", lambda: (4 / 11) ** (1 / 3) * T0),
    ("00005v2", r"$@\,{\rm cm^{-3}}$ for each", lambda: 3 / 11 * N_GAMMA),
    (
        "00005v2",
        r"decoupling it would be @.",
        lambda: RHO_C * LIGHT**2 / EV / 1e6 / (3 / 11 * N_GAMMA),
    ),
    ("00005v2", r"$\fnu\equiv\Omega_\nu/\Omega_{\rm m} = @$", lambda: shared(0.06)),
    ("00005v2", r"0.12 & 0.00129 & 0.0090 & @ \\", lambda: 8 * shared(0.12)),
    ("00005v2", r"$z\simeq@$. The second", lambda: 0.05 / NU_MOMENTUM - 1),
    ("00005v2", r"\simeq @\,(1+z)", lambda: C * NU_MOMENTUM),
    ("00005v2", r"which is today $@\eV/c$", lambda: NU_MOMENTUM),
    ("00005v1", r"together, at $z\simeq@$", lambda: 0.02 / NU_MOMENTUM - 1),
    # 6: the background
    ("00006v1", r"= \val{@}{cm^{-3}}, \label{eq:n}", lambda: N_GAMMA),
    (
        "00006v1",
        r"= \val{@}{eV\,cm^{-3}}",
        lambda: PHOTONS * RHO_C * LIGHT**2 / EV / 1e6,
    ),
    ("00006v1", r"\Omega_\gamma h^2 = @ .", lambda: PHOTONS),
    (
        "00006v1",
        r"s_0}{\kB} = \val{@}{cm^{-3}}",
        lambda: N_GAMMA * np.pi**4 / (45 * ZETA3) * 43 / 11,
    ),
    (
        "00006v1",
        r"s_0}{\kB n_\gamma} = @ .",
        lambda: np.pi**4 / (45 * ZETA3) * 43 / 11,
    ),
    (
        "00006v1",
        r"n_\gamma} = @ . \label{eq:eta}",
        lambda: OB * RHO_C / M_P / 1e6 / N_GAMMA,
    ),
    (
        "00006v1",
        r"maximum at $\val{@}{GHz}$",
        lambda: 2.82143937 * KB * T0 / PLANCK / 1e9,
    ),
    # 7: helium
    ("00007v1", r"3.0 & 0.082 & @ &", lambda: neutron_fraction(3.0)),
    ("00007v1", r"1.0 & 0.746 & @ &", lambda: neutron_fraction(1.0)),
    ("00007v1", r"0.2 & 22.8 & @ &", lambda: neutron_fraction(0.2)),
    ("00007v1", r"0.1 & @ & 0.140", lambda: seconds(0.1)),
    ("00007v1", r"0.075 & @ & 0.124", lambda: seconds(0.075)),
    ("00007v1", r"2\Xn(T_{\mathrm{nuc}}) = @ .", lambda: 2 * neutron_fraction(0.075)),
    # 8: recombination
    (
        "00008v1",
        r"at a redshift of $@$, where $B/\kT",
        lambda: where(saha, 0.5, 900, 1800),
    ),
    ("00008v1", r"0.5 & 1370 & @ \\", lambda: where(ionised, 0.5, 500, 1800)),
    ("00008v1", r"0.1 & 1253 & @ \\", lambda: where(ionised, 0.1, 500, 1800)),
    ("00008v1", r"equilibrium fraction is $@$, and", lambda: saha(Z_STAR)),
    ("00008v1", r"actual fraction is $@$, larger", lambda: ionised(Z_STAR)),
    ("00008v1", r"it is $@$ at redshift 600", lambda: ionised(600)),
    (
        "00008v1",
        r"$R_\alpha = @\ \mathrm",
        lambda: three_levels(Z_STAR, ionised(Z_STAR))[2],
    ),
    ("00008v1", r"where $\beta = @\ \mathrm", lambda: three_levels(1090, 0)[1]),
    # 9: equality
    ("00009v1", r"We find $\zeq = @$.", lambda: Z_EQ),
    ("00009v1", r"{2\,\Omega_{\mathrm{m}}(1+\zeq)} = @\Mpcinv", lambda: K_EQ),
    ("00009v1", r"gives an age of @ kyr", lambda: 1e6 * full_age(Z_EQ)),
    ("00009v1", r"equal to @ Mpc at", lambda: conformal(Z_EQ)),
    ("00009v1", r"0.1 & 0.136 & $@$ \\", lambda: slope(power, 0.1)),
    (
        "00009v1",
        r"lies at $k = @\Mpcinv[h]$",
        lambda: peak(power, 0.005, 0.05),
    ),
    # 10: peaks
    (
        "00010v1",
        r"\frac{\pi}{\theta_*} = @ .",
        lambda: np.pi * comoving(Z_STAR) / sound_horizon(Z_STAR),
    ),
    (
        "00010v1",
        r"$\theta_* = @^\circ$",
        lambda: np.degrees(sound_horizon(Z_STAR) / comoving(Z_STAR)),
    ),
    ("00010v1", r"and equals $@$ at $\zstar$", lambda: inertia(Z_STAR)),
    (
        "00010v1",
        r"still makes up @ per cent of the density",
        lambda: 100 * RADIATION * (1 + Z_STAR) / (MATTER + RADIATION * (1 + Z_STAR)),
    ),
    # 11: damping
    ("00011v1", r"find $\kD = @\Mpc^{-1}$ at $z_*$", damping),
    ("00011v1", r"\kD D_{\rm M} = @ .", lambda: damping() * comoving(Z_STAR)),
    (
        "00011v1",
        r"2000 & @ \\",
        lambda: np.exp(-2 * (2000 / damping() / comoving(Z_STAR)) ** 2),
    ),
    ("00011v1", r"at that time is $@\Mpc$", lambda: conformal(Z_STAR)),
    (
        "00011v1",
        r"raises $H$ at $z_*$ by $@$ per cent",
        lambda: 100
        * expansion(Z_STAR, (RADIATION + NEUTRINO * PHOTONS) / H**2)
        / expansion(Z_STAR)
        - 100,
    ),
    (
        "00011v1",
        r"\kD\simeq\ten{@}{-6}\,(1+z)^{3/2}",
        lambda: 1e6
        * (
            135
            / 8
            * (N_H * (1 + YP / (2 * (1 - YP))) * THOMSON * MPC)  # all ionised
            * (100 / C * RADIATION**0.5)
        )
        ** 0.5,
    ),
    # 12: reionisation
    (
        "00012v1",
        r"which is $@$ for an amplitude",
        lambda: 2.1e-9 * np.exp(-2 * 0.054),
    ),
    ("00012v1", r"6 & @ & 0.0387", lambda: thomson(6)),
    ("00012v1", r"10 & @ & 0.0786", lambda: thomson(10)),
    ("00012v1", r"gives $\zre = @$ without", lambda: where(thomson, 0.054, 5, 12)),
    (
        "00012v1",
        r"\tau_{\mathrm{GP}} = @\,x",
        lambda: EV**2
        / (4 * EPSILON_0 * M_E * LIGHT)
        * 0.4164
        * 121.567e-9
        * N_H
        * 343
        * HUBBLE_TIME
        * GYR
        / expansion(6),
    ),
    # 13: haloes
    ("00013v1", r"$10^{14}$ & @ & 1.809", lambda: sigma(1e14)),
    ("00013v1", r"$10^{13}$ & 1.46 & 1.158 & $@$ &", lambda: halos(1e13)),
    ("00013v1", r"$10^{15}$ & 0.535 & 3.153 & $@$ &", lambda: halos(1e15)),
    ("00013v1", r"It is $@\hMsun$ today", lambda: typical_mass(0)),
    ("00013v1", r"at redshift two $@\hMsun$", lambda: typical_mass(2)),
    (
        "00013v1",
        r"and $@$ per cent of all mass",
        lambda: 100 * math.erfc(DELTA_C / SIGMA8 / np.sqrt(2)),
    ),
    ("00013v1", r"which is $@$ at $10^{14}", lambda: (DELTA_C / sigma(1e14)) ** 2 - 1),
]

NUMBER = r"([+-]?\d+(?:\.\d+)?)(?:\\times10\^\{?(-?\d+)\}?)?"


def prose(paper):
    """All TeX of a paper with its white space made single."""
    folder = SAMPLE / "papers" / f"2600.{paper}"
    parts = []
    for path in sorted(folder.rglob("*.tex")):
        raw = path.read_bytes()
        latin = b"[latin1]{inputenc}" in raw
        parts.append(raw.decode("latin-1" if latin else "utf-8"))
    return " ".join(" ".join(parts).split())


@pytest.mark.parametrize(
    "paper, words, compute", NUMBERS, ids=[f"{row[0]} {row[1]}" for row in NUMBERS]
)
def test_a_stated_number_is_right_to_its_last_digit(paper, words, compute):
    """The paper's number is the computed one, rounded."""
    before, after = (re.escape(part) for part in words.split("@"))
    found = re.findall(before + NUMBER + after, prose(paper))
    assert len(found) == 1, f"{len(found)} places in {paper} read {words!r}"
    digits, exponent = found[0]
    scale = 10.0 ** int(exponent or 0)
    decimals = len(digits.partition(".")[2])
    unit = scale * 10.0**-decimals
    assert abs(float(digits) * scale - compute()) <= 0.505 * unit


def test_the_questions_are_fair():
    """No question twice, each on a paper that is there, no hint in place or length."""
    rows = list(read_jsonl(SAMPLE / "questions" / "part_a.jsonl"))
    assert len(rows) == len({row["question"] for row in rows}) == 52
    assert len({row["id"] for row in rows}) == 52
    assert all(len(set(row["choices"])) == 4 for row in rows)
    assert set(Counter(row["answer"] for row in rows).values()) == {13}
    papers = Counter(row["document"].removeprefix("arxiv:") for row in rows)
    assert set(papers.values()) == {4}
    assert all((SAMPLE / "papers" / name).is_dir() for name in papers)
    lengths = [
        (len(row["choices"][row["answer"]]), [len(choice) for choice in row["choices"]])
        for row in rows
    ]
    longest = sum(
        right == max(every) and every.count(right) == 1 for right, every in lengths
    )
    shortest = sum(
        right == min(every) and every.count(right) == 1 for right, every in lengths
    )
    assert 4 <= longest <= 13 and 4 <= shortest <= 13
