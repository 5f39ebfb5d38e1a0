"""TeX's gullet: macros to what they stand for.

Source and expansions lie on one stack of tokens, reversed, so that everything which TeX puts
back in front of the input is one ``extend``. Nothing recurses: depth of nesting costs memory,
never the stack of Python. Limits are counts, not seconds, so that a result never depends on
the machine.
"""

import re
from collections.abc import Callable
from typing import Any

from cosmosage.latex.lexer import PARAGRAPH, Raw, raw_text, tokenise

# each at least ten times what the most demanding of 44 papers, 16 of them real, needs
EXPANSIONS = 3_000  # without any source being consumed (needed: 140)
ALL_EXPANSIONS = 100_000  # besides four a token of source
GROWTH = 400_000  # tokens that expansion may pile up on the unread source
PUSHED = 300_000  # characters that expansions may bring, besides
PUSHED_PER_CHARACTER = 10  # ... so many a character of source (.2)
SCANNED = 1_000_000  # tokens looked through in search of a closing brace (13,000)

STOP = "\x07stop"
_NUMERIC = ("", "=", "-", "\\number", "\\the")
# what a missing number must not take with it
_NEVER_A_NUMBER = ("\\begin", "\\end", "\\par", "\\item", "\\else", "\\fi")

_NUMBER = re.compile(r"\s*+=?+\s*+([+-]?+)\s*+(\d+)\s?")
_CODE = re.compile(r"\s*+=?+\s*+(?:\"([0-9A-F]+)|'([0-7]+)|`(.))\s?", re.S)
_BLANKS = re.compile(r"\s+")
_DIMENSION = re.compile(
    r"\s*=?\s*[+-]?\s*(?:(?:\d+[.,]?\d*|[.,]\d+)\s*"
    r"(?:(?:true\s*)?(?:pt|cm|mm|in|ex|em|bp|pc|dd|cc|sp|mu|px|fil+)\s?)?"
    r"|(?:pt|cm|mm|in|ex|em|bp|pc|dd|cc|sp|mu|px|fil+)\b\s?)?"
)


