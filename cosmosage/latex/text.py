"""Commands inside a paragraph: signs, fonts, boxes, and what is left out without a trace."""

import re
import unicodedata

from cosmosage.latex import maths
from cosmosage.latex.expand import STOP, Macro
from cosmosage.latex.lexer import PARAGRAPH
from cosmosage.latex.macros import Taken, command, numeral
from cosmosage.latex.render import (
    CAPTURED,
    END_FILE,
    END_MATHS,
    INNER,
    LINE,
    TEXT,
    Reader,
)
from cosmosage.latex.structure import end_file
from cosmosage.latex.symbols import ACCENTS, BARE_MATHS, CHARACTERS, JOURNALS, SKY
from cosmosage.latex.units import quantity

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
    if engine.peek()[:1] == "*":
        engine.star()
    if engine.peek() == "[":
        engine.optional()
    engine.out.append(LINE if engine.in_table() else " ")


def _column(engine: Reader, _token: str) -> None:
    engine.out.append(" | " if engine.in_table() else "&")


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
    if stage.isdecimal():
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


@command(
    TEXT,
    "SI si num qty ang unit SIrange qtyrange numrange SIlist qtylist numlist qtyproduct"
    " numproduct",
)
def _quantity(engine: Reader, token: str) -> None:
    if token == "\\qty" and engine.peek() != "{":
        return
    plain, formula, raised = quantity(engine, token)
    engine.out.append(engine.formula(f"${formula}$") if raised else plain)


@command(TEXT, "DeclareSIUnit")
def _declare_unit(engine: Reader, _token: str) -> None:
    engine.optional()
    name, body = engine.name(), engine.argument()
    if name and not any(name in table for table in engine.tables):
        engine.define(name, Macro(name, [], body), True)


@command(TEXT, "unitfrac")
def _unitfrac(engine: Reader, _token: str) -> None:
    value = engine.optional()
    upper, lower = engine.argument(), engine.argument()
    engine.stack.extend(
        reversed([*([*value, " "] if value else []), *upper, "/", *lower])
    )


@command(TEXT, "nicefrac sfrac textfrac")
def _fraction(engine: Reader, _token: str) -> None:
    upper, lower = engine.argument(), engine.argument()
    engine.stack.extend(reversed([*upper, "/", *lower]))


@command(TEXT, "twocolumn onecolumn")
def _twocolumn(engine: Reader, token: str) -> None:
    engine.skip_blanks()
    if engine.peek() != "[" or not engine.front_open or not engine.may_scan():
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
    engine.may_scan(20_000)


