"""Numbers with units in running text and TeX: what an answer says, held against what is so.

Units are astropy's, with the words and signs that papers use for them; what it doesn't know is no
unit, and the number before it stands alone. An uncertainty ("67.4 +- 0.5") is no answer of its own
and is passed over, and so are numbers that are part of a name or a formula ("SN1987A", "(1+z)^2").
A range ("10 to 20 per cent") is one quantity. ``h^-1 Mpc`` is a kind of its own: astropy takes the
h for an hour, which does no harm among answers that all have it.

The text may be hostile: every expression here is bounded or possessive, so that reading takes a
time that grows with its length and no faster.
"""

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
_COUNTS = "one two three four five six seven eight nine ten".split()
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_PLAIN = [
    # TeX, in the order in which one uncovers the other
    (r"\\(?:mathrm|text|textrm|mathit|operatorname|mbox|rm)(?![A-Za-z])", ""),
    (r"\\[dt]?frac\s?\{(\d{1,4})\}\s?\{(\d{1,4})\}", r"\1/\2"),
    (r"\\(?:times|cdot)(?![A-Za-z])", "×"),
    (r"\\pm(?![A-Za-z])|\bplus or minus\b|\+/-|\+-", "±"),
    (r"\\%|\bper ?cent\b", "%"),
    (r"_?\{?(?:\\odot(?![A-Za-z])|[⊙☉])\}?", "_sun"),
    (r"\\(M|m)sun(?![A-Za-z])", "M_sun"),
    (r"\^\{?\\circ(?![A-Za-z])\}?", "°"),
    (r"(?<=\d)(?:\\,|\{,\}|[\u2009\u202f\xa0])(?=\d{3}(?!\d))", ","),
    (r"\$(?=[\^_])", ""),
    (r"\\[,;!: ]|[~$\u2009\u202f\xa0]|\\(?:quad|approx|simeq|sim)(?![A-Za-z])", " "),
    (r"(?<=\d)\}(?=[A-Za-z])", " "),
    (r"\}\s?\{", " "),
    (r"[{}]", ""),
    (r"(?<=\d)-{2,3}(?=\d)", "–"),
    (r"\\mu\s?(?=[A-Za-z])", "μ"),
    # signs and words
    (r"[⁺⁻]?[⁰¹²³⁴-⁹]+", lambda found: "^" + found[0].translate(_SUPERSCRIPTS)),
    (r"−|\bminus\s(?=\d)|(?<!\d)(?<!\d\s)–(?=\d)", "-"),
    (
        rf"\bminus\s({'|'.join(_COUNTS)})\b",
        lambda found: f"-{_COUNTS.index(found[1]) + 1}",
    ),
    (r"(?<![\d.,])(\d{1,3}) (?=\d{3}(?![\d.]|,\d))", r"\1,"),
    (r"(?<=\d)σ", " sigma"),
    # units of several words
    (r"\blight[- ]years?\b", "lyr"),
    (r"\bsolar mass(?:es)?\b", "M_sun"),
    (r"\bsolar luminosit(?:y|ies)\b", "L_sun"),
    (r"\bsolar radi(?:us|i)\b", "R_sun"),
    (r"\bastronomical units?\b", "AU"),
    (r"\belectron[- ]volts?\b", "eV"),
]
_PLAIN = [(re.compile(pattern), put) for pattern, put in _PLAIN]

