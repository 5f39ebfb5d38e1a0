"""Claim: multiple choice gives lm-evaluation-harness's verdicts, at a fraction of the time.

    python -m benchmarks.evaluation QUESTIONS [--base DIR]

QUESTIONS is a JSON-lines file (``question``, ``choices``, ``answer``). Where ``lm_eval`` is
installed, its log-likelihoods of the first 40 questions stand beside ours.
"""

import argparse
import importlib
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cosmosage import documents, evaluation, models
from cosmosage.evaluation.choices import MEASURES

CHECKED = 40
"""Questions that lm-eval is asked too: it reads each prompt once for every choice."""


def harness(
    model, tokenizer, questions: list[dict[str, Any]]
) -> list[list[float]] | None:
    """lm-eval's log-likelihood of every choice; None if it is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        return None
    instance = importlib.import_module("lm_eval.api.instance").Instance
    scorer = importlib.import_module("lm_eval.models.huggingface").HFLM(
        pretrained=model, tokenizer=tokenizer, batch_size=4
    )
    requests = [
        instance(
            request_type="loglikelihood",
            doc={},
            arguments=(f"Question: {record['question']}\nAnswer:", f" {choice}"),
            idx=number,
        )
        for record in questions
        for number, choice in enumerate(record["choices"])
    ]
    values = iter(scorer.loglikelihood(requests))
    return [[next(values)[0] for _ in record["choices"]] for record in questions]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("questions", type=Path)
    parser.add_argument("--base", type=Path, default=Path("data/base"))
    given = parser.parse_args()
    questions = list(documents.read_jsonl(given.questions))
    model, tokenizer = models.load(given.base, torch.float32)
    clock, cpu = time.perf_counter(), time.process_time()
    figure = evaluation.multiple_choice(model, tokenizer, questions)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    for name in MEASURES:
        low, high = figure[f"{name}_interval"]
        print(f"{name:22} {figure[name]:.3f} [{low:.3f}, {high:.3f}]")
    print(f"{'majority':22} {figure['majority']:.3f}")
    print(f"{'questions':22} {figure['n']} in {clock:.1f} s")
    print(f"{'per CPU-second':22} {figure['n'] / cpu:.2f}")
    theirs = harness(model, tokenizer, questions[:CHECKED])
    if theirs is None:
        print("lm_eval is not installed: nothing to hold the verdicts against")
        return
    ours = figure["answers"]
    worst, raw, normalised = 0.0, 0, 0
    for record, mine, other in zip(questions, ours, theirs):
        worst = max(worst, np.abs(np.subtract(mine["log_likelihoods"], other)).max())
        raw += int(np.argmax(other)) == mine["picked"]
        lengths = [len(choice) for choice in record["choices"]]
        best = int(np.argmax(np.divide(other, lengths)))
        normalised += best == mine["picked_normalised"]
    print(f"{'verdicts as lm-eval':22} {raw} and {normalised} of {len(theirs)}")
    print(f"{'largest difference':22} {worst:.1e} nats")


if __name__ == "__main__":
    main()
