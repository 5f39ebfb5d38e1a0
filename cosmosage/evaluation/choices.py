"""Which answer a model finds likeliest: multiple choice, and the answers of open questions.

Nothing is generated. A choice is put in one of two forms: the cloze, in which each choice
continues the question in its own words, or the letters, in which all choices stand in the question
and only A, B, C ... is scored. Small models answer letters with the same one whatever is asked;
how often each was picked is therefore part of every result.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage.evaluation import statistics
from cosmosage.evaluation.passages import read_before
from cosmosage.evaluation.questions import LETTERS, named, question_records
from cosmosage.evaluation.texts import context_length, opening, ratio, token_ids

MEASURES = {
    "accuracy": "picked",
    "accuracy_normalised": "picked_normalised",
    "accuracy_letters": "picked_letter",
}
"""The measures of multiple choice, and the field of an answer that each counts."""

FORMS = ("cloze", "letters")

ROW_TOKENS = 512
"""Tokens of questions packed into one row; attention over it is dense, so longer rows
waste work on pairs that see nothing of each other."""


def cloze(question: str) -> str:
    """A question that its answer completes, as lm-evaluation-harness puts it."""
    return f"Question: {question}\nAnswer:"


def put(record: dict[str, Any], form: str) -> tuple[str, list[str]]:
    """A question as lm-evaluation-harness puts it, and the ways in which it may go on.

    Args:
        record: with ``question`` and ``choices``; with ``passages``, those stand before it.
        form: of ``FORMS``.
    """
    read = read_before(record)
    if form == "cloze":
        continued = [f" {choice}" for choice in record["choices"]]
        return read + cloze(record["question"]), continued
    letters = LETTERS[: len(record["choices"])]
    listed = [f"{name}. {text}" for name, text in zip(letters, record["choices"])]
    before = "\n".join([record["question"], *listed, "Answer:"])
    return read + before, [f" {letter}" for letter in letters]


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
    """The log-likelihood of every choice of every question, in both forms.

    Args:
        questions: as ``question_records`` gives them.

    Returns:
        For each question ``id``, ``answer``, ``picked`` (highest log-likelihood as a cloze),
        ``picked_normalised`` (highest per character of the choice, as lm-eval's
        ``acc_norm``), ``picked_letter``, ``log_likelihoods`` and ``letter_log_likelihoods``
        (nats, one a choice), and ``document`` where the question has one.

    Raises:
        ValueError: a question is longer than the model's context.
    """
    asked = [put(record, form) for record in questions for form in FORMS]
    names = [record["id"] for record in questions for _ in FORMS]
    found = iter(likelihoods(model, tokenizer, asked, names))
    return [
        _answer(record, *nats) for record, nats in zip(questions, zip(found, found))
    ]


def with_others(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Open questions, each with ``other``: the gold answer to another one, of much the same length.

    Whoever only learnt how such prose is written expects wrong answers better, too. The other
    question is answered by another work, and no answer serves many; where there is none, the field
    is missing.

    Args:
        questions: as ``question_records`` gives them, with ``gold``.
    """
    order = sorted(questions, key=lambda record: (len(record["gold"]), record["id"]))
    others: dict[str, str] = {}
    for place, record in enumerate(order):
        for other in order[place + 1 :] + order[:place]:
            works = [
                statistics.cluster(r.get("document") or r["id"])
                for r in (record, other)
            ]
            golds = {r["gold"].strip().casefold() for r in (record, other)}
            if works[0] != works[1] and len(golds) == 2:
                others[record["id"]] = other["gold"]
                break
    return [
        record | ({"other": others[record["id"]]} if record["id"] in others else {})
        for record in questions
    ]


def gold_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """How well a model expects the right answer to each open question.

    Args:
        questions: as ``question_records`` gives them, with ``gold``, and maybe ``other``, an
            answer to another question.

    Returns:
        For each question ``id``, ``nll`` (nats) and ``bytes`` of its gold answer, ``nll_other``
        and ``bytes_other`` of the other one, and ``document`` where the question has one.

    Raises:
        ValueError: a question with its answer is longer than the model's context.
    """
    asked = [
        (
            read_before(record) + cloze(record["question"]),
            [f" {record[x].strip()}" for x in ("gold", "other") if x in record],
        )
        for record in questions
    ]
    found = likelihoods(model, tokenizer, asked, [record["id"] for record in questions])
    out = []
    for record, (_, ends), nats in zip(questions, asked, found):
        out.append(named(record))
        for end, value, which in zip(ends, nats, ("", "_other")):
            size = len(end.encode("utf-8"))
            out[-1] |= {f"nll{which}": -value, f"bytes{which}": size}
    return out


