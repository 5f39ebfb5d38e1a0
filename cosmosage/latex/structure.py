"""Commands that give a document its order: files, headings, notes, references, lists."""

import re

from cosmosage.latex import notation
from cosmosage.latex.lexer import PARAGRAPH
from cosmosage.latex.macros import command, numeral, take
from cosmosage.latex.references import SHOWN, cited
from cosmosage.latex.render import COUNTED, END_FILE, INDENT, LINE, TEXT, Frame, Reader

LEVELS = {
    "part": 0,
    "chapter": 1,
    "section": 1,
    "subsection": 2,
    "subsubsection": 3,
    "subsubsubsection": 4,
}


OPTIONS = 10_000  # characters of packages and options; a long preamble has 500


# structure


@command(TEXT, "documentclass documentstyle")
def _documentclass(engine: Reader, _token: str) -> None:
    options = "".join(engine.optional() or [])
    name = engine.word()
    if engine.in_document:
        # a subfile with a preamble of its own: its body alone is wanted
        if not engine.may_scan():
            return
        start = len(engine.stack) - 1
        for index in range(start, 2, -1):
            if (
                engine.stack[index] == "\\begin"
                and engine.stack[index - 2] == "document"
            ):
                del engine.stack[index - 3 :]
                return
            if engine.stack[index] == END_FILE:
                engine.may_scan(start - index)
                return
        engine.may_scan(start)
        return
    engine.document_class, engine.options = name, options
    if name in ("report", "book", "memoir", "scrbook", "scrreprt"):
        for inner in ("section", "figure", "table", "equation"):
            engine.within[inner] = "chapter"
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
    names = [name.strip() for name in engine.word().split(",")]
    if not {"natbib", "cite", "biblatex", "cleveref"}.isdisjoint(names):
        names.append(options)
    if len(engine.options) < OPTIONS:
        engine.options += "," + ",".join(names)[:OPTIONS]
    for name in names[:500]:
        _load_style(engine, name)
        notation.load(engine, name)


def _load_style(engine: Reader, name: str) -> None:
    if not name or _KNOWN_STYLES.match(name) or engine.in_style:
        return
    found = engine.sources.find(name, engine.folder, (".sty",))
    if not found.lower().endswith(".sty") or len(engine.sources.files[found]) > 100_000:
        return
    if found in engine.files_read or not engine.sources.may_read(found):
        # TeX reads a style once
        return
    engine.files_read.append(found)
    engine.in_style = True
    engine.stack.append(END_FILE)
    engine.feed(engine.sources.text(found))


def end_file(engine: Reader, _token: str) -> None:
    """A file that was read in place has ended."""
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
            end_file(engine, END_FILE)
            return


@command(TEXT, "title Title")
def _title(engine: Reader, _token: str) -> None:
    engine.star()
    engine.optional()

    def done(text: str) -> None:
        if text.strip():
            engine.title = engine.title or re.sub(r"\[\^\d+\]", "", text)
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
    title = engine.argument() if token != "\\beginsection" else _plain_title(engine)
    engine.front_open = False
    if not starred and name in COUNTED and token != "\\beginsection":
        for deeper in COUNTED[COUNTED.index(name) + 1 :]:
            engine.counters[deeper] = 0
        engine.step(name)
        engine.current = (
            engine.number_of(name),
            "appendix" if engine.appendix else name,
        )
    level = LEVELS.get(name, 1) + (
        1 if engine.within.get("section") and name != "chapter" else 0
    )

    def done(text: str) -> None:
        heading(engine, level, text)

    engine.paragraph()
    engine.capture(title, done)


def _plain_title(engine: Reader) -> list[str]:
    """Plain TeX's heading: it ends with its paragraph."""
    title: list[str] = []
    while engine.stack and engine.peek()[0] not in "\f\x07" and len(title) < 200:
        token = engine.stack.pop()
        if token == "\\par":
            break
        title.append(token)
    return title


def heading(engine: Reader, level: int, text: str) -> None:
    """Write a heading; ``level`` 1 is a section."""
    text = " ".join(text.replace(PARAGRAPH, " ").split())
    engine.out.append(PARAGRAPH)
    if text:
        mark = "#" * (min(level, 5) + 1)
        engine.out.append(f"{mark} {text}")
        engine.sections.append((level, text))
        engine.heading = text[:SHOWN]
    engine.paragraph()


@command(TEXT, "paragraph subparagraph bmhead")
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
    engine.star()
    engine.appendix = True
    engine.counters.update(section=0, subsection=0, subsubsection=0, chapter=0)
    if engine.within.get("section") != "chapter":
        engine.within.pop("section", None)


