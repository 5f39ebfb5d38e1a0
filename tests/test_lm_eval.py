"""Multiple choice against lm-evaluation-harness: the same log-likelihoods, the same verdicts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_model

from cosmosage import models
from cosmosage.evaluation.choices import answers
from cosmosage.evaluation.questions import question_records

QUESTIONS = Path(__file__).parent.parent / "sample/questions/questions.jsonl"
CLOZE = {
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_choice": "{{choices}}",
}
LETTERS = {
    "doc_to_text": "{{question}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\n"
    "D. {{choices[3]}}\nAnswer:",
    "doc_to_choice": ["A", "B", "C", "D"],
}

lm_eval = pytest.importorskip("lm_eval")


@pytest.fixture(name="judged", scope="module")
def _judged(tmp_path_factory):
    """What the harness and we say of 48 questions, by the model of the sample or a tiny one."""
    # the harness takes its time to import, and the other tests do without
    # pylint: disable=import-outside-toplevel
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("harness")
    base = Path(__file__).parent.parent / "data/base"
    if not (base / "done.json").exists():
        base = tiny_model(folder / "tiny")
    model, tokenizer = models.load(base, torch.float32)
    lines = QUESTIONS.read_text("utf-8").splitlines()[20:68]
    file = folder / "questions.jsonl"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    tasks = [
        {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {
                "data_files": {"test": str(file)},
                "cache_dir": str(folder),
            },
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_target": "answer",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
            **form,
        }
        for name, form in (("cloze", CLOZE), ("letters", LETTERS))
    ]
    theirs = lm_eval.simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16),
        tasks=tasks,
        task_manager=TaskManager(include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
        verbosity="ERROR",
    )
    records = question_records(json.loads(line) for line in lines)
    ours = {record["id"]: record for record in answers(model, tokenizer, records)}
    return theirs["samples"], ours


@pytest.mark.parametrize(
    "task, field, picks",
    [
        (
            "cloze",
            "log_likelihoods",
            {"acc": "picked", "acc_norm": "picked_normalised"},
        ),
        ("letters", "letter_log_likelihoods", {"acc": "picked_letter"}),
    ],
)
def test_the_harness_says_the_same(judged, task, field, picks):
    samples, ours = judged
    assert len(samples[task]) == 48
    for sample in samples[task]:
        own = ours[sample["doc"]["id"]]
        theirs = [float(response[0][0]) for response in sample["resps"]]
        assert own[field] == pytest.approx(theirs, abs=1e-4)
        for metric, picked in picks.items():
            right = own[picked] == own["answer"]
            assert sample[metric] == pytest.approx(float(right))
    if task == "cloze":
        assert len({int(np.argmax(o[field])) for o in ours.values()}) > 1
