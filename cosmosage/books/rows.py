"""Spans to rows of text: baselines found, scripts put in their place, maths between dollars."""

import re
from bisect import bisect
from collections import Counter

from cosmosage.books.glyphs import latex, repair
from cosmosage.books.spans import Piece, Row, Span

_WORDS, _LETTER, _MATHS = "words", "letter", "maths"


_SUPERSCRIPT, _SUBSCRIPT = "superscript", "subscript"


_LONG_WORD = re.compile(r"[^\W\d_]{3,}")


_GLUE = re.compile(r"[\s\d=+\-−<>≤≥≈∼×±/()\[\],.:;!|*']*")


_NUMBER = re.compile(r"\s*[\d.,:;]+\s*")


_BASE = re.compile(r"(?<![^\W_])(?:[^\W\d_]|\d+)$")


_CITED = re.compile(r"\d{1,3}(?:[,–-]\d{1,3})*,?|[*†‡§¶]{1,2}|[a-d]")


def rows_of(pieces: list[Piece], column: int) -> list[Row]:
    """The rows of one column, from the top."""
    spans = [
        span
        for piece in pieces
        for span in piece.spans
        if span.lossy or not span.text.isspace()
    ]
    if not spans:
        return []
    weights: Counter[float] = Counter()
    for span in spans:
        weights[round(span.base * 2) / 2] += (span.x1 - span.x0) * span.size
    size = _usual(spans)
    anchors: list[float] = []
    for base, _ in weights.most_common():
        at = bisect(anchors, base)
        if all(
            abs(base - near) > 0.62 * size for near in anchors[max(at - 1, 0) : at + 1]
        ):
            anchors.insert(at, base)
    lines: dict[float, list[Span]] = {anchor: [] for anchor in anchors}
    at = 0
    for span in sorted(spans, key=lambda span: span.base):
        while at + 1 < len(anchors) and abs(anchors[at + 1] - span.base) <= abs(
            anchors[at] - span.base
        ):
            at += 1
        lines[anchors[at]].append(span)
    full = [line for line in lines.values() if line]
    left = min(span.x0 for span in spans)
    right = max(span.x1 for span in spans)
    edges = Counter(round(max(s.x1 for s in line)) for line in full)
    edge, times = max(edges.items(), key=lambda item: (item[1], item[0]))
    if times >= 4:
        right = min(right, edge + 2.0)
    rows = [_row(line, anchor, column) for anchor, line in lines.items() if line]
    begins = Counter(round(row.x0) for row in rows if row.prose > 0.5)
    if begins:
        edge, times = min(begins.items(), key=lambda item: (-item[1], item[0]))
        left = edge if times >= 3 else left
    for row in rows:
        row.left, row.right = left, right
    for above, below in zip(rows, rows[1:]):
        if below.base - above.base < 0.95 * size and (
            above.prose < 0.5 or below.prose < 0.5
        ):
            above.stacked = below.stacked = True
    return rows


def _usual(spans: list[Span]) -> float:
    sizes: Counter[float] = Counter()
    for span in spans:
        sizes[round(span.size, 1)] += len(span.text)
    return sizes.most_common(1)[0][0]


def _row(spans: list[Span], base: float, column: int) -> Row:
    spans.sort(key=lambda span: span.x0)
    main = max(
        spans, key=lambda span: (abs(span.base - base) < 1) * len(span.text) * span.size
    )
    size = main.size
    marks = words = bold = mono = maths = italic = 0
    for span in spans:
        count = len(span.text) - span.text.count(" ")
        marks += count
        if span.maths:
            maths += count
        else:
            words += sum(map(len, _LONG_WORD.findall(span.text)))
        bold += count * span.bold
        mono += count * span.mono
        italic += count * span.italic
    return Row(
        spans[0].x0,
        max(span.x1 for span in spans),
        base,
        size,
        _text(spans, base, size),
        words / marks if marks else 0.0,
        maths > 0.4 * marks,
        bold > 0.8 * marks,
        mono > 0.8 * marks,
        italic > 0.8 * marks,
        0.0,
        0.0,
        column,
        any(span.lossy for span in spans),
        spans,
    )