@command(TEXT, "acknowledgments acknowledgements acknowledgment acknowledgement ack")
def _acknowledgments(engine: Reader, _token: str) -> None:
    engine.front_open = False
    engine.paragraph()
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


def _count_note(engine: Reader, given: str) -> None:
    """Count a note twice: as TeX does, whose counter may be set back, and never the same again."""
    if not given:
        engine.note_count += 1
        engine.counters["footnote"] = engine.counters.get("footnote", 0) + 1
        engine.note_numbers[engine.counters["footnote"]] = engine.note_count


@command(TEXT, "footnote footnotetext tablefootnote footnotemark")
def _footnote(engine: Reader, token: str) -> None:
    given = engine.plain(engine.optional() or []).strip()
    if token == "\\footnotemark":
        _count_note(engine, given)
        engine.out.append(f"[^{given or engine.note_count}]")
        return
    argument = engine.argument()
    if not engine.document_class and engine.peek() == "{":
        # plain TeX's first argument is the mark
        argument = engine.argument()
    if token != "\\footnotetext" or not (given or engine.note_count):
        _count_note(engine, given)
        engine.out.append(f"[^{given or engine.note_count}]")
    # a text belongs to the mark to which its author has set the counter
    number = given or engine.note_numbers.get(
        engine.counters.get("footnote", 0), engine.note_count
    )
    before = engine.current
    engine.current = (str(number), "footnote")

    def done(text: str) -> None:
        engine.current = before
        if text.strip():
            engine.notes.append(f"[^{number}]: " + text.strip().replace(PARAGRAPH, " "))

    engine.capture(argument, done)


@command(TEXT, "label zlabel")
def _label(engine: Reader, _token: str) -> None:
    engine.label([engine.word()])


@command(
    TEXT,
    "ref eqref autoref cref Cref pageref nameref vref Vref subref fullref labelcref Autoref"
    " crefrange Crefrange cpageref Cpageref labelcpageref",
)
def _ref(engine: Reader, token: str) -> None:
    engine.star()
    engine.optional()
    keys = engine.word()
    token = token if "page" not in token else "\\pageref"
    if token.endswith("range"):
        keys += "," + engine.word()
    engine.references.append((token[1:], keys))
    engine.out.append(f"\x04{len(engine.references) - 1}\x04")


@command(
    TEXT,
    "cite citep citet citealt citealp citeauthor citeyear citeyearpar citetext Citet Citep"
    " citenum Citealt Citealp Citeauthor textcite parencite Textcite Parencite autocite Autocite"
    " footcite supercite fullcite citefullauthor shortcite citetalias citepalias onlinecite"
    " citename citeN citeNP citeA citeANP shortciteN possessivecite citenp citeauthoryear"
    " posscitet smartcite cites citeasnoun markcite parencites textcites Textcites autocites"
    " Autocites Parencites footcites supercites citetitle citeurl citedate",
)
def _cite(engine: Reader, token: str) -> None:
    engine.star()
    several = token.endswith("cites")
    if several and token != "\\cites":
        token = token[:-1]
    keys: list[str] = []
    while not keys or several and engine.peek() in ("{", "["):
        while engine.optional() is not None:
            pass
        keys += [key.strip() for key in engine.word().split(",")]
    engine.citations.append(cited(token[1:], list(dict.fromkeys(keys)), engine.out))
    engine.out.append(f"\x01{len(engine.citations) - 1}\x01")


@command(
    TEXT,
    "setcitestyle citestyle bibpunct biboptions bibliographystyle ExecuteBibliographyOptions",
)
def _citestyle(engine: Reader, token: str) -> None:
    """How citations are printed: by names or by numbers."""
    engine.optional()
    style = engine.plain(engine.argument())
    if token == "\\bibpunct":
        engine.argument()
        engine.argument()
        kind = engine.word()
        take(engine, "mm")
        style = "numbers" if kind in ("n", "s") else "authoryear"
    mark = "bst=" if token == "\\bibliographystyle" else ""
    engine.options += f",{mark}{style}"


@command(TEXT, "crefname Crefname")
def _crefname(engine: Reader, token: str) -> None:
    kind = engine.word()
    one, many = engine.plain(engine.argument()), engine.plain(engine.argument())
    engine.nouns[token[1:5], kind] = (one[:SHOWN], many[:SHOWN])


@command(TEXT, "defcitealias")
def _defcitealias(engine: Reader, _token: str) -> None:
    key = engine.word()
    engine.aliases[key] = engine.plain(engine.argument())[:SHOWN]


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


