"""How well a model expects a text: bits per byte, of papers, chapters, sections.

Likelihoods are quick, exact and the same on every run; the price is that they say nothing
about how well a model writes an answer. Texts longer than the context are read in windows
that overlap, so that few tokens are predicted from little; a wider overlap lowers the
figure slightly and costs time in proportion.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage.corpus.sides import first_month, month
from cosmosage.documents import Document, without_halves
from cosmosage.evaluation import statistics
from cosmosage.evaluation.exposure import TAINTED

LENGTH = 1024
"""Tokens of context in which texts are read, if the model takes as many."""

BATCH_TOKENS = 2048
"""Tokens that go through the model at once: their logits take 400 MB in fp32 at a
vocabulary of 49,152."""


@dataclass(frozen=True)
class TextLoss:
    """How surprised a model was by one text."""

    nll: float
    """Negative log-likelihood of all its tokens, in nats."""
    tokens: int
    bytes: int
    """Of the text in UTF-8."""
    sections: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Of each kind of section that the text has, nats and bytes; empty for a text without."""

    @property
    def bits_per_byte(self) -> float:
        """Comparable over tokenizers; NaN for an empty text."""
        return self.nll / (self.bytes * math.log(2)) if self.bytes else math.nan


def context_length(model: PreTrainedModel) -> int:
    """The longest sequence that a model takes, in tokens."""
    return getattr(model.config, "max_position_embeddings", None) or LENGTH


def opening(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer itself sets before a text: ``[bos]`` or nothing."""
    bos = tokenizer.bos_token_id
    ids = tokenizer("a")["input_ids"]
    return [bos] if bos is not None and ids[:1] == [bos] else []


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Texts as tokens, with nothing before or behind."""
    if not texts:
        return []
    return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]


SECTIONS = {
    "abstract": r"abstract",
    "introduction": r"introduc|background|motivation",
    "conclusions": r"conclu|discuss|summary|outlook|implication|closing|final",
    "results": r"result|finding|constraint|forecast|compar|posterior",
    "methods": r"method|data|observ|sampl|survey|simulat|model|theor|formal|equation|deriv|numeric"
    r"|analy|likelihood|pipeline|setup|framework|estimat",
}
"""Kinds of a paper's sections by words of their headings, of which the first that fits counts; all
others are called ``other``."""


def sections(text: str) -> list[tuple[int, str]]:
    """Where the sections of a text begin, and the kind of each.

    A section reaches over its subsections; what stands before the first belongs to none. A text
    without an abstract is no paper, and has none.
    """
    found = []
    for heading in re.finditer(r"^## (.+)$", text, re.MULTILINE):
        words = heading[1].casefold()
        kinds = (name for name, form in SECTIONS.items() if re.search(form, words))
        found.append((heading.start(), next(kinds, "other")))
    return found if "abstract" in [kind for _, kind in found] else []


def losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    length: int | None = None,
    overlap: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> list[TextLoss]:
    """The negative log-likelihood of each text, every token counted exactly once.

    The first token of a text is counted too: it is predicted from what opens a document,
    the token that the tokenizer sets there by itself (bos), or else the end-of-text token
    that closes the document before it in training. The opening itself and the end of the
    text are not counted.

    Args:
        texts: any lengths; an empty text has no tokens and no loss.
        length: tokens of context in which a text is read; by default ``LENGTH``, or what
            the model takes if that is less.
        overlap: tokens at the head of every window but the first that are read again as
            context and not counted; by default an eighth of ``length``.
        batch_tokens: tokens that go through the model at once.

    Returns:
        One loss a text, in order.

    Raises:
        ValueError: ``length`` beyond the model's context, an overlap that leaves nothing to
            count, or a tokenizer without a token that opens or ends a text.
    """
    limit = context_length(model)
    length = min(LENGTH, limit) if length is None else length
    overlap = length // 8 if overlap is None else overlap
    if length > limit:
        raise ValueError(
            f"a context of {length} tokens was asked for and the model takes {limit}; "
            f"give a length of at most {limit}"
        )
    if not 0 <= overlap < length:
        raise ValueError(
            f"an overlap of {overlap} tokens leaves nothing to count in windows of "
            f"{length}; wanted 0 <= overlap < length"
        )
    first = opening(tokenizer) or [tokenizer.eos_token_id]
    if first == [None]:
        raise ValueError(
            "the tokenizer has neither a bos nor an eos token, and a text's first token is "
            "predicted from one of them; set tokenizer.eos_token"
        )
    # a lone surrogate is no character and has no bytes
    texts = [without_halves(text) for text in texts]
    sequences = [first + ids for ids in token_ids(tokenizer, texts)]
    spans = [
        (number, *window)
        for number, ids in enumerate(sequences)
        for window in windows(len(ids) - 1, length, overlap)
    ]
    # windows of like length go together, the longest first: little padding, and the time
    # left is at worst overestimated
    spans.sort(key=lambda span: span[1] - span[3])
    nats = [np.zeros(len(ids) - len(first)) for ids in sequences]
    with tqdm(total=len(spans), desc="reading", unit="window", leave=False) as bar:
        while spans:
            rows = max(1, batch_tokens // (spans[0][3] - spans[0][1]))
            batch, spans = spans[:rows], spans[rows:]
            for (number, _, begin, end), values in zip(
                batch, _window_nats(model, sequences, batch)
            ):
                nats[number][begin:end] = values
            bar.update(len(batch))
    return [_text_loss(tokenizer, text, own) for text, own in zip(texts, nats)]


def _text_loss(
    tokenizer: PreTrainedTokenizerBase, text: str, nats: np.ndarray
) -> TextLoss:
    """The loss of a text and of its sections; a token counts where it begins."""
    parts: dict[str, tuple[float, int]] = {}
    if begun := sections(text):
        told = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        places = [begin for begin, _ in told["offset_mapping"]]
        edges = [*(begin for begin, _ in begun), len(text)]
        cuts = np.searchsorted(places, edges)
        for (_, kind), chars, tokens in zip(
            begun, itertools.pairwise(edges), itertools.pairwise(cuts)
        ):
            before = parts.get(kind, (0.0, 0))
            size = len(text[slice(*chars)].encode("utf-8"))
            parts[kind] = (
                before[0] + float(nats[slice(*tokens)].sum()),
                before[1] + size,
            )
    return TextLoss(float(nats.sum()), len(nats), len(text.encode("utf-8")), parts)


def windows(n: int, length: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """Cut ``n`` predictions into windows of at most ``length`` inputs.

    Yields:
        ``(begin, first, end)``: inputs ``begin..end-1`` are read, and what follows each of
        ``first..end-1`` is counted. ``first..end-1`` of all windows are 0..n-1, once each.
    """
    first = 0
    while first < n:
        begin = first - overlap if first else 0
        end = min(begin + length, n)
        yield begin, first, end
        first = end


@torch.inference_mode()
def _window_nats(
    model: PreTrainedModel,
    sequences: list[list[int]],
    batch: list[tuple[int, int, int, int]],
) -> Iterator[np.ndarray]:
    """The losses of what each window of a batch counts; padding lies behind and is not seen."""
    width = batch[0][3] - batch[0][1]
    inputs = torch.zeros((len(batch), width), dtype=torch.long)
    for row, (number, begin, _, end) in enumerate(batch):
        inputs[row, : end - begin] = torch.tensor(sequences[number][begin:end])
    logits = model(input_ids=inputs.to(model.device), use_cache=False).logits
    for row, (number, begin, first, end) in enumerate(batch):
        targets = torch.tensor(sequences[number][first + 1 : end + 1])
        scores = logits[row, first - begin : end - begin]
        parts = [  # fp32 copies of 256 x vocabulary at a time
            F.cross_entropy(some.float(), wanted.to(some.device), reduction="none")
            for some, wanted in zip(scores.split(256), targets.split(256))
        ]
        yield torch.cat(parts).cpu().double().numpy()


def text_records(documents: Iterable[Document | dict[str, Any]]) -> list[dict]:
    """Documents as ``{"id", "text", "source", "year"}``; a missing id is the place in the file.

    Raises:
        ValueError: no documents, one without text, or an id that occurs twice.
    """
    out: dict[str, dict[str, Any]] = {}
    for number, document in enumerate(documents, start=1):
        record = document.record() if isinstance(document, Document) else document
        text, name = record.get("text"), str(record.get("id") or f"line {number}")
        if not isinstance(text, str) or not text:
            raise ValueError(
                f"document {name} has no text to read; give it one or take it out"
            )
        if name in out:
            raise ValueError(
                f"two documents have the id {name}; every document needs its own"
            )
        source, year = record.get("source"), record.get("year")
        if not isinstance(source, str) or not source:
            source = "texts"
        year = year if isinstance(year, int) else None
        out[name] = {"id": name, "text": text, "source": source, "year": year}
    if not out:
        raise ValueError("the set of documents is empty; give at least one text")
    return list(out.values())


def bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[Document | dict[str, Any]],
    length: int | None = None,
) -> dict[str, Any]:
    """How many bits a model needs for a byte of the documents.

    Args:
        documents: documents, or records of which only ``text`` need be there.
        length: tokens of context (see ``losses``).

    Returns:
        ``bits_per_byte``, ``bits_per_byte_interval`` and the rest of what
        ``summarise_texts`` says.

    Raises:
        ValueError: no documents, one without text, or an unfitting length.
    """
    records = text_records(documents)
    read = losses(model, tokenizer, [record["text"] for record in records], length)
    return summarise_texts(
        [
            {"id": record["id"], "source": record["source"], **asdict(loss)}
            for record, loss in zip(records, read)
        ]
    )


def summarise_texts(read: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of documents that were read.

    Args:
        read: ``id``, ``source``, ``nll`` (nats), ``tokens``, ``bytes`` and ``sections`` of each.

    Returns:
        ``bits_per_byte``: total loss over total bytes; ``bits_per_byte_interval``: 95 %, of
        papers and whole books (``statistics.Ratio``), ``None`` if there is only one;
        ``n_documents``, ``n_clusters``, ``bytes``; ``tokens``; ``by_source``: the same for
        each source, ``by_section`` for each kind of section of papers; ``untainted``: the same
        without the texts that stood in the training (null where none is known to have);
        ``documents``: id, source, bits_per_byte, nll, tokens, bytes and sections of each.
    """
    clean = untainted(read)
    return {
        **ratio(read),
        "untainted": ratio(clean) if clean else None,
        "tokens": sum(record["tokens"] for record in read),
        "by_source": {name: ratio(group) for name, group in by_source(read).items()},
        "by_section": {name: ratio(group) for name, group in by_section(read).items()},
        "documents": [
            {**record, "bits_per_byte": record["nll"] / record["bytes"] / math.log(2)}
            for record in read
        ],
    }


def by_source(read: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Documents by their source."""
    out: dict[str, list[dict[str, Any]]] = {}
    for record in read:
        out.setdefault(record["source"], []).append(record)
    return dict(sorted(out.items()))


def by_section(read: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The sections of papers by their kind, each as a document of its own: id, nll and bytes."""
    out: dict[str, list[dict[str, Any]]] = {}
    for record in read:
        for kind, (nll, size) in record.get("sections", {}).items():
            part = {"id": record["id"], "nll": nll, "bytes": size}
            out.setdefault(kind, []).append(part)
    return dict(sorted(out.items()))


def by_time(read: list[dict[str, Any]], after: str) -> dict[str, list[dict[str, Any]]]:
    """Documents that came out in a month or later, and those from before it, if there are any.

    A paper's number tells its month. Of all else only the year is known: where that is the
    month's own, or there is none, a document is in neither.

    Args:
        read: ``id`` and, where it is known, ``year`` of each.
        after: the month, ``2024-07``.
    """
    first = first_month(after)
    name = f"{first // 12}-{first % 12 + 1:02}"
    out: dict[str, list[dict[str, Any]]] = {f"since {name}": [], f"before {name}": []}
    for record in read:
        latest = month(record["id"], record.get("year"))
        earliest = latest if month(record["id"], None) else latest - 11
        if earliest >= first:
            out[f"since {name}"].append(record)
        elif 0 < latest < first:
            out[f"before {name}"].append(record)
    return {name: group for name, group in out.items() if group}


def untainted(read: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents without those that stood in the training, if there are both."""
    clean = [record for record in read if record.get("seen", 0) < TAINTED]
    return clean if len(clean) < len(read) else []


def ratio(read: list[dict[str, Any]]) -> dict[str, Any]:
    """Bits per byte of records with ``id``, ``nll`` (nats) and ``bytes``, with its interval."""
    clusters = [statistics.cluster(r.get("document") or r["id"]) for r in read]
    bits = [record["nll"] / math.log(2) for record in read]
    size = [record["bytes"] for record in read]
    found, n = statistics.Ratio.of(clusters, bits, size), len(set(clusters))
    return {
        "bits_per_byte": found.value,
        "bits_per_byte_interval": found.interval(),
        "n_documents": len(read),
        "n_clusters": n,
        "bytes": sum(size),
    }
