"""How large a run is: the sample on a processor, or thousands of papers on one card.

What the two differ in stands side by side, and nothing else in the notebooks does.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """How large a run is: one word at the top of the notebook chooses between two."""

    papers: str
    """A folder below the repository, a file of numbers, or a query to arXiv."""
    books: str
    """A folder of books below the repository."""
    questions: str
    """Multiple-choice questions, JSON lines."""
    open_questions: str
    """Questions with an answer in words, JSON lines."""
    unanswerable: str
    """Questions to which it is right to give no answer, JSON lines."""
    general: str
    """Texts of anything else, on which nothing may be lost, JSON lines."""
    limit: int
    """Papers that a query may list."""
    base: str
    """The model to start from: a folder, or a name on the hub."""
    card: str | None
    """The GPU that is planned for; None: the device at hand."""
    method: str
    embeddings: bool
    """Train the vectors of words, too; a small corpus does not hold most of them."""
    learning_rate: float
    sequence_length: int
    """Tokens a row."""
    chunking: str
    """How documents become rows (``tokens.CHUNKINGS``)."""
    shares: dict[str, tuple[float, float]] | None
    """Of each source the share of the tokens, and how often a text of it is read at most; None:
    every text once."""
    rows_per_step: int
    micro_batch: int
    epochs: float
    """Passes over the corpus."""
    max_tokens: int | None
    """Ends training after so many tokens."""
    trial_tokens: int
    """That each way of chunking is tried with; 0: none is."""
    rate_steps: int
    """Of the test of rates."""
    sweep_trials: int
    """Settings that are tried."""
    sweep_tokens: int
    """That each is tried with."""
    gradient_checkpointing: bool
    snapshots: bool
    """Keep the models on the way, to hold what was learnt against what was lost."""
    held_out: float
    """Share of the documents in validation and test together."""
    biopsies: int
    """Samples of each book whose loss is measured."""
    answer_tokens: int
    """An answer's length at most."""
    delay_s: float = 3.0
    """arXiv's terms: one request every three seconds."""
    licences: str = "study"
    """Papers that may be read at home; "public": that may be handed on, changed."""


SCALES = {
    "sample": Scale(
        papers="sample/arxiv",
        books="sample/book",
        questions="sample/questions/questions.jsonl",
        open_questions="sample/questions/open.jsonl",
        unanswerable="sample/questions/unanswerable.jsonl",
        general="sample/general.jsonl",
        limit=100,
        base="data/base",
        card=None,
        method="full",
        embeddings=False,
        learning_rate=1e-4,
        sequence_length=512,
        chunking="best fit",
        shares={"arxiv": (0.6, 2), "books": (0.4, 2)},
        rows_per_step=4,
        micro_batch=4,
        epochs=2,
        max_tokens=36_000,  # three minutes on two cores
        trial_tokens=6_144,
        rate_steps=30,
        sweep_trials=4,
        sweep_tokens=4_096,
        gradient_checkpointing=False,
        snapshots=True,
        held_out=0.4,  # of some 30 documents, so that 6 are left to judge by
        biopsies=8,
        answer_tokens=80,
    ),
    "full": Scale(
        papers="cat:astro-ph.CO",
        books="books",
        questions="sample/questions/questions.jsonl",
        open_questions="sample/questions/open.jsonl",
        unanswerable="sample/questions/unanswerable.jsonl",
        general="sample/general.jsonl",
        limit=2000,
        base="mistralai/Mistral-7B-v0.1",
        card="RTX A6000",
        method="lora",
        embeddings=False,
        learning_rate=1e-4,
        sequence_length=2048,
        chunking="best fit",
        shares=None,
        rows_per_step=16,
        micro_batch=2,
        epochs=1,
        max_tokens=None,
        trial_tokens=0,
        rate_steps=50,
        sweep_trials=6,
        sweep_tokens=500_000,
        gradient_checkpointing=True,
        snapshots=False,  # 15 GB each
        held_out=0.04,
        biopsies=8,
        answer_tokens=200,
    ),
}
OWN = {"max_tokens": 150_000, "held_out": 0.12, "shares": None}
"""What a sample run changes for a folder of one's own, which holds more text: some ten
minutes' training, a smaller share for judging, and every text once."""
