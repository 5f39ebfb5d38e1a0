"""The last pass over finished text: blanks, quotes, and the traces of what was taken out."""

import re
from collections.abc import Callable
from typing import Any

from cosmosage.latex.lexer import without
from cosmosage.latex.references import GAP, HOLE, NAMED, Names, cite, point

_FILLER = (
    r"(?:e\. ?g\.|i\. ?e\.|see|also|cf\.?|and|or|references?|therein|for|example|in|a|an"
    r"|the|recent|reviews?|as|by|from|of|instance|more|details|\d{4}|others|hereafter"
    r"|respectively|original|Refs?\.?|but|"
    r"[,;.:& ])"
)
# possessive: what an author can write must never make these go back and try again
_BRACKETS = re.compile(rf" ?[(\[]{_FILLER}*+{HOLE}(?:{_FILLER}|{HOLE})*+[)\]]")
_NAMED_NOUN = re.compile(rf"(?:\b[Rr]efs?\.|\b[Rr]eferences?) ?{NAMED}")
# one of several works whose names are not known
_UNNAMED = re.compile(
    r"\b((?:in|by|of|from|see|also|following|with|to|as|e\. ?g\.,?) )"
    rf"{HOLE}(?:, ?(?:and )?| and )(?={NAMED})"
)
_SEVERAL = re.compile(rf"{HOLE}(?:[ ,;-]{{0,9}}{HOLE})+")
# What goes with a citation that stood outside of brackets, and what stays, in this order. The
# first of three is what the pattern cannot do without, and is found far sooner than that.
_HOLES = [
    (re.compile(core), re.compile(pattern), instead)
    for core, pattern, instead in (
        (
            rf" {HOLE}(?:"
            + "|".join(
                rf"(?<={word} {HOLE})"
                for word in r"\bin \bby \bof from \bsee also wing with \bto \band \bor s\. f\."
                r" ence nces ef efs".split()
            )
            + r")(?: ?[.,;:)\]]| and\b)",
            r"(?:,? (?:e\.g\.,?|cf\.|see))? "
            r"(?:(?:in|by|of|from|see(?: also)?|following|with|to|and|or),? )?"
            rf"(?:in|by|of|from|see(?: also)?|following|with|to|and|or|[Rr]efs?\.?"
            rf"|[Rr]eferences?) {HOLE}(?:,?(?: and)? (?:[Rr]efs?\.? )?{HOLE})*"
            r"(?= ?[.,;:)\]])",
            "",
        ),
        (rf"[(\[] ?{HOLE}", rf"(?<=[(\[]) ?{HOLE} ?[,;]? ?", ""),
        (
            rf" {HOLE} for",
            rf"[;,] (?:see,? |also |e\.g\.,? )*{HOLE} for (?:an? )?(?:\w+ )?"
            r"(?:reviews?|details|overviews?|discussions?)(?=[.,;)])",
            "",
        ),
        # what led to it leads to what follows: "(e.g. [3], and Body 1999)"
        (
            rf" {HOLE}(?<=[.,eo] {HOLE})(?: ?[,;]| and\b| or\b)",
            r"\b((?:e\. ?g\.|i\. ?e\.|cf\.|see|also|for example|for instance),? )"
            rf"{HOLE}(?: ?[,;] ?| (?=and\b|or\b))(?:(?:and|or)\b[, ]*)?(?=[\w\"'\x03])",
            r"\1",
        ),
        (
            rf"{HOLE} ?[)\]]",
            rf"[ ,;]{{0,9}}(?:\b(?:see(?: also)?|e\.g\.|cf\.)[, ]{{0,4}})?{HOLE} ?(?=[)\]])",
            "",
        ),
        (
            rf"[Rr]ef(?:s?\.|erences?) ?{HOLE}",
            rf" ?\b(?:[Rr]efs?\.|[Rr]eferences?) ?{HOLE} ?",
            " ",
        ),
        (HOLE, rf"([,;]) ?{HOLE} ?(?=[,;.])", ""),
        # a parenthesis between dashes; a dash, a note's mark or a stop that followed at once
        (rf"- ?{HOLE}", rf" ?--+ ?{HOLE} ?--+(?= ?[,.;:)])", ""),
        (rf"{HOLE} ?[-[]", rf" ?{HOLE}(?=---?\S)| ?{HOLE} ?(?=\[\^)", ""),
        (
            rf"{HOLE}(?:(?<=[.!?] {HOLE})|(?<=[.!?]{HOLE}))",
            rf"(?<=[.!?]) ?{HOLE} ?\.",
            "",
        ),
        (rf"{HOLE} ?[.,;:!?)\]]", rf" ?{HOLE}(?= ?[.,;:!?)\]]) ?", ""),
        (HOLE, rf" ?{HOLE} ?", " "),
    )
]
_EMPTY_CORE = re.compile(r"\([ ,;]{0,9}\)|\[[ ,;]{0,9}\]")
_DANGLING_PAIRS = "(, (; [, [; ,) ;) ,] ;] ,. ;.".split() + [", )", "; )", ", .", "; ."]
_DANGLING = re.compile(r"(?<=[(\[]) ?[,;][ ,;]*(?=\w)| ?[,;]+ ?(?=[)\]]|\.(?:\s|$))")
_EMPTY = re.compile(r" ?\([ ,;]{0,9}\)| ?\[[ ,;]{0,9}\]")
_NOUN = (
    r"(?:[Ff]ig(?:ure|s|ures)?\.?|FIG\.|FIGURE|[Tt]ab(?:le|les|s)?\.?"
    r"|[Ss]ec(?:tion|tions|t|ts|s)?\.?|[Ee]q(?:uation|uations|n|ns|s)?\.?"
    r"|[Aa]pp(?:endix|endices|s)?\.?|[Cc]hap(?:ter|ters)?\.?"
    r"|[Aa]lg(?:orithm|orithms)?\.?|[Ll]istings?|[Pp]anels?|[Pp]ages?|[Pp]p?\.|§+|[Tt]heorems?"
    r"|[Ll]emmas?|[Ss]teps?|[Ii]tems?|[Pp]ropositions?|[Dd]efinitions?)"
)
_GAP_BRACKET = re.compile(
    rf" ?[(\[](?=[^()\[\]]{{0,99}}{GAP})(?:see|cf\.?|also|e\.g\.,?|and|in|left|right|top"
    rf"|bottom|below|above|{_NOUN}|[,; &]|{GAP}|-|–|[a-z]\b)*+[)\]]"
)
_ONE_GAP = rf"(?:\({GAP}\)|{GAP})(?:[a-z]\b| ?\([a-z]\))?"
_GAP_NOUN = re.compile(
    rf"(?P<start>[.:] |\f ?)?(?:\bthe )?\b(?P<noun>{_NOUN}) ?{_ONE_GAP}"
    rf"(?: ?(?:,|and|to|-+|–|&) ?{_ONE_GAP})*"
)
_BEFORE_STOP = re.compile(r" (?=[ ,;.:!?)]) *+(?=[,;.:!?)](?:[\s)]|$))")
_CONTROLS = "".join(map(chr, (*range(0x09), *range(0x0B, 0x20))))
_ITEM = re.compile(r"\s*(?:- |\d+\. )")
_ON_PAGE = re.compile(
    rf",? ?(?:\b(?:starting|beginning) )?\b(?:on|at|from) (?:the )?(?:[Pp]ages?|[Pp]p?\.) ?{GAP}"
)
_BEFORE, _AFTER = (
    160,
    60,
)  # characters around a mark in which its brackets and nouns lie
_FULL = {
    "fig": "figure",
    "tab": "table",
    "sec": "section",
    "eq": "equation",
    "app": "appendix",
    "cha": "chapter",
    "alg": "algorithm",
    "lis": "listing",
    "pan": "panel",
    "pag": "page",
    "the": "theorem",
    "lem": "lemma",
    "ste": "step",
    "ite": "item",
    "pro": "proposition",
    "def": "definition",
}


