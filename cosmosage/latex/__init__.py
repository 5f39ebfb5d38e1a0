"""LaTeX to text that a model can learn from.

A paper is read as TeX would read it: tokens, macros, modes, counters; not by patterns over
its characters. That costs a fifth of the speed of a regular-expression cleaner and buys what
decides the quality: a user's macros are gone from the text, formulas are whole, a reference
is a number. Unlike TeX it never stops: what it cannot understand it leaves out and names.

    text = to_text(Path("2407.04420v1.tar.gz"))
    text.title, text.text, text.dropped
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

# the environments register themselves with the reader's tables
from cosmosage.latex import environments as _environments
from cosmosage.latex.package import Package, read_package
from cosmosage.latex.references import Names, textual, wanted_items
from cosmosage.latex.render import Keep, Reader
from cosmosage.latex.source import Sources
from cosmosage.latex.tidy import finish

__all__ = ["Package", "Text", "read_package", "to_text"]


@dataclass
class Text:
    """A paper as Markdown with LaTeX maths."""

    text: str
    """The whole: ``# title``, ``## Abstract``, sections, formulas as ``$...$`` and ``$$...$$``."""
    title: str = ""
    abstract: str = ""
    sections: list[tuple[int, str]] = field(default_factory=list)
    """Level (1 is a section) and heading, in order."""
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """What was left out and why; what happened more than once ends in ``(x <times>)``."""


def to_text(
    package: Package | Path | str | bytes,
    captions: bool = True,
    *,
    tables: bool = False,
    code: bool = False,
    acknowledgements: bool = True,
) -> Text:
    """Convert a paper's source to text.

    Args:
        package: what ``read_package`` gave, or what it takes.
        captions: keep the captions of figures and tables, each as a paragraph of its own.
        tables: keep tables, a row a line with ``|`` between its cells.
        code: keep listings, fenced as Markdown.
        acknowledgements: keep the section of that name.

    Returns:
        The text; empty, with the reason in ``dropped``, where the package holds no LaTeX. TeX
        that is broken or hostile never raises: its sound parts are kept.

    Raises:
        FileNotFoundError: ``package`` is a path where nothing is.
    """
    if not isinstance(package, Package):
        package = read_package(package)
    if package.kind != "latex":
        return Text("", dropped=[(package.kind, package.reason)])
    sources = Sources(package.files)
    engine = Reader(sources, Keep(captions, tables, code, acknowledgements))
    main = sources.main()
    if not main:
        return Text("", dropped=[("empty", "no file that could be the paper")])
    engine.folder = main.rpartition("/")[0]
    source = sources.text(main)
    engine.in_document = "{document}" not in source
    engine.open_files.append(main)
    engine.feed(source)
    engine.run()
    engine.paragraph()
    names = Names(engine.items, _bibliography(engine, main))
    body = finish(engine, names, "".join(engine.out))
    title = " ".join(finish(engine, names, engine.title).split())
    abstract = finish(engine, names, engine.abstract)
    sections = [
        (level, finish(engine, names, heading)) for level, heading in engine.sections
    ]
    if not acknowledgements:
        body, found = _ACKNOWLEDGEMENTS.subn(_set_apart, body)
        body = body.strip()
        sections = [pair for pair in sections if not _THANKS.match(pair[1])]
        if found:
            engine.drop("acknowledgements", "left out by the setting")
    parts = [
        f"# {title}" if title else "",
        f"## Abstract\n\n{abstract}" if abstract else "",
        body,
    ]
    dropped = [
        (what, why if times == 1 else f"{why} (x {times})")
        for (what, why), times in engine.dropped.items()
    ]
    whole = "\n\n".join(part for part in parts if part)
    return Text(
        whole + "\n" if whole else "",
        title,
        abstract,
        sections,
        dropped + package.refused,
    )


_THANKS = re.compile(r"(?i)acknowledge?ments?\b")
_ACKNOWLEDGEMENTS = re.compile(
    r"(?ims)^(?:(#+) acknowledge?ments?\b.*?(?=^#|\Z)|\*\*acknowledge?ments?\b[^\n]*\n*)"
)


def _set_apart(match: re.Match[str]) -> str:
    """What stands among the acknowledgements and is none: AASTeX's lists, captions."""
    parts = re.split(r"\n\n+", match[0])
    apart = r"(?:Software|Facility|Facilities|(?:Figure|Table) [\w.]+): "
    return "".join(f"{part.strip()}\n\n" for part in parts if re.match(apart, part))


def _bibliography(engine: Reader, main: str) -> list[str]:
    """Read the .bbl where the document itself has no list; give the texts of .bib files."""
    if not textual(engine.citations):
        return []
    sources = engine.sources
    tables = []
    if not engine.items:
        stems = [main.rpartition(".")[0], *engine.bibliographies]
        bbl = next(
            (found for stem in stems if (found := _named(sources, stem, ".bbl"))), ""
        )
        if not bbl:
            bbl = next((name for name in sources.files if name.endswith(".bbl")), "")
        if bbl and "\\entry{" in sources.text(bbl):
            tables.append(sources.text(bbl))
        elif bbl:
            kept, engine.out = engine.out, []
            engine.feed(wanted_items(sources.text(bbl), engine.citations))
            engine.run()
            engine.out = kept
    for name in sources.files:
        if name.lower().endswith(".bib"):
            tables.append(sources.text(name))
    return tables


def _named(sources: Sources, stem: str, ending: str) -> str:
    found = sources.find(stem.removesuffix(ending), "", (ending,))
    return found if found.endswith(ending) else ""


assert _environments
