"""Personal data: addresses and numbers by which a person can be reached.

A model that has read an address may say it. What is found is replaced by a mark that leaves
its sentence readable; FineWeb (Penedo et al. 2024, arXiv:2406.17557) puts an invented address
there, which a model then learns as if it were somebody's. Numbers are taken as telephone
numbers on clear evidence only, since papers are full of coordinates, names of stars and grants
that look like them. IP addresses stay, which FineWeb removes: in papers they are versions of
programs.
"""

import re
from collections import Counter

from cosmosage.corpus.cleaning import FORMULAS

_HOST = r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}[^\W\d_]{2,18}"
_NAME = r"[\w.+'-]{1,64}"
_AT, _DOT = r"\s?[\[({<]\s?at\s?[\])}>]\s?", r"\s?[\[({<]\s?dot\s?[\])}>]\s?|\."
_MAIL = re.compile(
    rf"(?:mailto:)?(?<![\w.+'-]){_NAME}\s?@\s?{_HOST}(?!\w)"
    # {first,second}@host, as papers write the addresses of a whole institute
    rf"|\\?\{{[\w.+'\s,;|-]{{1,300}}\\?\}}\s?@\s?{_HOST}(?!\w)"
    rf"|(?<![\w.+'-]){_NAME}{_AT}[\w-]{{1,63}}(?:(?:{_DOT})[\w-]{{1,63}}){{1,6}}(?!\w)",
    re.IGNORECASE,
)
_SEPARATOR = r"(?:[ ./-]|\) ?| ?\(0?\)?)"
_TELEPHONE = re.compile(
    # +49 6221 528-123, +1 (805) 555-1234: judged by its digits
    rf"(?<![\w.+^(-])\(?(?P<abroad>\+[1-9]\d{{0,2}}(?:{_SEPARATOR}\d{{1,8}}){{2,6}})(?![\w\u00b0'])"
    # (805) 555-1234
    r"|(?<![\w.-])\(\d{3}\) ?\d{3}-\d{4}(?![\w-]|\.\d)"
    # whatever follows Tel.: or Fax:
    r"|\b(?P<word>(?:tele)?phone|tel|fax)(?P<mark>\.?:|\.) ?\+?\(?\d[\d ()./-]{4,18}\d(?!\w)",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"@|at\s?[\])}>]|\+[1-9]|\(\d{3}\) ?\d|\b(?:tel|fax|(?:tele)?phone)\b", re.I
)


def without_personal_data(text: str) -> tuple[str, Counter[str]]:
    """A text with ``[e-mail]`` and ``[telephone]`` in place of what they are.

    Formulas and listings are left as they are.

    Args:
        text: Markdown with LaTeX maths.

    Returns:
        The text, and how many of each were found.
    """
    found: Counter[str] = Counter()
    if not _CUE.search(text):
        return text, found
    out, last = [], 0
    for kept in FORMULAS.finditer(text):
        out += [_replaced(text[last : kept.start()], found), kept[0]]
        last = kept.end()
    return "".join([*out, _replaced(text[last:], found)]), found


def _replaced(prose: str, found: Counter[str]) -> str:
    def mail(match: re.Match[str]) -> str:
        found["e-mail"] += 1
        return "[e-mail]" if not match[0][0].isspace() else " [e-mail]"

    def telephone(match: re.Match[str]) -> str:
        if match["abroad"] and not _dialled(match["abroad"]):
            return match[0]
        found["telephone"] += 1
        label = f"{match['word']}{match['mark']} " if match["word"] else ""
        return f"{label}[telephone]"

    return _TELEPHONE.sub(telephone, _MAIL.sub(mail, prose))


def _dialled(number: str) -> bool:
    """Whether digits behind a plus sign can be dialled: 9 to 15 (ITU-T E.164), no decimals."""
    digits = sum(map(str.isdigit, number))
    return 9 <= digits <= 15 and number.count(".") != 1
