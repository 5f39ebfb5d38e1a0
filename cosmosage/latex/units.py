"""Numbers and units as siunitx prints them.

An author writes what is meant (``\\SI{3e5}{\\km\\per\\second}``) and the package decides how
it looks; here it always looks one way, as text where that suffices and else as a formula. The
package's settings are not read: a decimal comma or a fraction becomes a point and a power.
"""

import re
from typing import Any

from cosmosage.latex.expand import Macro
from cosmosage.latex.symbols import PREFIXES, UNITS


def number(engine: Any, tokens: list[str]) -> str:
    """A number as siunitx reads it, as LaTeX maths."""
    text = engine.plain([r"+-" if token == "\\pm" else token for token in tokens])
    text = re.sub(r"\s+", "", text).replace("+-", r"\pm ")
    text = re.sub(
        r"[eEdD]([+-]?)(\d+)", lambda m: rf"\times 10^{{{m[1].strip('+')}{m[2]}}}", text
    )
    text = re.sub(r"(?<=\d)x(?=\d)", r"\\times ", text)
    return re.sub(r"^\\times ", "", text)


def unit(engine: Any, tokens: list[str]) -> tuple[str, bool]:
    """A unit as siunitx reads it, as LaTeX for ``\\mathrm``; whether it needs maths at all."""
    parts: list[str] = []
    prefix, sign, power = "", "", ""
    text = ""
    # no unit is longer; one whose macros call each other would never end
    queue, expansions = tokens[:500], 0
    while queue:
        token = queue.pop(0)
        if token == "$":
            continue
        name = token[1:] if token[:1] == "\\" else ""
        meaning = engine.tables[0].get(token)
        if name == "per":
            sign = "-"
        elif name in ("square", "cubic", "squared", "cubed"):
            exponent = "2" if name.startswith("square") else "3"
            if name.endswith("d") and parts:
                parts[-1] = _raised(parts[-1], exponent)
            else:
                power = exponent
        elif name in ("tothe", "raiseto") and "{" in queue:
            digits = "".join(queue[1 : queue.index("}")]) if "}" in queue else "1"
            queue = queue[queue.index("}") + 1 :] if "}" in queue else []
            if name == "tothe" and parts:
                parts[-1] = _raised(parts[-1], digits)
            else:
                power = digits
        elif name in PREFIXES:
            prefix = PREFIXES[name]
        elif name in UNITS or name:
            if (
                name not in UNITS
                and isinstance(meaning, Macro)
                and not meaning.parameters
                and expansions < 100
            ):
                expansions += 1
                body = meaning.body[::-1][:50]
                if all(part[0] == "\\" or not part.strip() for part in body):
                    queue = body + queue
                    continue
                # a unit that is not made of units: "M_\\odot"
                shown = (
                    prefix
                    + "".join(
                        part + " " if part[1:].isalpha() else part for part in body
                    ).strip()
                )
            else:
                shown = prefix + UNITS.get(name, name)
            exponent = sign + (power or ("1" if sign else ""))
            parts.append(f"{shown}^{{{exponent}}}" if exponent else shown)
            prefix, sign, power = "", "", ""
        else:
            text += token
            if token.strip(" .~{}") or token in "^_{}":
                parts.append(token)
    shown = (
        "\\,".join(parts)
        if not text.strip(" .~")
        else "".join(parts).replace(".", "\\,")
    )
    return shown, "^" in shown or "\\" in shown.replace("\\,", "")


def _raised(part: str, exponent: str) -> str:
    if match := re.fullmatch(r"(.*)\^\{-1\}", part):
        return f"{match[1]}^{{-{exponent}}}"
    return f"{part}^{{{exponent}}}"


def quantity(engine: Any, token: str) -> tuple[str, str, bool]:
    """Read an siunitx command's arguments: its text form, its maths form, whether to use that."""
    option = engine.plain(engine.optional() or [])
    if token in ("\\si", "\\unit"):
        # the units package writes \unit[5]{km}; siunitx has settings there
        value = number(engine, [option]) if option and "=" not in option else ""
    else:
        value = number(engine, engine.argument())
    if token == "\\ang":
        degrees = value.split(";")
        shown = "".join(p + s for p, s in zip(degrees, "°′″") if p)
        marks = (r"^{\circ}", r"^{\prime}", r"^{\prime\prime}")
        return shown, "".join(p + s for p, s in zip(degrees, marks) if p), False
    if token.endswith(("list", "product")):
        return _several(engine, token, value)
    values = [value]
    if token in ("\\SIrange", "\\qtyrange", "\\numrange"):
        values.append(number(engine, engine.argument()))
    raised = any("\\" in one for one in values)
    if token in ("\\num", "\\numrange"):
        return " to ".join(values), r"\text{ to }".join(values), raised
    if token not in ("\\si", "\\unit"):
        engine.optional()
    shown, needs_maths = unit(engine, engine.argument())
    gap = "" if shown in ("", "°", "′", "″") or not value else "\\,"
    roman = rf"\mathrm{{{shown}}}" if shown else ""
    plain = (" " if gap and shown else "") + shown.replace("\\,", " ")
    # the unit is printed behind each end of a range
    text = " to ".join(one + plain for one in values)
    maths = r"\text{ to }".join(one + gap + roman for one in values)
    return text, maths, needs_maths or raised


def _several(engine: Any, token: str, value: str) -> tuple[str, str, bool]:
    """``\\qtylist{1;2;3}{\\m}`` and ``\\qtyproduct{2 x 3}{\\m}``: the unit behind each number."""
    values = value.split(";") if token.endswith("list") else value.split(r"\times ")
    shown, needs_maths = "", False
    if not token.startswith("\\num"):
        engine.optional()
        shown, needs_maths = unit(engine, engine.argument())
    roman = rf"\,\mathrm{{{shown}}}" if shown else ""
    plain = " " + shown.replace("\\,", " ") if shown else ""
    needs_maths = needs_maths or any("\\" in one for one in values)
    if token.endswith("product"):
        maths = r" \times ".join(one.strip() + roman for one in values)
        return "", maths, True
    texts, formulas = [one + plain for one in values], [one + roman for one in values]
    last = texts.pop()
    text = (", ".join(texts) + " and " if texts else "") + last
    return text, r"\text{, }".join(formulas), needs_maths