def _text(spans: list[Span], base: float, size: float) -> str:
    """A row's text: words as they are, runs of maths between dollar signs."""
    plain = [
        not span.maths
        and span.size >= 0.9 * size
        and abs(span.base - base) <= 0.3 * size
        for span in spans
    ]
    parts: list[tuple[str, str]] = []  # text; what it is
    end: float | None = None
    for span, is_plain in zip(spans, plain):
        text = span.text
        if end is not None and span.x0 - end > 0.13 * size and text[0] != " ":
            if parts and parts[-1][0][-1] != " ":
                text = " " + text
        end = span.x1
        kind = _WORDS if is_plain else _kind(span, base, size)
        if (
            kind == _WORDS
            and span.italic
            and len(text.strip()) < 3
            and text.strip().isalpha()
        ):
            kind = _LETTER
        if parts and kind == parts[-1][1] and kind != _LETTER:
            parts[-1] = (parts[-1][0] + text, kind)
        else:
            parts.append((text, kind))
    if all(kind in (_WORDS, _LETTER) for _, kind in parts):
        return repair("".join(text for text, _ in parts)).strip()
    return _joined(parts)


def _kind(span: Span, base: float, size: float) -> str:
    if span.size < 0.9 * size or abs(span.base - base) > 0.3 * size:
        rise = base - span.base
        if rise > 0.12 * size:
            return _SUPERSCRIPT
        if rise < -0.07 * size:
            return _SUBSCRIPT
    # numbers and their points are set in maths fonts without being formulas
    if span.maths and not _NUMBER.fullmatch(span.text):
        return _MATHS
    return _WORDS


def _joined(parts: list[tuple[str, str]]) -> str:
    """Parts put together; a letter or number that carries a script joins the formula."""
    out: list[str] = []
    run = ""
    for i, (text, kind) in enumerate(parts):
        after = parts[i + 1][1] if i + 1 < len(parts) else _WORDS
        ahead = after in (_MATHS, _SUPERSCRIPT, _SUBSCRIPT)
        if kind == _SUPERSCRIPT and not run and _CITED.fullmatch(text.strip()):
            if re.search(r"[^\W\d_]{4,}$|[.,;:!?)”\"]$", out[-1] if out else ""):
                out.append(" " if text.endswith(" ") else "")
                continue  # the mark of a footnote, not an exponent
        if kind in (_SUPERSCRIPT, _SUBSCRIPT):
            run += _script(text, kind)
        elif kind == _MATHS or kind == _LETTER and (ahead or run):
            run += latex(text)
        elif (
            run
            and (ahead or after == _LETTER)
            and _GLUE.fullmatch(text)
            and len(text) < 12
        ):
            run += latex(text)
        else:
            out.append(_dollars(run))
            run = ""
            base = _BASE.search(text) if after in (_SUPERSCRIPT, _SUBSCRIPT) else None
            if base and (after == _SUBSCRIPT or base[0][0].isdigit()):
                text, run = text[: base.start()], latex(base[0])
            out.append(repair(text))
    out.append(_dollars(run))
    # two formulas that touch are one; "$$" would open a displayed one
    return repair_spaces(closed("".join(out).replace("$$", "")))


_PAIRS = {")": "(", "]": "["}
_UPRIGHT = r"[\d\s=+<>/|.,*'-]"  # set in the text's font inside formulas
_BEFORE = re.compile(rf"(?<![^\W\d_])[(\[]{_UPRIGHT}{{0,8}}$")
_AFTER = re.compile(rf"{_UPRIGHT}{{0,8}}[)\]]")
_OPERATOR_ENDS = re.compile(
    r"(?:[=<>+/-]|\\(?:times|cdot|pm|[lg]eq|ll|gg|[lg]esssim|gtrsim|neq|approx|simeq|sim|"
    r"equiv|propto|to))\s*$"
)
_NEXT_NUMBER = re.compile(r" ?\d+(?:\.\d+)?(?![\w.]*\w)")
_FACTOR = re.compile(r"(?<![\w.,])\d+(?:\.\d+)? ?$")
_FRACTION = re.compile(
    r"(?<=[=(+-])( ?)(?:_\{(\d+)\} ?\^\{(\d+)\}|\^\{(\d+)\} ?_\{(\d+)\})"
)


