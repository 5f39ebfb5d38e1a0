"""TeX's stomach: tokens to Markdown.

One loop takes a token, looks its handler up in the table of the present mode and calls it.
Frames (groups, environments, formulas, captured arguments) lie on a list of our own, so
that nesting can be as deep as a hostile file likes. What only the end of the document can
tell, a number behind a label or the names behind a citation, stays a mark in the text until
``references`` and ``tidy`` resolve it.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from cosmosage.latex import maths
from cosmosage.latex.expand import PARAGRAPH, STOP, Expander, Handler, Macro
from cosmosage.latex.macros import COMMON, Taken, command, numeral, take
from cosmosage.latex.references import Citation
from cosmosage.latex.source import Sources
from cosmosage.latex.symbols import ACCENTS, BARE_MATHS, CHARACTERS, JOURNALS, SKY

TEXT: dict[str, Handler] = dict(COMMON)
LINE, INDENT = "\x05", "\x06"
CAPTURED, END_FILE, END_MATHS = "\x07captured", "\x07file", "\x07maths"
FILES = 500  # how often a document may read in another file
LEVELS = {
    "part": 0,
    "chapter": 1,
    "section": 1,
    "subsection": 2,
    "subsubsection": 3,
    "subsubsubsection": 4,
}
_COUNTED = ("chapter", "section", "subsection", "subsubsection")
NEAR = (
    200  # frames that one \\end may close: broken nesting is mended, not searched for
)
FRONT_LIMIT = 6000  # characters before the abstract that can still be title and authors


class Frame:
    """Something opened that must be closed: what to go back to and what to do then."""

    __slots__ = "kind name out table close display per_row numbered row_numbered labels tag columns".split()

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


class Reader(Expander):
    """A document being read.

    Attributes:
        out: the pieces of text written so far, in the innermost capture.
        frames: what is open; None is a plain brace.
        labels: label to (number, kind of thing).
        current: (number, kind) of what was counted last: what a label takes.
    """

    def __init__(self, sources: Sources, captions: bool = True) -> None:
        super().__init__((TEXT, maths.MATHS, INNER))
        self.sources = sources
        self.captions = captions
        self.out: list[str] = []
        self.frames: list[Any] = []
        self.captures = 0
        self.formulas: list[str] = []
        self.citations: list[Citation] = []
        self.references: list[tuple[str, str]] = []
        self.labels: dict[str, tuple[str, str]] = {}
        self.current = ("", "")
        self.notes: list[str] = []
        self.note_count = 0
        self.title = ""
        self.abstract = ""
        self.sections: list[tuple[int, str]] = []
        self.environments: dict[str, tuple[Macro, list[str]]] = {}
        self.theorems: dict[str, tuple[str, str]] = {}
        self.lists: list[list[Any]] = []
        self.aliases: dict[str, str] = {}
        self.items: dict[str, str] = {}
        self.bibliographies: list[str] = []
        self.within: dict[str, str] = {}
        self.document_class = ""
        self.options = ""
        self.in_document = False
        self.in_style = False
        self.appendix = False
        self.front_open = True
        self.folder = ""
        self.files_read = 0
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
        self.frames.append(frame)
        self.table = table
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

        def close(_engine: Any, _frame: Any, captured: list[str]) -> None:
            done("".join(captured))

        self.push("capture", "", self.tables[0], capture=True, close=close)
        self.stack.append(CAPTURED)
        self.stack.extend(reversed(tokens))

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
        if isinstance(meaning, Macro):
            return self.plain(["\\the" + counter]).strip()
        value = self.counters.get(counter, 0)
        if counter in _COUNTED:
            return self._section_number(counter)
        if outer := self.within.get(counter):
            return f"{self.number_of(outer)}.{value}"
        return str(value)

    def _section_number(self, counter: str) -> str:
        top = "chapter" if self.counters.get("chapter") else "section"
        if counter not in _COUNTED[_COUNTED.index(top) :]:
            top = counter
        names = _COUNTED[_COUNTED.index(top) : _COUNTED.index(counter) + 1]
        values = [self.counters.get(name, 0) for name in names]
        if self.appendix:
            first = numeral(values[0], "Alph")
        elif self.document_class.startswith("revtex"):
            first = numeral(values[0], "Roman")
            styles = ("Roman", "Alph", "arabic", "alph")
            return " ".join(numeral(v, s) or "0" for v, s in zip(values, styles))
        else:
            first = str(values[0])
        return ".".join([first or "0", *map(str, values[1:])])

    def label(self, keys: list[str]) -> None:
        """Give labels what was counted last."""
        for key in keys:
            self.labels.setdefault(key, self.current)

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

    def begin_user(self, name: str) -> None:
        """Begin an environment of the user's."""
        macro, finish = self.environments[name]
        frame = self.push("environment", name, self.table)
        frame.close = lambda engine, _frame, _captured: engine.stack.extend(
            reversed(finish)
        )
        macro(self, "\\begin{" + name + "}")

    def read_file(
        self, name: str, folder: str = "", endings: tuple[str, ...] = (".tex",)
    ) -> bool:
        """Read another file of the package in place; whether there is one."""
        found = self.sources.find(name, folder or self.folder, endings)
        if not found or self.files_read >= FILES or found in self.open_files:
            if self.in_document or not found:
                self.drop(f"file {name}"[:100], "not in the package")
            return False
        self.files_read += 1
        self.open_files.append(found)
        self.stack.append(END_FILE)
        self.feed(self.sources.text(found))
        return True


