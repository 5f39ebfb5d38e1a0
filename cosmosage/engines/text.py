"""Tokens to text while they come, cut before a stop.

A character may be several tokens and a stop may begin in one piece and end in the next, so the
last few characters are held back until it is certain that they are shown. What was shown adds up
to what the tokenizer makes of all tokens at once.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_PART = "\ufffd"
"""What a tokenizer shows for a part of a character."""


class Stops:
    """Text up to the first of some stops.

    Args:
        stops: texts that end it.
    """

    def __init__(self, stops: Sequence[str]):
        self._stops = stops
        self._held = ""

    def add(self, piece: str) -> tuple[str, bool]:
        """What is certain to be shown after one piece more, and whether a stop was reached."""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self._held = ""
            return text[: min(places)], True
        kept = max((_begun(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], False

    def rest(self) -> str:
        """What was held back, when no more comes."""
        text, self._held = self._held, ""
        return text


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of a text begin a stop that may go on."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0


class Shown:
    """The text of tokens as they come, never half a character of it.

    Tokens are decoded with those that came before the last whole characters, since a tokenizer
    may write a token otherwise where a text begins: work and memory grow with the answer's
    length, not with its square.

    Args:
        tokenizer: of the model.
        stops: texts that end it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str] = ()):
        self._tokenizer = tokenizer
        self._stops = Stops(stops)
        self._tokens: list[int] = []
        self._before = 0  # how many of them are there only for what comes after
        self._given = 0  # characters of all of them that were given on

    def add(self, token: int) -> tuple[str, bool]:
        """What is certain to be shown after one token more, and whether a stop was reached."""
        self._tokens.append(token)
        text = self._text()
        whole = text.rstrip(_PART)
        new, self._given = whole[self._given :], max(self._given, len(whole))
        if new and len(whole) == len(text):
            del self._tokens[: self._before]
            self._before = len(self._tokens)
            self._given = len(self._text())
        return self._stops.add(new)

    def end(self) -> str:
        """What was held back, when no more comes."""
        last, stopped = self._stops.add(self._text()[self._given :])
        return last if stopped else last + self._stops.rest()

    def _text(self) -> str:
        return self._tokenizer.decode(
            self._tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