def closed(text: str) -> str:
    """Formulas made whole: TeX sets brackets and digits in the font of the text.

    ``$a(t$)`` is ``$a(t)$``, ``(1 + $z)^{2}$`` is ``$(1 + z)^{2}$`` and ``3.1 $\\times$
    $10^{22}$`` is ``$3.1 \\times 10^{22}$``. Digits above and below each other after an
    operator are a small fraction, for they have no base.
    """
    parts = text.split("$")  # words at even places, formulas at odd ones
    if len(parts) < 3 or len(parts) % 2 == 0 or "\\$" in text:
        return text
    i = 1
    while i < len(parts):
        if _OPERATOR_ENDS.search(parts[i]):
            if parts[i + 1] == " " and i + 2 < len(parts):
                parts[i : i + 3] = [f"{parts[i].rstrip()} {parts[i + 2]}"]
                continue
            if found := _NEXT_NUMBER.match(parts[i + 1]):
                parts[i] += found[0]
                parts[i + 1] = parts[i + 1][found.end() :]
        if parts[i].startswith(r"\times") and (found := _FACTOR.search(parts[i - 1])):
            parts[i] = f"{found[0].rstrip()} {parts[i]}"
            parts[i - 1] = parts[i - 1][: found.start()]
        _close(parts, i)
        parts[i] = _FRACTION.sub(
            lambda m: rf"{m[1]}\tfrac{{{m[3] or m[4]}}}{{{m[2] or m[5]}}}", parts[i]
        )
        if parts[i] and not parts[i + 1] and i + 2 < len(parts) - 1:
            parts[i : i + 3] = [parts[i] + parts[i + 2]]  # two that touch are one
            continue
        i += 2
    return "$".join(parts)


def _close(parts: list[str], i: int) -> None:
    """Bring the brackets that a formula lacks in from the words beside it."""
    opened, lost = _unpaired(parts[i])
    while opened and (found := _AFTER.match(parts[i + 1])):
        if _PAIRS[found[0][-1]] != opened.pop():
            break
        parts[i] += found[0]
        parts[i + 1] = parts[i + 1][found.end() :]
    while lost and (found := _BEFORE.search(parts[i - 1])):
        if _PAIRS[lost.pop(0)] != found[0][0]:
            break
        parts[i] = found[0] + parts[i]
        parts[i - 1] = parts[i - 1][: found.start()]


def _unpaired(formula: str) -> tuple[list[str], list[str]]:
    """The brackets of a formula that are not closed in it, and those not opened."""
    opened: list[str] = []
    lost: list[str] = []
    for char in formula:
        if char in "([":
            opened.append(char)
        elif char in _PAIRS:
            if opened and opened[-1] == _PAIRS[char]:
                opened.pop()
            else:
                lost.append(char)
    return opened, lost


def _script(text: str, kind: str) -> str:
    words = _LONG_WORD.fullmatch(text.strip())
    if words and kind == _SUPERSCRIPT and not words[0].isascii():
        words = None
    inner = rf"\mathrm{{{words[0]}}}" if words else latex(text.strip()).strip()
    if not inner:
        return ""
    return (
        ("^" if kind == _SUPERSCRIPT else "_")
        + f"{{{inner}}}"
        + " " * text.endswith(" ")
    )


def _dollars(run: str) -> str:
    inner = run.strip()
    if not inner:
        return " " * bool(run)
    lead = " " if run[0] == " " else ""
    tail = " " if run[-1] == " " and not re.search(r"\\[a-zA-Z]+ $", run) else ""
    return f"{lead}${inner}${tail}"


def repair_spaces(text: str) -> str:
    """One space between words, none before a comma that follows a formula."""
    return re.sub(r"(?<=\$) (?=[,.;:)])", "", re.sub(r" {2,}", " ", text)).strip()