def summarise_gold(given: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of open questions: as ``texts.ratio``, by group too, and ``answers``."""
    return {**_by_group(given, ratio), "n": len(given), "answers": given}


def _by_group(
    given: list[dict[str, Any]], figures: Callable[[list[dict[str, Any]]], dict]
) -> dict[str, Any]:
    """Figures of all questions, and by the groups of ``groups``."""
    by_id = {record["id"]: record for record in given}
    members = sorted(groups(given).items())
    return {
        **figures(given),
        "by_group": {name: figures([by_id[i] for i in ids]) for name, ids in members},
    }


def likelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[tuple[str, Sequence[str]]],
    names: Sequence[str],
) -> list[list[float]]:
    """The log-likelihood of everything that may follow each text, the text computed once.

    Texts lie one behind the other in a row, each with what may follow it behind; a mask lets a
    continuation see its text and itself alone, and its positions follow the text's. Thus nothing
    is computed twice and nothing is padding.

    Args:
        asked: texts and their continuations, which begin with their space.
        names: of the texts, for messages.

    Returns:
        Nats, one a continuation.

    Raises:
        ValueError: a text with its longest continuation exceeds the model's context.
    """
    trees = [_tree(tokenizer, *each) for each in asked]
    for tree, name in zip(trees, names):
        if tree.longest > context_length(model):
            raise ValueError(
                f"question {name} is {tree.longest} tokens long and the model "
                f"takes {context_length(model)}; shorten it or take it out"
            )
    out: list[list[float]] = []
    with tqdm(total=len(trees), desc="asking", leave=False) as bar:
        for row in _rows(trees):
            out += _row_likelihoods(model, row)
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


def _tree(
    tokenizer: PreTrainedTokenizerBase, before: str, after: Sequence[str]
) -> _Tree:
    # the tokens behind as many as the text has: where a tokenizer merges over the seam,
    # this is what lm-eval does too
    prefix, *full = token_ids(tokenizer, [before, *(before + end for end in after)])
    return _Tree(opening(tokenizer) + prefix, [ids[len(prefix) :] for ids in full])


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


def _answer(
    record: dict[str, Any], completed: list[float], letters: list[float]
) -> dict[str, Any]:
    lengths = [len(choice) for choice in record["choices"]]
    return {
        **named(record),
        "answer": record["answer"],
        "picked": int(np.argmax(completed)),
        "picked_normalised": int(np.argmax(np.divide(completed, lengths))),
        "picked_letter": int(np.argmax(letters)),
        "log_likelihoods": completed,
        "letter_log_likelihoods": letters,
    }


def groups(given: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The ids of questions by where their answers stand, and of those that are no memory.

    Returns:
        ``contained`` in the texts that were trained on, ``withheld`` from it and
        ``not_answered``, where ``exposure`` has marked them; else ``answered_by_texts`` and
        ``not_answered``, where their field ``document`` says so. ``untainted``: all but those that
        stood in the training word for word, if there are any.
    """
    out: dict[str, list[str]] = {}
    for record in given:
        if "document" in record:
            name = "answered_by_texts" if record["document"] else "not_answered"
            out.setdefault(record.get("group", name), []).append(record["id"])
    clean = [record["id"] for record in given if not record.get("tainted")]
    if 0 < len(clean) < len(given):
        out["untainted"] = clean
    return out


def summarise_answers(given: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of questions that were asked.

    Args:
        given: as ``answers`` gives them.

    Returns:
        ``n``; each of ``MEASURES`` (a share) with its interval (``accuracy_interval``; Wilson,
        95 %); ``majority``: the share that always picking the most frequent place would reach;
        ``picks``: by measure, how often each place was picked; ``by_group``: the same for the
        groups of ``groups``; ``answers``: the records.
    """
    return {**_by_group(given, _shares), "answers": given}


def _shares(given: list[dict[str, Any]]) -> dict[str, Any]:
    n, out = len(given), {"n": len(given)}
    places = Counter(record["answer"] for record in given)
    out["majority"] = max(places.values()) / n
    width = max(len(record["log_likelihoods"]) for record in given)
    out["picks"] = {}
    for measure, field in MEASURES.items():
        right = sum(record[field] == record["answer"] for record in given)
        out[measure] = right / n
        out[f"{measure}_interval"] = list(statistics.wilson(right, n))
        picked = Counter(record[field] for record in given)
        out["picks"][measure] = [picked[place] for place in range(width)]
    return out