# braces, blanks, formulas


def _open(engine: Reader, _token: str) -> None:
    engine.frames.append(None)


def _close(engine: Reader, _token: str) -> None:
    frames = engine.frames
    if frames and (frames[-1] is None or frames[-1].kind == "text"):
        engine.pop()


def _dollar(engine: Reader, _token: str) -> None:
    if engine.peek() == "$":
        engine.stack.pop()
        maths.begin(engine, "$$", True)
    else:
        maths.begin(engine, "$", False)


@command(TEXT, "[ (")
def _bracket(engine: Reader, token: str) -> None:
    maths.begin(engine, token, token == "\\[")


@command(TEXT, "ensuremath")
def _ensuremath(engine: Reader, _token: str) -> None:
    argument = engine.argument()
    engine.stack.append(END_MATHS)
    engine.stack.extend(reversed(argument))
    maths.begin(engine, END_MATHS, False)


def _end_maths(engine: Reader, _token: str) -> None:
    engine.close_to("math inner", END_MATHS)


def _end_capture(engine: Reader, _token: str) -> None:
    engine.close_to("capture", "")


def _nothing(_engine: Reader, _token: str) -> None:
    pass


def _space(engine: Reader, _token: str) -> None:
    engine.out.append(" ")


def _paragraph(engine: Reader, _token: str) -> None:
    engine.paragraph()


@command(
    TEXT, "par bigskip medskip smallskip endgraf newpage clearpage cleardoublepage"
)
def _par(engine: Reader, _token: str) -> None:
    engine.paragraph()


def _newline(engine: Reader, _token: str) -> None:
    engine.star() if engine.peek()[:1] == "*" else None
    if engine.peek() == "[":
        engine.optional()
    engine.out.append(" ")


@command(TEXT, "xspace")
def _xspace(engine: Reader, _token: str) -> None:
    following = engine.peek()
    if (
        following
        and following[0] not in ".,'/?;:!~-)]} \n\f\x07{"
        and following
        not in (
            "\\ ",
            "\\/",
            "\\footnote",
            "\\footnotemark",
            "\\xspace",
            "\\@",
            "\\,",
        )
    ):
        engine.out.append(" ")


def _character(engine: Reader, token: str) -> None:
    engine.out.append(CHARACTERS[token[1:]])


def _sky(engine: Reader, token: str) -> None:
    shown = SKY[token[1:]][0]
    engine.out.append(engine.formula(shown) if shown[0] == "$" else shown)


def _journal(engine: Reader, token: str) -> None:
    engine.out.append(JOURNALS[token[1:]])


def _bare(engine: Reader, token: str) -> None:
    """A sign of maths in text, without its dollars."""
    if engine.table is engine.tables[2]:
        engine.out.append("}" + token + "\\text{")
    else:
        engine.out.append(engine.formula(f"${token}$"))


@command(TEXT, "ion")
def _ion(engine: Reader, _token: str) -> None:
    element, stage = (
        engine.plain(engine.argument()),
        engine.plain(engine.argument()).strip(),
    )
    if stage.isdigit():
        stage = numeral(int(stage[:3]), "Roman")
    engine.out.append(f"{element.strip()} {stage.upper()}")


