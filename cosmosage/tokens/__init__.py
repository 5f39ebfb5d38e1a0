"""Documents as rows of tokens that hold next to no padding.

A document longer than a row is cut into windows; what is left of each document is packed beside
others by best fit, and none sees another: positions start again with every document, which is
how transformers tells packed documents apart. The price: a row's documents are neighbours by
length, not by subject.
"""

import shutil
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from cosmosage.documents import (
    Document,
    finish,
    finished,
    fingerprint,
    read_documents,
)
from cosmosage.models import PLAIN_CHAT
from cosmosage.tokens.encoding import encode
from cosmosage.tokens.mixture import Share, draw
from cosmosage.tokens.rows import (
    FEATURES,
    IGNORED,
    by_source,
    check,
    collate,
    open_rows,
    open_sides,
    trace,
)
from cosmosage.tokens.chunking import (
    CHUNKINGS,
    Chunking,
    Segment,
    begins,
    best_fit,
    blocks,
    filled,
    windows,
)

__all__ = (
    "CHUNKINGS Chunking FEATURES IGNORED Share best_fit by_source check collate open_rows "
    "open_sides pack trace"
).split()


def pack(
    splits: dict[str, Path],
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    sequence_length: int,
    chunking: Chunking = "best fit",
    shares: Mapping[str, Share | tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """Tokenise documents and pack them into rows, one data set a split.

    Args:
        splits: files of documents by name: ``{"train": ..., "validation": ...}``.
        tokenizer: the model's. Prose ends with its end-of-text token; conversations are
            written by its chat template, and only the assistant's words are learnt.
        out: folder for the ``datasets`` Arrow sets ``out/<split>`` and ``out/done.json``.
        sequence_length: tokens a row.
        chunking: how documents become rows (see ``CHUNKINGS``).
        shares: for the split ``train``, the share of each source and how often a text of it is
            read at most: ``{"arxiv": (0.7, 1), "books": (0.3, 4)}``; by default every text
            is read once.

    Returns:
        For each split ``documents``, ``tokens`` (of the documents, as often as they are read),
        ``learnt`` (of them those that have a label), ``context`` (tokens that are read once
        more before what follows them), ``rows``, ``padding`` (share of the rows' places that
        hold no token) and ``sources``: of each the ``documents`` and ``tokens`` that are read,
        those ``available``, the ``share`` of the tokens and the ``passes``, as they came out.

    Raises:
        ValueError: a split without a document, a sequence length under 2, an unknown way of
            chunking, shares that do not fit the sources (see ``mixture.draw``), or a
            conversation that cannot be learnt from (see ``encoding.encode``).
    """
    if sequence_length < 2:
        raise ValueError(
            f"a row of {sequence_length} tokens has nothing to predict; take 2 or more"
        )
    if chunking not in CHUNKINGS:
        raise ValueError(
            f"chunking is {chunking!r}; it has to be one of {', '.join(CHUNKINGS)}"
        )
    mark = out / "done.json"
    wanted = {source: tuple(share) for source, share in (shares or {}).items()}
    how = (sequence_length, chunking, sorted(wanted.items()), sorted(FEATURES))
    key = fingerprint(_portrait(tokenizer), *how, splits)
    if counts := finished(mark, key):
        return counts
    mark.unlink(missing_ok=True)
    counts: dict[str, Any] = {}
    for name, path in splits.items():
        packer = _Packer(out / name, tokenizer, sequence_length, chunking)
        counts[name] = packer.run(
            read_documents(path), wanted if name == "train" else {}
        )
    settings = {"sequence_length": sequence_length, "chunking": chunking}
    return finish(mark, key, counts | settings)


def _portrait(tokenizer: PreTrainedTokenizerBase) -> list:
    """What the rows depend on: words and rules, but not where the tokenizer lies."""
    chat = tokenizer.chat_template or PLAIN_CHAT
    return [tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token, chat]


class _Packer:
    """One split: its documents' tokens on disk, and the rows that are made of them."""

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase,
        length: int,
        chunking: Chunking,
    ):
        self.folder, self.tokenizer = folder, tokenizer
        self.length, self.chunking = length, chunking
        self.scratch = folder.with_name(f".{folder.name}.part")
        self.names: list[str] = []
        self.sources: list[str] = []
        self.ends = array("q", [0])
        self.pieces: list[list[Segment]] = []
        self.talks: set[int] = set()

    def run(
        self, documents: Iterable[Document], shares: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Read, draw, chunk and write."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self._tokenise(documents)
        sizes = np.diff(self.ends).tolist()
        drawn = list(range(len(sizes)))
        if shares:
            drawn = draw(self.names, self.sources, sizes, shares)
        rows = self._rows(drawn, sizes)
        counts = self._write(rows)
        shutil.rmtree(self.scratch)
        return {
            "documents": len(set(drawn)),
            "tokens": sum(sizes[number] for number in drawn),
            **counts,
            "sources": self._by_source(drawn, sizes),
        }

    def _tokenise(self, documents: Iterable[Document]) -> None:
        """All tokens into files, since those of a large corpus are more than memory."""
        with (
            (self.scratch / "ids").open("wb") as ids,
            (self.scratch / "characters").open("wb") as characters,
            (self.scratch / "learnt").open("wb") as learnt,
        ):
            for document in tqdm(
                documents, desc=f"tokenise {self.folder.name}", unit=" documents"
            ):
                text = encode(document, self.tokenizer)
                size = len(text.ids)
                if not size:
                    continue
                borders = ()
                if self.chunking == "paragraphs" and not document.messages:
                    borders = begins(document.text, text.characters)
                number = len(self.names)
                if document.messages:
                    self.talks.add(number)
                if self.chunking != "fixed":
                    made = windows(number, size, self.length, self.chunking, borders)
                    self.pieces.append([s for s in made if _worth(s, text.learnt)])
                text.ids.tofile(ids)
                text.characters.tofile(characters)
                text.learnt.tofile(learnt)
                self.names.append(document.id)
                self.sources.append(document.source)
                self.ends.append(self.ends[-1] + size)
        if not self.names:
            raise ValueError(
                f"there is no document to pack for {self.folder.name}; look at the corpus's "
                "removed.jsonl.gz for what fell out and why"
            )

    def _rows(self, drawn: list[int], sizes: list[int]) -> list[list[Segment]]:
        if self.chunking == "fixed":
            made = blocks([sizes[number] for number in drawn], self.length)
            return [
                [Segment(drawn[s.document], s.start, s.size) for s in row]
                for row in made
            ]
        pieces = [segment for number in drawn for segment in self.pieces[number]]
        fitted = best_fit([segment.size for segment in pieces], self.length)
        rows = [[pieces[index] for index in row] for row in fitted]
        return filled(rows, self.length, self.talks)

    def _write(self, rows: list[list[Segment]]) -> dict[str, Any]:
        stream = {
            name: np.memmap(self.scratch / name, kind, "r")
            for name, kind in (
                ("ids", np.int32),
                ("characters", np.int32),
                ("learnt", np.bool_),
            )
        }
        blank = {"ids": self.tokenizer.pad_token_id or 0, "characters": -1, "learnt": 0}
        counts: Counter[str] = Counter()

        def records() -> Iterator[dict]:
            counts.clear()
            for row in rows:
                columns = {
                    name: np.full(self.length, blank[name], values.dtype)
                    for name, values in stream.items()
                }
                place = 0
                for segment in row:
                    first = self.ends[segment.document] + segment.start
                    end = place + segment.size
                    for name, values in stream.items():
                        columns[name][place:end] = values[first : first + segment.size]
                    columns["learnt"][place : place + segment.context] = False
                    counts["learnt"] += int(columns["learnt"][place + 1 : end].sum())
                    counts["context"] += segment.context
                    counts["filled"] += segment.size
                    place = end
                yield {
                    "input_ids": columns["ids"],
                    "learnt": columns["learnt"],
                    "characters": columns["characters"],
                    "lengths": [segment.size for segment in row],
                    "documents": [self.names[segment.document] for segment in row],
                    "starts": [segment.start for segment in row],
                }

        Dataset.from_generator(
            records,
            features=FEATURES,
            cache_dir=str(self.scratch / "cache"),
            fingerprint=fingerprint(self.folder.name, len(rows), self.ends[-1]),
        ).save_to_disk(self.scratch / "rows")
        (self.scratch / "rows").rename(self.folder)
        return {
            "learnt": counts["learnt"],
            "context": counts["context"],
            "rows": len(rows),
            "padding": round(1 - counts["filled"] / (len(rows) * self.length), 5),
        }

    def _by_source(self, drawn: list[int], sizes: list[int]) -> dict[str, Any]:
        there, read = Counter(), Counter()
        for source, size in zip(self.sources, sizes):
            there[source] += size
        for number in drawn:
            read[self.sources[number]] += sizes[number]
        documents = Counter(self.sources[number] for number in set(drawn))
        return {
            source: {
                "documents": documents[source],
                "tokens": read[source],
                "available": there[source],
                "share": round(read[source] / read.total(), 4),
                "passes": round(read[source] / there[source], 3),
            }
            for source in there
        }


def _worth(segment: Segment, learnt: np.ndarray) -> bool:
    """Whether a window holds more than a prompt."""
    first = segment.start + segment.context
    return bool(learnt[first : segment.start + segment.size].any())