def finish(engine: Any, names: Names, text: str) -> str:
    """The Markdown behind a text with marks.

    Args:
        engine: the reader that wrote it: its formulas, labels, citations.
        names: authors and years by key.
        text: the joined pieces.
    """
    text = _one_blank(text)
    text = cite(engine, names, point(engine, text))
    text = _around(text, HOLE + NAMED, _close_holes)
    text = _around(text, GAP, _close_gaps)
    text = _typography(text)
    text = _blanks(text)
    if "\x03" in text:
        text = _formulas(engine, names, text)
    if "\x02" in text:
        text = re.sub("\x02[0-9]+\x02", lambda match: engine.raw_shown(match[0]), text)
    return without(text, _CONTROLS).strip()


def _one_blank(text: str) -> str:
    """Every run of blanks to one; most are one already, and no pattern should stop at those."""
    for blank in "\t\n\xa0":
        text = text.replace(blank, " ")
    return re.sub(r"   *", " ", text)


def _around(text: str, marks: str, mend: Callable[[str], str]) -> str:
    """Mend a text only near its marks: most of a paper has none."""
    out: list[str] = []
    done = 0
    start = stop = -1
    found = [match.start() for mark in marks for match in re.finditer(mark, text)]
    for position in sorted(found):
        if position > stop:
            if stop > 0:
                out.append(mend(text[start:stop]))
                done = stop
            start = max(done, text.rfind(" ", 0, max(0, position - _BEFORE)) + 1)
            out.append(text[done:start])
        if position + 1 + _AFTER > stop:
            stop = text.find(" ", position + 1 + _AFTER)
            stop = len(text) if stop < 0 else stop
    if stop > 0:
        out.append(mend(text[start:stop]))
        done = stop
    out.append(text[done:])
    return "".join(out)


