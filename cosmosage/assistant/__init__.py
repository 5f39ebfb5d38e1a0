"""A question to a streamed answer, with sources that exist.

What is known is printed by code and what is guessed by the model: ids, titles, links and
licences come from the retrieved records, "not in my corpus" is said without asking the model, and
a sentence of an answer that no passage supports is marked. The price of the last is some marks on
sentences that say in other words what a passage says (``support`` has the shares).

Papers are hostile: some carry instructions to machines that read them. Their passages enter
the prompt as quoted lines, without the tokens that a chat template is made of. That a model
heeds the quotation marks cannot be promised; that the list of sources, and what the server
does, don't depend on it, can.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from cosmosage.assistant.findings import Again, Drawing, Where
from cosmosage.assistant.reading import NOT_FOUND, Reading, read_for
from cosmosage.assistant.shown import (
    UNSUPPORTED,
    address,
    cited,
    facts,
    markdown,
    plain,
    source_list,
)
from cosmosage.documents import (
    fingerprint,
    finish,
    finished,
    marked,
    read_jsonl,
    write_jsonl,
)
from cosmosage.engines import Engine, Sampling, Writing, open_engine
from cosmosage.reranking import Reranked
from cosmosage.retrieval import Index, Passage
from cosmosage.support import Sentence, unsupported
from cosmosage.verbatim import Verbatim

BATCH = 8
"""Answers at once, where questions are asked from a notebook."""
AGAIN, WARMTH = 5, 0.7
"""Answers that are drawn when a question is asked again, and the temperature of the draw: at less
they repeat the first, at more a small model loses the thread."""


@dataclass(frozen=True, repr=False)
class Answer:
    """What was asked, what the model wrote, and which passages it was given."""

    question: str
    text: str
    """As the model wrote it: not to be shown as Markdown or HTML before ``markdown``."""
    sources: tuple[Passage, ...] = ()
    """Number 1 first; empty without an index or if nothing was found."""
    unsupported: tuple[Sentence, ...] = ()
    """Sentences that no source supports; known when the answer is whole."""
    finish: str | None = None
    """None while it is written; then "stop", "length" or "cancelled"."""
    read: int = 0
    """Tokens of the prompt."""
    written: int = 0
    """Tokens of the answer."""

    @property
    def shown(self) -> str:
        """As Markdown that does nothing but show it, without the list of sources."""
        ends = [sentence.end for sentence in self.unsupported]
        return markdown(self.text, self.sources, ends)

    def _repr_markdown_(self) -> str:
        """For a notebook's cell; Markdown, since there its formulas are typeset."""
        parts = [self.shown or "*The model wrote nothing.*"]
        if self.sources:
            parts += ["**Sources**", source_list(self.sources)]
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return str(self)  # a terminal and a list show it so; fields would be pages

    def __str__(self) -> str:
        """For a terminal."""
        ends = [sentence.end for sentence in self.unsupported]
        text = marked(self.text, ends, f" [{UNSUPPORTED}]")
        lines = [plain(text).strip() or "(the model wrote nothing)"]
        if self.sources:
            lines += ["", "Sources"]
        for number, source in enumerate(self.sources, start=1):
            lines.append(f"[{number}] {', '.join(facts(source))}")
            if link := address(source.url):
                lines.append(f"    {link}")
        return "\n".join(lines)


class Begun:
    """An answer that was begun: its sources are known, and the model writes."""

    def __init__(self, question: str, reading: Reading, writing: Writing | None):
        """Put together by ``Assistant.begin``; without a writing the corpus holds no answer."""
        self.question, self.reading, self.writing = question, reading, writing
        self._text = ""

    def close(self) -> None:
        """Stop the model; what it wrote until then stays."""
        if self.writing:
            self.writing.close()

    def __iter__(self) -> Iterator[Answer]:
        """The answer while it grows: its sources alone, more and more text, then the whole."""
        yield self._so_far()
        if self.writing:
            with closing(self):
                for piece in self.writing:
                    self._text += piece
                    yield self._so_far()
        yield self.whole()

    async def __aiter__(self) -> AsyncIterator[Answer]:
        """The same in an event loop."""
        yield self._so_far()
        if self.writing:
            with closing(self):
                async for piece in self.writing:
                    self._text += piece
                    yield self._so_far()
        # a long answer's sentences take a tenth of a second, for which others need not wait
        yield await asyncio.to_thread(self.whole)

    def _so_far(self) -> Answer:
        return Answer(self.question, self._text, self.reading.sources)

    def whole(self) -> Answer:
        """The answer as it is now, its sentences held against the passages."""
        if self.writing is None:
            text = self.reading.instead
            return Answer(self.question, text, finish="stop")
        answer = replace(
            self._so_far(),
            finish=self.writing.finish,
            read=self.writing.read,
            written=self.writing.written,
        )
        if not answer.sources:
            return answer
        return replace(
            answer, unsupported=tuple(unsupported(answer.text, self.reading.whole))
        )