_DIGITS = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?|\.\d++"
_POWER = r"[-+]?\d{1,3}(?:\.\d{1,3})?(?!\.?\d)"
_ERROR = (  # a closing bracket belongs to (67.4 ± 0.5)
    r"(?:\s?±\s?[\d.]++(?:[eE][-+]?\d{1,3})?+(?:\s?\))?+|\(\d{1,3}\)"
    r"|(?:\s?[\^_]\s?[-+]\s?[\d.]++){2})?+"
)
_NUMBER = re.compile(
    # no index, exponent, divisor, nor the end of a name
    r"(?<![\w.^/])(?<![A-Za-z)^_][-+])(?P<sign>[-+])?"
    r"(?:(?P<over>\d{1,4})\s?/\s?(?P<under>\d{1,4})(?![\w/^]|\.\d)"
    rf"|10\s?(?:\^|\*\*)\s?(?P<bare>{_POWER})"
    rf"|(?P<head>{_DIGITS}){_ERROR}"
    rf"(?:\s?[×x*]\s?10\s?(?:\^|\*\*)\s?(?P<power>{_POWER})"
    r"|\s?[×x*]\s?10(?P<lost>[-+]?[1-9]\d?(?![\d.]))"  # superscripts that a PDF lost
    r"|[eE](?P<exponent>[-+]?\d{1,3}(?!\d)))?+)"
    rf"{_ERROR}"
    # no base of a power, nor a term of a formula such as 1 + z
    r"(?!\s?(?:\^|\*\*)|\s?\+\s?[A-Za-z\\]|\s?-\s?\\)"
)
_STATE = re.compile(r"\d(?:[spdfgD]|dF)(?![A-Za-z])|\d++(?:st|nd|rd|th)(?![A-Za-z])")
"""What looks like a number with its unit: the state 2s, 3D, the 2nd."""
_ATOM = re.compile(
    r"(?P<join>\s{0,2}(?:(?:[a-z]{3,20}\s)?(?P<over>per\s)|(?P<slash>/)|[-·*])?\s{0,2}"
    r"(?P<open>\()?)(?P<name>[^\W\d_]{1,20}(?:_[a-z]{3,5})?|[%°′″])"
    r"(?:\^?(?P<power>[-+]?\d))?(?![\w^])"
)
_ATOMS = 5
"""Parts of a unit at most: erg per s per cm^2 per Hz per sr has them."""
_SIGNS = {"%": "percent", "°": "deg", "′": "arcmin", "″": "arcsec"}
_NO_UNITS = {"a", "as", "at", "am", "pm", "us"}
"""Words that astropy would read as a year, an attosecond, an attotonne, an attometre, ..."""
_TO = re.compile(r"\s?(?:to|-{1,2}|–|—)\s?")
_OR = re.compile(r",?\sor\s")


@dataclass(frozen=True)
class Quantity:
    """A number, and its unit where it has one."""

    value: float
    unit: str | None = None
    """As astropy writes it."""
    upper: float | None = None
    """Of a range its end; ``value`` is then where it begins."""

    def like(self, other: "Quantity") -> bool:
        """Whether another quantity is of the same physical kind, whatever its unit."""
        return _factor(other.unit, self.unit) is not None

    def matches(self, other: "Quantity", tolerance: float = TOLERANCE) -> bool:
        """Whether another quantity is of this kind, and this large.

        Args:
            other: may have any unit of the same dimension; a range has to lie in this one.
            tolerance: relative to this value; of 0, absolute.
        """
        factor = _factor(other.unit, self.unit)
        if factor is None:
            return False
        upper = self.value if self.upper is None else self.upper
        low = self.value - tolerance * (abs(self.value) or 1.0)
        high = upper + tolerance * (abs(upper) or 1.0)
        ends = (other.value, other.value if other.upper is None else other.upper)
        return all(low <= factor * end <= high for end in ends)


@functools.lru_cache(1024)
def _factor(given: str | None, wanted: str | None) -> float | None:
    """What a number in one unit is to be multiplied by; None if they are of different kinds."""
    if given is None or wanted is None:
        return 1.0 if given == wanted else None
    here, there = units.Unit(wanted), units.Unit(given)
    return float(there.to(here)) if there.is_equivalent(here) else None


@dataclass(frozen=True)
class _Read:
    """A number as it stands in a text."""

    start: int
    end: int
    number: float
    scale: float
    unit: str | None
    upper: float | None = None
    """Of a range, in this unit and without scale."""

    def quantity(self) -> Quantity:
        """Without its place; a range from its lower end."""
        value = self.number * self.scale
        if self.upper is None:
            return Quantity(value, self.unit)
        return Quantity(min(value, self.upper), self.unit, max(value, self.upper))


def quantities(text: str) -> Iterator[Quantity]:
    """The numbers of a text in order, each with its unit, which "10 to 20 Mpc" tells once."""
    plain = _plain(text)
    last: _Read | None = None
    for read in _reads(plain):
        if last is not None:
            joint = _joint(plain, last, read)
            if joint and last.unit is None and last.upper is None:
                # the first number shares what stands behind the second
                shared = last.scale == 1 and last.number < read.number
                last = replace(
                    last, unit=read.unit, scale=read.scale if shared else last.scale
                )
            factor = _factor(read.unit, last.unit)
            if joint == "to" and last.upper is None and factor is not None:
                last = replace(
                    last, end=read.end, upper=factor * read.number * read.scale
                )
                continue
            yield last.quantity()
        last = read
    if last is not None:
        yield last.quantity()


def _joint(plain: str, first: "_Read", second: "_Read") -> str:
    """Whether two numbers are a range ("to"), alternatives ("or") or neither ("")."""
    between = plain[first.end : second.start]
    if len(between) > 5:
        return ""
    if _TO.fullmatch(between):
        return "to"
    if (
        between == " and "
        and plain[max(0, first.start - 8) : first.start] == "between "
    ):
        return "to"
    return "or" if _OR.fullmatch(between) else ""


