"""Which language a text is in, by its function words.

The commonest words of a language carry a fifth to a half of its running text and are the
same in a novel and in a textbook, so that twenty of them tell it from its neighbours
(Ingle 1976 did it by hand). The price: only the languages of the table are told apart;
another one that is written in Latin letters is unknown. A list of names has no language.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence

LEAST = 0.08
"""Share of words that are a language's function words, at least. English: 30 real papers and
books have .16 to .33 (German and French ones below .02); own paragraphs in the other six
languages have .34 to .41 of their own and at most .17 of a neighbour's; OCR that misread 15 %
of an English book's letters left .17, a broken font map nothing."""

ENGLISH = "English"
FUNCTION_WORDS = {
    ENGLISH: frozenset(
        "the of and to is that for with by this we from be at which it can not have has were "
        "these between than".split()
    ),
    "German": frozenset(
        "der die das und ist nicht mit von zu den dem des ein eine auf für sich wird sind auch "
        "als wie bei durch oder".split()
    ),
    "French": frozenset(
        "le la les des et est une dans que qui pour par sur du ne pas avec cette sont nous au "
        "aux plus ou".split()
    ),
    "Spanish": frozenset(
        "el la los las y es una en que del por con para se no su como más lo al también pero "
        "este".split()
    ),
    "Italian": frozenset(
        "il la le di che è una per con del della non si sono gli nel alla dei anche più delle "
        "dal questo".split()
    ),
    "Portuguese": frozenset(
        "o os as é um uma que do da em não com para por se na dos das mais também ao como "
        "são".split()
    ),
    "Dutch": frozenset(
        "de het een en van dat op te niet met voor zijn door aan bij wordt deze als ook uit "
        "naar of".split()
    ),
}
"""English: words that are frequent in science and are no words of its neighbours (so "in",
"a", "an", "on", "as", "was" are left out). The others: their commonest articles,
prepositions, pronouns and forms of "to be"."""


def shares(words: Sequence[str]) -> dict[str, float]:
    """The share of a text's words that are each language's function words.

    Args:
        words: of the text, as white space separates them.
    """
    counts = Counter(word.strip(".,;:()").lower() for word in words)
    return {
        name: sum(counts[word] for word in known) / max(1, len(words))
        for name, known in FUNCTION_WORDS.items()
    }


def language(words: Sequence[str]) -> str:
    """The language of a text: a name of the table, a script, or ``unknown``.

    Args:
        words: of the text, as white space separates them, formulas left out.

    Returns:
        The language whose function words are the commonest, if they are at least ``LEAST``
        of the words; else, of a text in other letters than Latin, ``Cyrillic script`` and the
        like; else ``unknown`` (a table of numbers, a broken font, another language).
    """
    found = shares(words)
    name = max(found, key=found.__getitem__)
    if found[name] >= LEAST:
        return name
    scripts: Counter[str] = Counter()
    for character, count in Counter("".join(words)).items():
        if character.isalpha():
            scripts[unicodedata.name(character, "unknown").partition(" ")[0]] += count
    if scripts and (script := scripts.most_common(1)[0][0]) not in ("LATIN", "unknown"):
        return f"{script.capitalize()} script"
    return "unknown"