TEXT.update(
    {
        "{": _open,
        "}": _close,
        "$": _dollar,
        "~": _space,
        PARAGRAPH: _paragraph,
        "&": _column,
        "\\\\": _newline,
        "\\tabularnewline": _newline,
        "\\cr": _newline,
        CAPTURED: _end_capture,
        END_MATHS: _end_maths,
        END_FILE: end_file,
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
            " subjectheadings subclass subjclass reportno dedicated curraddr urladdr ead cortext"
            " fntext tnotetext corref fnref tnoteref institution homepage authorcontributions"
            " eprint journal volume issue pubyear runningtitle runningauthor"
            " altaffiliation arxivnumber emailAdd keyword speaker"
            " authornote ccsdesc setcopyright acmDOI lefttitle righttitle headnote kword"
            " PACS MSC classification msnr idline doi DOI pagerange pubnumber": "soom",
            "altaffiltext shortauthor": "om",
            "authoremail addtoauthor authorinfo affilnote": "m",
            # changes, to-dos and what is struck out
            "comment todo deleted explain sout st xout fxnote marginpar marginnote missingfigure"
            " sidenote": "om",
            # boxes and colours: the last argument is what they hold
            "textcolor": "om",
            "parbox": "ooom",
            "raisebox": "moo",
            "scalebox rotatebox": "mo",
            "resizebox": "smm",
            "makebox framebox": "poo",
            "colorbox": "om",
            "fcolorbox": "mm",
            "adjustbox foreignlanguage selectlanguage": "om",
            "multicolumn": "mm",
            "multirow": "omomo",
            "highlight added": "o",
            "includepdf pgfplotsset tikz pgfimage": "om",
            "ListProperties": "p",
            "cline cmidrule specialrule": "pm",
            "figurenum tablenum tablewidth tablecolumns tabletypesize tablenotemark": "om",
            "tablenotetext": "mm",
            "tablecomments tablerefs tabletail tablefirsthead tablelasthead": "m",
            "edit onlfig onltab": "m",
            "lstnewenvironment": "moomm",
            "DefineVerbatimEnvironment inputminted": "omm",
            "newminted newtcblisting": "omm",
            "lstset lstloadlanguages setminted usemintedstyle": "om",
            "placefigure placetable plotfile": "m",
            "vcentering": "o",
        }.items()
        for name in names.split()
    }
)
TEXT.update(
    {
        "\\" + name: _nothing
        for name in (
            "emph textbf textit textrm texttt textsf textsl textup textmd textnormal"
            " textsuperscript textsubscript mbox hbox vbox fbox text underline uline ul hl"
            " bf it rm sl tt sf em bfseries itshape rmfamily slshape ttfamily sffamily"
            " upshape mdseries normalfont boldmath unboldmath mathrm mathit mathbf tiny scriptsize"
            " footnotesize small normalsize large Large LARGE huge Huge centering raggedright"
            " raggedleft flushleft flushright indent noindent sloppy fussy hfill vfill hfil vfil"
            " footnotesize onehalfspacing doublespacing singlespacing tableofcontents listoffigures"
            " listoftables linenumbers nolinenumbers normalmarginpar reversemarginpar balance"
            " startlongtable printindex frontmatter mainmatter backmatter"
            " FloatBarrier hline toprule midrule bottomrule notag nonumber displaystyle textstyle"
            " scriptstyle raggedbottom flushbottom frenchspacing nonfrenchspacing doublespace"
            " singlespace allowdisplaybreaks sloppypar MakeLowercase lowercase nocorr"
            " topmargin limits nolimits left right bibfont"
            " acknowledgmentsname noaffiliation notoc tighten newblock"
            " preprintnumber and And AND textcircled smash"
            " null mathstrut qed qedhere qedsymbol BooleanTrue BooleanFalse NoValue mathsurround"
            " samepage goodbreak filbreak eject supereject hss vss hfilneg break nolinebreak"
            " makeatother columnbreak subtitle upright dotfill hrulefill"
            " hangindent hangafter obeylines obeyspaces parbreak endcsname ul"
            " lowercase sectionfont abstractname magstephalf"
            " url path nolinkurl"
        ).split()
    }
)


_ION = re.compile(
    r"((?:\[?(?:H|He|Li|C|N|O|Ne|Na|Mg|Al|Si|S|Ar|K|Ca|Ti|Cr|Mn|Fe|Ni|Zn))?(?:~|\s|\\[ ,])*)"
    r"([ivx]+)((?:(?:~|\s|\\[ ,])*\]?))"
)


@command(TEXT, "textsc sc scshape")
def _small_capitals(engine: Reader, token: str) -> None:
    """Small capitals: no more than a look, but a Roman numeral in them is one (H II)."""
    engine.skip_blanks()
    stack = engine.stack
    top = len(stack) - (bool(stack) and stack[-1] == "{" and token == "\\textsc")
    for end in range(top - 1, max(-1, top - 6), -1):
        if stack[end] == "}":
            if ion := _ION.fullmatch("".join(reversed(stack[end + 1 : top]))):
                parts = [re.sub(r"~|\\[ ,]", " ", part) for part in ion.groups("")]
                parts[1] = parts[1].upper()
                stack[end + 1 : top] = [part for part in reversed(parts) if part]
            return


@command(TEXT, "hspace hskip vskip")
def _skip(engine: Reader, token: str) -> None:
    """A space that is seen parts words; one downwards ends the paragraph."""
    if maths.is_wide(engine, token) and token != "\\vskip":
        engine.out.append(" ")
    if token == "\\vskip":
        engine.paragraph()


