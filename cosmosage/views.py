"""What a notebook's cell shows of the books, the figures and the answers: a table, HTML, or
sentences each.

Nothing is computed here that a figure rests on: a view takes what a room has written, or what
it gave, and sets it in rows for a person to judge. What comes out of a file is shown letter
by letter, never as markup. Pictures are drawn in ``plots``.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from cosmosage import books, plots, report
from cosmosage.corpus.contamination import overlap_sentence
from cosmosage.documents import Document, read_documents, read_jsonl

SHOWN = 3
"""Books, or samples of one, that are set beside each other: more are not looked at."""
MOST_ODD = 20
"""Odd books whose text is shown; the table has them all."""


def table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Records as a table, whole words and all rows."""
    pd.set_option("display.max_colwidth", 90)
    pd.set_option("display.max_rows", 60)
    return pd.DataFrame(list(records))


def shelf(data: Path) -> pd.DataFrame:
    """The catalogue of books, with the pages and chapters that each gave.

    Args:
        data: the run's folder.
    """
    pages: dict[str, Counter] = {}
    for page in read_jsonl(data / "books" / "pages.jsonl.gz"):
        pages.setdefault(page["book"], Counter())[page["status"]] += 1
    chapters: Counter = Counter()
    licences: dict[str, str] = {}  # of the documents: some files tell their own
    saved = data / "documents" / "books.jsonl.gz"
    for document in read_documents(saved) if saved.is_file() else ():
        book, _, _ = document.id.partition("#")
        chapters[book] += 1
        licences[book] = document.licence
    return table(
        [
            {
                "book": book["id"],
                "keep": book["keep"],
                "why": book["why"],
                "pages": _counted(pages.get(book["id"], {})),
                "documents": chapters[book["id"]],
                "licence": book["licence"] or licences.get(book["id"]) or "not told",
            }
            for book in read_jsonl(data / "books" / "catalogue.jsonl")
        ]
    )


def _counted(statuses: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.items())


def unread(data: Path) -> pd.DataFrame:
    """The pages that are not ok, with their reasons; one line says so where all are.

    Args:
        data: the run's folder, whose books are extracted.
    """
    found: dict[tuple[str, str, str], list[int]] = {}
    for page in read_jsonl(data / "books" / "pages.jsonl.gz"):
        if page["status"] != "ok":
            key = (page["book"], page["status"], page["reason"])
            found.setdefault(key, []).append(page["page"])
    if not found:
        return table([{"book": "every book", "pages": "all", "status": "ok"}])
    return table(
        [
            {"book": book, "pages": _spans(numbers), "status": status, "reason": reason}
            for (book, status, reason), numbers in found.items()
        ]
    )


def _spans(numbers: Sequence[int]) -> str:
    """Page numbers as a person writes them: ``3–7, 12``; of many spans the first."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    told = ["–".join(map(str, dict.fromkeys(span))) for span in spans]
    more = f" and {len(told) - 8} more" if len(told) > 8 else ""
    return ", ".join(told[:8]) + more


def pages_beside(data: Path, page: int, book: str | None = None) -> HTML:
    """A page as a picture beside the text that was read from it, of a few books.

    Args:
        data: the run's folder, whose books are extracted.
        page: its number in the file, from 1; of a shorter book the last one is shown.
        book: an id of the catalogue; by default ``SHOWN`` that have such a page and can be
            pictured, from the whole length of the shelf. Where none can, text is shown alone.

    Raises:
        ValueError: there is no such book, or none has a page.
    """
    entries = {
        line["id"]: line for line in read_jsonl(data / "books" / "catalogue.jsonl")
    }
    pages: dict[str, list[dict[str, Any]]] = {}
    for line in read_jsonl(data / "books" / "pages.jsonl.gz"):
        pages.setdefault(line["book"], []).append(line)
    known = [name for name in pages if book in (None, name)]
    if not known:
        raise ValueError(f"there is no page of {book or 'any book'} to show")
    pictured = [
        name for name in known if entries[name]["file"].lower().endswith(".pdf")
    ]
    such = [name for name in pictured if len(pages[name]) >= page] or pictured
    such = such or known[:1]
    n = min(SHOWN, len(such))
    rows = []
    for name in (such[(2 * k + 1) * len(such) // (2 * n)] for k in range(n)):
        line = pages[name][min(page, len(pages[name])) - 1]
        head = f"{name}, page {line['page']}"
        text = report.quoted(line["text"], 6000, lines=56)  # as high as the picture
        cells = [(f"text of {head} ({line['status']})", text)]
        if pictured:
            cells.insert(0, (head, _pictured(entries[name]["file"], line["page"])))
        rows.append(report.columns(cells))
    return HTML("".join(rows))


def _pictured(file: str, page: int) -> str:
    """A page's picture as HTML, or why there is none: of a broken file text may be all."""
    try:
        return report.picture(books.page_image(Path(file), page), f"page {page}")
    except ValueError as error:
        return f"<i>no picture: {html.escape(str(error))}</i>"


