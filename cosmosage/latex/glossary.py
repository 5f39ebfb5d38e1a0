r"""Acronyms: what ``\gls{cmb}`` and ``\ac{CMB}`` print, in full the first time.

Three packages (glossaries, acronym, acro) with the same idea: a key, a short and a long form.
"""

import re
from typing import Any

from cosmosage.latex.macros import command, take
from cosmosage.latex.render import TEXT, Reader


def _form(options: str, name: str) -> str:
    """One of the settings between the braces of a definition."""
    found = re.search(
        rf"(?:^|[,\s]){name}\s*=\s*(?:\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}|([^,{{}}]*))",
        options,
    )
    return (found[1] or found[2] or "").strip() if found else ""


@command(TEXT, "newacronym newacro acrodef acro newabbreviation")
def _newacronym(engine: Reader, token: str) -> None:
    """``\\newacronym[..]{key}{short}{long}``; in acronym ``\\acro{key}[short]{long}``."""
    engine.star()
    options = "".join(engine.optional() or [])
    key = engine.word()
    if token in ("\\newacronym", "\\newabbreviation"):
        short = engine.argument()
    else:
        short = engine.optional() or [key]
    engine.acronyms[key] = (
        short,
        engine.argument(),
        _form(options, "shortplural"),
        _form(options, "longplural"),
    )


@command(TEXT, "newglossaryentry longnewglossaryentry DeclareAcronym")
def _newentry(engine: Reader, token: str) -> None:
    key = engine.word()
    options = "".join(engine.argument())
    if token == "\\longnewglossaryentry":
        engine.argument()
    short = _form(options, "short") or _form(options, "name")
    first = _form(options, "long") or _form(options, "first")
    plural = _form(options, "short-plural-form") or _form(options, "plural")
    engine.acronyms[key] = (
        engine.tokens(short),
        engine.tokens(first),
        plural,
        _form(options, "long-plural-form"),
    )
    if token != "\\DeclareAcronym" and not _form(options, "long"):
        engine.spelt.add(key)


_USES = " ".join(
    f"{head}{tail}"
    for heads, tails in (
        ("gls Gls GLS", " pl desc text first name symbol"),
        ("glsentry Glsentry", "short long text name full plural"),
        ("glsxtr Glsxtr", "short long full shortpl longpl fullpl"),
        ("acr Acr", "short long full shortpl longpl fullpl"),
        ("ac Ac iac Iac", " p s sp l lp f fp"),
    )
    for head in heads.split()
    for tail in (tails.split() + [""] if tails[0] == " " else tails.split())
)


@command(TEXT, _USES)
def _use(engine: Reader, token: str) -> None:
    engine.star()
    engine.optional()
    key = engine.word()
    suffix = engine.optional() if token.startswith("\\gls") else None
    if key not in engine.acronyms:
        # who defines it elsewhere still gets a word
        engine.out.append(key)
        return
    short, long, short_plural, long_plural = engine.acronyms[key]
    name = token[1:].lower()
    what = re.sub(r"^(?:glsentry|glsxtr|gls|acr|iac|ac)", "", name)
    many = what.endswith(("pl", "plural")) or what in ("p", "sp", "lp", "fp")
    what = what.removesuffix("plural").removesuffix("pl")
    full = what in ("full", "f", "fp", "first") or (
        what in ("", "p") and key not in engine.spelt
    )
    if what in ("", "p", "f", "fp", "first"):
        engine.spelt.add(key)
    if many:
        short = engine.tokens(short_plural) if short_plural else [*short, "s"]
        long = engine.tokens(long_plural) if long_plural else [*long, "s"]
    if full and "".join(long).strip():
        shown = [*long, " (", *short, ")"]
    elif what in ("long", "l", "lp", "desc"):
        shown = long
    else:
        shown = short
    if token[1].isupper() and shown:
        shown = [shown[0][:1].upper() + shown[0][1:], *shown[1:]]
    engine.stack.extend(reversed([*shown, *(suffix or [])]))


@command(TEXT, "acresetall glsresetall acreset glsreset acused glsunset glsunsetall")
def _reset(engine: Reader, token: str) -> None:
    key = "" if token.endswith("all") else engine.word()
    if "reset" not in token:
        engine.spelt |= {key} if key else set(engine.acronyms)
    elif key:
        engine.spelt.discard(key)
    else:
        engine.spelt.clear()


@command(TEXT, "printglossary printglossaries printacronyms printnoidxglossaries")
def _print(engine: Reader, _token: str) -> None:
    engine.optional()


@command(TEXT, "setacronymstyle setabbreviationstyle loadglsentries acsetup")
def _setting(engine: Reader, _token: str) -> None:
    take(engine, "om")


def end_list(_engine: Any, _frame: Any, _captured: list[str]) -> None:
    """A list of acronyms is read for its definitions; it is no prose."""
