"""Numbers with units in running text and TeX: what an answer says, held against what is so.

Units are astropy's, with the words and signs that papers use for them; what it doesn't know is no
unit, and the number before it stands alone. An uncertainty ("67.4 +- 0.5") is no answer of its own
and is passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from astropy import units

TOLERANCE = 0.05
"""Relative: an answer of 70 is right where 67.4 is asked for, one of 73 is not."""

_SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
}
_WORDS = {
    "percent": "%",
    "per cent": "%",
    "years": "yr",
    "year": "yr",
    "days": "d",
    "hours": "h",
    "minutes": "min",
    "seconds": "s",
    "kelvins": "K",
    "kelvin": "K",
    "degrees": "deg",
    "degree": "deg",
    "arcminutes": "arcmin",
    "arcseconds": "arcsec",
    "metres": "m",
    "meters": "m",
    "kilometres": "km",
    "kilometers": "km",
    "parsecs": "pc",
    "parsec": "pc",
    "kiloparsecs": "kpc",
    "megaparsecs": "Mpc",
    "megaparsec": "Mpc",
    "gigaparsecs": "Gpc",
    "light-years": "lyr",
    "light years": "lyr",
    "solar masses": "solMass",
    "solar mass": "solMass",
    "electronvolts": "eV",
    "electron volts": "eV",
    "hertz": "Hz",
    "ohms": "ohm",
    "astronomical units": "AU",
    "au": "AU",
    "%": "%",
    "°": "deg",
    "′": "arcmin",
    "″": "arcsec",
    "M⊙": "solMass",
    "M_sun": "solMass",
    "Msun": "solMass",
}
_NO_UNITS = {"a", "as", "at", "am"}
"""Words that astropy would read as a year, an attosecond, an attotonne and an attometre."""
_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d+)?"
    r"(?:\s*(?:×|x|\*)\s*10\s*(?:\^|\*\*)?\s*(?P<power>[-+−]?\d+)|[eE](?P<exponent>[-+]?\d+))?"
    r"(?!\w*\d)"
)
_ERROR = re.compile(r"\s*(?:±|\+-|\+/-)\s*[\d.]+(?:\s*[eE][-+]?\d+)?")
_LONGEST = 4
"""Words of a unit: km per s per Mpc has five, and is written with slashes."""


@dataclass(frozen=True)
class Quantity:
    """A number, and its unit where it has one."""

    value: float
    unit: str | None = None
    """As astropy writes it."""

    def matches(self, other: "Quantity", tolerance: float = TOLERANCE) -> bool:
        """Whether another quantity is of this kind, and this large.

        Args:
            other: may have any unit of the same dimension.
            tolerance: relative to this value; of 0, absolute.
        """
        told = self.told(other)
        if told is None:
            return False
        return abs(told - self.value) <= tolerance * (abs(self.value) or 1.0)

    def told(self, other: "Quantity") -> float | None:
        """Another quantity in this unit; None if it is of another kind."""
        if self.unit is None or other.unit is None:
            return other.value if self.unit == other.unit else None
        here, there = units.Unit(self.unit), units.Unit(other.unit)
        if not there.is_equivalent(here):
            return None
        return float(there.to(here, other.value))


def quantities(text: str) -> Iterator[Quantity]:
    """The numbers of a text in order, each with its unit."""
    plain, place = _plain(text), 0
    while found := _NUMBER.search(plain, place):
        place = found.end()
        head = re.split(r"[×x*eE]", found[0], maxsplit=1)[0]
        value = float(head.replace(",", "").replace("−", "-"))
        power = found["power"] or found["exponent"] or "0"
        value *= 10.0 ** int(power.replace("−", "-"))
        if error := _ERROR.match(plain, place):
            place = error.end()
        scale, place = _scale(plain, place)
        unit, place = _unit(plain, place)
        yield Quantity(value * scale, unit)


def _plain(text: str) -> str:
    """TeX's ways to write numbers and units as plain signs."""
    text = re.sub(r"\\(?:mathrm|text|rm|mathit|textrm|operatorname)\b", "", text)
    text = re.sub(r"\\times|\\cdot", "×", text)
    text = re.sub(r"\\pm", "±", text)
    text = re.sub(r"\\%", "%", text)
    text = re.sub(r"_?\{?\\odot\}?", "⊙", text)
    text = re.sub(r"\\[,;!: ]|[~$]|\\(?:quad|approx|simeq|sim)", " ", text)
    text = re.sub(r"[{}]", "", text)
    return text.replace("−", "-").replace("^-", "-")


def _scale(text: str, place: int) -> tuple[float, int]:
    """A word such as million behind a number, and where it ends."""
    found = re.compile(r"\s*([a-z]+)").match(text, place)
    if found and found[1] in _SCALES:
        return _SCALES[found[1]], found.end()
    return 1.0, place


def _unit(text: str, place: int) -> tuple[str | None, int]:
    """The longest run of words behind a number that is a unit, and where it ends."""
    words = list(re.compile(r"[^\s,;()]+").finditer(text, place, place + 60))
    if not words or text[place : words[0].start()].strip(" -"):
        return None, place
    for count in range(min(_LONGEST, len(words)), 0, -1):
        end = words[count - 1].end()
        known = _known(text[words[0].start() : end].strip(" -").rstrip(".:?!"))
        if known:
            return known, end
    return None, place


def _known(words: str) -> str | None:
    """The unit that some words name, as astropy writes it."""
    if not words or words.split()[0] in _NO_UNITS:  # none: "5 ..."
        return None
    words = " ".join(
        _WORDS.get(word, word) for word in _WORDS.get(words, words).split()
    )
    first, *below = re.sub(r"\s+per\s+", "/", words).split("/")
    try:
        # km/s/Mpc has two slashes, of which astropy would warn
        unit = units.Unit(f"{first}/({' '.join(below)})" if below else first)
    except (ValueError, TypeError):
        return None
    return None if unit == units.dimensionless_unscaled else unit.to_string()