def by_loss(found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The books in the order given, with loss, interval, signals and decision.

    Args:
        found: what ``evaluation.biopsies`` gave: the most surprising first.
    """
    rows = []
    for book in found:
        line = {"book": book["book"], "bits per byte": "no text", "95 % interval": ""}
        line |= {"samples": len(book["samples"]), "from the others": "", "odd": ""}
        if book["samples"]:
            line["bits per byte"] = f"{book['bits_per_byte']:.3f}"
            line["odd"] = "; ".join(book["odd"])
            for name in ("words_known", "symbols", "repeated_lines"):
                line[name.replace("_", " ")] = f"{100 * book[name]:.1f} %"
            line["language"] = book["language"]
        if book["interval"]:
            low, high = book["interval"]
            line["95 % interval"] = f"{low:.2f} to {high:.2f}"
        if book["deviations"] is not None:
            line["from the others"] = f"{round(book['deviations'], 1) + 0.0:+} sd"
        line["pages"] = _counted(book["statuses"])
        rows.append(line | {"keep": book["keep"], "why": book["why"]})
    return table(rows).fillna("")


def oddities(found: Sequence[dict[str, Any]]) -> HTML:
    """The odd books with the text that surprised most, or what surprised most where none is.

    Args:
        found: what ``evaluation.biopsies`` gave.
    """
    kept = [book for book in found if book["keep"] and book["samples"]]
    odd = [book for book in kept if book["odd"]]
    if odd:
        lead = f"{len(odd)} of {len(kept)} books stand apart."
        if len(odd) > MOST_ODD:
            lead += f" The first {MOST_ODD} are shown."
    elif kept and kept[0]["usual"]:
        low, high = kept[0]["usual"]
        lead = (
            f"None of {len(kept)} books stands apart: all means lie between {low:.2f} and "
            f"{high:.2f} bits per byte. The most surprising book:"
        )
    else:
        lead = (
            f"{len(kept)} book{'s' * (len(kept) != 1)}: there is nothing to compare a loss "
            "with. The most surprising samples:"
        )
    parts = [f"<p>{html.escape(lead)}</p>"]
    for book in odd[:MOST_ODD] or kept[:1]:
        why = "; ".join(book["odd"]) or f"{book['bits_per_byte']:.2f} bits per byte"
        parts.append(
            f"<p><b>{html.escape(book['book'])}</b>: {html.escape(why)}</p>"
            + report.columns(
                [
                    (
                        f"page {sample['page']}, {sample['bits_per_byte']:.2f} bits per byte",
                        report.quoted(sample["text"]),
                    )
                    for sample in _telling(book)
                ]
            )
        )
    return HTML("".join(parts))


def _telling(book: dict[str, Any]) -> list[dict[str, Any]]:
    """The samples to look at: the most surprising, or the least where the book is too smooth."""
    smooth = (book["deviations"] or 0) < 0 and book["odd"]
    return book["samples"][::-1][:SHOWN] if smooth else book["samples"][:SHOWN]


def cuts(data: Path) -> pd.DataFrame:
    """What trimming takes off each book: front matter, contents, index, bibliography.

    Args:
        data: the run's folder.
    """
    by_book: dict[str, list[dict[str, Any]]] = {}
    for page in read_jsonl(data / "books" / "pages.jsonl.gz"):
        by_book.setdefault(page["book"], []).append(page)
    return table(
        [
            {
                "book": book,
                "cut": cut.name,
                "pages": "–".join(str(page) for page in dict.fromkeys(cut.pages)),
                "reason": cut.reason,
                "begins": " ".join(cut.text.split())[:60],
            }
            for book, pages in by_book.items()
            for cut in books.trim(pages)[1]
        ]
    )


def gains(compared: dict[str, Any], questions: dict[str, Any]) -> list[str]:
    """What changed between two models, a sentence a measure of a whole set.

    Args:
        compared: what ``evaluation.compare`` gave.
        questions: the tuned model's figures of them, by set.
    """
    out = []
    for line in compared["lines"]:
        if line["group"] != "all":
            continue
        sure = _ends(line["interval"])
        text = (
            f"{line['set']}: {plots.measure(line)} {line['base']:.3f} -> {line['tuned']:.3f} "
            f"({line['difference']:+.3f}, 95 % {sure}, n = {line['n']}): {verdict(line)}"
        )
        if "percent" in line:
            text += " (fewer are better)"
        else:
            figure = questions[line["set"]]
            text += (
                f"; the commonest answer alone: {figure['majority']:.3f}; "
                + overlap_sentence(figure.get("overlap"))
            )
        out.append(text)
    for line in compared["knowledge"]:
        if line["measure"] == "gold_beyond_others":
            gained = [_gain(line, kind, 1) for kind in ("contained", "withheld")]
            out.append(
                f"{line['set']}: the right answer gained on another question's, in bits per byte, "
                f"{gained[0]} where its document was trained on (n = {line['n'][0]}), {gained[1]} "
                f"where it was withheld (n = {line['n'][1]}): {verdict(line)}"
            )
    return out


def verdict(line: dict[str, Any]) -> str:
    """What may be said of a line of ``evaluation.compare``, and why if it is nothing."""
    few = plots.too_few(line)
    return f"{line['verdict']}: {few}" if few else line["verdict"]


def results(compared: dict[str, Any]) -> pd.DataFrame:
    """Base against tuned as a table: n, both figures, difference, interval, p, verdict.

    Args:
        compared: what ``evaluation.compare`` gave; p is Holm's where a line was looked at beside
            others.
    """
    named = {"base": compared["base"], "tuned": compared["tuned"]}
    return table(
        [
            {
                "set": line["set"],
                "measure": plots.measure(line),
                "of": line["group"].replace("_", " "),
                **figures_of(line, named),
            }
            for line in compared["lines"]
        ]
    )


def figures_of(line: dict[str, Any], named: dict[str, str]) -> dict[str, Any]:
    """The figures of a line of ``evaluation.compare`` as a table's cells.

    Args:
        line: with both models' figures.
        named: the columns of ``base`` and ``tuned``.
    """
    p = line.get("p_holm", line.get("p"))
    seen = line.get("smallest_difference")
    return {
        "n": line["n"],
        named["base"]: f"{line['base']:.3f}",
        named["tuned"]: f"{line['tuned']:.3f}",
        "difference": f"{line['difference']:+.3f}",
        "95 % interval": _ends(line["interval"]),
        "p": "" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001",
        "n can see": (
            ""
            if seen is None
            else f"{seen:.1f} %" if "percent" in line else f"{seen:.3f}"
        ),
        "verdict": verdict(line),
    }


def knowledge(compared: dict[str, Any]) -> pd.DataFrame:
    """What was gained on questions whose documents were trained on, and on others: memory or not.

    Args:
        compared: what ``evaluation.compare`` gave; p is Holm's over all lines.
    """
    rows = []
    for line in compared["knowledge"]:
        in_bits = line["measure"] == "gold_beyond_others"
        scale = 1 if in_bits else 100
        row: dict[str, Any] = {
            "set": line["set"],
            "gain in": (
                "bits per byte, of the right answer on another question's"
                if in_bits
                else plots.measure(line)
            ),
        }
        for kind, n in zip(("contained", "withheld"), line["n"]):
            row[f"documents {kind} (n)"] = f"{_gain(line, kind, scale)} ({n})"
            row[f"p, {kind}"] = f"{line[f'{kind}_p_holm']:.3f}"
        row["difference"] = _gain(line, "beyond", scale)
        row["p, difference"] = f"{line['beyond_p_holm']:.3f}"
        rows.append(row | {"verdict": verdict(line)})
    return table(rows)


def _gain(line: dict[str, Any], kind: str, scale: float) -> str:
    form = "+.3f" if scale == 1 else "+.1f"
    ends = _ends(line[f"{kind}_interval"], scale, form)
    return f"{scale * line[kind]:{form}}, {ends}"


def _ends(
    interval: Sequence[float] | None, scale: float = 1, form: str = "+.3f"
) -> str:
    """Both ends of an interval; marks of question where a single work tells none."""
    if interval is None:
        return "? to ?"
    return " to ".join(f"{scale * end:{form}}" for end in interval)


def gold(figures: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """How well models expect the right answers to open questions, side by side.

    Args:
        figures: what ``evaluation.evaluate`` gave; sets with choices are left out.
    """
    rows = []
    for model, record in figures.items():
        for name, figure in record["questions"].items():
            if "accuracy" in figure:
                continue
            parts = {"all": figure} | figure["by_group"]
            row: dict[str, Any] = {"set": name, "model": model, "n": figure["n"]}
            for group, part in parts.items():
                row[group.replace("_", " ")] = _ended(part, "bits_per_byte")
            rows.append(row)
    return table(rows)


_COUNTED = {
    # of the plain answer
    "right numbers": "numeric",
    "right words": "words",
    "word for word": "exact",
    "gave no answer": "abstained",
    "gave none where there is none": "unanswerable",
    # of that which most samples agree on
    "answered by chance": "answered",
    "right, of what most samples say": "agreed_right",
}


def asked(figures: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """What models wrote when they were asked, and whether they knew what they knew.

    What is right of the plain answer may be wrong in that which most samples agree on, and only
    the latter is held against agreement: both are told. A dash where there is nothing to tell.

    Args:
        figures: what ``asking.ask`` gave.
    """
    said = plots.discrimination(figures)
    return table(
        [
            {
                "model": model,
                "n": figure["n"],
                "right, of plain answers": (
                    _ended(figure, "right") if "right" in figure else "-"
                ),
                **{
                    name: " of ".join(map(str, figure[key])) if key in figure else "-"
                    for name, key in _COUNTED.items()
                },
                "agreement": (
                    f"{figure['agreement']:.2f}" if "agreement" in figure else "-"
                ),
                "does agreement tell right from wrong?": " ".join(said[model].split()),
            }
            for model, figure in figures.items()
        ]
    )


def _ended(record: dict[str, Any], key: str) -> str:
    """A figure with its interval."""
    edges = record[f"{key}_interval"]
    return f"{record[key]:.3f}" + (
        f" ({edges[0]:.3f} to {edges[1]:.3f})" if edges else ""
    )


def written(folder: Path, models: Iterable[str]) -> list[dict[str, Any]]:
    """The answers that ``asking.ask`` wrote into a folder, for ``side_by_side``.

    Args:
        folder: that was given to ``ask``.
        models: what it gave figures of, in the order in which they are to be shown.

    Returns:
        The files' lines, each with its ``model``; by question.
    """
    by_question: dict[str, list[dict[str, Any]]] = {}
    for model in models:
        for line in read_jsonl(folder / f"{model}.asked.jsonl"):
            by_question.setdefault(line["id"], []).append({**line, "model": model})
    return [line for lines in by_question.values() for line in lines]


def side_by_side(
    answers: Sequence[dict[str, Any]], documents: Sequence[Path] = ()
) -> HTML:
    """Answers of several models to the same questions, a question a row.

    Args:
        answers: ``question``, ``model``, ``answer`` of each, as ``assistant.ask_all`` gives;
            of ``written`` ones also ``right`` and ``abstained``, marked by a sign, and the
            ``sources``.
        documents: files that tell the sources' titles and addresses.
    """
    names = list(dict.fromkeys(line["model"] for line in answers))
    wanted = {source for line in answers for source in line.get("sources", ())}
    known = {
        document.id: document
        for file in documents
        for document in (read_documents(file) if wanted else ())
        if document.id in wanted
    }
    by_question: dict[str, dict[str, dict[str, Any]]] = {}
    for line in answers:
        by_question.setdefault(line["question"], {})[line["model"]] = line
    parts = []
    for question, given in by_question.items():
        right = next((line["gold"] for line in given.values() if line.get("gold")), "")
        told = f" <i>({html.escape(right)})</i>" if right else ""
        cells = [
            (name, _answer(given[name], known) if name in given else "")
            for name in names
        ]
        parts.append(f"<p><b>{html.escape(question)}</b>{told}</p>")
        parts.append(report.columns(cells))
    return HTML("".join(parts))


def _answer(line: dict[str, Any], known: dict[str, Document]) -> str:
    """An answer with its mark, and a list of its sources."""
    mark = ""
    if "right" in line:
        sign = "\u2713 right" if line["right"] else "\u2717 wrong"
        if line["abstained"]:  # which is right where there is no answer
            sign = f"\u2205 gives no answer{', rightly' * line['right']}"
        mark = f"<p>{sign}</p>"
    listed = "".join(
        f"<li>{_source(identifier, known.get(identifier))}</li>"
        for identifier in dict.fromkeys(line.get("sources", ()))
    )
    shown = f"<ol>{listed}</ol>" if listed else ""
    return f"{mark}{report.quoted(line['answer'])}{shown}"


def _source(identifier: str, document: Document | None) -> str:
    """A document by its title, which leads to its address on the web; arXiv's papers have one."""
    if document is None:
        return html.escape(identifier)
    title = html.escape(document.title or identifier)
    if not re.fullmatch(r"https?://[^\s/]\S*", document.url):
        return title
    return f'<a href="{html.escape(document.url)}">{title}</a>'
