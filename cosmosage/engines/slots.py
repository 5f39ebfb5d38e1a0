"""Keys and values of several conversations, each in a row of its own, and attention over them.

The rows lie in one tensor a layer, so that a step of all that are written reads a view of it and
nothing is gathered; the price is that rows are swapped when one ends, and that a short row waits
while the longest is attended to. The tensor doubles when a row outgrows it, up to the context.
"""

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    Cache,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.cache_utils import get_layer_types_and_kwargs
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "grouped_queries"
_FIRST = 256
"""Tokens that a row has room for at first: a short question and its answer."""
LEAST = 1024
"""Tokens of an answer with its prompt, below which a context is not chosen by itself: a question
with two passages and an answer of 256 tokens."""
UNSAID = 4096
"""Tokens that a model takes whose configuration does not say."""


class Piece(NamedTuple):
    """A part of a prompt."""

    row: int
    """That it is kept in."""
    start: int
    stop: int
    """From which of the prompt's tokens to before which."""


class _Layer:
    """Keys and values of one layer."""

    def __init__(self) -> None:
        self.kept: list[torch.Tensor] = (
            []
        )  # keys and values: (rows, groups, room, width)

    def put(self, slots: "Slots", new: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        """Keep what a step computed, and give what it may attend to."""
        if not self.kept:
            self.kept = [
                x.new_zeros((slots.rows, x.shape[1], slots.room, x.shape[3]))
                for x in new
            ]
        for kept, x in zip(self.kept, new):
            if not slots.reading:
                kept[slots.places] = x[:, :, 0]
                continue
            parts = x[0].split([stop - start for _, start, stop in slots.reading], 1)
            for (row, start, stop), part in zip(slots.reading, parts):
                kept[row, :, start:stop] = part
        if len(slots.reading) > 1:
            joined = (
                [kept[row : row + 1, :, :stop] for row, _, stop in slots.reading]
                for kept in self.kept
            )
            return [torch.cat(each, 2) for each in joined]
        rows, length = slots.view
        return [kept[rows, :, :length] for kept in self.kept]


class Slots(Cache):
    """A cache of the library's kind whose rows come and go; one thread at a time uses it."""

    def __init__(self, rows: int, layers: int, context: int):
        """Make room for as many conversations.

        Args:
            rows: conversations.
            layers: of the model.
            context: tokens of a conversation at most: no more room is taken, since the plan of
                memory counts with so much.
        """
        super().__init__(layers=[])
        self.rows, self._most = rows, context
        self.room = min(_FIRST, context)
        self.reading: tuple[Piece, ...] = ()
        self.places: tuple = ()
        self.view: tuple[slice, int] = (slice(0), 0)
        self._kept = [_Layer() for _ in range(layers)]

    def read(self, pieces: Sequence[Piece]) -> None:
        """The next step reads pieces of prompts that follow one another in one sequence."""
        self._fit(max(stop for _, _, stop in pieces))
        row, _, stop = pieces[0]
        self.reading, self.view = tuple(pieces), (slice(row, row + 1), stop)

    def write(self, lengths: torch.Tensor, most: int) -> None:
        """The next step writes a token in each of the first rows.

        Args:
            lengths: tokens in them, (rows,).
            most: of the lengths, with the new token.
        """
        self._fit(most)
        rows = torch.arange(len(lengths), device=lengths.device)
        # what a step computes for a row's groups goes to its own place: (rows, groups, width)
        self.places = (rows, slice(None), lengths)
        self.reading, self.view = (), (slice(0, len(lengths)), most)

    def update(self, key_states, value_states, layer_idx, *_args, **_kwargs):
        """As the library wants it: (batch, groups, length, width) in, views of the same out."""
        return tuple(self._kept[layer_idx].put(self, (key_states, value_states)))

    # pylint: disable-next=unused-argument  # the library's name, and all layers are as long
    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens before those of the step, in the first row that is read, for models that ask."""
        return self.reading[0].start if self.reading else self.view[1] - 1

    def copy(self, source: int, target: int, length: int) -> None:
        """Give a row the first tokens of another."""
        for layer in self._kept:
            for kept in layer.kept:
                kept[target, :, :length] = kept[source, :, :length]

    def swap(self, one: int, other: int, lengths: tuple[int, int]) -> None:
        """Exchange two rows that hold so many tokens."""
        for layer in self._kept:
            for kept in layer.kept:
                held = kept[one, :, : lengths[0]].clone()
                kept[one, :, : lengths[1]] = kept[other, :, : lengths[1]]
                kept[other, :, : lengths[0]] = held

    def clear(self) -> None:
        """Forget everything, and the room that it took."""
        self.room = min(_FIRST, self._most)
        for layer in self._kept:
            layer.kept = []

    @property
    def bytes(self) -> int:
        """That are taken now."""
        return sum(kept.nbytes for layer in self._kept for kept in layer.kept)

    def _fit(self, length: int) -> None:
        """Make room for rows of so many tokens, a layer at a time: no more than one is in memory
        twice."""
        room = self.room
        if length <= room:
            return
        while self.room < length:
            self.room *= 2
        self.room = min(self.room, max(self._most, length))
        for layer in self._kept:
            for place, kept in enumerate(layer.kept):
                wider = kept.new_zeros((*kept.shape[:2], self.room, kept.shape[3]))
                wider[:, :, :room] = kept
                layer.kept[place] = wider


def context_of(config: PretrainedConfig) -> int:
    """Tokens of an answer with its prompt, at most, that a model takes here.

    A window that slides hides nothing from a text that is no longer than it is.
    """
    config = config.get_text_config()
    positions = int(getattr(config, "max_position_embeddings", None) or UNSAID)
    if "sliding_attention" in get_layer_types_and_kwargs(config)[0]:
        return min(positions, int(config.sliding_window))
    return positions


def use_slots(model: PreTrainedModel) -> None:
    """Have a model attend over rows of different lengths without copies of their keys.

    Raises:
        ValueError: its attention is none that rows of keys and values suffice for.
    """
    config = model.config.get_text_config()
    kinds = set(get_layer_types_and_kwargs(config)[0]) - {"full_attention"}
    if context_of(config) >= LEAST:
        kinds -= {"sliding_attention"}
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    if rope in (
        "dynamic",
        "longrope",
    ):  # the longest row would turn the others' positions
        kinds.add(f"rope_type {rope}")
    taken = inspect.signature(model.forward).parameters
    if not (
        getattr(model, "_supports_attention_backend")
        and getattr(model, "_supports_sdpa")
        # one that took no notice of either would write other words, and not fail
        and {"position_ids", "logits_to_keep"} <= taken.keys()
    ):
        kinds.add("code of its own")
    if kinds or model.config.is_encoder_decoder:
        raise ValueError(
            f"{model.config.model_type} attends by {', '.join(sorted(kinds)) or 'an encoder'}, "
            "and several answers are written side by side by full attention only; serve it with "
            "vLLM or llama.cpp, and use the engine remote"
        )
    model.set_attn_implementation(NAME)


def _forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **more,
) -> tuple[torch.Tensor, None]:
    """What a model calls: (batch, heads, length, width) in, (batch, length, heads, width) out.

    With one query a row, the heads that share keys take the place of the queries: else torch
    would repeat the keys and values, all of them at every step.
    """
    batch, heads, length, width = query.shape
    if length == 1 and attention_mask is not None and attention_mask.shape[1] == 1:
        out = scaled_dot_product_attention(
            query.view(batch, key.shape[1], -1, width),
            key,
            value,
            attn_mask=attention_mask,
            scale=scaling,
        )
        return out.reshape(batch, 1, heads, -1), None
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, scaling=scaling, **more
    )


AttentionInterface.register(NAME, _forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