def _accent(engine: Reader, token: str) -> None:
    mark = ACCENTS[token[1:]]
    argument = engine.argument()
    base = engine.plain(
        [
            {"\\i": "i", "\\j": "j"}.get(part, part)
            for part in argument
            if part not in ("$",)
        ]
    )
    if not base:
        base = "".join(CHARACTERS.get(part[1:], "") for part in argument)
    if base.strip():
        engine.out.append(unicodedata.normalize("NFC", base[0] + mark) + base[1:])


@command(TEXT, "char symbol")
def _char(engine: Reader, _token: str) -> None:
    if engine.peek() == "{":
        engine.stack.extend(reversed(engine.argument()))
    code = engine.number()
    if 32 < code < 0x3000:
        engine.out.append(chr(code))


@command(TEXT, "SI si num qty ang SIrange qtyrange numrange")
def _quantity(engine: Reader, token: str) -> None:
    if token == "\\qty" and engine.peek() != "{":
        return
    plain, formula, raised = maths.quantity(engine, token)
    engine.out.append(engine.formula(f"${formula}$") if raised else plain)


@command(TEXT, "nicefrac sfrac textfrac")
def _fraction(engine: Reader, _token: str) -> None:
    upper, lower = engine.argument(), engine.argument()
    engine.stack.extend(reversed([*upper, "/", *lower]))


@command(TEXT, "twocolumn onecolumn")
def _twocolumn(engine: Reader, token: str) -> None:
    engine.skip_blanks()
    if engine.peek() != "[" or not engine.front_open:
        return
    engine.front_open = token != "\\twocolumn"
    engine.stack.pop()
    depth = 0
    for index in range(len(engine.stack) - 1, max(-1, len(engine.stack) - 20_000), -1):
        token = engine.stack[index]
        depth += (token == "{") - (token == "}")
        if token == "]" and depth <= 0:
            engine.stack[index] = " "
            return


# structure


@command(TEXT, "documentclass documentstyle")
def _documentclass(engine: Reader, _token: str) -> None:
    options = "".join(engine.optional() or [])
    name = engine.word()
    if engine.in_document:
        # a subfile with a preamble of its own: its body alone is wanted
        for index in range(len(engine.stack) - 1, 2, -1):
            if (
                engine.stack[index] == "\\begin"
                and engine.stack[index - 2] == "document"
            ):
                del engine.stack[index - 3 :]
                return
            if engine.stack[index] == END_FILE:
                return
        return
    engine.document_class, engine.options = name, options
    if name in ("report", "book", "memoir", "scrbook", "scrreprt"):
        engine.within.update(section="chapter")
    engine.within.update(subsection="section", subsubsection="subsection")
    for style in re.split(r"[,\s]+", options):
        _load_style(engine, style)


_KNOWN_STYLES = re.compile(
    r"(?:aastex|emulateapj|apj|mn2?e?|mnras|aa|revtex|jcap|jhep|elsart|iopart|natbib|hyperref"
    r"|ams|graphic|epsf|psfig|svjour|llncs|IEEE|pos|article|deluxetable|aas_macros|float|caption"
    r"|subfig|geometry|babel|cleveref|lineno|xcolor|titlesec|fancyhdr|algorithm|listings|minted"
    r"|tikz|pgf|cite|url|xspace|soul|ulem|array|booktabs|multirow|enumitem|setspace|mathtools"
    r"|siunitx|physics|neurips|nips|icml|iclr|cvpr|acl|openjournal|rnaas|authblk|inputenc)"
)


@command(TEXT, "usepackage RequirePackage")
def _usepackage(engine: Reader, _token: str) -> None:
    options = "".join(engine.optional() or [])
    for name in engine.word().split(","):
        name = name.strip()
        engine.options += f",{name}"
        if name in ("natbib", "cite", "biblatex"):
            engine.options += "," + options
        _load_style(engine, name)


def _load_style(engine: Reader, name: str) -> None:
    if not name or _KNOWN_STYLES.match(name) or engine.in_style:
        return
    found = engine.sources.find(name, engine.folder, (".sty",))
    if not found.lower().endswith(".sty") or len(engine.sources.files[found]) > 100_000:
        return
    engine.in_style = True
    engine.stack.append(END_FILE)
    engine.feed(engine.sources.text(found))


