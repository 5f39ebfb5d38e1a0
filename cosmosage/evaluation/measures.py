"""What a model knows, read from the probabilities that it gives: nothing is generated.

Likelihoods are quick, exact and the same on every run; the price is that they say nothing
about how well a model writes an answer. Texts longer than the context are read in windows
that overlap, so that few tokens are predicted from little; a wider overlap lowers the
figure slightly and costs time in proportion.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage.documents import Document
from cosmosage.evaluation import statistics

LENGTH = 1024
"""Tokens of context in which texts are read, if the model takes as many."""

BATCH_TOKENS = 2048
"""Tokens that go through the model at once: their logits take 400 MB in fp32 at a
vocabulary of 49,152."""

ROW_TOKENS = 512
"""Tokens of questions packed into one row; attention over it is dense, so longer rows
waste work on pairs that see nothing of each other."""


@dataclass(frozen=True)
class TextLoss:
    """How surprised a model was by one text."""

    nll: float
    """Negative log-likelihood of all its tokens, in nats."""
    tokens: int
    bytes: int
    """Of the text in UTF-8."""

    @property
    def bits_per_byte(self) -> float:
        """Comparable over tokenizers; NaN for an empty text."""
        return self.nll / (self.bytes * math.log(2)) if self.bytes else math.nan


def context_length(model: PreTrainedModel) -> int:
    """The longest sequence that a model takes, in tokens."""
    return getattr(model.config, "max_position_embeddings", None) or LENGTH


def _opening(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer itself sets before a text: ``[bos]`` or nothing."""
    bos = tokenizer.bos_token_id
    ids = tokenizer("a")["input_ids"]
    return [bos] if bos is not None and ids[:1] == [bos] else []


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]


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
    opening = _opening(tokenizer) or [tokenizer.eos_token_id]
    if opening == [None]:
        raise ValueError(
            "the tokenizer has neither a bos nor an eos token, and a text's first token is "
            "predicted from one of them; set tokenizer.eos_token"
        )
    # a lone surrogate is no character and has no bytes
    texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    sequences = [opening + ids for ids in _ids(tokenizer, texts)]
    spans = [
        (number, *window)
        for number, ids in enumerate(sequences)
        for window in windows(len(ids) - 1, length, overlap)
    ]
    # windows of like length go together, the longest first: little padding, and the time
    # left is at worst overestimated
    spans.sort(key=lambda span: span[1] - span[3])
    sums = [0.0] * len(texts)
    with tqdm(total=len(spans), desc="reading", unit="window", leave=False) as bar:
        while spans:
            rows = max(1, batch_tokens // (spans[0][3] - spans[0][1]))
            batch, spans = spans[:rows], spans[rows:]
            for (number, *_), value in zip(
                batch, _window_sums(model, sequences, batch)
            ):
                sums[number] += value
            bar.update(len(batch))
    return [
        TextLoss(total, len(ids) - len(opening), len(text.encode("utf-8")))
        for total, ids, text in zip(sums, sequences, texts)
    ]


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
def _window_sums(
    model: PreTrainedModel,
    sequences: list[list[int]],
    batch: list[tuple[int, int, int, int]],
) -> list[float]:
    """The loss in each window of a batch, in nats; padding lies behind and is not seen."""
    width = batch[0][3] - batch[0][1]
    inputs = torch.zeros((len(batch), width), dtype=torch.long)
    targets = torch.full((len(batch), width), -100)  # (rows, width); -100: not counted
    for row, (number, begin, first, end) in enumerate(batch):
        ids = torch.tensor(sequences[number][begin : end + 1])
        inputs[row, : end - begin] = ids[:-1]
        targets[row, first - begin : end - begin] = ids[first - begin + 1 :]
    logits = model(input_ids=inputs.to(model.device), use_cache=False).logits
    targets = targets.to(model.device)
    sums = torch.zeros(len(batch), dtype=torch.float64)
    for row in range(len(batch)):
        for start in range(0, width, 256):  # fp32 copies of 256 x vocabulary at a time
            part = F.cross_entropy(
                logits[row, start : start + 256].float(),
                targets[row, start : start + 256],
                reduction="none",
                ignore_index=-100,
            )
            sums[row] += part.double().sum().cpu()
    return sums.tolist()


def text_records(documents: Iterable[Document | dict[str, Any]]) -> list[dict]:
    """Documents as ``{"id", "text", "source"}``; a missing id is the place in the file.

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
        source = record.get("source") or "texts"
        out[name] = {"id": name, "text": text, "source": source}
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
        read: ``id``, ``source``, ``nll`` (nats), ``tokens`` and ``bytes`` of each.

    Returns:
        ``bits_per_byte``: total loss over total bytes; ``bits_per_byte_interval``: 95 %, by
        bootstrap over papers and whole books, ``None`` if there is only one;
        ``n_documents``, ``n_clusters``, ``tokens``, ``bytes``; ``by_source``: the same for
        each source; ``documents``: id, source, bits_per_byte, nll, tokens, bytes of each.
    """
    by_source: dict[str, list[dict[str, Any]]] = {}
    for record in read:
        by_source.setdefault(record["source"], []).append(record)
    return {
        **_ratio(read),
        "by_source": {name: _ratio(group) for name, group in sorted(by_source.items())},
        "documents": [
            {**record, "bits_per_byte": record["nll"] / record["bytes"] / math.log(2)}
            for record in read
        ],
    }


def _ratio(read: list[dict[str, Any]]) -> dict[str, Any]:
    values = np.array([[record["nll"], record["bytes"]] for record in read], float)
    clusters = [statistics.cluster(record["id"]) for record in read]
    edges = None
    if len(set(clusters)) > 1:
        sums = statistics.bootstrap(clusters, values)
        edges = statistics.interval(sums[:, 0] / sums[:, 1] / math.log(2))
    nll, size = values.sum(axis=0)
    return {
        "bits_per_byte": float(nll / size / math.log(2)),
        "bits_per_byte_interval": edges,
        "n_documents": len(read),
        "n_clusters": len(set(clusters)),
        "tokens": sum(record["tokens"] for record in read),
        "bytes": int(size),
    }


def question_records(questions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """See that questions are whole; a missing id is the place in the file.

    Raises:
        ValueError: no questions, a field missing or unfit, or an id that occurs twice.
    """
    out: dict[str, dict[str, Any]] = {}
    for number, record in enumerate(questions, start=1):
        name = str(record.get("id") or f"line {number}")
        text, choices = record.get("question"), record.get("choices")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"question {name} has no text in its field 'question'")
        if (
            not isinstance(choices, list)
            or len(choices) < 2
            or not all(isinstance(choice, str) and choice.strip() for choice in choices)
        ):
            raise ValueError(
                f"question {name} has no 'choices'; wanted a list of two or more texts"
            )
        answer = record.get("answer")
        whole = isinstance(answer, int) and not isinstance(answer, bool)
        if not whole or not 0 <= answer < len(choices):
            raise ValueError(
                f"question {name} has no answer (found {answer!r}); wanted the number of "
                f"the right choice in 'answer', 0 to {len(choices) - 1}"
            )
        if name in out:
            raise ValueError(
                f"two questions have the id {name}; every question needs its own"
            )
        out[name] = {**record, "id": name}
    if not out:
        raise ValueError("the set of questions is empty; give at least one")
    return list(out.values())


def prompt(question: str) -> str:
    """The form in which a question is put: lm-evaluation-harness's cloze."""
    return f"Question: {question}\nAnswer:"


def multiple_choice(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """Which choice a model finds likeliest as the continuation of the question.

    Args:
        questions: ``question``, ``choices`` and ``answer`` (from 0) of each; ``document``
            names the text that answers it, or is null.

    Returns:
        What ``summarise_answers`` says.

    Raises:
        ValueError: no questions, one without an answer, or one beyond the model's context.
    """
    records = question_records(questions)
    return summarise_answers(answers(model, tokenizer, records))


def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The log-likelihood of every choice of every question, each prompt computed once.

    Questions lie one behind the other in a row, each as its prompt and then its choices; a
    mask lets a choice see its prompt and itself alone, and its positions follow the
    prompt's. Thus nothing is computed twice and nothing is padding.

    Args:
        questions: as ``question_records`` gives them.

    Returns:
        For each question ``id``, ``answer``, ``picked`` (highest log-likelihood),
        ``picked_normalised`` (highest per character of the choice, as lm-eval's
        ``acc_norm``), ``log_likelihoods`` (nats, one a choice), and ``document`` where the
        question has one.

    Raises:
        ValueError: a question is longer than the model's context.
    """
    packed: list[_Tree] = []
    for record in questions:
        tree = _tree(tokenizer, record)
        if tree.longest > context_length(model):
            raise ValueError(
                f"question {record['id']} is {tree.longest} tokens long and the model "
                f"takes {context_length(model)}; shorten it or take it out"
            )
        packed.append(tree)
    out = []
    with tqdm(total=len(packed), desc="asking", unit="question", leave=False) as bar:
        for row in _rows(packed):
            for likelihoods in _row_likelihoods(model, row):
                out.append(_answer(questions[len(out)], likelihoods))
            bar.update(len(row))
    return out


@dataclass(frozen=True)
class _Tree:
    """One question as tokens: a prompt and the branches that continue it."""

    prefix: list[int]
    branches: list[list[int]]

    @property
    def size(self) -> int:
        """Tokens that go in: a branch's last token is only predicted."""
        return len(self.prefix) + sum(len(ids) - 1 for ids in self.branches)

    @property
    def longest(self) -> int:
        """Tokens of the prompt with its longest branch."""
        return len(self.prefix) + max(len(ids) for ids in self.branches)


def _tree(tokenizer: PreTrainedTokenizerBase, record: dict[str, Any]) -> _Tree:
    before = prompt(record["question"])
    whole = [before] + [f"{before} {choice}" for choice in record["choices"]]
    # the tokens behind as many as the prompt has: where a tokenizer merges over the seam,
    # this is what lm-eval does too
    prefix, *full = _ids(tokenizer, whole)
    opening = _opening(tokenizer)
    return _Tree(opening + prefix, [ids[len(prefix) :] for ids in full])


def _rows(trees: list[_Tree]) -> Iterator[list[_Tree]]:
    """Neighbours that fit into a row together, in order."""
    row: list[_Tree] = []
    for tree in trees:
        if row and sum(t.size for t in row) + tree.size > ROW_TOKENS:
            yield row
            row = []
        row.append(tree)
    if row:
        yield row


@torch.inference_mode()
def _row_likelihoods(model: PreTrainedModel, row: list[_Tree]) -> Iterator[list[float]]:
    ids: list[int] = []
    places: list[int] = []
    owners: list[tuple[int, int]] = (
        []
    )  # (question, branch) of each token; branch -1: prompt
    steps: list[tuple[int, int, int, int]] = []  # (from, token, question, branch)
    for question, tree in enumerate(row):
        end = len(ids) + len(tree.prefix) - 1
        ids += tree.prefix
        places += range(len(tree.prefix))
        owners += [(question, -1)] * len(tree.prefix)
        for branch, tokens in enumerate(tree.branches):
            here = [end, *range(len(ids), len(ids) + len(tokens) - 1)]
            steps += [(at, to, question, branch) for at, to in zip(here, tokens)]
            ids += tokens[:-1]
            places += range(len(tree.prefix), len(tree.prefix) + len(tokens) - 1)
            owners += [(question, branch)] * (len(tokens) - 1)
    owner = torch.tensor(owners)
    same = owner[:, None, 0] == owner[None, :, 0]
    seen = (owner[None, :, 1] == -1) | (owner[:, None, 1] == owner[None, :, 1])
    mask = torch.tril(same & seen)  # (tokens, tokens): row sees column
    sources = sorted({step[0] for step in steps})
    logits = model(
        input_ids=torch.tensor([ids]).to(model.device),
        position_ids=torch.tensor([places]).to(model.device),
        attention_mask=mask[None, None].to(model.device),
        logits_to_keep=torch.tensor(sources).to(model.device),
        use_cache=False,
    ).logits
    logs = logits[0].float().log_softmax(dim=-1)  # (sources, vocabulary)
    where = {source: number for number, source in enumerate(sources)}
    rows = torch.tensor([where[step[0]] for step in steps]).to(logs.device)
    values = logs[rows, torch.tensor([step[1] for step in steps]).to(logs.device)]
    out = [[0.0] * len(tree.branches) for tree in row]
    for (_, _, question, branch), value in zip(steps, values.tolist()):
        out[question][branch] += value
    yield from out


def _answer(record: dict[str, Any], likelihoods: list[float]) -> dict[str, Any]:
    lengths = [len(choice) for choice in record["choices"]]
    kept = {key: record[key] for key in ("document",) if key in record}
    return {
        "id": record["id"],
        "answer": record["answer"],
        "picked": int(np.argmax(likelihoods)),
        "picked_normalised": int(np.argmax(np.divide(likelihoods, lengths))),
        "log_likelihoods": likelihoods,
        **kept,
    }


def groups(given: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """The ids of questions that a text of the project answers, and of those that none does.

    Empty unless the questions say so in their field ``document``.
    """
    out: dict[str, list[str]] = {}
    for record in given:
        if "document" in record:
            name = "answered_by_texts" if record["document"] else "not_answered"
            out.setdefault(name, []).append(record["id"])
    return out


def summarise_answers(given: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of questions that were asked.

    Args:
        given: as ``answers`` gives them.

    Returns:
        ``n``; ``accuracy`` and ``accuracy_normalised`` (shares) with
        ``accuracy_interval`` and ``accuracy_normalised_interval`` (Wilson, 95 %);
        ``majority``: the share that always picking the most frequent place would reach;
        ``picks``: how often each place was picked; ``by_group``: the same for the groups of
        ``groups``; ``answers``: the records.
    """
    members = groups(given)
    by_id = {record["id"]: record for record in given}
    return {
        **_shares(given),
        "by_group": {
            name: _shares([by_id[identifier] for identifier in members[name]])
            for name in sorted(members)
        },
        "answers": given,
    }


def _shares(given: list[dict[str, Any]]) -> dict[str, Any]:
    n, out = len(given), {"n": len(given)}
    for name, field in (
        ("accuracy", "picked"),
        ("accuracy_normalised", "picked_normalised"),
    ):
        right = sum(record[field] == record["answer"] for record in given)
        out[name] = right / n
        out[f"{name}_interval"] = list(statistics.wilson(right, n))
    places = Counter(record["answer"] for record in given)
    out["majority"] = max(places.values()) / n
    width = max(len(record["log_likelihoods"]) for record in given)
    out["picks"] = [sum(r["picked"] == place for r in given) for place in range(width)]
    return out
