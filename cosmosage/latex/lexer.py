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
_RAW = (
    r"\\(?:begin\s*\{(?P<environment>verbatim|Verbatim|BVerbatim|LVerbatim|lstlisting|minted"
    r"|comment|alltt|filecontents|pycode|python|sagesilent|codebox%s)(?P<star>\*?)\}"
    r"|(?:(?:[vV]erb|spverb|lstinline)\b\*?(?:\[[^\]\n]{0,200}+\])?"
    r"|mintinline\s*(?:\[[^\]\n]{0,200}+\])?\s*\{\w+\})"
    r"(?:(?P<stop>[^A-Za-z\s*{}\[\\%%])(?P<code>[^\n]{0,500}?)(?P=stop)"
    r"|[ ]?\{(?P<braced>(?:[^{}\n]++|\{[^{}\n]*+\})*+)\})"
    r"|(?P<link>url|path|nolinkurl)\s*\{(?P<address>[^{}\\\n]{0,2000})\}"
    r"|href\s*\{[^{}]{0,2000}\})%s"
)
_MAY_BE_RAW = ("\\begin", "\\url", "\\href", "\\verb", "\\lstinline", "\\mintinline")
# what authors make of them: environments of their own, a sign instead of \verb
_OWN = re.compile(
    r"\\(?:(?:lstnewenvironment|DefineVerbatimEnvironment|newtcblisting)\s*\{(\w+)\}"
    r"|newminted\s*(?:\[(\w+)\])?\s*\{(\w+)\}"
    r"|(?:MakeShortVerb|DefineShortVerb|lstMakeShortInline)\*?\s*(?:\[[^\]]*\])?\s*"
    r"\{?\\?([^\w\s{}\\\[])\}?)"
)


_MAY_BE_OWN = ("lstnewenv", "VerbatimE", "newminted", "tcblisting", "\\MakeShortV")
_MAY_BE_OWN += ("\\DefineShortV", "ShortInline")


class Raw(list[str]):
    """What is not TeX, by number; and what the document made to hold more of it."""

    def __init__(self) -> None:
        super().__init__()
        self.environments = ""
        self.known: set[str] = set()
        self.signs = ""
        self.pattern = re.compile(_RAW % ("", ""))

    def learn(self, source: str) -> str:
        """Take in what a file defines; the file without the definitions of signs."""
        for match in _OWN.finditer(source):
            if name := match[1] or match[2] or match[3] and match[3] + "code":
                self.environments += "|" + name
            elif match[4] not in self.known:
                self.known.add(match[4])
                sign = re.escape(match[4])
                self.signs += rf"|(?<!\\){sign}[^{sign}\n]{{1,300}}{sign}"
        self.pattern = re.compile(_RAW % (self.environments, self.signs))
        return _OWN.sub(lambda match: "" if match[4] else match[0], source)


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
    if isinstance(raw, Raw) and any(name in source for name in _MAY_BE_OWN):
        source = raw.learn(source)
    signs = isinstance(raw, Raw) and raw.signs
    if signs or any(name in source for name in _MAY_BE_RAW):
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
    pattern = raw.pattern if isinstance(raw, Raw) else Raw().pattern
    while match := pattern.search(source, position):
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
        braced = match["braced"]
        if environment := match["environment"]:
            ending = f"\\end{{{environment}{match['star']}}}"
            end = source.find(ending, position) if ending not in missing else -1
            if end < 0:
                missing.add(ending)
                out.append(whole)
                continue
            silent = environment in ("filecontents", "comment", "sagesilent")
            code = source[position:end]
            if environment == "lstlisting" and "caption" in code[:500]:
                out.append(_captioned(code))
            code = _OPTIONS.sub("", code).strip("\n")
            position = end + len(ending)
            fenced = "" if silent else _mark(f"```\n{code}\n```", raw)
            out.append(f"\\rawcode{{{fenced}}}" if fenced else "")
        elif match["stop"]:
            out.append(_mark(f"`{match['code']}`" if match["code"] else "", raw))
        elif braced is not None:
            # the argument of a macro that is being defined is not known here
            out.append(whole if re.search(r"#[1-9]", braced) else _mark(braced, raw))
        elif match["link"]:
            literal = re.search(r"[%#~_&^$]", match["address"]) and not re.search(
                r"#[1-9]", match["address"]
            )
            out.append(_mark(match["address"], raw) if literal else whole)
        elif whole[0] != "\\":
            out.append(_mark(f"`{whole[1:-1]}`", raw))
        else:
            out.append("\\href{}")
    out.append(source[position:])
    return "".join(out)


_CAPTION = re.compile(
    r"^[ \t]*\[[^\]]*?\bcaption\s*=\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|([^,\]]*))"
)
_LABEL = re.compile(r"^[ \t]*\[[^\]]*?\blabel\s*=\s*\{?([^,\]}\s]+)")


def _captioned(code: str) -> str:
    """The caption and the label among the settings of a listing, as a command of ours."""
    caption, label = _CAPTION.match(code), _LABEL.match(code)
    if not caption:
        return ""
    shown = caption[1] or caption[2] or ""
    return f"\\lstcaption{{{shown}}}{{{label[1] if label else ''}}}"


def _mark(text: str, raw: list[str]) -> str:
    raw.append(text)
    return f"\x02{len(raw) - 1}\x02"


def raw_text(raw: list[str], token: str) -> str:
    """The text behind a raw token."""
    number = token.strip("\x02")
    return raw[int(number)] if number and int(number) < len(raw) else ""
