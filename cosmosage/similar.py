"""Which papers are like those that an expert chose.

A linear machine on words and pairs of words: no model to fetch, seconds for a hundred
thousand abstracts, and its reasons can be read off its weights. The price is that it knows
words and not what they mean.
"""

from collections.abc import Sequence
from typing import Any


def scores(
    chosen: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]
) -> list[float]:
    """How like each paper is to the chosen ones.

    Settings are arxiv-sanity-lite's: tf-idf of words and pairs that occur in at least five
    papers and at most every tenth, 20,000 of them, C = 0.01, classes balanced.

    Args:
        chosen: records of a listing, with title and abstract.
        others: records to score.

    Returns:
        For each the signed distance from the separating plane; larger is more alike.
    """
    # pylint: disable=import-outside-toplevel  # a second of import for one function
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    papers = [*chosen, *others]
    texts = [f"{paper['title']}\n{paper['abstract']}" for paper in papers]
    few = len(papers) < 1000  # rarity says little in a small pool
    weigh = TfidfVectorizer(
        sublinear_tf=True,
        strip_accents="unicode",
        stop_words="english",
        token_pattern=r"(?u)\b[a-zA-Z][a-zA-Z0-9-]+\b",
        ngram_range=(1, 2),
        max_features=20_000,
        min_df=1 if few else 5,
        max_df=1.0 if few else 0.1,
    )
    words = weigh.fit_transform(texts)  # (papers, features), sparse
    is_chosen = [place < len(chosen) for place in range(len(papers))]
    machine = LinearSVC(C=0.01, class_weight="balanced", random_state=0)
    machine.fit(words, is_chosen)
    return machine.decision_function(words[len(chosen) :]).tolist()
