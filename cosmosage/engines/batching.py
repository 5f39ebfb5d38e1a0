"""Several answers written side by side in this process, by any causal model of full attention.

A step of the model costs nearly the same for eight answers as for one, since most of it is reading
the weights. So one thread owns the model and steps all answers that are being written together;
whoever comes is read at once and joins them at the next step, whoever ends leaves his place to
the next in the queue. Prompts are read in pieces between the steps, short ones several in one: the
first word of a late question does not wait for the end of an early answer, and no answer halts
for a long prompt.
The price is that an answer that is written with others comes more slowly than alone, and that
its last digits depend on them: sums are made in another order.
"""

import itertools
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage.engines.contract import Engine, EngineError, Sampling, Writing
from cosmosage.engines.drawing import draw
from cosmosage.engines.slots import Piece, Slots, context_of, use_slots
from cosmosage.engines.text import Shown
from cosmosage.models import begun, chat_text

CHUNK = 256
"""Tokens of prompts that are read between two steps of the answers: they take about as long as
five steps on a processor, a halt that a reader does not notice."""
KEYS = 4 * CHUNK
"""Tokens that prompts are looked up in which are read in one step: each is held against those of
all, so that some long ones would take longer together than one after another."""
WORTH = 16
"""Tokens that two prompts must begin with in common before they are copied and not read."""

_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class _Answer:
    """One that is waited for."""

    prompt: list[int]
    sampling: Sampling
    owner: str
    writing: Writing
    shown: Shown
    generator: torch.Generator = field(default_factory=torch.Generator)
    token: int = -1
    """The last that was drawn, which the model has not read yet."""


@dataclass(eq=False)
class _Row:
    """What lies in a row of the cache: tokens and whose they are."""

    tokens: list[int] = field(default_factory=list)
    owner: str = ""
    answer: _Answer | None = None
    """That is read or written there; None: it has ended, and what it left may be reused."""
    used: int = 0
    """When it was taken, in answers since the beginning."""