def _end_file(engine: Reader, _token: str) -> None:
    if engine.in_style:
        engine.in_style = False
    elif engine.open_files:
        engine.open_files.pop()


@command(
    TEXT, "input include subfile subfileinclude @input lstinputlisting verbatiminput"
)
def _input(engine: Reader, token: str) -> None:
    if "listing" in token or "verbatim" in token:
        take(engine, "om")
        engine.drop("code", "code is no prose")
        return
    engine.skip_blanks()
    if engine.peek() == "{":
        name = engine.word()
    else:
        pieces = []
        while engine.stack and engine.peek()[0] not in "\\{}$\f%":
            piece, *rest = re.split(r"(?=\s)", engine.stack.pop(), maxsplit=1)
            pieces.append(piece)
            if rest:
                engine.stack.append(rest[0])
                break
        name = "".join(pieces)
    if name.lower().endswith(".bbl"):
        engine.bibliographies.append(name)
        return
    if not re.search(r"\.(?:sty|cls|pgf|tikz|eps)$", name) or name.endswith(".sty"):
        engine.read_file(name)


@command(TEXT, "import subimport inputfrom includefrom subincludefrom subinputfrom")
def _import(engine: Reader, _token: str) -> None:
    engine.star()
    folder = engine.word()
    engine.read_file(f"{folder}/{engine.word()}")


@command(TEXT, "InputIfFileExists IfFileExists")
def _input_if(engine: Reader, token: str) -> None:
    name = engine.word()
    yes, no = engine.argument(), engine.argument()
    found = engine.sources.find(name, engine.folder)
    engine.stack.extend(reversed(yes if found else no))
    if found and token == "\\InputIfFileExists":
        engine.read_file(name)


@command(TEXT, "endinput bye")
def _endinput(engine: Reader, token: str) -> None:
    stack = engine.stack
    while stack:
        if stack.pop() == END_FILE and token != "\\bye":
            _end_file(engine, END_FILE)
            return


@command(TEXT, "title Title")
def _title(engine: Reader, _token: str) -> None:
    engine.star()
    engine.optional()

    def done(text: str) -> None:
        if text.strip():
            engine.title = engine.title or text
        engine.note_count, engine.notes = count, notes

    count, notes = engine.note_count, list(engine.notes)
    engine.capture(engine.argument(), done)


@command(
    TEXT,
    "chapter section subsection subsubsection subsubsubsection part beginsection",
)
def _section(engine: Reader, token: str) -> None:
    name = token[1:].replace("beginsection", "section")
    starred = engine.star()
    engine.optional()
    title = engine.argument()
    engine.front_open = False
    if not starred and name in _COUNTED:
        for deeper in _COUNTED[_COUNTED.index(name) + 1 :]:
            engine.counters[deeper] = 0
        engine.step(name)
        engine.current = (
            engine.number_of(name),
            "appendix" if engine.appendix else "section",
        )
    level = LEVELS.get(name, 1) + (
        1 if engine.within.get("section") and name != "chapter" else 0
    )

    def done(text: str) -> None:
        heading(engine, level, text)

    engine.capture(title, done)


def heading(engine: Reader, level: int, text: str) -> None:
    """Write a heading; ``level`` 1 is a section."""
    text = " ".join(text.replace(PARAGRAPH, " ").split())
    engine.paragraph()
    if text:
        mark = "#" * (min(level, 5) + 1)
        engine.out.append(f"{mark} {text}{PARAGRAPH}")
        engine.sections.append((level, text))


@command(TEXT, "paragraph subparagraph")
def _run_in(engine: Reader, _token: str) -> None:
    engine.star()
    engine.optional()
    title = engine.argument()
    engine.paragraph()

    def done(text: str) -> None:
        if text := " ".join(text.split()):
            engine.out.append(f"**{text}** ")

    engine.capture(title, done)


@command(TEXT, "appendix appendices")
def _appendix(engine: Reader, _token: str) -> None:
    engine.appendix = True
    engine.counters.update(section=0, subsection=0, subsubsection=0, chapter=0)
    engine.within.pop("section", None)


@command(
    TEXT, "acknowledgments acknowledgements acknowledgment acknowledgement ack thanks@"
)
def _acknowledgments(engine: Reader, _token: str) -> None:
    engine.front_open = False
    heading(engine, 1, "Acknowledgments")


