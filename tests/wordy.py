"""The tiny model made to write words, so that its answers stream one by one.

A streamer waits for a word's end, and random weights may write hundreds of tokens without one.
"""

import re
from pathlib import Path

from transformers import GenerationConfig

from tests.tiny import tiny_model, tiny_tokenizer


def wordy_model(folder: Path, context: int = 1024) -> Path:
    """Save the tiny model with every token forbidden but those that begin a word.

    The end of text is among the forbidden: answers are as long as they may be.
    """
    tiny_model(folder, context=context)
    tokens = tiny_tokenizer().get_vocab().items()
    others = [number for name, number in tokens if not re.match("\u0120[a-z]", name)]
    settings = GenerationConfig.from_pretrained(folder)
    settings.suppress_tokens = sorted(others)
    settings.save_pretrained(folder)
    return folder
