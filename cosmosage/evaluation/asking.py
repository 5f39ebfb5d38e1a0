"""Answers that a model writes: how many are right, and whether it knows which.

Each question is asked once for the likeliest answer, and several times more with chance in it: what
comes back in other words is held for known, what comes back as something else for made up. Whether
that holds for a model is measured, and said as it comes out. Where the gold answer has a number,
that decides what is right (``written.numeric``), and else words do (``agreement.same_meaning``);
this takes some right answers for wrong, and a right number in a wrong sentence for right. A judge
(``judge``) may be asked instead.
"""

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cosmosage import models as rooms_models
from cosmosage.agreement import abstains, agreement, same_meaning
from cosmosage.assistant.reading import NOT_FOUND
from cosmosage.documents import alone, finish, finished, fingerprint, read_jsonl
from cosmosage.documents import write_json, write_jsonl
from cosmosage.evaluation import passages, statistics
from cosmosage.evaluation.choices import cloze
from cosmosage.evaluation.confidence import auroc, judged, reliability, risk_coverage
from cosmosage.evaluation.drawing import Drawn, draw
from cosmosage.evaluation.judge import Judge, corrected
from cosmosage.evaluation.passages import looked_up, read_before, with_retrieval
from cosmosage.evaluation.questions import named, question_records, read_questions
from cosmosage.evaluation.questions import told_by
from cosmosage.evaluation.saves import in_chunks
from cosmosage.evaluation.written import numeric, score

TEMPERATURE = 0.7
"""Of the answers with chance in them: enough to let a model that guesses guess otherwise."""
SHORT = "Answer in a few words, or with a number and its unit."
"""Stands before the question. Of ten ways to ask (as a chat or plainly, with examples or without,
the answer begun or not) this one brought the base model of 135 million weights to most right
answers: 14 of 49, with excerpts of the corpus before each question; the others to 9 to 13."""
_AT_ONCE = 16  # questions that are answered together
_FORMAT = (
    4  # raise it when a line's fields change, or what is right: it is then asked anew
)


def ask(
    models: Mapping[str, str | Path],
    questions: Path | Sequence[Path],
    out: Path,
    index: Path | None = None,
    samples: int = 10,
    max_new_tokens: int = 24,
) -> dict[str, dict[str, Any]]:
    """Ask every model every question, once plainly and ``samples`` times with chance.

    Nothing but the question is told, after its passages: no template of the model's, no examples.
    An answer is a line.

    ``out/<model>.asked.jsonl`` holds a line a question: ``id``, ``question``, ``gold`` (null where
    there is no answer), ``answer``, ``right``, ``exact``, ``overlap``, ``numeric`` (see
    ``written.score``), ``abstained``, ``samples``, and of these ``agreement`` and
    ``agreed_right``, whether what most say is right; ``sources``, the documents of the passages.
    After a kill the work goes on from the last answers.

    Args:
        models: folders or hub names by the name to give them.
        questions: a file or several, as ``read_questions`` reads: open ones with ``gold``,
            multiple choice, whose right choice is then the gold answer, or with ``unanswerable``
            true.
        out: the folder for the answers; made if missing.
        index: that ``retrieval.build`` wrote: every model is then also asked with what of it
            speaks to each (see ``passages``), as "<model> with retrieval"; where nothing does,
            the answer says so.
        samples: answers with chance in them; 0: none.
        max_new_tokens: an answer's length at most.

    Returns:
        By model ``summarise_asked``, and what ``confidence.judged`` says of all of them.

    Raises:
        FileNotFoundError: a model or the file is missing.
        ValueError: no questions, or one that is too long for a model.
        BlockingIOError: another process is asking into ``out``.
    """
    files = [questions] if isinstance(questions, (str, Path)) else list(questions)
    asked = question_records(
        record for file in files for record in read_questions(file)
    )
    ways = {name: (path, asked, ()) for name, path in models.items()}
    if index is not None:
        looked = looked_up(asked, index)
        shelf = passages.FORMAT, index / "done.json"
        ways |= {with_retrieval(n): (path, looked, shelf) for n, path in models.items()}
    with alone(out):
        return _asked(ways, files, out, samples, max_new_tokens)


