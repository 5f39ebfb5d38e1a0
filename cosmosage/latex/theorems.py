"""Theorems and their kin: how they are declared, named and counted."""

import re
from typing import Any

from cosmosage.latex.macros import command
from cosmosage.latex.references import SHOWN
from cosmosage.latex.render import TEXT, Reader

USUAL = {
    "theorem": "Theorem",
    "lemma": "Lemma",
    "definition": "Definition",
    "corollary": "Corollary",
    "proposition": "Proposition",
    "remark": "Remark",
    "example": "Example",
    "conjecture": "Conjecture",
}


@command(TEXT, "declaretheorem")
def _declaretheorem(engine: Reader, _token: str) -> None:
    options = "".join(engine.optional() or [])
    name = engine.word()
    options += "," + "".join(engine.optional() or [])
    given = re.search(r"(?:name|title|heading)\s*=\s*([^,]+)", options)
    shown = given[1].strip("{} ") if given else name.capitalize()
    shared = re.search(r"(?:sibling|numberlike|share\w+)\s*=\s*(\w+)", options)
    outer = re.search(r"(?:numberwithin|parent|within)\s*=\s*(\w+)", options)
    counter = "" if re.search(r"numbered\s*=\s*(?:no|false)", options) else name
    if shared:
        counter = engine.theorems.get(shared[1], ("", shared[1]))[1]
    elif outer:
        engine.count_within(name, outer[1])
    engine.theorems[name] = (shown[:SHOWN], counter)


@command(TEXT, "newtheorem spnewtheorem")
def _newtheorem(engine: Reader, _token: str) -> None:
    starred = engine.star()
    name = engine.word()
    shared = engine.optional()
    shown = engine.plain(engine.argument())
    outer = engine.optional()
    counter = "" if starred else engine.plain(shared) if shared else name
    engine.theorems[name] = (shown[:SHOWN], counter)
    if outer:
        engine.count_within(counter, engine.plain(outer))


def begin(engine: Reader, name: str, base: str, note: list[str] | None) -> None:
    """Begin a theorem of the kind ``base``, with the note that its author gave it."""
    shown, counter = engine.theorems.get(base, (USUAL.get(base, base), base))
    number = ""
    engine.paragraph()
    engine.push("environment", name, engine.table, close=_end_theorem)
    if not name.endswith("*") and counter:
        engine.step(counter)
        number = " " + engine.current[0]
        engine.current = (engine.current[0], shown.lower())
    engine.out.append(f"**{shown}{number}**")
    if note and re.match(r"\s*(?:name|label|restate)\s*=", note[0]):
        settings = "".join(note)
        engine.label(re.findall(r"label\s*=\s*\{?([^,{}\s]+)", settings))
        given = re.search(r"name\s*=\s*\{?([^,{}]+)", settings)
        note = engine.tokens(given[1]) if given else None
    if note:
        engine.stack.extend(reversed([" (", *note, ")", ". "]))
    else:
        engine.out.append(". ")


def _end_theorem(engine: Reader, frame: Any, _captured: list[str]) -> None:
    engine.current = frame.before
    engine.paragraph()
