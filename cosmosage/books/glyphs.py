"""What a page's characters say: clean Unicode, LaTeX for maths, and garbage told apart.

A PDF draws glyphs; which character a glyph stands for is a note that the file may lack or
get wrong. So text is repaired here (ligatures, detached accents, private-use and control
characters), maths symbols get their LaTeX names, and a page whose letters cannot be
language is recognised by its letter pairs. The test is made for languages in the Latin
alphabet; other scripts pass as they are.
"""

import re
import unicodedata
from functools import lru_cache

_LIGATURES = {
    "ﬀ": "ff",
    "ﬁ": "fi",
    "ﬂ": "fl",
    "ﬃ": "ffi",
    "ﬄ": "ffl",
    "ﬅ": "st",
    "ﬆ": "st",
}
_SPACES = dict.fromkeys("\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007", " ")
_SPACES |= dict.fromkeys("\u2008\u2009\u200a\u202f\u205f\u3000", " ")
_NOTHING = [*range(0, 9), *range(11, 32), *range(127, 160), 0xFFFD, 0xFFFE, 0xFEFF]
_NOTHING += [*range(0x200B, 0x2010), *range(0x2060, 0x2065), *range(0xE000, 0xF900)]
CLEAN = str.maketrans(
    {**_LIGATURES, **_SPACES, "\u2010": "-", "\u2011": "-", "\u00ad": "-"}
    | {chr(code): "" for code in _NOTHING}
)

ACCENTS = {
    "´": "\u0301",
    "¨": "\u0308",
    "ˇ": "\u030c",
    "˘": "\u0306",
    "¸": "\u0327",
    "˚": "\u030a",
    "˝": "\u030b",
    "˜": "\u0303",
    "ˆ": "\u0302",
    "˙": "\u0307",
    "`": "\u0300",
    "¯": "\u0304",
}
_DETACHED = re.compile(
    r"(?<=[^\W\d_])(?: ?([´¨ˇ˘¸˚˝˜ˆ˙`¯]) ?([a-zı])|([´¨ˇ˘¸˚˝˜ˆ˙`¯])([A-Z]))"
)
_DETACHED_FIRST = re.compile(r"(?<![^\W\d_])([´¨ˇ¸˚˘]) ?([A-Za-zı])")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])´(?=[^\W\d_])")


def repair(text: str) -> str:
    """Text with ligatures taken apart, accents put on their letters, and rubbish gone.

    TeX's old fonts draw an accent as a glyph of its own before its letter (``Poincar´e``).
    """
    text = text.translate(CLEAN)
    if text.isascii() and "`" not in text:
        return text
    text = _DETACHED.sub(_put_together, text)
    text = _DETACHED_FIRST.sub(lambda m: _composed(m[1], m[2]) or m[0], text)
    text = _APOSTROPHE.sub("’", text)
    return unicodedata.normalize("NFC", text)


def _put_together(found: re.Match[str]) -> str:
    return _composed(found[1] or found[3], found[2] or found[4]) or found[0]


def _composed(accent: str, letter: str) -> str:
    letter = "i" if letter == "ı" else letter
    whole = unicodedata.normalize("NFC", letter + ACCENTS[accent])
    return whole if len(whole) == 1 else ""


_OPERATORS = {
    "−": "-",
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∗": "*",
    "±": r"\pm ",
    "∓": r"\mp ",
    "≤": r"\leq ",
    "≥": r"\geq ",
    "⩽": r"\leq ",
    "⩾": r"\geq ",
    "≪": r"\ll ",
    "≫": r"\gg ",
    "≲": r"\lesssim ",
    "≳": r"\gtrsim ",
    "≠": r"\neq ",
    "≈": r"\approx ",
    "≃": r"\simeq ",
    "≅": r"\cong ",
    "≡": r"\equiv ",
    "∼": r"\sim ",
    "∝": r"\propto ",
    "∞": r"\infty ",
    "∂": r"\partial ",
    "∇": r"\nabla ",
    "∈": r"\in ",
    "∉": r"\notin ",
    "⊂": r"\subset ",
    "⊆": r"\subseteq ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∀": r"\forall ",
    "∃": r"\exists ",
    "→": r"\to ",
    "←": r"\leftarrow ",
    "↔": r"\leftrightarrow ",
    "⇒": r"\Rightarrow ",
    "⇔": r"\Leftrightarrow ",
    "↦": r"\mapsto ",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "〈": r"\langle ",
    "〉": r"\rangle ",
    "⊗": r"\otimes ",
    "⊕": r"\oplus ",
    "⊙": r"\odot ",
    "∧": r"\wedge ",
    "∨": r"\vee ",
    "†": r"\dagger ",
    "◦": r"\circ ",
    "∘": r"\circ ",
    "°": r"^\circ ",
    "⊥": r"\perp ",
    "∥": r"\parallel ",
    "‖": r"\|",
    "∅": r"\emptyset ",
    "ℓ": r"\ell ",
    "ħ": r"\hbar ",
    "ℏ": r"\hbar ",
    "ı": r"\imath ",
    "ℜ": r"\Re ",
    "ℑ": r"\Im ",
    "′": "'",
    "″": "''",
    "…": r"\ldots ",
    "⋯": r"\cdots ",
    "ϕ": r"\phi ",
    "φ": r"\varphi ",
    "ϵ": r"\epsilon ",
    "ε": r"\varepsilon ",
    "ϑ": r"\vartheta ",
    "ϱ": r"\varrho ",
    "ς": r"\varsigma ",
    "ϖ": r"\varpi ",
    "µ": r"\mu ",
    "ο": "o",
    "Ω": r"\Omega ",
    "#": r"\#",
    "%": r"\%",
    "&": r"\&",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "\\": r"\backslash ",
    "_": r"\_",
    "~": r"\sim ",
}