@command(TEXT, "caption tablecaption captionof subcaption figcaption")
def _caption(engine: Reader, token: str) -> None:
    starred = engine.star()
    kind = engine.word() if token == "\\captionof" else _float_kind(engine)
    engine.optional()
    argument = engine.argument()
    if starred:
        _noted(engine, argument, "")
        return
    part = token == "\\subcaption" or any(
        frame is not None and frame.name.startswith(("subfigure", "subtable"))
        for frame in engine.frames[-50:]
    )
    _captioned(engine, kind, argument, part)


@command(TEXT, "subfloat subfigure subtable")
def _subfloat(engine: Reader, _token: str) -> None:
    caption = engine.optional()
    if second := engine.optional():
        caption = second
    _captioned(engine, _float_kind(engine), caption or [], True)


@command(TEXT, "subcaptionbox")
def _subcaptionbox(engine: Reader, _token: str) -> None:
    engine.star()
    engine.optional()
    caption = engine.argument()
    take(engine, "oo")
    _captioned(engine, _float_kind(engine), caption, True)


@command(TEXT, "lstcaption")
def _lstcaption(engine: Reader, _token: str) -> None:
    """What the lexer makes of the settings of a listing."""
    caption, label = engine.argument(), engine.word()
    _captioned(engine, "listing", caption, False)
    engine.label([label])


def _captioned(engine: Reader, kind: str, argument: list[str], part: bool) -> None:
    """Count a float, or a part of one, and keep its caption for the paragraph's end."""
    frame = _float(engine)
    if not part:
        engine.step(kind)
        if frame is not None:
            frame.numbered = True
    elif frame is not None:
        # a part is counted under the number that its float has or will have
        frame.columns += 1
        engine.counters[kind] = engine.counters.get(kind, 0) + (not frame.numbered)
        number = engine.number_of(kind) + numeral(frame.columns, "alph")
        engine.counters[kind] -= not frame.numbered
        engine.current = (number, kind)
    _noted(engine, argument, f"{kind.capitalize()} {engine.current[0]}: ")


def _noted(engine: Reader, argument: list[str], head: str) -> None:
    """Keep a caption for the paragraph's end."""

    def done(text: str) -> None:
        if engine.keep.captions and text.strip():
            text = " ".join(text.replace(PARAGRAPH, " ").split())
            engine.notes.append(head + text)

    engine.capture(argument, done)


def _float(engine: Reader) -> Frame | None:
    for frame in reversed(engine.frames[-50:]):
        if frame is not None and frame.kind == "float":
            return frame
    return None


def _float_kind(engine: Reader) -> str:
    frame = _float(engine)
    return "figure" if frame is None else str(frame.tag)


@command(TEXT, "item")
def _item(engine: Reader, _token: str) -> None:
    label = engine.optional()
    if engine.lists and engine.lists[-1][0] == "inline":
        _inline_item(engine, label)
        return
    _add_item(engine, label)


@command(TEXT, "easyitem")
def _easyitem(engine: Reader, _token: str) -> None:
    """What a list of package easylist is made of: an item as deep as it has marks."""
    depth = engine.word()
    if depth == "1" and engine.lists:
        _add_item(engine, None)
    else:
        level = int(depth) - 1 if depth.isdecimal() else 0
        engine.out.append(LINE + INDENT * min(level, 6) + "- ")
    engine.skip_blanks()


def _add_item(engine: Reader, label: list[str] | None) -> None:
    depth = max(0, len(engine.lists) - 1)
    mark = "- "
    if engine.lists:
        own = label is not None and engine.lists[-1][0] == "enumerate"
        engine.lists[-1][1] += not own
        if engine.lists[-1][0] == "enumerate" and not own:
            mark = f"{engine.lists[-1][1]}. "
            engine.current = (str(engine.lists[-1][1]), "item")
    engine.out.append(LINE + INDENT * min(depth, 6) + mark)
    if label and re.search(r"\w", "".join(part for part in label if part[0] != "\\")):
        engine.stack.append(" ")
        engine.stack.extend(reversed(label))


@command(TEXT, "itemitem")
def _itemitem(engine: Reader, _token: str) -> None:
    """Plain TeX's item within an item."""
    engine.out.append(LINE + INDENT + "- ")


def _inline_item(engine: Reader, label: list[str] | None) -> None:
    """An item within a sentence: its number or its own label, and the sentence goes on."""
    engine.out.append(" ")
    if label is not None:
        engine.stack.append(" ")
        engine.stack.extend(reversed(label))
        return
    engine.lists[-1][1] += 1
    before, style, after = engine.lists[-1][2]
    if style:
        number = numeral(engine.lists[-1][1], style)
        engine.current = (number, "item")
        engine.out.append(f"{before}{number}{after} ")


@command(TEXT, "numberwithin counterwithin")
def _numberwithin(engine: Reader, _token: str) -> None:
    engine.star()
    inner = engine.word()
    engine.count_within(inner, engine.word())


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