class Batching(Engine):
    """A loaded model that writes several answers side by side."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        at_once: int = 8,
        context: int | None = None,
        planned: Sequence[tuple[str, str]] = (),
    ):
        """Take over a model; ``open_engine`` loads one.

        Args:
            model: nobody else may run it until the engine is closed.
            tokenizer: the model's.
            name: as /v1/models says it.
            at_once: answers that are written side by side.
            context: tokens of a prompt with its answer; by default as many as the model takes.
            planned: what ``plan`` says.

        Raises:
            ValueError: the model's attention is not of the kind, or the context longer than its.
        """
        use_slots(model)
        settings = model.config.get_text_config()
        most = context_of(settings)
        if context is not None and not 2 <= context <= most:
            raise ValueError(
                f"a context of {context} tokens is asked for, and {name} takes 2 to {most}"
            )
        self.name, self.at_once = name, at_once
        self.context = context or most
        self._model, self._tokenizer, self._planned = model, tokenizer, list(planned)
        # a first call may change the tokenizer's own settings, and later ones only read them
        tokenizer("")
        self._encoding = Lock()
        self._special = [
            token.content
            for token in tokenizer.added_tokens_decoder.values()
            if token.special
        ]
        self._ends = _end_tokens(model, tokenizer)
        self._never = torch.tensor(
            model.generation_config.suppress_tokens or [],
            device=model.device,
            dtype=torch.long,
        )
        # what a template puts before every conversation is no secret of anybody's
        one, other = (self._encoded([{"role": "user", "content": x}]) for x in "aB")
        self._everybodys = one[: _common(one, other)]
        self._slots = Slots(at_once, settings.num_hidden_layers, self.context)
        # the first are written, in the order of the cache; then come those that are read
        self._rows = [_Row() for _ in range(at_once)]
        self._to_read: list[_Answer] = []
        self._first_next = False
        self._written = 0
        self._clock = itertools.count(1)
        self._changed = Condition()
        self._queue: deque[_Answer] = deque()
        self._closed = False
        self._thread = Thread(target=self._work, name=f"engine {name}", daemon=True)
        self._thread.start()

    def count(self, messages: list[dict]) -> int:
        return len(self._encoded(messages))

    def harmless(self, text: str) -> str:
        for token in self._special:
            text = text.replace(token, " ")  # a space: halves must not join
        return text

    def plan(self) -> list[tuple[str, str]]:
        return list(self._planned)

    def write(
        self, messages: list[dict], sampling: Sampling = Sampling(), owner: str = ""
    ) -> Writing:
        prompt = self._encoded(messages)
        self._room(len(prompt), sampling)
        answer = _Answer(
            prompt,
            sampling,
            owner,
            Writing(len(prompt), self._look),
            Shown(self._tokenizer, sampling.stop),
        )
        if sampling.seed is None:
            answer.generator.seed()
        else:
            answer.generator.manual_seed(sampling.seed)
        with self._changed:
            # a process that was forked has this object and not its thread
            if self._closed or not self._thread.is_alive():
                raise EngineError(
                    f"{self.name} is closed, or was opened in another process; open the engine "
                    "again"
                )
            self._queue.append(answer)
            self._changed.notify_all()
        return answer.writing

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _look(self) -> None:
        """A reader has left: the thread sees it, also when it waits."""
        with self._changed:
            self._changed.notify_all()

    def _encoded(self, messages: list[dict]) -> list[int]:
        """A conversation as tokens."""
        with self._encoding:
            text = chat_text(self._tokenizer, messages)
            special = not begun(self._tokenizer, [text])
            return self._tokenizer(text, add_special_tokens=special)["input_ids"]

    # what follows runs in the engine's own thread

    @torch.inference_mode()
    def _work(self) -> None:
        while self._admit():
            try:
                self._drop_left()
                self._read()
                self._step()
            # pylint: disable-next=broad-exception-caught  # readers hear of it, others go on
            except Exception as error:
                _LOG.exception("%s failed while it wrote", self.name)
                told = EngineError(
                    f"{self.name} failed while it wrote ({type(error).__name__}); the log says "
                    "more"
                )
                told.__cause__ = error
                self._forget(told)
        self._forget(EngineError(f"{self.name} was closed while it wrote"))
        self._model = None  # its memory is free, whoever still holds the engine

    def _in_hand(self) -> list[_Answer]:
        """Those that are read or written."""
        written = [row.answer for row in self._rows if row.answer]
        return written + [a for a in self._to_read if a not in written]

    def _admit(self) -> bool:
        """Take answers from the queue, or wait for one; False at the end."""
        with self._changed:
            while not (self._queue or self._written or self._to_read or self._closed):
                self._changed.wait()
            while self._queue and len(self._in_hand()) < self.at_once:
                answer = self._queue.popleft()
                if not answer.writing.ended:
                    self._to_read.append(answer)
            return not self._closed

    def _forget(self, error: EngineError) -> None:
        """End all that is in hand, and at the close also what waits."""
        answers = self._in_hand()
        with self._changed:
            if self._closed:
                answers += self._queue
                self._queue.clear()
        self._rows = [_Row() for _ in range(self.at_once)]
        self._to_read.clear()
        self._written = 0
        self._slots.clear()
        for answer in answers:
            answer.writing.fail(error)

    def _drop_left(self) -> None:
        """Free the rows of those whose readers have left."""
        for place in reversed(range(self._written)):
            answer = self._rows[place].answer
            if answer and answer.writing.ended:
                self._leave(place)
        left = [answer for answer in self._to_read if answer.writing.ended]
        for answer in left:
            self._to_read.remove(answer)
            for row in self._rows:
                if row.answer is answer:
                    row.answer = None

    def _read(self) -> None:
        """Read up to ``CHUNK`` tokens of the prompts, those of several in one step of the model."""
        pieces = self._pieces()
        if not pieces:
            return
        self._slots.read([piece for _, piece in pieces])
        device = self._model.device
        at = [
            torch.arange(start, stop, device=device) for _, (_, start, stop) in pieces
        ]
        # a token sees those before it in its own prompt
        seen = torch.block_diag(
            *(
                torch.arange(piece.stop, device=device) <= places[:, None]
                for (_, piece), places in zip(pieces, at)
            )
        ).bool()
        ends = torch.tensor(list(itertools.accumulate(map(len, at))), device=device) - 1
        tokens = [
            token
            for answer, (_, start, stop) in pieces
            for token in answer.prompt[start:stop]
        ]
        logits = self._forward(
            torch.tensor([tokens], device=device),
            torch.cat(at)[None],
            seen[None, None],
            ends,
        )[0]
        for answer, (row, start, stop) in pieces:
            self._rows[row].tokens += answer.prompt[start:stop]
        whole = [
            n for n, (a, piece) in enumerate(pieces) if piece.stop == len(a.prompt)
        ]
        if not whole:
            return
        answers, first = [pieces[n][0] for n in whole], self._written
        for answer in answers:
            self._to_read.remove(answer)
            self._swap(self._row_of(answer), self._written)
            self._written += 1
        for place in reversed(self._drawn(answers, logits[whole])):
            self._leave(first + place)

    def _pieces(self) -> list[tuple[_Answer, Piece]]:
        """What is read in one step, and for whom.

        The first and the shortest take turns: a short question waits for one piece of those before
        it and not for their end, and no stream of short ones keeps a long one waiting.
        """
        pieces: list[tuple[_Answer, Piece]] = []
        left, keys, self._first_next = CHUNK, 0, not self._first_next
        waiting = list(self._to_read)
        while left and waiting:
            answer = waiting[0]
            if pieces or not self._first_next:
                answer = min(waiting, key=self._unread)
            waiting.remove(answer)
            row = self._row_of(answer)
            if row < 0:
                known, source = self._known(answer)
                soon = (self._shared(o.prompt, o.owner, answer) for o, _ in pieces)
                if max(soon, default=0) - known >= WORTH:
                    continue  # once that is read, its beginning is copied
                row = self._take(answer, known, source)
            start = len(self._rows[row].tokens)
            stop = min(start + left, len(answer.prompt))
            # what fits a piece is not cut in two
            if pieces and (stop < len(answer.prompt) or keys + stop > KEYS):
                break
            pieces.append((answer, Piece(row, start, stop)))
            left, keys = left - (stop - start), keys + stop
        return pieces

    def _unread(self, answer: _Answer) -> int:
        """Tokens of a prompt that are still to be read."""
        row = self._row_of(answer)
        return len(answer.prompt) - (len(self._rows[row].tokens) if row >= 0 else 0)

    def _row_of(self, answer: _Answer) -> int:
        """The place of an answer's row, or -1."""
        return next((p for p, row in enumerate(self._rows) if row.answer is answer), -1)

    def _known(self, answer: _Answer) -> tuple[int, int]:
        """How many of a prompt's first tokens may be copied from a row, and from which."""
        most, source = max(
            (self._shared(row.tokens, row.owner, answer), -p)
            for p, row in enumerate(self._rows)
        )
        # the last token is read in any case, for the scores of the next
        length = min(most, len(answer.prompt) - 1)
        return (length if length >= WORTH else 0), -source

    def _shared(self, tokens: list[int], owner: str, answer: _Answer) -> int:
        """How many of a prompt's first tokens may be copied from somebody's."""
        alike = _common(tokens, answer.prompt)
        if owner == answer.owner:
            return alike
        return min(alike, _common(self._everybodys, answer.prompt))

    def _take(self, answer: _Answer, length: int, source: int) -> int:
        """A row for an answer, with so many of its prompt's first tokens, from another."""
        place, held = source, self._rows[source]
        # what only begins like a conversation leaves it its row
        goes_on = held.owner == answer.owner and len(held.tokens) <= 2 * length
        if held.answer or not goes_on:
            free = [p for p, row in enumerate(self._rows) if not row.answer]
            place = min(free, key=lambda p: self._rows[p].used)
            if length:
                self._slots.copy(source, place, length)
        self._rows[place] = _Row(
            answer.prompt[:length], answer.owner, answer, next(self._clock)
        )
        return place

    def _step(self) -> None:
        """One token more for each that is written."""
        if not self._written:
            return
        rows = self._rows[: self._written]
        answers = [row.answer for row in rows]
        lengths = [len(row.tokens) for row in rows]
        device, most = self._model.device, max(lengths) + 1
        places = torch.tensor(lengths, device=device)
        self._slots.write(places, most)
        seen = torch.arange(most, device=device) <= places[:, None]
        tokens = torch.tensor([[answer.token] for answer in answers], device=device)
        logits = self._forward(tokens, places[:, None], seen[:, None, None])
        for row, answer in zip(rows, answers):
            row.tokens.append(answer.token)
        for place in reversed(self._drawn(answers, logits[:, 0])):
            self._leave(place)

    def _forward(
        self,
        tokens: torch.Tensor,
        places: torch.Tensor,
        seen: torch.Tensor,
        last: torch.Tensor | int = 1,
    ) -> torch.Tensor:
        """The scores after some of some tokens: (rows, number of them, vocabulary).

        Args:
            tokens: (rows, length).
            places: of the tokens in their conversations, (rows or 1, length).
            seen: which of the keys each may look at, (rows, 1, length, keys).
            last: their places in the rows, or how many at the end.
        """
        return self._model(
            input_ids=tokens,
            position_ids=places,
            attention_mask=seen,
            past_key_values=self._slots,
            use_cache=True,
            logits_to_keep=last,
        ).logits

    def _drawn(self, answers: Sequence[_Answer], logits: torch.Tensor) -> list[int]:
        """Draw a token for each, show it, and say which of them have ended."""
        if len(self._never):
            logits[:, self._never] = -torch.inf
        tokens = draw(logits, [(a.sampling, a.generator) for a in answers])
        ended = []
        for place, (answer, token) in enumerate(zip(answers, tokens)):
            answer.token = token
            writing = answer.writing
            writing.written += 1
            text, stopped, finish = "", False, None
            if token not in self._ends:
                text, stopped = answer.shown.add(token)
            if stopped or token in self._ends:
                finish = "stop"
            elif writing.written == answer.sampling.max_tokens:
                finish = "length"
            if finish and not stopped:
                text += answer.shown.end()
            writing.put(text)
            if finish:
                writing.end(finish)
                ended.append(place)
        return ended

    def _leave(self, place: int) -> None:
        """An answer has ended: the last that is written takes its row, so that those stay first."""
        self._rows[place].answer = None
        self._written -= 1
        self._swap(place, self._written)

    def _swap(self, one: int, other: int) -> None:
        if one != other:
            rows = self._rows
            self._slots.swap(
                one, other, (len(rows[one].tokens), len(rows[other].tokens))
            )
            rows[one], rows[other] = rows[other], rows[one]


def _end_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> frozenset[int]:
    """What ends an answer: a model's own settings and its tokenizer may name different ones."""
    told = model.generation_config.eos_token_id
    ends = {told} if isinstance(told, int) else set(told or ())
    return frozenset(ends | {tokenizer.eos_token_id}) - {None}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with in common."""
    pairs = enumerate(zip(one, other))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