@command(TEXT, "maketitle")
def _maketitle(engine: Reader, _token: str) -> None:
    engine.front("\\maketitle")


@command(TEXT, "abstract")
def _abstract(engine: Reader, _token: str) -> None:
    tokens = engine.argument()
    if engine.document_class.startswith("aa") and not engine.document_class.startswith(
        "aas"
    ):
        for _ in range(4):
            engine.skip_blanks()
            if engine.peek() == "{":
                tokens = [*tokens, " ", *engine.argument()]
    engine.capture(tokens, lambda text: _keep_abstract(engine, text))


def _keep_abstract(engine: Reader, text: str) -> None:
    engine.front("the abstract")
    if not engine.abstract.strip():
        engine.abstract = text
    elif text.strip():
        engine.out.append(PARAGRAPH + text + PARAGRAPH)


# notes, references, citations


@command(TEXT, "footnote footnotetext tablefootnote footnotemark")
def _footnote(engine: Reader, token: str) -> None:
    engine.optional()
    if token == "\\footnotemark":
        engine.note_count += 1
        engine.out.append(f"[^{engine.note_count}]")
        return
    argument = engine.argument()
    if token != "\\footnotetext" or not engine.note_count:
        engine.note_count += 1
        engine.out.append(f"[^{engine.note_count}]")
    number = engine.note_count

    def done(text: str) -> None:
        if text.strip():
            engine.notes.append(f"[^{number}]: " + text.strip().replace(PARAGRAPH, " "))

    engine.capture(argument, done)


@command(TEXT, "label zlabel")
def _label(engine: Reader, _token: str) -> None:
    engine.label([engine.word()])


@command(
    TEXT,
    "ref eqref autoref cref Cref pageref nameref vref Vref subref fullref labelcref Autoref",
)
def _ref(engine: Reader, token: str) -> None:
    engine.star()
    engine.optional()
    engine.references.append((token[1:], engine.word()))
    engine.out.append(f"\x04{len(engine.references) - 1}\x04")


@command(
    TEXT,
    "cite citep citet citealt citealp citeauthor citeyear citeyearpar citetext Citet Citep"
    " citenum Citealt Citealp Citeauthor textcite parencite Textcite Parencite autocite Autocite"
    " footcite supercite fullcite citefullauthor shortcite citetalias citepalias onlinecite"
    " citename citeN citeNP citeA citeANP shortciteN possessivecite citenp citeauthoryear"
    " posscitet smartcite cites citeasnoun citetext@ markcite",
)
def _cite(engine: Reader, token: str) -> None:
    engine.star()
    first = engine.optional()
    second = engine.optional() if first is not None else None
    keys = [key.strip() for key in engine.word().split(",")]
    before = "".join(first or []) if second is not None else ""
    engine.citations.append(
        Citation(token[1:], [key for key in keys if key], before.strip())
    )
    engine.out.append(f"\x01{len(engine.citations) - 1}\x01")


@command(TEXT, "defcitealias")
def _defcitealias(engine: Reader, _token: str) -> None:
    key = engine.word()
    engine.aliases[key] = engine.plain(engine.argument())


@command(
    TEXT,
    "bibliography addbibresource printbibliography putbib bibselect nobibliography",
)
def _bibliography(engine: Reader, token: str) -> None:
    engine.optional()
    if token != "\\printbibliography":
        engine.bibliographies.extend(name.strip() for name in engine.word().split(","))


@command(TEXT, "href hyperref hyperlink hypertarget")
def _href(engine: Reader, token: str) -> None:
    if token == "\\hyperref":
        if engine.optional() is None:
            take(engine, "mmm")
    else:
        engine.argument()


@command(TEXT, "caption tablecaption captionof subcaption figcaption captionsetup@")
def _caption(engine: Reader, token: str) -> None:
    engine.star()
    kind = engine.word() if token == "\\captionof" else _float_kind(engine)
    engine.optional()
    argument = engine.argument()
    if token != "\\subcaption":
        engine.step(kind)
    number = engine.current[0]

    def done(text: str) -> None:
        if engine.captions and text.strip():
            text = " ".join(text.replace(PARAGRAPH, " ").split())
            engine.notes.append(f"{kind.capitalize()} {number}: {text}")

    engine.capture(argument, done)