def beyond(question: str, text: str) -> list[Quantity]:
    """The numbers of a text that do not only repeat those of a question."""
    asked = list(quantities(question))
    return [
        each
        for each in quantities(text)
        if not any(other.matches(each, 1e-9) for other in asked)
    ]


def numbers(text: str) -> frozenset[float]:
    """The numbers that stand in a text, each part as it is written: of 2 x 10^5 2, 10 and 5.

    What a text says is not asked here, only whether it can have said it: errors are numbers too,
    and units are not looked at. The whole powers of units and variables ("s^-1", "z^2") and the
    digits of names ("H0", "x_2") are none.
    """
    plain = re.sub(r"(?<=[A-Za-z])\^\s?[-+]?\d++(?!\.\d)", " ", _plain(text))
    plain = re.sub(r"\\[A-Za-z]++|(?<=\d)x(?=\s?10)", " ", plain)
    found = re.findall(rf"(?<![\w.])(?:{_DIGITS})", plain)
    return frozenset(float(number.replace(",", "")) for number in found)


def _plain(text: str) -> str:
    """TeX's ways, and typography's, to write numbers and units as plain signs."""
    for pattern, put in _PLAIN:
        text = pattern.sub(put, text)
    return text


def _reads(plain: str) -> Iterator[_Read]:
    place = 0
    while found := _NUMBER.search(plain, place):
        place = found.end()
        number = _value(found)
        scale, end = _scale(plain, place)
        unit, end = _unit(plain, end)
        named = re.compile(r"[^\W\d_]\w*+").match(plain, place)
        if named and (end == place or _STATE.match(plain, found.start())):
            place = named.end()  # 6dF, 2MASS, 3C273: a name
            continue
        if math.isfinite(number * scale):
            yield _Read(found.start(), end, number, scale, unit)
        place = max(end, place)


def _value(found: re.Match[str]) -> float:
    """The number that was found; infinite if no float holds it."""
    sign = -1.0 if found["sign"] == "-" else 1.0
    if found["over"]:
        under = int(found["under"])
        return sign * int(found["over"]) / under if under else math.inf
    power = found["bare"] or found["power"] or found["lost"] or found["exponent"]
    whole, _, rest = (power or "0").partition(".")
    head = float(f"{(found['head'] or '1').replace(',', '')}e{whole}")
    # a decimal power, as in 10^12.5, in two steps: 10.0**309 raises
    return sign * head * (10 ** float(f"{'-' * whole.startswith('-')}.{rest or 0}"))


def _scale(text: str, place: int) -> tuple[float, int]:
    """A word such as million behind a number, and where it ends."""
    found = re.compile(r"\s{0,2}-?([a-z]{7,8})(?![a-z])").match(text, place)
    if found and found[1] in _SCALES:
        return _SCALES[found[1]], found.end()
    return 1.0, place


def _unit(text: str, place: int) -> tuple[str | None, int]:
    """The unit behind a number, and where it ends."""
    parts: list[tuple[str, int]] = []
    ends = [place]
    loose = _ATOMS
    below = bracket = raised = False
    while len(parts) < _ATOMS and (found := _ATOM.match(text, ends[-1])):
        if _known(found["name"]) is None:
            break
        over = found["over"] or found["slash"]
        below = below or bool(over)
        bracket = bracket or bool(found["open"])
        raised = raised or bool(found["power"])
        if parts and not (over or bracket or found["join"].strip(" \n-")):
            loose = min(loose, len(parts))
        power = int(found["power"] or 1)
        parts.append((found["name"], -power if below and power > 0 else power))
        ends.append(found.end())
    # a word behind a unit that happens to be one, too: only exponents make them a product
    count = len(parts) if raised else min(loose, len(parts))
    return _product(tuple(parts[:count])), ends[count]


@functools.lru_cache(1024)
def _product(parts: tuple[tuple[str, int], ...]) -> str | None:
    """Units by their names and powers as one, as astropy writes it; None if it has none."""
    unit = units.dimensionless_unscaled
    for name, power in parts:
        unit = unit * _known(name) ** power
    return None if unit == units.dimensionless_unscaled else unit.to_string()


@functools.lru_cache(1024)
def _known(name: str) -> units.UnitBase | None:
    """The unit of a name; astropy's parser is not asked, for it is slow to say no."""
    if name in _NO_UNITS:
        return None
    registry = units.get_current_unit_registry().registry
    name = _SIGNS.get(name, name)
    if name in registry:
        return registry[name]
    names = [name.removesuffix("s")]
    if name[1:].islower():
        word = name.lower().replace("metre", "meter")
        names += [word, word.removesuffix("s"), word.removesuffix("s").capitalize()]
    return next((registry[n] for n in names if len(n) > 2 and n in registry), None)
