"""Fonts of TeX whose codes come through as if they were characters, and what they draw.

A font without glyph names tells a reader nothing but codes. TeX's bitmap fonts have none:
the "fi" of "scientific" is code 28 there, and vanishes with the control characters. They
are common, since a TeX without the right outline fonts falls back on them in silence.
Which of TeX's encodings a font has can be seen from the codes that its text uses.
Source of the tables: LaTeX's ``encguide`` (OT1, T1, TS1, OML and OMS).
"""

import re
from collections import Counter
from functools import lru_cache
from typing import Any

_GREEK = "αβγδϵζηθικλμνξπρστυϕχ"
_LIGATURES = ["ff", "fi", "fl", "ffi", "ffl"]
_OT1 = str.maketrans(
    dict(zip(map(chr, range(0x0B, 0x10)), _LIGATURES))
    | dict(zip(map(chr, range(0x10, 0x20)), "ıȷ`´ˇ˘¯˚¸ßæœøÆŒØ"))
    | {'"': "”", "\\": "“", "{": "–", "|": "—", "}": "˝", "\x7f": "¨", "^": "ˆ"}
    | {"\x88": "•"}  # of TS1, the font of textcomp
)
_T1 = str.maketrans(
    dict(zip(map(chr, range(0x1B, 0x20)), _LIGATURES))
    | dict(zip(map(chr, range(0x10, 0x17)), "“”„«»–—"))
    | dict(zip(map(chr, range(0x80, 0xA0)), "ĂĄĆČĎĚĘĞ•ĽŁŃŇŊŐŔŘŚŠŞŤŢŰŮŸŹŽŻĲİđ§"))
    | dict(zip(map(chr, range(0xA0, 0xC0)), "ăąćčďěęğĺľłńňŋőŕřśšşťţűůÿźžżĳ¡¿£"))
    | {"\x19": "ı", "×": "Œ", "÷": "œ", "ß": "SS", "ÿ": "ß", "\x7f": "-"}
)
_MATHTIME_LETTERS = str.maketrans(
    dict(zip(map(chr, range(0x0B, 0x20)), _GREEK))
    | dict(zip(map(chr, range(0x0B)), "ΓΔΘΛΞΠΣΥΦΨΩ"))
    | {"˛": "α", "ˇ": "β", ".": "(", "/": ")", ":": ".", ";": ",", "=": "/", "@": "∂"}
)
_MATHTIME_SIGNS = str.maketrans(
    {"\x00": "−", "\x01": "·", "\x02": "×", "\x03": "∗", "\x14": "≤", "\x15": "≥"}
    | {"\x18": "∼", "\x19": "≈", "0": "′", "1": "∞", "2": "∈", "!": "→", "C": "+"}
    | {"D": "=", "f": "{", "g": "}", "h": "⟨", "i": "⟩", "j": "|", "k": "‖", "r": "∇"}
)
_MATHTIME = re.compile(r"MT2B?(?:(MI)|(SY))[A-Z]{1,2}$")
_BITMAP = re.compile(r"F\d{1,4}")  # pdfTeX names them after its own numbers
_MARKS_OF_OT1 = re.compile("[\x0b-\x0f]")
_MARKS_OF_T1 = re.compile("[\x10\x11\x15\x16\x1b-\x1f]")
_LONG_WORD = re.compile(r"[^\W\d_]{3,}")


def codes(lines: list[dict[str, Any]]) -> dict[str, dict[int, str]]:
    """Tables for those fonts of a page that give codes instead of characters.

    MathTime Professional 2 is known by its names ("m D 0" stands for "m = 0"). A bitmap font
    is taken for one of text where most of its letters stand in words; those of formulas are
    left as they are.

    Args:
        lines: as in PyMuPDF's dictionary of a page.

    Returns:
        By the font's name, a table for ``str.translate``.
    """
    out: dict[str, dict[int, str]] = {}
    said: dict[str, list[str]] = {}
    for line in lines:
        for span in line["spans"]:
            font = span["font"]
            table = _known(font)
            if table:
                out[font] = table
            elif table is not None:
                said.setdefault(font, []).append(span["text"])
    votes: Counter[bool] = Counter()
    bitmaps: dict[str, bool | None] = {}  # whether the encoding is T1, if that is seen
    for font, parts in said.items():
        text = " ".join(parts)
        old, new = len(_MARKS_OF_OT1.findall(text)), len(_MARKS_OF_T1.findall(text))
        words = sum(map(len, _LONG_WORD.findall(text)))
        if words < 0.5 * sum(map(str.isalpha, text)):
            continue
        bitmaps[font] = new > old if new or old else None
        if new or old:
            votes[new > old] += new + old
    usual = votes.most_common(1)[0][0] if votes else True
    for font, is_t1 in bitmaps.items():
        out[font] = _T1 if (usual if is_t1 is None else is_t1) else _OT1
    return out


@lru_cache(maxsize=1024)
def _known(name: str) -> dict[int, str] | None:
    """A font's table; an empty one where its text must tell; None: it needs none."""
    found = _MATHTIME.search(name)
    if found:
        return _MATHTIME_LETTERS if found[1] else _MATHTIME_SIGNS
    return {} if _BITMAP.fullmatch(name) else None