def _float_kind(engine: Reader) -> str:
    for frame in reversed(engine.frames[-50:]):
        if frame is not None and frame.kind == "float":
            return str(frame.tag)
    return "figure"


@command(TEXT, "item bibitem@")
def _item(engine: Reader, _token: str) -> None:
    label = engine.optional()
    depth = max(0, len(engine.lists) - 1)
    mark = "- "
    if engine.lists:
        engine.lists[-1][1] += 1
        if engine.lists[-1][0] == "enumerate":
            mark = f"{engine.lists[-1][1]}. "
            engine.current = (str(engine.lists[-1][1]), "item")
    engine.out.append(LINE + INDENT * min(depth, 6) + mark)
    if label and re.search(r"\w", "".join(part for part in label if part[0] != "\\")):
        engine.stack.append(" ")
        engine.stack.extend(reversed(label))


@command(TEXT, "newtheorem declaretheorem spnewtheorem")
def _newtheorem(engine: Reader, token: str) -> None:
    engine.star()
    if token == "\\declaretheorem":
        options = "".join(engine.optional() or [])
        name = engine.word()
        given = re.search(r"name\s*=\s*([^,]+)", options)
        shown = given[1].strip("{} ") if given else name.capitalize()
        engine.theorems[name] = (shown, name)
        return
    name = engine.word()
    shared = engine.optional()
    shown = engine.plain(engine.argument())
    outer = engine.optional()
    counter = engine.plain(shared) if shared else name
    engine.theorems[name] = (shown, counter)
    if outer:
        engine.within[counter] = engine.plain(outer)


@command(TEXT, "numberwithin counterwithin")
def _numberwithin(engine: Reader, _token: str) -> None:
    engine.star()
    inner = engine.word()
    engine.within[inner] = engine.word()


@command(TEXT, "replaced")
def _replaced(engine: Reader, _token: str) -> None:
    engine.optional()
    first, second = engine.argument(), engine.argument()
    old_first = engine.document_class.startswith("aas")
    engine.stack.extend(reversed(second if old_first else first))


@command(TEXT, "unskip")
def _unskip(engine: Reader, _token: str) -> None:
    while engine.out and engine.out[-1] == " ":
        engine.out.pop()