def _asked(
    ways: Mapping[str, tuple[str | Path, list[dict[str, Any]], tuple]],
    files: Sequence[Path],
    out: Path,
    samples: int,
    max_new_tokens: int,
) -> dict[str, dict[str, Any]]:
    """The figures of each way to ask: a model, the questions and what they are looked up in."""
    figures = {}
    for name, (path, records, shelf) in ways.items():
        file, mark = out / f"{name}.asked.jsonl", out / f".{name}.asked.done.json"
        key = fingerprint(
            *(_FORMAT, str(path), rooms_models.portrait(path), *map(told_by, files)),
            *(*shelf, samples, max_new_tokens, TEMPERATURE),
        )
        if not finished(mark, key) or not file.is_file():
            save = out / f".{name}.asked.jsonl"
            loaded = rooms_models.load(path)
            given = in_chunks(
                save,
                key,
                sorted(records, key=lambda record: len(_prompt(record))),
                lambda some, by=loaded: _answers(*by, some, samples, max_new_tokens),
                lambda _: 1 / _AT_ONCE,
            )
            del loaded
            gc.collect()  # before the next model takes its room
            lines = {line["id"]: line for line in given}
            write_jsonl(file, (lines[record["id"]] for record in records))
            finish(mark, key, {"questions": len(given)})
            save.unlink()
        figures[name] = summarise_asked(list(read_jsonl(file)))
    return judged(figures)


def _prompt(record: dict[str, Any]) -> str:
    """A question as a model reads it, with its passages if it has some."""
    return f"{read_before(record)}{SHORT}\n\n{cloze(record['question'])}"


def _answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[dict[str, Any]],
    samples: int,
    max_new_tokens: int,
) -> list[dict[str, Any]]:
    """What a model writes to some questions; to one without passages, where some are sought, it
    is not asked for anything."""
    put = [record for record in asked if record.get("passages") != []]
    drawn = draw(
        *(model, tokenizer, list(map(_prompt, put))),
        # of the question, so that its answers are the same whatever is asked beside it
        [int(fingerprint(record["id"])[:8], 16) for record in put],
        samples=samples,
        max_new_tokens=max_new_tokens,
        temperature=TEMPERATURE,
    )
    given = dict(zip((record["id"] for record in put), drawn))
    nothing = Drawn(NOT_FOUND, [NOT_FOUND] * samples)
    return [judged_line(each, *given.get(each["id"], nothing)) for each in asked]


def judged_line(
    record: dict[str, Any], answer: str, several: list[str]
) -> dict[str, Any]:
    """A question's line in the file of answers: what was answered, and how right that is.

    Args:
        record: the question.
        answer: the plain one.
        several: those with chance in them.
    """
    gold = gold_of(record)
    line = {
        **named(record),
        "question": record["question"],
        "gold": gold,
        "answer": answer,
        "right": _right(record["question"], gold, answer),
        "abstained": abstains(answer),
        **(score(record["question"], gold, answer) if gold else {}),
        "samples": several,
    }
    if several:
        agreed = agreement(record["question"], several)
        line["agreement"] = agreed.share
        most = several[agreed.largest[0] if agreed.largest else 0]
        line["agreed_right"] = _right(record["question"], gold, most)
    return line


def gold_of(record: dict[str, Any]) -> str | None:
    """The right answer to a question in words; None where there is none."""
    if record.get("unanswerable"):
        return None
    return record["gold"] if "gold" in record else record["choices"][record["answer"]]


def _right(question: str, gold: str | None, answer: str) -> bool:
    """By the number, where there is one; where there is no answer, to give none is right."""
    if gold is None:
        return abstains(answer)
    number = numeric(question, gold, answer)
    return same_meaning(question, gold, answer) if number is None else number