class Assistant:
    """An engine and an index of the corpus, open for questions from any number of threads."""

    def __init__(
        self,
        engine: Engine,
        index: Index | Reranked | None = None,
        max_tokens: int = 256,
        verbatim: Verbatim | None = None,
    ):
        """Put opened parts together; ``Assistant.load`` opens them.

        Args:
            engine: that writes the answers.
            index: of the corpus; without one the model answers from memory, without sources.
            max_tokens: an answer's length, where the question does not say.
            verbatim: the corpus for ``where``.
        """
        self.engine, self.index, self.verbatim = engine, index, verbatim
        self.max_tokens = max_tokens

    @classmethod
    def load(
        cls,
        model: Path | str,
        index: Path | None = None,
        max_tokens: int = 256,
        verbatim: Path | None = None,
    ) -> "Assistant":
        """A saved model, with what ``retrieval.build`` and ``verbatim.build`` wrote.

        Raises:
            FileNotFoundError: there is no such model or index.
            ValueError: they are damaged, or the weights are pickled.
        """
        opened = None if index is None else Index.load(index)
        read = None if verbatim is None else Verbatim.load(verbatim)
        engine = open_engine("transformers", model, users=BATCH)
        return cls(engine, opened, max_tokens, read)

    def close(self) -> None:
        """Let the model go."""
        self.engine.close()

    def ask(self, question: str, history: Sequence[dict | Answer] = ()) -> Answer:
        """The whole answer; a notebook's cell shows it with its formulas and sources.

        Args:
            question: at most ``reading.LONGEST`` characters.
            history: earlier answers, or ``{"role": "user" | "assistant", "content": ...}``, oldest
                first.

        Raises:
            ValueError: the question is empty, or too long for the model.
            RuntimeError: the model failed while it wrote.
        """
        *_, answer = self.begin(question, history)
        return answer

    def begin(
        self,
        question: str,
        history: Sequence[dict | Answer] = (),
        sampling: Sampling | None = None,
        owner: str = "",
        sources: bool = True,
    ) -> Begun:
        """Look up a question and have the model begin to write; arguments as of ``ask``, and

        Args:
            sampling: how words are chosen; by default the most likely ones.
            owner: whose question it is; what was computed for one owner serves that one alone.
            sources: look the question up; else the model answers from memory.

        Raises:
            ValueError: as ``ask``; a bad question is refused here and not at the first piece.
        """
        sampling = sampling or Sampling(self.max_tokens)
        index = self.index if sources else None
        told = _told(history)
        reading = read_for(self.engine, index, question, told, sampling.max_tokens)
        if reading.messages is None:
            return Begun(question, reading, None)
        writing = self.engine.write(list(reading.messages), sampling, owner)
        return Begun(question, reading, writing)

    def again(
        self, question: str, history: Sequence[dict | Answer] = (), owner: str = ""
    ) -> Again | None:
        """Draw ``AGAIN`` answers to a question and see how far they agree.

        Agreement is not truth: a model may be wrong the same way each time. Arguments and errors
        are those of ``begin``.

        Returns:
            None where the corpus does not speak to the question, so that nothing is drawn.
        """
        drawing = self.draw(question, history, owner)
        return drawing and drawing.whole()

    def draw(
        self, question: str, history: Sequence[dict | Answer] = (), owner: str = ""
    ) -> Drawing | None:
        """Begin what ``again`` waits for; arguments, errors and None as of ``again``."""
        reading = read_for(
            self.engine, self.index, question, _told(history), self.max_tokens
        )
        if reading.messages is None:
            return None
        drawing = Drawing(question)
        try:
            for seed in range(AGAIN):
                drawn = Sampling(self.max_tokens, temperature=WARMTH, seed=seed)
                said = list(reading.messages)
                drawing.writings.append(self.engine.write(said, drawn, owner))
        except BaseException:
            drawing.close()
            raise
        return drawing

    def where(self, said: str | Answer) -> Where:
        """The longest parts of an answer, or of any text, that stand word for word in the corpus.

        Raises:
            ValueError: the assistant was opened without the corpus.
        """
        if self.verbatim is None:
            raise ValueError(
                "the corpus was not opened for this; build it by verbatim.build and give its folder"
            )
        text = said.text if isinstance(said, Answer) else said
        return Where(text, tuple(self.verbatim.spans(text)))


def _told(history: Sequence[dict | Answer]) -> list[dict]:
    """A conversation as messages."""
    turns: list[dict] = []
    for turn in history:
        if isinstance(turn, Answer):
            turns.append({"role": "user", "content": turn.question})
            turns.append({"role": "assistant", "content": turn.text})
        else:
            turns.append(turn)
    return turns


def ask_all(
    models: dict[str, Path],
    questions: Sequence[str],
    out: Path,
    max_tokens: int = 150,
) -> list[dict]:
    """The same questions to several models side by side, from memory, without sources.

    Args:
        models: folders by the names that they are shown under; one is in memory at a time.
        questions: each is one conversation's first turn.
        out: JSON lines of ``question``, ``model``, ``answer``; with its mark beside it a second
            call reads it and loads nothing.
        max_tokens: an answer's length at most.

    Returns:
        The records, by question and then in the order of ``models``.

    Raises:
        FileNotFoundError: a model is missing.
        ValueError: a question is empty or too long for a model.
    """
    out, mark = Path(out), Path(f"{out}.done.json")
    key = fingerprint(models, list(questions), max_tokens)
    if finished(mark, key) and out.is_file():
        return list(read_jsonl(out))
    answers = {
        name: _answer_all(folder, questions, max_tokens)
        for name, folder in models.items()
    }
    records = [
        {"question": question, "model": name, "answer": answers[name][place]}
        for place, question in enumerate(questions)
        for name in models
    ]
    write_jsonl(out, records)
    finish(mark, key, {"questions": len(questions), "models": len(models)})
    return records


def _answer_all(folder: Path, questions: Sequence[str], max_tokens: int) -> list[str]:
    """One model's answers, written side by side; it leaves the memory with this function."""
    with closing(Assistant.load(folder, None, max_tokens)) as asked:
        begun = [asked.begin(question) for question in questions]
        return ["".join(each.writing or ()).strip() for each in begun]