TEXT.update(
    {
        "{": _open,
        "}": _close,
        "$": _dollar,
        "~": _space,
        PARAGRAPH: _paragraph,
        "\\\\": _newline,
        "\\cr": _newline,
        CAPTURED: _end_capture,
        END_MATHS: _end_maths,
        END_FILE: _end_file,
        STOP: _nothing,
        **{"\\" + name: _bare for name in BARE_MATHS},
        **{"\\" + name: _journal for name in JOURNALS},
        **{"\\" + name: _sky for name in SKY},
        **{"\\" + name: _character for name in CHARACTERS},
        **{"\\" + name: _accent for name in ACCENTS},
    }
)
TEXT.update(
    {
        "\\" + name: Taken(signature)
        for names, signature in {
            # front matter: who wrote it and where; a listing tells it better
            "author affil affiliation address institute email thanks date altaffilmark"
            " correspondingauthor orcid orcidlink inst keywords pacs received accepted revised"
            " published submitted submitjournal journalinfo shorttitle shortauthors titlerunning"
            " authorrunning slugcomment offprints collaboration nocollaboration preprint"
            " subjectheadings subjclass reportno dedicated curraddr urladdr ead cortext fntext"
            " tnotetext corref fnref tnoteref subtitle@ institution homepage authorcontributions"
            " eprint journal volume issue pubyear runningtitle runningauthor bibliographystyle"
            " altaffiliation noaffiliation@ notoc@ arxivnumber emailAdd keyword speaker"
            " authornote ccsdesc setcopyright acmDOI lefttitle righttitle headnote hline@ kword"
            " PACS MSC classification msnr idline doi DOI jname@ pagerange pubnumber": "soom",
            "altaffiltext footnotetext@ shortauthor": "om",
            "authoremail addtoauthor authorinfo affilnote": "m",
            # changes, to-dos and what is struck out
            "todo deleted sout st xout cancel@ fxnote marginpar marginnote missingfigure"
            " sidenote": "om",
            # boxes and colours: the last argument is what they hold
            "textcolor": "om",
            "parbox": "ooom",
            "raisebox": "moo",
            "scalebox resizebox@ rotatebox": "mo",
            "resizebox": "smm",
            "makebox framebox": "poo",
            "colorbox": "om",
            "fcolorbox": "mm",
            "adjustbox foreignlanguage textlang@ selectlanguage": "om",
            "multicolumn": "mm",
            "multirow": "omomo",
            "texorpdfstring@ highlight": "o",
            "includepdf pgfplotsset tikz pgfimage": "om",
            "cline cmidrule specialrule": "pm",
            "subfloat@ figurenum tablenum tablewidth tablecolumns tabletypesize tablenotemark": "om",
            "tablenotetext": "mm",
            "tablecomments tablerefs tablehead tabletail tablefirsthead tablelasthead": "m",
            "facility facilities software@ dataset": "o",
            "vcentering subfigure": "o",
        }.items()
        for name in names.split()
        if not name.endswith("@")
    }
)
TEXT.update(
    {
        "\\" + name: _nothing
        for name in (
            "emph textbf textit textrm texttt textsf textsc textsl textup textmd textnormal"
            " textsuperscript textsubscript mbox hbox vbox fbox text underline uline ul hl"
            " bf it rm sc sl tt sf em bfseries itshape rmfamily scshape slshape ttfamily sffamily"
            " upshape mdseries normalfont boldmath unboldmath mathrm mathit mathbf tiny scriptsize"
            " footnotesize small normalsize large Large LARGE huge Huge centering raggedright"
            " raggedleft flushleft flushright indent noindent sloppy fussy hfill vfill hfil vfil"
            " footnotesize onehalfspacing doublespacing singlespacing tableofcontents listoffigures"
            " listoftables linenumbers nolinenumbers normalmarginpar reversemarginpar balance"
            " startlongtable printindex maketitle@ frontmatter mainmatter backmatter bgroup@ added"
            " FloatBarrier hline toprule midrule bottomrule notag nonumber displaystyle textstyle"
            " scriptstyle raggedbottom flushbottom frenchspacing nonfrenchspacing doublespace"
            " singlespace allowdisplaybreaks sloppypar enquote@ MakeLowercase lowercase nocorr"
            " centerline leftline rightline line topmargin limits nolimits left right bibfont"
            " acknowledgmentsname noaffiliation notoc keepsilent@ tighten sisetup@ newblock"
            " preprintnumber and And AND textcircled uppercase@ ensuretext@ pdfbookmark@ smash"
            " null mathstrut qed qedhere qedsymbol BooleanTrue BooleanFalse NoValue mathsurround"
            " samepage goodbreak filbreak eject supereject hss vss hfilneg break nolinebreak"
            " makeatother columnbreak pagebreak@ subtitle software upright dotfill hrulefill"
            " notetoeditor@ hangindent hangafter obeylines obeyspaces parbreak endcsname ul"
            " textquoteleft@ relsize@ lowercase sectionfont abstractname"
        ).split()
        if not name.endswith("@")
    }
)


@command(TEXT, "enquote")
def _enquote(engine: Reader, _token: str) -> None:
    engine.star()
    engine.stack.extend(reversed(['"', *engine.argument(), '"']))


@command(TEXT, "texorpdfstring")
def _texorpdfstring(engine: Reader, _token: str) -> None:
    first, _ = engine.argument(), engine.argument()
    engine.stack.extend(reversed(first))


@command(TEXT, "rawcode")
def _rawcode(engine: Reader, _token: str) -> None:
    engine.argument()
    engine.drop("code", "code is no prose")


# text inside a formula: the same, but it stays LaTeX


def _escaped(engine: Reader, token: str) -> None:
    engine.out.append(token)


def _inner_end(engine: Reader, token: str) -> None:
    """A formula's end while text in it is still open: close that text first."""
    frame = maths.innermost(engine)
    while engine.frames and engine.table is engine.tables[2]:
        engine.pop()
    if frame is not None:
        engine.stack.append(token)


INNER: dict[str, Handler] = {
    **TEXT,
    **{token: _escaped for token in ("\\%", "\\&", "\\_", "\\#", "\\{", "\\}", "\\$")},
    "_": lambda engine, _token: engine.out.append("\\_"),
    "^": _nothing,
    "#": _nothing,
    "&": lambda engine, _token: engine.out.append("\\&"),
    PARAGRAPH: _space,
    "\\par": _space,
    "\\label": maths.MATHS["\\label"],
    "\\]": _inner_end,
}
