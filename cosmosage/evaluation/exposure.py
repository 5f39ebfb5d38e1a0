"""What of a set stood in the texts that a model was trained on, and what did not.

A figure on what a model has read tells how well it remembers, and one on what it has not how well
it learnt; so each text and question is marked before figures are made of it. Only words that stand
there are found: a paraphrase is taken for unseen, and so is what the base read before.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosmosage.corpus.contamination import RUN, Index, question
from cosmosage.corpus.sides import stem
from cosmosage.corpus.words import run_hashes, word_hashes
from cosmosage.documents import Document, read_documents

TAINTED = 0.2
"""Share of a text's words in runs of ``RUN`` that were trained on, from which on it is no clean
test: Llama 2's bound (Touvron et al. 2023, arXiv:2307.09288, appendix A.6)."""

MARKS = ("seen", "tainted", "group")
"""The fields in which ``marks`` tells of a record what one training held of it."""

Part = tuple[str, str]
"""``texts`` or ``questions``, and the name of a set."""


def marks(
    trained_on: Sequence[Path], sets: Mapping[Part, Sequence[Mapping[str, Any]]]
) -> dict[Part, dict[str, dict[str, Any]]]:
    """What is known of each record of some sets, by its id; nothing without files.

    Args:
        trained_on: files of documents, or of conversations; read once for all sets.
        sets: texts with ``id`` and ``text``; questions as ``question_records`` gives them.

    Returns:
        Of a text ``seen``: the share of its words in runs of ``RUN`` that were trained on. Of a
        question ``tainted``: whether it stood there, as ``corpus.contamination`` finds it; and,
        where it names the document that answers it (or none), ``group``: ``contained`` in the
        training (in any version, or as pairs that were written from it), ``withheld`` from it, or
        ``not_answered`` by any document. An id with a typing error counts as ``withheld``: nobody
        can tell it from that of a document that was never collected.

    Raises:
        FileNotFoundError: a file is not there.
    """
    for file in trained_on:
        if not Path(file).is_file():
            raise FileNotFoundError(
                f"there is no file {file}; name the texts that the model was trained on"
            )
    if not trained_on:
        return {part: {} for part in sets}
    sought = {
        part: (_Texts if part[0] == "texts" else _Questions)(records)
        for part, records in sets.items()
    }
    for file in trained_on:
        for document in read_documents(file):
            for each in sought.values():
                each.meet(document)
    return {part: each.marks() for part, each in sought.items()}


def marks_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of a training."""
    return {field: record[field] for field in MARKS if field in record}


def remarked(record: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """A record with what is known of it, in place of what was marked of another training."""
    kept = {field: value for field, value in record.items() if field not in MARKS}
    return {**kept, **known}


class _Texts:
    """The runs of words of some texts, and which of them were met."""

    def __init__(self, records: Sequence[Mapping[str, Any]]):
        self.records = records
        self.runs = [_runs(record["text"]) for record in records]
        self.sought = np.unique(np.concatenate(self.runs))
        self.met = np.zeros(len(self.sought), bool)

    def meet(self, document: Document) -> None:
        """Look for the runs in a document."""
        if self.sought.size == 0:  # no text is as long as a run
            return
        there = _runs(document.text)
        at = np.searchsorted(self.sought, there).clip(max=len(self.sought) - 1)
        self.met[at[self.sought[at] == there]] = True

    def marks(self) -> dict[str, dict[str, Any]]:
        """``seen`` of each text."""
        out = {}
        for record, own in zip(self.records, self.runs):
            # every word of a run counts, so a copied sentence counts by its length
            found = np.zeros(len(own) + RUN, int)
            for place in np.flatnonzero(self.met[np.searchsorted(self.sought, own)]):
                found[place : place + RUN] = 1
            size = max(1, len(word_hashes(record["text"])))
            out[record["id"]] = {"seen": round(min(1.0, found.sum() / size), 4)}
        return out


class _Questions:
    """Some questions, and which of them and of their documents were met."""

    def __init__(self, records: Sequence[Mapping[str, Any]]):
        self.records = records
        self.index = Index([question(record["id"], record) for record in records])
        self.held: set[str] = set()
        self.documents: set[str] = set()

    def meet(self, document: Document) -> None:
        """Look for the questions in a document."""
        self.documents.add(stem(document.id))
        for *_, number in self.index.overlaps(document.text):
            self.held.add(self.index.asked[number].name)

    def marks(self) -> dict[str, dict[str, Any]]:
        """``tainted`` of each question, and ``group`` of those that name a document."""
        out: dict[str, dict[str, Any]] = {}
        for record in self.records:
            mark = out[record["id"]] = {"tainted": record["id"] in self.held}
            if "document" in record:
                document = record["document"]
                if not document:
                    mark["group"] = "not_answered"
                else:
                    held = stem(document) in self.documents
                    mark["group"] = "contained" if held else "withheld"
        return out


def _runs(text: str) -> np.ndarray:
    """Hashes of a text's runs of words, (runs,); of a text shorter than one none."""
    words = word_hashes(text)
    return run_hashes(words, RUN) if len(words) >= RUN else words[:0]