@command(TEXT, "centerline leftline rightline line")
def _line_of_text(engine: Reader, token: str) -> None:
    """Plain TeX's box as wide as the page: a line of its own; the first ones are the title."""
    argument = engine.argument()
    before = "" if engine.document_class else "".join(engine.out).strip(" \n\f")
    if token == "\\centerline" and not engine.document_class and not before:
        if engine.front_open and not engine.captures:
            bold = "\\bf" in argument
            if not engine.title or bold and engine.title_bold:
                engine.title_bold = bold
                engine.capture(argument, lambda text: _more_title(engine, text))
            return
    engine.paragraph()
    engine.stack.extend(reversed([*argument, "\\par"]))


def _more_title(engine: Reader, text: str) -> None:
    engine.title = f"{engine.title} {text.strip()}".strip()


@command(TEXT, "dataset")
def _dataset(engine: Reader, _token: str) -> None:
    """AASTeX's link to data prints its name, older versions' its text."""
    name, link = engine.optional(), engine.argument()
    address = any(part[0] == "\x02" or "//" in part for part in link)
    engine.stack.extend(reversed(name if name and address else link))


@command(TEXT, "enquote")
def _enquote(engine: Reader, _token: str) -> None:
    engine.star()
    engine.stack.extend(reversed(['"', *engine.argument(), '"']))


@command(TEXT, "software facility facilities")
def _software(engine: Reader, token: str) -> None:
    """AASTeX's last paragraphs, under the word that it prints."""
    engine.optional()
    argument = engine.argument()
    if re.search(r"(?i)facilit(?:y|ies): *$", "".join(engine.out[-6:])):
        # the old class prints no word, so its users wrote one
        engine.stack.extend(reversed(argument))
        return
    engine.paragraph()
    if any(part.strip("{} ") for part in argument):
        engine.out.append(token[1:].capitalize() + ": ")
        engine.stack.extend(reversed([*argument, "\\par"]))


@command(TEXT, "epigraph")
def _epigraph(engine: Reader, _token: str) -> None:
    words, author = engine.argument(), engine.argument()
    engine.paragraph()
    engine.stack.extend(reversed([*words, " --- ", *author, "\\par"]))


@command(TEXT, "texorpdfstring")
def _texorpdfstring(engine: Reader, _token: str) -> None:
    first, _ = engine.argument(), engine.argument()
    engine.stack.extend(reversed(first))


@command(TEXT, "rawcode")
def _rawcode(engine: Reader, _token: str) -> None:
    code = engine.argument()
    if engine.keep.code and code:
        engine.out.append(PARAGRAPH + code[0] + PARAGRAPH)
    else:
        engine.out.append(" ")
        engine.drop("code", "code is no prose")


@command(TEXT, "tablehead")
def _tablehead(engine: Reader, _token: str) -> None:
    """The first rows of AASTeX's tables."""
    argument = engine.argument()
    if engine.in_table():
        engine.stack.extend(reversed([*argument, "\\\\"]))


@command(TEXT, "lstinline mintinline verb Verb")
def _inline_code(engine: Reader, token: str) -> None:
    """Code within a sentence, from a macro of the author's: a word like the others."""
    engine.star()
    engine.optional()
    if token == "\\mintinline":
        engine.argument()
    engine.skip_blanks()
    if engine.peek() == "{":
        code = engine.argument()
    else:
        stop = (engine.argument() or [""])[0]
        code = engine.delimited([stop]) if len(stop) == 1 else []
    engine.stack.extend(reversed(code))


@command(TEXT, "newmintinline")
def _newmintinline(engine: Reader, _token: str) -> None:
    name = engine.plain(engine.optional() or [])
    name = name or engine.plain(engine.argument()) + "inline"
    engine.define("\\" + name, lambda own, _token: _inline_code(own, "\\lstinline"))
    engine.argument()


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


def fill_inner() -> None:
    """Make the table for text in formulas out of that for text, once that is whole."""
    INNER.update(
        {
            **TEXT,
            **{
                token: _escaped
                for token in ("\\%", "\\&", "\\_", "\\#", "\\{", "\\}", "\\$")
            },
            "_": lambda engine, _token: engine.out.append("\\_"),
            "^": _nothing,
            "#": _nothing,
            "&": lambda engine, _token: engine.out.append("\\&"),
            PARAGRAPH: _space,
            "\\par": _space,
            "\\label": maths.MATHS["\\label"],
            "\\]": _inner_end,
        }
    )
