"""Documents as tokens: which character each begins at, and whether it is to be learnt.

Prose is learnt whole. Of a conversation only the assistant's words are, with the mark that ends
them; the prompt is read. Where they lie is found by rendering the conversation's beginnings with
the model's own template, since no two templates look alike. Contents are tokenised as words also
where they spell one of the template's marks: nobody's text opens or ends a turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
import numpy as np
from transformers import PreTrainedTokenizerBase

from cosmosage import models
from cosmosage.documents import Document


@dataclass(frozen=True)
class Encoded:
    """A document's tokens."""

    ids: np.ndarray
    """(tokens,) int32."""
    characters: np.ndarray
    """(tokens,) int32: where each begins in ``Document.text``; -1 for a template's marks."""
    learnt: np.ndarray
    """(tokens,) bool."""


@dataclass(frozen=True)
class _Piece:
    """Text that is tokenised by itself."""

    text: str
    characters: np.ndarray
    """(characters,): where each stands in the document; -1 where it does not."""
    learnt: np.ndarray
    """(characters,) bool."""
    words: bool
    """Whether it is words also where it spells a special token."""


def encode(document: Document, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """The tokens of a document, with the end-of-text token behind prose.

    Args:
        document: prose or a conversation.
        tokenizer: the model's.

    Raises:
        ValueError: a conversation that the template does not take or show as it is, or in which
            no assistant says a word.
    """
    if document.messages:
        pieces = _pieces(document, tokenizer)
        out = _joined([_tokens(piece, tokenizer) for piece in pieces])
        if not out.learnt.any():
            raise ValueError(
                f"{document.id}: no assistant says a word in this conversation, so there is "
                "nothing to learn; mend it or leave it out"
            )
        return out
    size = len(document.text)
    prose = _Piece(document.text, np.arange(size), np.ones(size, bool), True)
    out = _tokens(prose, tokenizer)
    if not out.ids.size or tokenizer.eos_token_id is None:
        return out
    end = Encoded(np.int32([tokenizer.eos_token_id]), np.int32([-1]), np.array([True]))
    return _joined([out, end])


def _tokens(piece: _Piece, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    found = tokenizer(
        piece.text,
        add_special_tokens=False,
        split_special_tokens=piece.words,
        return_offsets_mapping=True,
        verbose=False,
    )
    ids = np.array(found["input_ids"], np.int32)
    spans = np.array(found["offset_mapping"], np.int64).reshape(-1, 2)
    if not ids.size:
        return Encoded(ids, np.empty(0, np.int32), np.empty(0, bool))
    spans[:, 1] = np.maximum(spans[:, 1], spans[:, 0] + 1)
    first, last = np.minimum(spans.T - [[0], [1]], len(piece.text) - 1)
    characters = piece.characters[first]
    # a token over the border of a template's mark belongs to the words that it ends in
    for number in np.flatnonzero((characters < 0) & (piece.characters[last] >= 0)):
        inside = piece.characters[slice(*spans[number])]
        characters[number] = inside[inside >= 0][0]
    return Encoded(ids, characters.astype(np.int32), piece.learnt[last])


def _joined(parts: Sequence[Encoded]) -> Encoded:
    return Encoded(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("ids", "characters", "learnt")
        )
    )


# --- conversations -------------------------------------------------------------


def _pieces(document: Document, tokenizer: PreTrainedTokenizerBase) -> list[_Piece]:
    """A conversation as its template writes it: one piece, unless a content spells a special
    token; contents then are pieces of their own."""
    contents = [turn["content"].strip() for turn in document.messages]
    marks = _marks(contents)
    text, learnt = _rendered(document, tokenizer, marks)
    out: list[_Piece] = []
    place = start = 0
    for turn, mark, content in zip(document.messages, marks, contents):
        at, size = text.index(mark), len(content)
        nowhere = np.full(at - place, -1)
        out.append(_Piece(text[place:at], nowhere, learnt[place:at], False))
        lead = len(turn["content"]) - len(turn["content"].lstrip())
        there = np.arange(start + lead, start + lead + size)
        out.append(_Piece(content, there, np.full(size, learnt[at]), True))
        place, start = at + len(mark), start + len(turn["content"]) + len("\n\n")
    out.append(
        _Piece(text[place:], np.full(len(text) - place, -1), learnt[place:], False)
    )
    special = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    if any(token in content for content in contents for token in special):
        return out
    one = _Piece(
        "".join(piece.text for piece in out),
        np.concatenate([piece.characters for piece in out]),
        np.concatenate([piece.learnt for piece in out]),
        False,
    )
    turns = [{**turn, "content": turn["content"].strip()} for turn in document.messages]
    if (given := _render(document, tokenizer, turns)) != one.text:
        raise ValueError(
            f"{document.id}: the model's chat template changes what a turn says, so its words "
            f"cannot be found again; it should write {one.text!r:.200}, and writes "
            f"{given!r:.200}"
        )
    return [one]


def _marks(contents: Sequence[str]) -> list[str]:
    """Words that stand for the contents: in none of them, and each in no other."""
    said, stem = "\n".join(contents), "content"
    while stem in said:
        stem += "x"
    return [f"{stem}{number:06}" for number in range(len(contents))]


def _rendered(
    document: Document, tokenizer: PreTrainedTokenizerBase, marks: Sequence[str]
) -> tuple[str, np.ndarray]:
    """A conversation with marks for contents, and of each character whether it is learnt."""
    turns = [{**turn, "content": mark} for turn, mark in zip(document.messages, marks)]
    text = _render(document, tokenizer, turns)
    if [text.count(mark) for mark in marks] != [1] * len(marks):
        raise ValueError(
            f"{document.id}: the model's chat template does not show every turn once "
            f"({', '.join(turn['role'] for turn in turns)})"
        )
    learnt = np.zeros(len(text), bool)
    for number, turn in enumerate(turns):
        if turn["role"] == "assistant" and document.messages[number]["content"].strip():
            asked = _render(document, tokenizer, turns[:number], True)
            answered = _render(document, tokenizer, turns[: number + 1]).rstrip()
            if not text.startswith(answered) or not answered.startswith(asked):
                raise ValueError(
                    f"{document.id}: the model's chat template writes the beginning of a "
                    "conversation otherwise once it goes on, so the assistant's words "
                    "cannot be told from the prompt"
                )
            learnt[len(asked) : len(answered)] = True
    return text, learnt


def _render(
    document: Document,
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[dict[str, str]],
    answering: bool = False,
) -> str:
    try:
        return models.chat_text(tokenizer, list(turns), answering)
    except (jinja2.TemplateError, IndexError) as error:
        raise ValueError(
            f"{document.id}: the model's chat template does not take this conversation "
            f"({', '.join(turn['role'] for turn in turns) or 'empty'}): {error}"
        ) from error