def summarise_asked(given: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of answers that were written.

    Returns:
        Of questions that have an answer ``n``, ``right`` (a share) with ``right_interval``
        (Wilson, 95 %), ``overlap`` and ``overlap_interval`` (mean F1; Student), ``exact``
        ([count, n]), ``numeric`` and ``words`` ([right, n] of those whose answer is a number, or
        is not), ``abstained`` ([count, n]): all of the plain answer; of those
        without, ``unanswerable``: [abstained, n]; with samples ``agreement`` (mean) and, of the
        answer that most of them agree on, ``answered`` ([count, n]: at least one sample said
        something), ``agreed_right`` ([right, answered]), ``auroc`` of agreement against right and
        wrong with ``auroc_interval`` and ``auroc_p`` (see ``confidence.Area``; null where all are
        right, or wrong), ``risk_coverage`` and ``reliability`` (see ``confidence``). Questions to
        which nothing was said are left out of these, for silence that counts as wrong and unsure
        would make any model look as if it knew; the coverage stays a share of all.
    """
    there = [line for line in given if line["gold"] is not None]
    none = [line for line in given if line["gold"] is None]
    out: dict[str, Any] = {
        "n": len(there),
        "unanswerable": [sum(line["abstained"] for line in none), len(none)],
        "abstained": [sum(line["abstained"] for line in there), len(there)],
    }
    if not there:
        return out
    right = sum(line["right"] for line in there)
    numbers = [line["numeric"] for line in there if line["numeric"] is not None]
    words = [line["right"] for line in there if line["numeric"] is None]
    overlaps = [line["overlap"] for line in there]
    out |= {
        "right": right / len(there),
        "right_interval": list(statistics.wilson(right, len(there))),
        "overlap": float(np.mean(overlaps)),
        "overlap_interval": statistics.mean_interval(overlaps),
        "exact": [sum(line["exact"] for line in there), len(there)],
        "numeric": [sum(numbers), len(numbers)],
        "words": [sum(words), len(words)],
    }
    if all("agreement" in line for line in there):
        told = [line for line in there if line["agreement"] > 0]
        sure = [line["agreement"] for line in told]
        truth = [line["agreed_right"] for line in told]
        area = auroc(sure, truth)
        out |= {
            "agreement": float(np.mean([line["agreement"] for line in there])),
            "answered": [len(told), len(there)],
            "agreed_right": [sum(truth), len(told)],
            "auroc": area and area.value,
            "auroc_interval": area and area.interval,
            "auroc_p": area and area.p,
            "risk_coverage": risk_coverage(sure, truth, len(there)),
            "reliability": reliability(sure, truth),
        }
    return out


def judge_asked(
    models: Sequence[str], out: Path, judge: Judge, calibration: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Have a judge grade what ``ask`` wrote, after people's grades have told how it errs.

    Args:
        models: whose ``out/<model>.asked.jsonl`` are graded; questions without an answer are not.
        out: the folder that ``ask`` wrote to; ``judged.json`` is written there.
        judge: to be asked.
        calibration: what ``judge.calibrate`` gave for this judge.

    Returns:
        ``calibration``, and by model ``judge.corrected``.

    Raises:
        FileNotFoundError: a model was not asked.
        ValueError: the judge cannot tell right from wrong, or no question has an answer.
        ConnectionError: the judge does not answer.
    """
    files = {name: out / f"{name}.asked.jsonl" for name in models}
    for name, file in files.items():
        if not file.is_file():
            raise FileNotFoundError(f"there is no {file}; ask {name} first")
    found = {"calibration": calibration}
    for name, file in files.items():
        there = [line for line in read_jsonl(file) if line["gold"] is not None]
        passed = sum(verdict is True for verdict in judge.verdicts(there))
        found[name] = corrected(passed, len(there), calibration)
    write_json(out / "judged.json", found)
    return found
