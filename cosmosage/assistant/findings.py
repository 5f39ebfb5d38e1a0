"""What one can ask of an answer: whether it comes back, and where it was read."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from cosmosage.agreement import Agreement, agreement
from cosmosage.assistant.shown import address, markdown, plain
from cosmosage.engines import Writing
from cosmosage.verbatim import Place, Span

NOWHERE = "Nowhere word for word: no part of it that is long enough to tell stands in the corpus."


@dataclass(frozen=True, repr=False)
class Again:
    """Several answers that were drawn to one question, and how far they agree."""

    texts: tuple[str, ...]
    agreement: Agreement
    tokens: int
    """Read and written for all of them."""

    @property
    def shown(self) -> str:
        """As Markdown that does nothing but show it."""
        texts = [
            f"{number}. {' '.join(markdown(text).split()) or '*nothing*'}"
            for number, text in enumerate(self.texts, start=1)
        ]
        return "\n".join(
            [f"**Asked {self.agreement.k} times: {self.agreement}.**", "", *texts]
        )

    def _repr_markdown_(self) -> str:
        """For a notebook's cell."""
        return self.shown

    def __repr__(self) -> str:
        return str(self)  # a terminal and a list show it so; fields would be pages

    def __str__(self) -> str:
        """For a terminal."""
        return "\n".join(
            [
                f"Asked {self.agreement.k} times: {self.agreement}.",
                *(
                    f"{n}. {plain(text).strip()}"
                    for n, text in enumerate(self.texts, 1)
                ),
            ]
        )


class Drawing:
    """Answers that are being drawn to one question."""

    def __init__(self, question: str):
        """Begun by ``Assistant.draw``."""
        self.question = question
        self.writings: list[Writing] = []

    def close(self) -> None:
        """Stop the model, from any thread; what it wrote until then is what there is."""
        for writing in self.writings:
            writing.close()

    def whole(self) -> Again:
        """The answers, once all are written.

        Raises:
            RuntimeError: the model failed while it wrote.
        """
        with closing(self):
            texts = tuple("".join(writing) for writing in self.writings)
        tokens = sum(writing.read + writing.written for writing in self.writings)
        return Again(texts, agreement(self.question, texts), tokens)


@dataclass(frozen=True, repr=False)
class Where:
    """The parts of a text that stand word for word in the corpus, and where."""

    text: str
    spans: tuple[Span, ...]

    def listed(self, linked: Callable[[Place, str], str]) -> str:
        """As Markdown.

        Args:
            linked: gives a link to a place by the place and its title, which is Markdown.
        """
        if not self.spans:
            return f"*{NOWHERE}*"
        shown = []
        for span in self.spans:
            places = [
                linked(place, markdown(place.title or place.document))
                for place in span.places
            ]
            times = "once" if span.count == 1 else f"{span.count} times"
            said = " ".join(markdown(self.text[span.start : span.end]).split())
            shown.append(
                f"- “{said}” stands {times} in the corpus: {', '.join(places)}"
            )
        return "\n".join(shown)

    def _repr_markdown_(self) -> str:
        """For a notebook's cell; places link to where they were published."""
        return self.listed(_published)

    def __repr__(self) -> str:
        return str(self)  # a terminal and a list show it so; fields would be pages

    def __str__(self) -> str:
        """For a terminal."""
        if not self.spans:
            return NOWHERE
        lines = []
        for span in self.spans:
            lines.append(f"“{plain(self.text[span.start : span.end])}” ({span.count}):")
            lines += [
                f"    {plain(place.title or place.document)}" for place in span.places
            ]
        return "\n".join(lines)


def _published(place: Place, title: str) -> str:
    to = address(place.url)
    return f"[{title}]({to})" if to else title
