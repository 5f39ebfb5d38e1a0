"""Passages ranked again by meaning, with a small model of sentence embeddings.

``retrieval`` ranks by words; a model such as all-MiniLM-L6-v2 (22 million weights) also sees what
is said in other words. It reads only the few tens of passages that retrieval found, so nothing
has to be embedded beforehand or kept; the price is a pass over all of them for every question, a
second for twenty passages on two cores, and that what no word leads to stays unfound. The gain is
small, so it is optional: of 713 thinned sentences of documents that ``MEANING`` was not chosen on,
the passage was among the first five for .544 where words alone came to .523
(``benchmarks/retrieval.py --model``).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from cosmosage.models import check, device, load_tokenizer
from cosmosage.retrieval import Index, Passage, Source

TOKENS = 512
"""Of a text that are read at most: more than a passage of 1,500 characters has."""
BATCH = 10  # texts at once
LOOKED_AT = 2
"""Passages that are ranked for one that is wanted: for ten, twenty."""
MEANING = 0.5
"""What the cosine between question and passage counts beside the passage's share of the best score
by words: chosen on half of the documents of ``benchmarks/retrieval.py``, where .3 to .8 did alike.
Of places alone (reciprocal rank fusion, SIGIR 2009, p. 758) the first became worse."""


class Reranker:
    """A model of sentence embeddings, open for questions."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        """Put loaded parts together; ``Reranker.load`` loads them."""
        self.model, self.tokenizer = model, tokenizer
        room = getattr(model.config, "max_position_embeddings", TOKENS)
        self._tokens = min(TOKENS, room, tokenizer.model_max_length)

    @classmethod
    def load(cls, name: str | Path) -> "Reranker":
        """A model that transformers' ``AutoModel`` knows and whose tokens' mean is the text's
        vector, as of most sentence-transformers.

        Args:
            name: a folder, or a name on the model hub.

        Raises:
            FileNotFoundError: there is no such model.
            ValueError: its weights are pickled.
        """
        check(name)
        model = AutoModel.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
        return cls(model.eval().to(device()), load_tokenizer(name))

    def vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """The mean over each text's tokens, of length 1: (n_texts, width), on the processor."""
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        out = torch.empty(len(texts), self.model.config.hidden_size)
        for start in range(0, len(texts), BATCH):
            chosen = order[start : start + BATCH]
            read = self.tokenizer(
                [texts[n] for n in chosen],
                padding=True,
                truncation=True,
                max_length=self._tokens,
                return_tensors="pt",
            ).to(self.model.device)
            with torch.inference_mode():
                hidden = self.model(**read).last_hidden_state  # (batch, length, width)
            mask = read["attention_mask"].unsqueeze(-1)
            # of a text without a token the length is 0
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            out[chosen] = torch.nn.functional.normalize(mean, dim=-1).float().cpu()
        return out

    def rerank(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        """Passages in a new order, by words and meaning.

        Args:
            question: as it was searched for.
            passages: what ``Index.search`` gave, 20 to 50 of them.

        Returns:
            All of them; ``score`` is the share of the best score by words, and ``MEANING`` of the
            cosine between the vectors of question and passage.
        """
        if not passages:
            return []
        asked, *there = self.vectors(
            [question, *(passage.text for passage in passages)]
        )
        near = torch.stack(there) @ asked  # (n_passages,)
        best = max(passage.score for passage in passages)
        scored = [
            replace(passage, score=passage.score / best + MEANING * cosine)
            for passage, cosine in zip(passages, near.tolist())
        ]
        return sorted(scored, key=lambda passage: -passage.score)


class Reranked:
    """An index whose passages come in the order of words and meaning; it is asked like one."""

    def __init__(self, index: Index, reranker: Reranker):
        """
        Args:
            index: that finds the passages.
            reranker: that puts them in order.
        """
        self.index, self.reranker = index, reranker

    def __len__(self) -> int:
        """How many passages it holds."""
        return len(self.index)

    def search(self, question: str, k: int = 5) -> list[Passage]:
        """The best ``k`` of ``LOOKED_AT`` times as many; otherwise as ``Index.search``."""
        found = self.index.search(question, LOOKED_AT * k)
        return self.reranker.rerank(question, found)[:k]

    def frequencies(self, looked_up: Sequence[str]) -> dict[str, int]:
        """As ``Index.frequencies``."""
        return self.index.frequencies(looked_up)

    def document(self, name: str) -> Source | None:
        """As ``Index.document``."""
        return self.index.document(name)
