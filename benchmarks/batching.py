"""Claim: eight answers at once come at three times the rate of one after another, or more.

``python -m benchmarks.batching [--model data/base] [--rounds 3]``: some minutes on two cores. The
same engine is asked the same eight questions, one after another and all at once, in turn in one
run, so that a busy neighbour slows both; a round's ratio is of these two, and the median of the
rounds counts. Every question has an owner of its own: nothing of a prompt is reused. Answers have
their full length, the most likely words.

- tokens/s: written, in all, from the first question to the last answer's end; prompts are read in
  that time. Beside it, tokens a second of the processor, which a busy neighbour does not change
  (``--threads 1``: threads that wait for one another spin);
- first of the eighth: seconds until the last question's first token;
- alone: the library's own ``generate``, one answer after another, for comparison.

The prompts are bare questions, questions below three excerpts, as the assistant writes them, and
below five whole passages.
``--profile`` prints instead where a step of eight spends its time.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from cosmosage import models
from cosmosage.engines import Batching, Sampling

QUESTIONS = [
    "What is the Hubble tension?",
    "How do baryon acoustic oscillations measure distances?",
    "Write down the Friedmann equation and name its terms.",
    "What does weak lensing tell us about the growth of structure?",
    "What did Vera Rubin find in the rotation of galaxies?",
    "Why is the cosmic microwave background so uniform?",
    "What are supernovae of type Ia used for?",
    "How old is the universe, and how do we know?",
]
ABOUT = (
    " Answer in a few sentences, for a student of physics; name the most important numbers with "
    "their units, and say what is not known."
)
PASSAGE = (
    "The expansion rate today follows from distances and redshifts of supernovae, calibrated with "
    "Cepheids, and from the angular size of the sound horizon in the microwave background. "
)
KINDS = {"questions": 0, "below three excerpts": 8, "below five passages": 45}
"""Sentences of passages before a question."""


def conversation(number: int, sentences: int) -> list[dict]:
    """One of the questions, below passages that no other has."""
    passages = "".join(f"[{number}.{n}] {PASSAGE}" for n in range(sentences))
    return [{"role": "user", "content": passages + QUESTIONS[number] + ABOUT}]


def rate(
    engine: Batching, sentences: int, length: int, together: bool, owners: Callable
) -> tuple[float, float, float]:
    """Tokens a second of eight answers, tokens a second of the processor, and seconds to the
    eighth's first token."""
    asked = [conversation(number, sentences) for number in range(len(QUESTIONS))]
    start, used, first, written = time.perf_counter(), time.process_time(), 0.0, 0
    if together:
        writings = [engine.write(turns, Sampling(length), owners()) for turns in asked]
        pieces = iter(writings[-1])
        next(pieces)
        first = time.perf_counter() - start
        for each in (pieces, *writings[:-1]):
            for _ in each:
                pass
        written = sum(writing.written for writing in writings)
    else:
        for turns in asked:
            writing = engine.write(turns, Sampling(length), owners())
            pieces = iter(writing)
            next(pieces)
            first = time.perf_counter() - start
            for _ in pieces:
                pass
            written += writing.written
    used = time.process_time() - used
    return written / (time.perf_counter() - start), written / used, first


def alone(folder: Path, sentences: int, length: int) -> float:
    """Tokens a second of the library's own generation, of two answers one after another."""
    model, tokenizer = models.load(folder)
    start, written = time.perf_counter(), 0
    for number in range(2):
        text = models.chat_text(tokenizer, conversation(number, sentences))
        batch = models.encode(tokenizer, [text]).to(model.device)
        size = batch["input_ids"].shape[1]
        out = model.generate(**batch, max_new_tokens=length, do_sample=False)
        written += out.shape[1] - size
    return written / (time.perf_counter() - start)


def profiled(engine: Batching, length: int, owners: Callable) -> None:
    """Where the time of eight answers goes."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        rate(engine, 0, length, True, owners)
    print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=16))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("data/base"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=96, help="of an answer")
    parser.add_argument("--threads", type=int, help="of torch; by default its own")
    parser.add_argument(
        "--kind", choices=KINDS, help="by default all, one after another"
    )
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    names = itertools.count()

    def owners() -> str:
        return f"owner {next(names)}"

    model, tokenizer = models.load(given.model)
    # answers of their full length: else the ways would be compared on different ones
    model.generation_config.suppress_tokens = [tokenizer.eos_token_id]
    with closing(Batching(model, tokenizer, given.model.name)) as engine:
        rate(engine, 0, 8, True, owners)  # warm up
        if given.profile:
            profiled(engine, given.tokens, owners)
            return
        print(
            f"{engine.name}, {str(model.dtype).removeprefix('torch.')}, "
            f"{torch.get_num_threads()} threads, 8 answers of {given.tokens} tokens\n"
            f"{'':22}{'prompt':>7}{'':14}{'one by one':>11}{'at once':>9}{'ratio':>7}  each round"
        )
        for kind in [given.kind] if given.kind else KINDS:
            sentences = KINDS[kind]
            rounds = [
                [
                    rate(engine, sentences, given.tokens, together, owners)
                    for together in (False, True)
                ]
                for _ in range(given.rounds)
            ]
            size = engine.count(conversation(0, sentences))
            for place, what in enumerate(("tokens/s", "tokens/CPU-s", "eighth's, s")):
                one, eight = (
                    [pair[together][place] for pair in rounds] for together in (0, 1)
                )
                ratios = [b / a for a, b in zip(one, eight)]
                print(
                    f"{kind:22}{size:>7}  {what:12}{statistics.median(one):>11.1f}"
                    f"{statistics.median(eight):>9.1f}{statistics.median(ratios):>7.2f}  "
                    f"{', '.join(f'{ratio:.2f}' for ratio in ratios)}",
                    flush=True,
                )
    del model, engine
    print(f"alone, questions: {alone(given.model, 0, given.tokens):.1f} tokens/s")


if __name__ == "__main__":
    main()
