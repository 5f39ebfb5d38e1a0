"""What of a set stood in the texts that a model was trained on, and what did not.

A figure on what a model has read tells how well it remembers, and one on what it has not how well
it learnt; so each text and question is marked before figures are made of it. Only words that stand
there are found: a paraphrase is taken for unseen, and so is what the base read before.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosmosage.corpus.contamination import Index, Question
from cosmosage.corpus.words import run_hashes, word_hashes
from cosmosage.documents import fingerprint, read_jsonl

RUN = 13
"""Words in a row that are no chance (GPT-3, Brown et al. 2020, appendix C)."""
TAINTED = 0.2
"""Share of a text's words in such runs from which on it is no clean test: Llama 2's bound (Touvron
et al. 2023, arXiv:2307.09288, appendix A.6)."""


class Trained:
    """The texts that a model was trained on, to hold sets against.

    Args:
        files: of documents, or of conversations; none: nobody says what was trained on.
    """

    def __init__(self, files: Sequence[Path] = ()):
        self.files = [Path(file) for file in files]
        for file in self.files:
            if not file.is_file():
                raise FileNotFoundError(
                    f"there is no file {file}; name the texts that the model was trained on"
                )

    @property
    def key(self) -> str:
        """A hash of the files."""
        return fingerprint(*self.files)

    def marks(
        self, kind: str, records: Sequence[Mapping[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """What is known of each record of a set, by its id; empty without files.

        Args:
            kind: ``texts`` or ``questions``.
            records: with ``id`` and ``text``; or as ``question_records`` gives them.

        Returns:
            Of a text ``seen``: the share of its words in runs of ``RUN`` that were trained on. Of a
            question ``tainted``: whether it stood there, as ``corpus.contamination`` finds it;
            and, where it names the document that answers it (or none), ``group``: ``contained``
            in the training, ``withheld`` from it, or ``not_answered`` by any document.
        """
        if not self.files:
            return {}
        if kind == "texts":
            return self._seen(records)
        return self._asked(records)

    def _texts(self) -> Iterable[tuple[str, str]]:
        for file in self.files:
            for record in read_jsonl(file):
                said = record.get("messages") or [{"content": record.get("text") or ""}]
                yield str(record.get("id")), "\n".join(m["content"] for m in said)

    def _seen(
        self, records: Sequence[Mapping[str, Any]]
    ) -> dict[str, dict[str, float]]:
        runs = [_runs(record["text"]) for record in records]
        sought = np.unique(np.concatenate(runs))
        met = np.zeros(len(sought), bool)
        for _, text in self._texts():
            there = _runs(text)
            at = np.searchsorted(sought, there).clip(max=len(sought) - 1)
            met[at[sought[at] == there]] = True
        out = {}
        for record, own in zip(records, runs):
            # every word of a run counts, so a copied sentence counts by its length
            found = np.zeros(len(own) + RUN, int)
            for place in np.flatnonzero(met[np.searchsorted(sought, own)]):
                found[place : place + RUN] = 1
            size = max(1, len(word_hashes(record["text"])))
            out[record["id"]] = {"seen": round(min(1.0, found.sum() / size), 4)}
        return out

    def _asked(self, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        index = Index([_question(record) for record in records])
        held: set[str] = set()
        names = set()
        for name, text in self._texts():
            names.add(name)
            held |= {index.asked[number].name for *_, number in index.overlaps(text)}
        out: dict[str, dict[str, Any]] = {}
        for record in records:
            mark = out[record["id"]] = {"tainted": record["id"] in held}
            if "document" in record:
                document = record["document"]
                mark["group"] = (
                    "not_answered"
                    if not document
                    else "contained" if document in names else "withheld"
                )
        return out


def _runs(text: str) -> np.ndarray:
    """Hashes of a text's runs of words, (runs,); of a text shorter than one none."""
    words = word_hashes(text)
    return run_hashes(words, RUN) if len(words) >= RUN else words[:0]


def _question(record: Mapping[str, Any]) -> Question:
    choices = tuple(map(str, record.get("choices") or ()))
    gold = record.get("gold")
    answer = gold if gold is not None else choices[record["answer"]]
    return Question(record["id"], record["question"], str(answer), choices)