class Macro:
    """A user's definition. Called with the engine it puts its body in front of the input."""

    __slots__ = ("name", "parameters", "default", "body", "pieces", "prefix")

    def __init__(
        self,
        name: str,
        parameters: list[Any],
        body: list[str],
        default: list[str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.parameters = parameters
        self.default = default
        self.body = body[::-1]
        self.pieces = _pieces(self.body) if parameters else []

    def __call__(self, engine: "Expander", token: str) -> None:
        stack = engine.stack
        body = self.expansion(engine)
        if engine.may_expand(token, len(body), sum(map(len, body))):
            stack.extend(body)

    def expansion(self, engine: "Expander") -> list[str]:
        """The body, reversed, with the arguments that follow in the input put in."""
        if self.prefix:
            _expect(engine.stack, self.prefix)
        if not self.parameters:
            return self.body
        arguments: list[Any] = []
        for index, kind in enumerate(self.parameters):
            if index == 0 and self.default is not None:
                given = engine.optional()
                arguments.append(self.default if given is None else given)
            elif kind is None:
                arguments.append(engine.argument())
            elif isinstance(kind, list):
                arguments.append(engine.delimited(kind))
            else:
                arguments.append(_special_argument(engine, kind))
        out: list[str] = []
        for piece in self.pieces:
            if isinstance(piece, list):
                out += piece
            elif piece <= len(arguments):
                out += reversed(arguments[piece - 1])
            if len(out) > GROWTH:
                break
        return out


def _pieces(body: list[str]) -> list[list[str] | int]:
    """A body cut at its parameters, which become their numbers; ``##`` loses one sign."""
    tokens: list[str] = []
    pieces: list[list[str] | int] = [tokens]
    for token in body:
        if token[0] != "#":
            tokens.append(token)
        elif token[1:].isdigit():
            tokens = []
            pieces += (int(token[1:]), tokens)
        elif len(token) > 1:
            tokens.append(token[1:])
    return pieces


Handler = Callable[[Any, str], None]


# what can be read from the input, a verb each
class Expander:  # pylint: disable=too-many-public-methods
    """The unread input and the meanings of control sequences.

    Attributes:
        stack: the unread tokens, the next one last.
        tables: one dictionary a mode (text, maths, text inside maths) from token to handler.
        table: that of the present mode.
        dropped: what was not understood: (what, why) to how often.
    """

    def __init__(self, tables: tuple[dict[str, Handler], ...]) -> None:
        self.stack: list[str] = []
        self.tables = tuple(dict(table) for table in tables)
        self.table = self.tables[0]
        self.dropped: dict[tuple[str, str], int] = {}
        self.raw = Raw()
        self.undo: list[tuple[int, str, list[Handler | None]]] = []
        self.counters: dict[str, int] = {}
        self.flags: dict[str, bool] = {}
        self._low = 0
        self._since = 0
        self._culprit = ""
        self._total = 0
        self._scanned = 0
        self._scan_limit = SCANNED
        self._total_limit = ALL_EXPANSIONS
        self._allowed = EXPANSIONS
        self._pushed = 0
        self._pushed_limit = PUSHED
        self._nested = 0
        self.negated = False

    @property
    def depth(self) -> int:
        """How many groups are open."""
        return 0

    # what is read

    def feed(self, source: str) -> None:
        """Put a file's tokens in front of the input."""
        tokens = tokenise(source, self.raw)
        self.stack.extend(reversed(tokens))
        self._low = len(self.stack)
        self._since = 0
        self._total_limit += 4 * len(tokens)
        self._scan_limit += 5 * len(tokens)
        self._pushed_limit += PUSHED_PER_CHARACTER * len(source)

    def tokens(self, source: str) -> list[str]:
        """The tokens of a piece of source that was put together from others."""
        return tokenise(source, self.raw)

    def drop(self, what: str, why: str) -> None:
        """Note that something was not taken over."""
        self.dropped[what, why] = self.dropped.get((what, why), 0) + 1

    def may_expand(self, token: str, size: int, characters: int = 0) -> bool:
        """Whether an expansion of so many tokens is within the limits.

        An endless macro is cut off and disabled.
        """
        height = len(self.stack)
        self._total += 1
        self._pushed += characters
        if height < self._low:
            self._low = height
            self._since = 0
            self._culprit = token
        else:
            self._since += 1
        if (
            self._since < self._allowed
            and height + size < self._low + GROWTH
            and self._total < self._total_limit
            and self._pushed < self._pushed_limit
        ):
            return True
        # marks stay: what waits for them would else wait until the end of the paper
        self.stack[self._low :] = [
            mark for mark in self.stack[self._low :] if mark[0] == "\x07"
        ]
        self.drop(self._culprit or token, "endless expansion")
        for table in self.tables:
            table[self._culprit or token] = _nothing
            table[token] = _nothing
        self._since = 0
        # who has written one endless macro gets less patience for the next
        self._allowed = max(200, self._allowed // 2)
        return False

    def raw_shown(self, token: str) -> str:
        """The text behind a raw token, which a macro may have copied, within the limits."""
        text = raw_text(self.raw, token)
        self._pushed += len(text)
        return text if self._pushed < self._pushed_limit else ""

    def may_scan(self, count: int = 0) -> bool:
        """Whether there may be one more search through the input, after one over ``count``."""
        self._scanned += count
        return self._scanned < self._scan_limit

    def skip_blanks(self) -> None:
        """Skip blanks in front of the next token, as TeX does before an argument."""
        stack = self.stack
        while stack:
            token = stack[-1]
            if not token[0].isspace() or token[0] == PARAGRAPH:
                return
            stack.pop()
            if rest := token.lstrip():
                stack.append(rest)
                return

    def peek(self) -> str:
        """The next token without taking it; empty at the end."""
        return self.stack[-1] if self.stack else ""

    def star(self) -> bool:
        """Take a star if one follows."""
        self.skip_blanks()
        if self.stack and self.stack[-1][0] == "*":
            rest = self.stack.pop()[1:]
            if rest:
                self.stack.append(rest)
            return True
        return False

    def argument(self) -> list[str]:
        """Take the next undelimited argument: a group without its braces, or one token."""
        stack = self.stack
        self.skip_blanks()
        if not stack:
            return []
        token = stack[-1]
        if token == "{":
            return self._group()
        if token == "}" or token[0] in "\f\x07":
            return []
        stack.pop()
        if token[0] in "\\#\x02" or len(token) == 1:
            return [token]
        stack.append(token[1:])
        return [token[0]]

    def _group(self) -> list[str]:
        stack = self.stack
        depth = 0
        start = index = len(stack)
        if self._scanned > self._scan_limit:
            stack.pop()
            return []
        if start > 2 and stack[-3] == "}" and stack[-2][0] not in "{}\x07":
            # most arguments are one run of characters
            body = [stack[-2]]
            del stack[-3:]
            self._scanned += 3
            return body
        while index:
            index -= 1
            token = stack[index]
            if token == "{":
                depth += 1
            elif token == "}":
                depth -= 1
                if not depth:
                    body = stack[index + 1 : start - 1]
                    body.reverse()
                    del stack[index:]
                    self._scanned += start - index
                    return body
            elif token == STOP:
                break
        self._scanned += start - index
        stack.pop()
        self.drop("{", "never closed")
        return []

    def optional(self) -> list[str] | None:
        """Take an argument in square brackets if one follows; None if not."""
        stack = self.stack
        if stack and stack[-1] != "[":
            if not stack[-1][0].isspace() or stack[-1][0] == PARAGRAPH:
                return None
            if stack[-1].strip() or len(stack) < 2 or stack[-2] != "[":
                return None
            stack.pop()
        index = start = len(stack) - 1
        depth = 0
        limit = 5000 if self._scanned < self._scan_limit else 20
        while index > 0 and start - index < limit:
            index -= 1
            token = stack[index]
            if token == "{":
                depth += 1
            elif token == "}":
                depth -= 1
                if depth < 0:
                    break
            elif token == "]" and not depth:
                body = stack[index + 1 : start]
                body.reverse()
                del stack[index:]
                return body
            elif token[0] == "\x07" or token[0] == PARAGRAPH and not depth:
                break
            if start - index == 100 and "]" not in stack[max(0, start - limit) : index]:
                index = max(0, start - limit)
        self._scanned += start - index
        return None

    def delimited(self, delimiter: list[str]) -> list[str]:
        """Take everything up to a delimiter (tokens, single characters), and the delimiter."""
        if not delimiter:
            return self.argument()
        out: list[str] = []
        depth = 0
        stack = self.stack
        size, last, wanted = len(delimiter), delimiter[-1], set(delimiter)
        while stack:
            token = stack.pop()
            if token[0] == "\x07":
                stack.append(token)
                break
            if len(token) > 1 and token[0] not in "\\#\f\x02":
                characters = _BLANKS.sub(" ", token)
                if not wanted.isdisjoint(characters):
                    stack.extend(reversed(characters))
                    token = stack.pop()
            out.append(token)
            self._scanned += 1
            if token == last and not depth and out[-size:] == delimiter:
                del out[-size:]
                break
            depth += (token == "{") - (token == "}")
            if len(out) > 20_000 or self._scanned > self._scan_limit:
                break
        if len(out) > 1 and out[0] == "{" and out[-1] == "}" and _one_group(out):
            return out[1:-1]
        return out

    def name(self) -> str:
        """Take a control sequence, in braces or bare: what a definition defines."""
        self.skip_blanks()
        tokens = self.argument()
        names = [token for token in tokens if token.strip()]
        if not names:
            return ""
        if names[0] == "\\csname":
            self.stack.extend(reversed(tokens[1:]))
            return self.csname()
        return names[0] if names[0][0] == "\\" else "".join(names).strip()

    def word(self) -> str:
        """Take an argument that is a name, as plain characters."""
        return self.plain(self.argument()).strip()

    def plain(self, tokens: list[str]) -> str:
        """Expand tokens until only characters are left: keys, file names, numbers."""
        if len(tokens) == 1 and tokens[0][0] not in "\\\x02${}\f":
            return tokens[0]
        if self._nested > 20:
            return ""
        self._nested += 1
        stack = self.stack
        base = len(stack)
        stack.append(STOP)
        stack.extend(reversed(tokens))
        out = []
        while len(stack) > base:
            token = stack.pop()
            if token == STOP:
                break
            if token[0] == "\x02":
                out.append(self.raw_shown(token))
            elif token[0] != "\\":
                if token not in ("{", "}", "$") and token[0] != PARAGRAPH:
                    out.append(token)
                elif token[0] == PARAGRAPH:
                    out.append(" ")
            else:
                meaning = self.tables[0].get(token)
                if isinstance(meaning, Macro):
                    meaning(self, token)
                elif meaning is not None and getattr(meaning, "expandable", False):
                    meaning(self, token)
                elif token in ("\\_", "\\&", "\\%", "\\#", "\\ ", "\\-"):
                    out.append(token[1:])
            if len(out) > 5000:
                break
        del stack[base:]
        self._nested -= 1
        return "".join(out).replace("\n", " ")

    def number(self) -> int:
        """Take a number as TeX writes it: digits or a counter's value."""
        self.skip_blanks()
        for _ in range(20):
            if not self.stack:
                return 0
            token = self.stack.pop()
            if match := _NUMBER.match(token):
                if rest := token[match.end() :]:
                    self.stack.append(rest)
                return int((match[1] + match[2])[:10])
            if match := _CODE.match(token):
                if rest := token[match.end() :]:
                    self.stack.append(rest)
                return _code(match)
            if token == "`" and self.stack:
                self.stack[-1] = str(ord(self.stack[-1][-1]))
                continue
            if token in ("\\value", "\\@value"):
                return self.counters.get(self.word(), 0)
            name = token[3:] if token[:3] == "\\c@" else token
            if name in self.counters or name is not token:
                return self.counters.get(name, 0)
            meaning = self.tables[0].get(token)
            if isinstance(meaning, Macro):
                meaning(self, token)
            elif value := getattr(meaning, "value", None):
                return int(value(self))
            elif token[0] == PARAGRAPH or token.strip() not in _NUMERIC:
                if token[0] != "\\" or token in _NEVER_A_NUMBER:
                    self.stack.append(token)
                return 0
        return 0

    def skip_dimension(self) -> None:
        """Skip a length, with its stretch and shrink, as after ``\\vskip``."""
        for _ in range(3):
            if self.stack and self.stack[-1][0] not in "\\{}$\f\x02":
                token = self.stack.pop()
                match = _DIMENSION.match(token)
                rest = token[match.end() :] if match else token
                if rest:
                    for word in ("plus", "minus"):
                        if rest.startswith(word):
                            self.stack.extend(filter(None, [rest[len(word) :]]))
                            break
                    else:
                        self.stack.append(rest)
                        return
                    continue
                if match and re.search(r"(?:pt|cm|mm|in|ex|em|[a-z]{2})\s*$", match[0]):
                    return
            if self.stack and re.match(
                r"\\(?:\w*(?:width|height|depth|skip|indent|sep|space|margin|size)|p@|z@|@\w+"
                r"|hsize|vsize|relax|fill|dimexpr)$",
                self.stack[-1],
            ):
                if self.stack.pop() == "\\dimexpr" and "\\relax" in self.stack[-30:]:
                    while self.stack.pop() != "\\relax":
                        pass
            return

    # what is defined

    def define(
        self, name: str, meaning: Handler | None, everywhere: bool = False
    ) -> None:
        """Give a control sequence a meaning, until the group ends or for good."""
        if not everywhere and self.depth:
            before = [table.get(name) for table in self.tables]
            self.undo.append((self.depth, name, before))
        for table in self.tables:
            if meaning is None:
                table.pop(name, None)
            else:
                table[name] = meaning

    def restore(self, level: int) -> None:
        """Forget the definitions of the groups that are deeper than ``level``."""
        while self.undo and self.undo[-1][0] > level:
            _, name, before = self.undo.pop()
            for table, meaning in zip(self.tables, before):
                if meaning is None:
                    table.pop(name, None)
                else:
                    table[name] = meaning

    def csname(self) -> str:
        """Take everything up to ``\\endcsname`` as the name of a control sequence."""
        tokens = []
        while self.stack and len(tokens) < 500:
            if self.stack[-1][0] in "\f\x07":
                break
            token = self.stack.pop()
            if token == "\\endcsname":
                break
            tokens.append(token)
        return "\\" + self.plain(tokens)

    def skip_branch(self, stop_at_else: bool, stop_at_or: bool = False) -> str:
        """Skip the branch of a conditional that is not taken; what ended it."""
        if self.negated:
            self.negated = False
            return ""
        stack = self.stack
        depth = 0
        stops = {"\\fi", "\\else" if stop_at_else else "", "\\or" if stop_at_or else ""}
        start = index = len(stack)
        if self._scanned > self._scan_limit:
            return ""
        while index:
            index -= 1
            token = stack[index]
            if token[0] != "\\":
                if token == STOP:
                    break
                continue
            if not depth and token in stops:
                self._scanned += start - index
                del stack[index:]
                return token
            if token == "\\fi":
                depth -= 1
            elif token[:3] == "\\if" and getattr(
                self.tables[0].get(token), "conditional", False
            ):
                depth += 1
        self._scanned += start - index
        self.drop("\\if", "a conditional without its \\fi")
        return ""

    def find_end(self, environment: str) -> int | None:
        """Where on the stack the ``\\end`` of an environment lies whose ``\\begin`` was read."""
        stack = self.stack
        index = len(stack)
        depth = 0
        if self._scanned > self._scan_limit:
            return None
        while index > 3:
            index -= 1
            token = stack[index]
            if token in ("\\end", "\\begin"):
                below = index - 1
                if stack[below].isspace():
                    below -= 1
                if stack[below] == "{" and stack[below - 1].strip() == environment:
                    depth += 1 if token == "\\begin" else -1
                    if depth < 0:
                        self._scanned += len(stack) - index
                        return below - 2
            elif token == STOP:
                break
        self._scanned += len(stack) - index
        return None


def _nothing(_engine: Any, _token: str) -> None:
    """A control sequence without effect."""


def _expect(stack: list[str], prefix: tuple[str, ...]) -> None:
    """Take what a ``\\def`` wants to see in front of its first argument."""
    for wanted in prefix:
        token = stack[-1] if stack else ""
        if token == wanted:
            stack.pop()
        elif token[:1] == wanted and wanted != "\\":
            stack[-1] = token[1:]
        elif wanted != " ":
            return


def _code(match: re.Match[str]) -> int:
    """The number that hexadecimal or octal digits or a character's code write."""
    if match[3]:
        return ord(match[3])
    return int(match[1][:8], 16) if match[1] else int(match[2][:8], 8)


def _one_group(tokens: list[str]) -> bool:
    depth = 0
    for position, token in enumerate(tokens):
        depth += (token == "{") - (token == "}")
        if not depth:
            return position == len(tokens) - 1
    return False


def _special_argument(engine: Expander, kind: str | tuple[str, ...]) -> Any:
    """Take an argument of an xparse signature: ``s``, ``o`` or the default of an ``O``."""
    if kind == "s":
        return ["\\BooleanTrue" if engine.star() else "\\BooleanFalse"]
    given = engine.optional()
    if given is not None:
        return given
    return kind if isinstance(kind, tuple) else ["\\NoValue"]
