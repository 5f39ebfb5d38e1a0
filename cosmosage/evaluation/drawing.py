"""Several answers to each of many prompts: the likeliest one, and some with chance in them.

The answers to one prompt are branches of one sequence. A prompt is read once and kept once,
however many answers it gets; at each step all of its answers gain a token, and a mask lets each
see the prompt and its own words only. That saves what repeated prompts cost, which is nearly all
of it where passages of papers stand before a question and an answer is a few words. The price is
a mask that only models take whose attention is plain: one with a window would look beyond it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from cosmosage.evaluation.texts import context_length
from cosmosage.models import encode


class Drawn(NamedTuple):
    """The answers to one prompt."""

    plain: str
    """The likeliest word each time."""
    samples: list[str]
    """By chance."""


@torch.inference_mode()
def draw(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    samples: int,
    max_new_tokens: int,
    temperature: float,
) -> list[Drawn]:
    """Answer prompts in a line each, once plainly and several times by chance.

    What is drawn for a prompt comes from its own seed: it is the same whatever stands beside it,
    up to the rounding of products of other shapes.

    Args:
        prompts: as the model reads them; best of about one length, for shorter ones are padded.
        seeds: one for each.
        samples: by chance, of each; 0: none.
        max_new_tokens: an answer's length at most, 1 or more.
        temperature: at 1 words are drawn as likely as the model holds them, below it the likely
            ones more often; above 0.

    Returns:
        The answers to each, without what stands behind their first line.

    Raises:
        ValueError: a prompt and an answer are longer than the model's context.
    """
    if not prompts:
        return []
    batch = encode(tokenizer, prompts, "right").to(model.device)
    there = batch["attention_mask"].bool()  # (prompts, longest)
    lengths = there.sum(1)
    room = context_length(model) - max_new_tokens
    if int(lengths.max()) > room:
        raise ValueError(
            f"a question needs {int(lengths.max())} tokens with what stands before it, and the "
            f"model reads {max(room, 0)} beside its answer; shorten it"
        )
    # no mask: what pads stands behind all that counts, and is hidden from the answers
    ends, which = lengths.unique(return_inverse=True)
    cache = DynamicCache()
    last = model(
        input_ids=batch["input_ids"], past_key_values=cache, logits_to_keep=ends - 1
    ).logits[torch.arange(len(prompts)), which]
    rows = 1 + samples
    scores = last.float()[:, None].expand(-1, rows, -1)  # (prompts, rows, vocabulary)
    seen = there[:, None].expand(-1, rows, -1)
    own = torch.eye(rows, dtype=torch.bool, device=model.device)
    own = own.expand(len(prompts), -1, -1)
    chance = _chance(seeds, max_new_tokens, samples).to(model.device)
    writing = _Writing(tokenizer, len(prompts), rows)
    for step in range(max_new_tokens):
        tokens = scores.argmax(-1)  # (prompts, rows)
        tokens[:, 1:] = _drawn(scores[:, 1:] / temperature, chance[:, step])
        if writing.add(tokens) or step + 1 == max_new_tokens:
            break
        seen = torch.cat([seen, own], dim=-1)
        scores = model(
            input_ids=tokens,
            attention_mask=seen[:, None],
            position_ids=(lengths + step)[:, None].expand(-1, rows),
            past_key_values=cache,
        ).logits.float()
    return writing.answers()


def _chance(seeds: Sequence[int], steps: int, samples: int) -> torch.Tensor:
    """Uniform numbers from 0 to 1: (prompts, steps, samples)."""
    drawn = [np.random.default_rng(seed).random((steps, samples)) for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).float()


def _drawn(scores: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """The tokens at these places of the cumulative distribution: (prompts, samples)."""
    up_to = scores.softmax(-1).cumsum(-1)
    # its end is 1 but for rounding
    places = torch.searchsorted(up_to, (chance * up_to[..., -1])[..., None], right=True)
    return places[..., 0].clamp(max=scores.shape[-1] - 1)


class _Writing:
    """What was written so far, and which answers have ended."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompts: int, rows: int):
        self.tokenizer, self.rows = tokenizer, rows
        self.tokens: list[list[int]] = [[] for _ in range(prompts * rows)]
        self.open = set(range(prompts * rows))

    def add(self, tokens: torch.Tensor) -> bool:
        """A token more for each that is open, (prompts, rows); whether all have ended."""
        given = tokens.flatten().tolist()
        for place in tuple(self.open):
            self.tokens[place].append(given[place])
            ended = given[place] == self.tokenizer.eos_token_id
            if ended or "\n" in self._text(place).lstrip():
                self.open.remove(place)
        return not self.open

    def _text(self, place: int) -> str:
        return self.tokenizer.decode(self.tokens[place], skip_special_tokens=True)

    def answers(self) -> list[Drawn]:
        """What was written for each prompt."""
        lines = [
            self._text(place).strip().partition("\n")[0].strip()
            for place in range(len(self.tokens))
        ]
        return [
            Drawn(lines[first], lines[first + 1 : first + self.rows])
            for first in range(0, len(lines), self.rows)
        ]