def _close_holes(text: str) -> str:
    """Take away the punctuation that held a citation."""
    if NAMED in text:
        if HOLE in text:
            text = _UNNAMED.sub(r"\1", text)
        text = _NAMED_NOUN.sub("", text).replace(NAMED, "")
    text = _BRACKETS.sub("", _SEVERAL.sub(HOLE, text))
    for core, pattern, instead in _HOLES:
        if core.search(text):
            text = pattern.sub(instead, text)
    if _EMPTY_CORE.search(text):
        text = _EMPTY.sub("", text)
    if ".." in text:
        text = re.sub(r"et al\.\.(?!\.)", "et al.", text)
    if any(pair in text for pair in _DANGLING_PAIRS):
        text = _DANGLING.sub("", text)
    return text


def _close_gaps(text: str) -> str:
    """Let the noun stand alone where a number is missing."""
    text = _GAP_BRACKET.sub("", text)
    text = _ON_PAGE.sub("", text)

    def alone(match: re.Match[str]) -> str:
        noun = match["noun"].lower().strip(".")
        full = _FULL.get(noun[:3], _FULL.get(noun[:2], "section"))
        start = match["start"]
        return f"{start}The {full}" if start is not None else f"the {full}"

    text = _GAP_NOUN.sub(alone, text)
    text = re.sub(rf" ?[(\[][ ,]{{0,9}}{GAP}[ ,]{{0,9}}[)\]]", "", text)
    return re.sub(rf" ?{GAP}(?= ?[.,;:)])|{GAP} ?", "", text)


def _typography(text: str) -> str:
    text = text.replace("``", '"').replace("''", '"')
    text = text.replace("?`", "¿").replace("!`", "¡").replace("`", "'")
    return text.replace("---", "—").replace("--", "–")


def _blanks(text: str) -> str:
    """Blanks to one, paragraphs to a blank line, list items to lines."""
    # a pattern that begins with one certain character is looked for ten times as fast
    text = text.replace("\xa0", " ")
    if "  " in text:
        # between what was taken out
        text = re.sub("   *", " ", text)
    text = re.sub(r"\f[ \f]*", "\f", text).replace(" \f", "\f")
    if "\x05" in text:
        *pieces, last = re.sub(r"\x05[ \x05]*", "\x05", text).split("\x05")
        pieces = [piece[:-1] if piece[-1:] in " \f" else piece for piece in pieces]
        text = "\x05".join([*pieces, last])
    text = text.replace("\f", "\n\n")
    text = _BEFORE_STOP.sub("", text)
    # the first item of a list follows a paragraph, the others a line
    text = text.replace("\x05", "\n").replace("\x06", "  ")
    text = _open_lists(text)
    return re.sub(r"\n\n\n+", "\n\n", text)


def _open_lists(text: str) -> str:
    """A blank line before the first item of a list."""
    out: list[str] = []
    for line in text.split("\n"):
        if _ITEM.match(line) and out and out[-1] and not _ITEM.match(out[-1]):
            if not out[-1].startswith("  "):
                out.append("")
        out.append(line.rstrip())
    return "\n".join(out)


def _formulas(engine: Any, names: Names, text: str) -> str:
    # two formulas that touch would read as one display
    text = text.replace("\x03\x03", "\x03 \x03")

    def restore(match: re.Match[str]) -> str:
        formula = engine.formulas[int(match[1])]
        if "\x04" in formula or "\x01" in formula:
            formula = cite(engine, names, point(engine, formula))
            formula = re.sub(rf"[{HOLE}{GAP}{NAMED}]", "", formula)
        return formula

    return re.sub("\x03([0-9]+)\x03", restore, text)
