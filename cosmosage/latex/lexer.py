"""TeX's mouth: source to tokens.

A token is a plain string: a control sequence with its backslash, one special character, or
a whole run of ordinary text. Runs instead of single characters make this ten times as fast
as TeX's own way and cost one thing, a change of category codes is not understood: what is
known to be read with other codes (listings, addresses) is taken out before.
"""

import re

PARAGRAPH = "\f"

# possessive, and what is frequent first: nothing is ever tried twice; a run has a bound, as what
# takes a character of it copies the rest
_LEXER = re.compile(
    r"[^\\{}$%#&~^_\[\]\f\x02]{1,2000}+"
    r"|[{}$&~^_\[\]]"
    r"|\\(?:@?[A-Za-z]++(?:@++[A-Za-z]*+)*+[ \t]*+(?:\n[ \t]*+)?+|[^A-Za-z])"
    r"|%[^\n\f]*+(?:\n[ \t]*+)?+"
    r"|\#++[1-9]?+"
    r"|\f[ \t\n\f]*+|\x02[0-9]++\x02|[\\\x02]"
)
_CONTROLS = "".join(map(chr, (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F)))
_BLANK = re.compile(r"\n[ \t]*\n\s*")
_COMMENT = re.compile(r"%(?<!\\%)")
_RAW = re.compile(
    r"\\(?:begin\s*\{(verbatim|Verbatim|BVerbatim|LVerbatim|lstlisting|minted|comment|alltt"
    r"|filecontents|pycode|python|sagesilent|codebox)(\*?)\}"
    r"|(?:verb|lstinline)\b\*?(?:\[[^\]\n]{0,200}+\])?([^A-Za-z\s*{\[])([^\n]{0,500}?)\3"
    r"|(?:mintinline|lstinline)\s*(?:\{[a-z]+\})?\{([^{}\n]*)\}"
    r"|(url|path|nolinkurl)\s*\{([^{}\\\n]{0,2000})\}"
    r"|href\s*\{[^{}]{0,2000}\})"
)


_OPTIONS = re.compile(
    r"^[ \t]*+(?:\[[^\]]*+\])?+[ \t]*+(?:\{[^{}\n]*+\})?+[ \t]*+(?=\n)"
)


class _Clean(dict[str, str]):
    """A control sequence without the blanks that TeX skips after its name; remembered."""

    def __missing__(self, raw: str) -> str:
        if raw[1:2].isalpha() or raw[1:2] == "@" and len(raw) > 2:
            name = raw.rstrip()
        else:
            name = "\\ " if raw[1:].isspace() else raw
        if len(self) < 50_000:
            self[raw] = name
        return name


_CLEAN = _Clean()


def tokenise(source: str, raw: list[str]) -> list[str]:
    """Cut TeX source into tokens; comments are gone, a blank line is ``PARAGRAPH``.

    Args:
        source: decoded text of one file.
        raw: takes what is not TeX (``\\verb``, addresses); its token is ``\\x02<index>\\x02``.

    Returns:
        The tokens in order.
    """
    if "\r" in source:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
    source = without(source, _CONTROLS + "\ufeff")
    if (
        "\\verb" in source
        or "\\href" in source
        or "\\url" in source
        or "\\begin" in source
    ):
        source = _keep_raw(source, raw)
    source = _BLANK.sub(PARAGRAPH, source)
    clean = _CLEAN
    return [
        clean[token] if token[0] == "\\" else token
        for token in _LEXER.findall(source)
        if token[0] != "%"
    ]


def without(text: str, characters: str) -> str:
    """A text without some characters that are hardly ever there: absence is seen at once."""
    for character in characters:
        if character in text:
            text = text.replace(character, "")
    return text


def _keep_raw(source: str, raw: list[str]) -> str:
    """Take out what TeX reads with other category codes: listings, addresses."""
    out: list[str] = []
    position = 0
    missing: set[str] = set()
    while match := _RAW.search(source, position):
        line = max(position, source.rfind("\n", position, match.start()))
        if _COMMENT.search(source, line, match.start()):
            # TeX does not see the rest of this line
            end = source.find("\n", match.start())
            end = len(source) if end < 0 else end
            out.append(source[position:end])
            position = end
            continue
        out.append(source[position : match.start()])
        position = match.end()
        whole = match[0]
        if environment := match[1]:
            ending = f"\\end{{{environment}{match[2]}}}"
            end = source.find(ending, position) if ending not in missing else -1
            if end < 0:
                missing.add(ending)
                out.append(whole)
                continue
            silent = environment in ("filecontents", "comment", "sagesilent")
            code = _OPTIONS.sub("", source[position:end]).strip("\n")
            position = end + len(ending)
            fenced = "" if silent else _mark(f"```\n{code}\n```", raw)
            out.append(f"\\rawcode{{{fenced}}}" if fenced else "")
        elif match[3]:
            out.append(_mark(f"`{match[4]}`" if match[4] else "", raw))
        elif match[5] is not None:
            out.append(_mark(match[5], raw))
        elif match[6]:
            literal = re.search(r"[%#~_&^$]", match[7]) and not re.search(
                r"#[1-9]", match[7]
            )
            out.append(_mark(match[7], raw) if literal else whole)
        else:
            out.append("\\href{}")
    out.append(source[position:])
    return "".join(out)


def _mark(text: str, raw: list[str]) -> str:
    raw.append(text)
    return f"\x02{len(raw) - 1}\x02"


def raw_text(raw: list[str], token: str) -> str:
    """The text behind a raw token."""
    number = token.strip("\x02")
    return raw[int(number)] if number and int(number) < len(raw) else ""
