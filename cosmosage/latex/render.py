"""TeX's stomach: tokens to Markdown.

One loop takes a token, looks its handler up in the table of the present mode and calls it.
Frames (groups, environments, formulas, captured arguments) lie on a list of our own, so
that nesting can be as deep as a hostile file likes. What only the end of the document can
tell, a number behind a label or the names behind a citation, stays a mark in the text until
``references`` and ``tidy`` resolve it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from cosmosage.latex import maths
from cosmosage.latex.expand import Expander, Handler, Macro
from cosmosage.latex.lexer import PARAGRAPH
from cosmosage.latex.macros import numeral
from cosmosage.latex.primitives import COMMON
from cosmosage.latex.references import SHOWN, Citation
from cosmosage.latex.source import Sources

TEXT: dict[str, Handler] = dict(COMMON)
# text inside a formula; filled once all of TEXT is known
INNER: dict[str, Handler] = {}
LINE, INDENT = "\x05", "\x06"
CAPTURED, END_FILE, END_MATHS = "\x07captured", "\x07file", "\x07maths"
FILES = 500  # how often a document may read in another file
TABLES = frozenset(
    "tabular tabularx tabulary longtable supertabular deluxetable longdeluxetable"
    " planotable".split()
)
COUNTED = ("chapter", "section", "subsection", "subsubsection")
NEAR = (
    200  # frames that one \\end may close: broken nesting is mended, not searched for
)
NESTED = 20  # captures within each other; what is deeper stays where it stands
RESETS = 500  # counters that others set to zero
FRONT_LIMIT = 6000  # characters before the abstract that can still be title and authors


class Keep(NamedTuple):
    """What beside the running text is kept; the defaults are what is best to train on."""

    captions: bool = True
    tables: bool = False
    code: bool = False
    acknowledgements: bool = True


def _size(tokens: list[str]) -> int:
    """Characters."""
    return sum(map(len, tokens))


class Frame:
    """Something opened that must be closed: what to go back to and what to do then."""

    __slots__ = (
        *("kind", "name", "out", "table", "close", "display", "per_row", "numbered"),
        *("row_numbered", "labels", "tag", "columns", "before"),
    )

    def __init__(
        self,
        kind: str,
        name: str,
        out: list[str],
        table: dict[str, Handler],
        close: Any,
    ) -> None:
        self.kind = kind
        self.name = name
        self.out = out
        self.table = table
        self.close = close
        self.display = self.per_row = self.numbered = False
        self.row_numbered = True
        self.labels: list[str] = []
        self.tag = ""
        self.columns = 0
        # what a label took before this began and takes again when it has ended
        self.before = ("", "")


class Found:
    """What a document turned out to hold, besides its running text.

    Attributes:
        labels: label to (number, kind of thing).
        titles: label to the heading that it stands under.
        nouns: the author's (singular, plural) for (cref or Cref, kind of thing).
        notes: footnotes and captions that wait for the end of their paragraph.
        items: key to rendered entry of the bibliography.
        acronyms: key to short and long form, and their plurals where they are not regular.
        hidden: environments that an author has turned off.
        spelt: keys of the acronyms that have been written in full.
    """

    def __init__(self) -> None:
        self.formulas: list[str] = []
        self.citations: list[Citation] = []
        self.references: list[tuple[str, str]] = []
        self.labels: dict[str, tuple[str, str]] = {}
        self.notes: list[str] = []
        self.note_count = 0
        self.note_numbers: dict[int, int] = {}
        self.title = ""
        self.title_bold = False
        self.abstract = ""
        self.sections: list[tuple[int, str]] = []
        self.titles: dict[str, str] = {}
        self.nouns: dict[tuple[str, str], tuple[str, str]] = {}
        self.aliases: dict[str, str] = {}
        self.items: dict[str, str] = {}
        self.acronyms: dict[str, tuple[list[str], list[str], str, str]] = {}
        self.spelt: set[str] = set()
        self.hidden: set[str] = set()
        self.bibliographies: list[str] = []
        self.files_read: list[str] = []


class Reader(Expander, Found):
    """A document being read.

    Attributes:
        out: the pieces of text written so far, in the innermost capture.
        frames: what is open; None is a plain brace.
        current: (number, kind) of what was counted last: what a label takes.
        heading: the last heading.
        parent: the number that equations share within ``subequations``.
    """

    def __init__(self, sources: Sources, keep: Keep) -> None:
        Expander.__init__(self, (TEXT, maths.MATHS, INNER))
        Found.__init__(self)
        self.sources = sources
        self.keep = keep
        self.out: list[str] = []
        self.frames: list[Any] = []
        self.captures = 0
        self.current = ("", "")
        self.heading = ""
        self.parent = ""
        self.environments: dict[str, tuple[Macro, list[str]]] = {}
        self.theorems: dict[str, tuple[str, str]] = {}
        self.lists: list[list[Any]] = []
        self.within: dict[str, str] = {}
        self.document_class = ""
        self.options = ""
        self.in_document = False
        self.in_style = False
        self.appendix = False
        self.front_open = True
        self.folder = ""
        self.open_formulas: list[Frame] = []
        self.unclosed = False
        self.open_files: list[str] = []

    # the loop

    def run(self) -> None:
        """Read until nothing is left."""
        stack = self.stack
        pop = stack.pop
        while stack:
            token = pop()
            act = self.table.get(token)
            if act is not None:
                act(self, token)
            elif token[0] != "\\" or token == "\\":
                self.out.append(token)
            elif self.table is self.tables[1]:
                self.out.append(token + " " if token[1:2].isalpha() else token)
            else:
                self.unknown(token)
        self.unclosed = True
        while self.frames:
            self.pop()
        self.unclosed = False

    def unknown(self, token: str) -> None:
        """A command that nobody defined: what stands in its braces is kept as text."""
        if self.in_document:
            self.drop(token, "unknown command; its argument is kept")
            if self.peek() == "[":
                self.optional()

    # frames

    @property
    def depth(self) -> int:
        """How many groups are open: how long a definition lives."""
        return len(self.frames)

    def push(
        self,
        kind: str,
        name: str,
        table: dict[str, Handler],
        capture: bool = False,
        close: Any = None,
    ) -> Frame:
        """Open a frame; with ``capture`` its text is kept apart and given to ``close``."""
        frame = Frame(kind, name, self.out, self.table, close)
        frame.before = self.current
        self.frames.append(frame)
        self.table = table
        if kind in ("math", "inner"):
            self.open_formulas.append(frame)
        if capture:
            self.out = []
            self.captures += 1
        return frame

    def pop(self) -> None:
        """Close the innermost frame."""
        frame = self.frames.pop()
        if self.undo:
            self.restore(len(self.frames))
        if frame is None:
            if self.table is self.tables[1]:
                self.out.append("}")
            return
        if frame.kind in ("math", "inner"):
            self.open_formulas.pop()
        captured = self.out
        if captured is not frame.out:
            self.captures -= 1
        self.out = frame.out
        self.table = frame.table
        if frame.close is not None:
            frame.close(self, frame, captured)

    def close_to(self, kinds: str, name: str) -> bool:
        """Close frames down to the innermost of these kinds and name, if there is one near."""
        frames = self.frames
        for index in range(len(frames) - 1, max(-1, len(frames) - NEAR), -1):
            frame = frames[index]
            if frame is None:
                continue
            if frame.name == name and frame.kind in kinds:
                while len(frames) > index:
                    self.pop()
                return True
            if frame.kind == "capture":
                return False
        return False

    def open_group(self) -> None:
        """``\\begingroup``."""
        self.push("group", "", self.table)

    def close_group(self) -> None:
        """``\\endgroup``."""
        self.close_to("group", "")

    def capture(self, tokens: list[str], done: Callable[[str], None]) -> None:
        """Read tokens as text of their own and give it to ``done``."""
        if self.captures >= NESTED:
            self.stack.extend(reversed(tokens))
            return

        def close(_engine: Any, _frame: Any, captured: list[str]) -> None:
            done("".join(captured))

        self.push("capture", "", self.tables[0], capture=True, close=close)
        self.stack.append(CAPTURED)
        self.stack.extend(reversed(tokens))

    def in_table(self) -> bool:
        """Whether the innermost thing that is open is a table that is kept."""
        frame = self.frames[-1] if self.frames and self.keep.tables else None
        return frame is not None and frame.name.rstrip("*") in TABLES

    # what is counted and named

    def step(self, counter: str) -> None:
        """Count one more; labels that follow take its number."""
        self.counters[counter] = self.counters.get(counter, 0) + 1
        for inner, outer in self.within.items():
            if outer == counter:
                self.counters[inner] = 0
        self.current = (self.number_of(counter), counter)

    def number_of(self, counter: str) -> str:
        """A counter as the document prints it."""
        meaning = self.tables[0].get("\\the" + counter)
        if isinstance(meaning, Macro) and not (counter == "equation" and self.parent):
            return self.plain(["\\the" + counter]).strip()
        value = self.counters.get(counter, 0)
        if counter in COUNTED:
            return self._section_number(counter)
        if counter == "equation" and self.parent:
            return self.parent + (numeral(value, "alph") or str(value))
        number = str(value)
        # counters that reset each other in a ring have no number of their own
        for _ in range(len(COUNTED)):
            outer = self.within.get(counter, "")
            if not outer or outer == "chapter" and not self.counters.get(outer):
                break
            if outer in COUNTED or isinstance(
                self.tables[0].get("\\the" + outer), Macro
            ):
                return f"{self.number_of(outer)}.{number}"
            number = f"{self.counters.get(outer, 0)}.{number}"
            counter = outer
        return number

    def _section_number(self, counter: str) -> str:
        top = "chapter" if self.counters.get("chapter") else "section"
        if counter not in COUNTED[COUNTED.index(top) :]:
            top = counter
        names = COUNTED[COUNTED.index(top) : COUNTED.index(counter) + 1]
        values = [self.counters.get(name, 0) for name in names]
        if self.appendix:
            first = numeral(values[0], "Alph")
            if self.document_class.startswith("revtex"):
                return " ".join([first or "0", *map(str, values[1:])])
        elif self.document_class.startswith("revtex"):
            first = numeral(values[0], "Roman")
            styles = ("Roman", "Alph", "arabic", "alph")
            return " ".join(numeral(v, s) or "0" for v, s in zip(values, styles))
        else:
            first = str(values[0])
        return ".".join([first or "0", *map(str, values[1:])])

    def count_within(self, inner: str, outer: str) -> None:
        """Let a counter start anew with another."""
        if len(self.within) < RESETS:
            self.within[inner] = outer

    def label(self, keys: list[str]) -> None:
        """Give labels what was counted last."""
        number, kind = self.current
        for key in keys:
            self.labels.setdefault(key, (number[:SHOWN], kind))
            self.titles.setdefault(key, self.heading)

    def formula(self, text: str) -> str:
        """Keep a finished formula; its mark for the text."""
        self.formulas.append(text)
        return f"\x03{len(self.formulas) - 1}\x03"

    def paragraph(self) -> None:
        """End a paragraph; the footnotes that hang on it follow."""
        self.out.append(PARAGRAPH)
        if self.notes and not self.captures:
            for note in self.notes:
                self.out.append(note + PARAGRAPH)
            self.notes = []

    def front(self, what: str) -> None:
        """What stands before the abstract or ``\\maketitle`` is title and authors: it goes."""
        if self.captures or not self.front_open:
            return
        size = sum(map(len, self.out))
        if size < FRONT_LIMIT:
            if "".join(self.out).strip():
                self.drop("front matter", f"stands before {what}")
            del self.out[:]
        else:
            self.front_open = False

    def begin_user(self, name: str) -> None:
        """Begin an environment of the user's."""
        macro, finish = self.environments[name]
        frame = self.push("environment", name, self.table)
        frame.close = lambda engine, _frame, _captured: (
            engine.stack.extend(reversed(finish))
            if engine.may_expand("\\end{" + name + "}", len(finish), _size(finish))
            else None
        )
        macro(self, "\\begin{" + name + "}")

    def read_file(self, name: str) -> bool:
        """Read another file of the package in place; whether there is one."""
        found = self.sources.find(name, self.folder, (".tex",))
        if (
            not found
            or found in self.open_files
            or len(self.files_read) >= FILES
            or not self.sources.may_read(found)
        ):
            if self.in_document or not found:
                self.drop(f"file {name}"[:100], "not in the package")
            return False
        self.files_read.append(found)
        self.open_files.append(found)
        self.stack.append(END_FILE)
        self.feed(self.sources.text(found))
        return True