@lru_cache(maxsize=4096)
def _in_latex(char: str) -> str:
    if char in _OPERATORS:
        return _OPERATORS[char]
    if char.isascii():
        return char
    name = unicodedata.name(char, "")
    greek = re.match(r"GREEK (SMALL|CAPITAL) LETTER (\w+)$", name)
    if greek and len(greek[2]) < 8:
        lamda = {"lamda": "lambda"}.get(greek[2].lower(), greek[2].lower())
        return "\\" + (lamda if greek[1] == "SMALL" else lamda.title()) + " "
    plain = unicodedata.normalize("NFKC", char)
    if plain != char and len(plain) == 1:
        return _in_latex(plain)
    return char


def latex(text: str) -> str:
    """The characters of a formula, each as LaTeX writes it."""
    return "".join(map(_in_latex, text))


_MATH_FONT = re.compile(
    r"^(?:[A-Z]{6}\+)?(?:cm(?:mi|sy|ex|bsy|mib)|lm(?:math|mi|sy|ex)|msam|msbm|eu[rsf][mb]|"
    r"mt(?:mi|sy|ex)|mt2|rm?tx(?:mi|sy|ex)|tx(?:sy|mi|ex|b?mia|syc)|rtxb?mi|px(?:sy|mi|ex)|"
    r"rpxb?mi|ntx(?:mi|sy|ex)|newtxmath|zpl?m|pazomath|fourier-math|mathdesign|stmary|wasy|"
    r"rsfs|bbm|bbold|dsrom|symbol|esint|kpmath|sansmath)|math|mtextra|euclid",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def is_maths_font(name: str) -> bool:
    """Whether a font holds symbols and letters of formulas, by the names that TeX uses."""
    return bool(_MATH_FONT.search(name))


# The fifty commonest letter pairs inside English words, with those of German, French,
# Spanish and Italian that are not among them: half of all pairs in running text, names and
# tables of words, and about an eighth of the pairs under a wrong font map.
_PAIRS = frozenset(
    "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io "
    "le ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ei ie un ge la el qu ai "
    "ta us em os ue tr di ac sc il ca na no pe ho et ss ec lo".split()
)
_WORD = re.compile(r"[^\W\d_]{2,}")


def garbled(text: str, unknown: int = 0) -> str:
    """Why a page's characters cannot be what its reader sees; empty: they can.

    Args:
        text: the page's text as the file maps it.
        unknown: how many glyphs had no character at all (U+FFFD, private use, control).

    Returns:
        The reason, in words, or "".
    """
    marks = len("".join(text.split()))
    if unknown > 20 and unknown > 0.3 * (marks + unknown):
        return (
            f"{unknown} of {marks + unknown} glyphs have no character in the font map"
        )
    words = _WORD.findall(text.lower())
    latin = [word for word in words if word[0] < "\u0250"]
    letters = sum(map(len, latin))
    if marks >= 200 and sum(map(len, words)) < 0.1 * marks:
        digits = sum(char.isdigit() for char in text)
        if digits < 0.3 * marks:
            return "hardly any letters among the characters: the font map is broken"
    if letters < 150 or letters < 0.5 * sum(map(len, words)):
        return ""
    some = latin[:: 1 + letters // 2000]  # the share of 1,500 pairs is known to .013
    pairs = [word[i : i + 2] for word in some for i in range(len(word) - 1)]
    share = sum(pair in _PAIRS for pair in pairs) / len(pairs)
    if share < 0.3:
        return f"only {share:.0%} of the letter pairs are a language's: font map broken"
    return ""
