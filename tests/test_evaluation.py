"""The measures against the model's own loss and a naive scorer; the files against kills and
changes."""

import json
import math

import numpy as np
import pytest
import torch
from tiny import tiny_model

from cosmosage import models
from cosmosage.corpus.contamination import overlap_sentence
from cosmosage.evaluation import (
    bits_per_byte,
    compare,
    evaluate,
    losses,
    multiple_choice,
    name_models,
)
from cosmosage.evaluation.__main__ import comparison, main, table
from cosmosage.evaluation.texts import windows

TEXT = (
    "The Hubble constant is 67.4 km/s/Mpc, says Planck; $H_0$ = 73, say the Cepheids. "
)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(name="loaded", scope="module")
def _loaded(folder):
    return models.load(folder, torch.float32)


def questions(n=30):
    """Questions of uneven length, with two to five choices, some of them alike."""
    random = np.random.default_rng(0)
    words = "redshift galaxy dark matter expands hubble energy of the – α 7".split()
    out = []
    for number in range(n):
        texts = [
            " ".join(random.choice(words, random.integers(1, 9)))
            for _ in range(2 + number % 4 + 1)
        ]
        record = {
            "id": f"q{number}",
            "question": texts[0] + "?",
            "choices": texts[1:],
            "answer": int(random.integers(len(texts) - 1)),
            "document": f"arxiv:2401.0000{number}v1" if number % 3 else None,
        }
        if len(record["choices"]) > 1:
            out.append(record)
    return out


def write(path, records):
    """Records as JSON lines; gives the path back."""
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return path


# losses and bits per byte


def own_loss(model, tokenizer, text):
    """The model's own mean loss over ``eos`` and the text, times the tokens."""
    ids = [tokenizer.eos_token_id] + tokenizer(text)["input_ids"]
    ids = torch.tensor([ids])
    with torch.inference_mode():
        return model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)


def test_a_text_costs_what_the_model_itself_says(loaded):
    texts = [TEXT * 3, "α", TEXT[:40], "", "Größe ∑ – 🙂" * 20]
    for text, loss in zip(texts, losses(*loaded, texts, batch_tokens=300)):
        assert loss.bytes == len(text.encode("utf-8"))
        assert loss.tokens == len(loaded[1](text)["input_ids"])
        if text:
            expected = own_loss(*loaded, text)
            assert loss.nll == pytest.approx(expected, rel=1e-5)
            assert loss.bits_per_byte == pytest.approx(
                expected / math.log(2) / len(text.encode()), rel=1e-5
            )
        else:
            assert loss.nll == 0


def test_windows_count_every_token_once_with_the_context_kept(loaded):
    model, tokenizer = loaded
    text, length, overlap = TEXT * 4, 64, 20
    (loss,) = losses(model, tokenizer, [text], length, overlap, batch_tokens=200)
    ids = torch.tensor([tokenizer.eos_token_id] + tokenizer(text)["input_ids"])
    total, done = 0.0, 0
    while done < len(ids) - 1:
        begin = max(0, done - overlap) if done else 0
        end = min(begin + length, len(ids) - 1)
        with torch.inference_mode():
            logs = model(ids[None, begin:end]).logits[0].log_softmax(-1)
        for at in range(done, end):
            total -= logs[at - begin, ids[at + 1]].item()
        done = end
    assert loss.tokens == len(ids) - 1 > 3 * length
    assert loss.nll == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 64, 1001])
@pytest.mark.parametrize("overlap", [0, 1, 7])
def test_windows_cover(n, overlap):
    counted = []
    for begin, first, end in windows(n, 8, overlap):
        assert end - begin <= 8 and begin <= first < end
        assert first - begin == (overlap if first else 0)
        counted += range(first, end)
    assert counted == list(range(n))


def test_a_tokenizer_that_opens_texts_itself_keeps_its_opening(folder):
    model, tokenizer = models.load(folder, torch.float32)
    tokenizer.add_bos_token = True
    tokenizer.update_post_processor()
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    assert ids[0, 0] == tokenizer.bos_token_id
    (loss,) = losses(model, tokenizer, [TEXT])
    with torch.inference_mode():
        expected = model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
    assert loss.nll == pytest.approx(expected, rel=1e-5)


def test_bits_per_byte_by_source_and_cluster(loaded):
    documents = [
        {"id": "arxiv:2401.00001v1", "source": "arxiv", "text": TEXT},
        {"id": "arxiv:2401.00001v2", "source": "arxiv", "text": TEXT + "again"},
        {"id": "arxiv:2401.00002v1", "source": "arxiv", "text": "Dark energy. " * 9},
        {"id": "book:sky#1", "source": "books", "text": "Chapter one, the sky."},
        {"id": "book:sky#2", "source": "books", "text": "Chapter two, the stars."},
    ]
    figure = bits_per_byte(*loaded, documents)
    nll = [own_loss(*loaded, document["text"]) for document in documents]
    size = [len(document["text"]) for document in documents]
    assert figure["bits_per_byte"] == pytest.approx(
        sum(nll) / sum(size) / math.log(2), rel=1e-5
    )
    low, high = figure["bits_per_byte_interval"]
    assert low < figure["bits_per_byte"] < high
    assert (figure["n_documents"], figure["n_clusters"]) == (5, 3)
    books = figure["by_source"]["books"]
    assert books["bits_per_byte"] == pytest.approx(
        sum(nll[3:]) / sum(size[3:]) / math.log(2), rel=1e-5
    )
    assert books["bits_per_byte_interval"] is None and books["n_clusters"] == 1
    assert bits_per_byte(*loaded, documents) == figure  # seeded


@pytest.mark.parametrize(
    "arguments, words",
    [
        (([TEXT], 4096), "takes 1024"),
        (([TEXT], 64, 64), "overlap"),
    ],
)
def test_lengths_that_do_not_fit(loaded, arguments, words):
    with pytest.raises(ValueError, match=words):
        losses(*loaded, *arguments)


# multiple choice


def test_choices_score_as_one_by_one(loaded):
    model, tokenizer = loaded
    asked = questions()
    figure = multiple_choice(model, tokenizer, asked)
    right = normalised = 0
    for record, given in zip(asked, figure["answers"]):
        expected = []
        for choice in record["choices"]:
            before = f"Question: {record['question']}\nAnswer:"
            start = len(tokenizer(before)["input_ids"])
            ids = torch.tensor(tokenizer(f"{before} {choice}")["input_ids"])
            with torch.inference_mode():
                logs = model(ids[None]).logits[0].log_softmax(-1)
            expected.append(
                sum(logs[at - 1, ids[at]].item() for at in range(start, len(ids)))
            )
        assert given["id"] == record["id"]
        assert given["log_likelihoods"] == pytest.approx(expected, abs=1e-4)
        right += int(np.argmax(expected)) == record["answer"]
        per_letter = [e / len(c) for e, c in zip(expected, record["choices"])]
        normalised += int(np.argmax(per_letter)) == record["answer"]
    assert figure["accuracy"] == right / len(asked)
    assert figure["accuracy_normalised"] == normalised / len(asked)
    places = [record["answer"] for record in asked]
    assert figure["majority"] == max(map(places.count, places)) / len(asked)
    for picks in figure["picks"].values():
        assert sum(picks) == figure["n"] == len(asked)


def test_groups_by_whether_a_text_answers(loaded):
    asked = questions(12)
    figure = multiple_choice(*loaded, asked)
    assert {name: group["n"] for name, group in figure["by_group"].items()} == {
        "answered_by_texts": sum(r["document"] is not None for r in asked),
        "not_answered": sum(r["document"] is None for r in asked),
    }
    for record in asked:
        del record["document"]
    assert not multiple_choice(*loaded, asked)["by_group"]


GOOD = {"id": "a", "question": "Why?", "choices": ["yes", "no"], "answer": 0}


@pytest.mark.parametrize(
    "asked, words",
    [
        ([], "empty"),
        ([{**GOOD, "answer": None}], "question a has no answer .*0 to 1"),
        ([{**GOOD, "answer": 2}], "question a has no answer"),
        ([{**GOOD, "answer": "A"}], "question a has no answer"),
        ([{**GOOD, "choices": ["yes"]}], "'choices'"),
        ([{**GOOD, "question": " "}], "no text"),
        ([GOOD, GOOD], "two questions have the id a"),
        ([{**GOOD, "question": "why " * 2000}], "the model takes 1024"),
    ],
)
def test_questions_that_cannot_be_asked(loaded, asked, words):
    with pytest.raises(ValueError, match=words):
        multiple_choice(*loaded, asked)


# evaluate, compare, command


@pytest.fixture(name="files")
def _files(tmp_path):
    texts = [
        {"id": f"arxiv:2401.{n:05}v1", "text": TEXT[n % 20 :] * (1 + n % 4)}
        for n in range(12)
    ]
    return (
        write(tmp_path / "texts.jsonl", texts),
        write(tmp_path / "asked.jsonl", questions()),
        tmp_path / "out",
    )


def test_figures_are_written_and_not_measured_twice(folder, files, monkeypatch):
    figures = evaluate([folder], *files)
    out = files[2]
    record = json.loads((out / "tiny.json").read_text())
    read, asked = record["texts"]["texts"], record["questions"]["asked"]
    for key in ("accuracy", "accuracy_normalised", "accuracy_letters", "majority", "n"):
        assert isinstance(asked[key], (int, float))
    assert figures["tiny"]["questions"]["asked"] == asked
    assert figures["tiny"]["texts"]["texts"] | {"documents": read["documents"]} == read
    assert len(read["documents"]) == read["n_documents"] == 12
    given = (out / "tiny.answers.jsonl").read_text().splitlines()
    assert len(given) == asked["n"]
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock",
        "tiny.answers.jsonl",
        "tiny.json",
    ]
    # a model card beside the weights changes nothing
    (folder / "README.md").write_text("a model")
    monkeypatch.setattr(models, "load", None)
    assert evaluate([folder], *files) == figures
    evaluate([folder], None, files[1], out)
    assert json.loads((out / "tiny.json").read_text()) == record


def test_the_figures_say_how_much_of_the_questions_the_corpus_held(folder, files):
    corpus, asked, out = files
    own = [folder], corpus, asked, out
    assert evaluate(*own)["tiny"]["questions"]["asked"]["overlap"] is None
    held = {"questions": 30, "found": 2, "too_short": 1}
    found = {"asked.jsonl": held | {"documents": {"q1": ["x"], "q2": ["y"]}}}
    corpus.with_name("contamination.json").write_text(json.dumps(found))
    for given in (own, ([folder], None, asked, out)):
        found = evaluate(*given)["tiny"]["questions"]["asked"]["overlap"]
        assert found == held
    said = "2 of 30 questions stood in the corpus and were cut; 1 are too short to be"
    assert overlap_sentence(found).startswith(said)
    assert "nobody looked" in overlap_sentence(None)


def test_only_the_changed_set_is_measured_again(folder, files, monkeypatch):
    corpus, asked, out = files
    before = evaluate([folder], corpus, asked, out)["tiny"]
    write(asked, questions(8))
    monkeypatch.setattr("cosmosage.evaluation.losses", None)
    after = evaluate([folder], corpus, asked, out)["tiny"]
    assert [r["questions"]["asked"]["n"] for r in (before, after)] == [30, 8]
    assert before["texts"] == after["texts"]
    more = {"more": write(asked.with_name("more.jsonl"), questions(12))}
    more = evaluate([folder], None, more, out)["tiny"]["questions"]
    assert list(more) == ["more"] and more["more"]["n"] == 12
    kept = json.loads((out / "tiny.json").read_text("utf-8"))["questions"]
    assert kept == after["questions"] | more
    lines = [json.loads(line) for line in (out / "tiny.answers.jsonl").open()]
    assert [line["set"] for line in lines] == ["asked"] * 8 + ["more"] * 12


def test_a_kill_costs_one_chunk(folder, files, monkeypatch):
    corpus, asked, out = files
    whole = evaluate([folder], corpus, asked, out.with_name("whole"))["tiny"]
    monkeypatch.setattr("cosmosage.evaluation.CHUNK_BYTES", 400)
    monkeypatch.setattr("cosmosage.evaluation.CHUNK_QUESTIONS", 7)
    seen = []

    def stop_at(limit):
        def work(model, tokenizer, given, *rest):
            if len(seen) >= limit:
                raise KeyboardInterrupt
            seen.append(len(given))
            return real(model, tokenizer, given, *rest)

        return work

    real = losses
    monkeypatch.setattr("cosmosage.evaluation.losses", stop_at(2))
    with pytest.raises(KeyboardInterrupt):
        evaluate([folder], corpus, asked, out)
    assert not (out / "tiny.json").exists()
    (save,) = out.glob(".*.jsonl")
    with save.open("a") as file:
        file.write(
            '{"id": "arxiv:2401.000'
        )  # what a kill in the middle of a line leaves
    done = sum(seen)
    assert 0 < done < 12
    monkeypatch.setattr("cosmosage.evaluation.losses", stop_at(99))
    resumed = evaluate([folder], corpus, asked, out)["tiny"]
    assert sum(seen) == 12  # nothing twice
    bits = [each["texts"]["texts"]["bits_per_byte"] for each in (resumed, whole)]
    assert bits[0] == pytest.approx(bits[1], rel=1e-6)
    assert resumed["questions"] == whole["questions"]
    assert not list(out.glob(".*.jsonl"))


def test_names(tmp_path):
    for path in ("one/final", "two/final", "other"):
        (tmp_path / path).mkdir(parents=True)
    paths = [tmp_path / "one/final", tmp_path / "two/final"]
    assert list(name_models(paths)) == ["one-final", "two-final"]
    assert list(name_models([tmp_path / "other", "org/name"])) == ["other", "name"]
    with pytest.raises(ValueError, match="slashes"):
        name_models({"../up": paths[0]})
    with pytest.raises(ValueError, match="twice"):
        name_models([paths[0], str(paths[0])])


def nudged(folder, target, size, seed=3):
    """The model with noise on its weights."""
    model, tokenizer = models.load(folder, torch.float32)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += size * torch.randn(weight.shape, generator=noise)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def test_compare_pairs_what_both_have_read(folder, files, tmp_path):
    corpus, asked, out = files
    worse = nudged(folder, tmp_path / "worse", 0.1)
    figures = evaluate([folder, worse], corpus, asked, out)
    compared = compare(out, "tiny", "worse")
    lines = {(line["measure"], line["group"]): line for line in compared["lines"]}
    assert len(lines) == 1 + 3 * 3
    line = lines["bits_per_byte", "all"]
    bits = [f["texts"]["texts"]["bits_per_byte"] for f in figures.values()]
    change = bits[1] - bits[0]
    assert line["difference"] == pytest.approx(change)
    assert line["interval"][0] < change < line["interval"][1]
    assert line["percent"] == pytest.approx(100 * change / line["base"])
    given = [
        [json.loads(row) for row in (out / f"{name}.answers.jsonl").open()]
        for name in ("tiny", "worse")
    ]
    right = [[row["picked"] == row["answer"] for row in rows] for rows in given]
    line = lines["accuracy", "all"]
    assert line["gained"] == sum(b and not a for a, b in zip(*right))
    assert line["lost"] == sum(a and not b for a, b in zip(*right))
    assert line["difference"] == pytest.approx((line["gained"] - line["lost"]) / 30)
    itself = compare(out, "tiny", "tiny")["lines"]
    assert {line["verdict"] for line in itself} == {"not distinguishable"}
    assert lines["accuracy", "not_answered"]["n"] == 10


def answers_file(right):
    """Answers that are right or wrong as told."""
    return [
        {"id": f"q{n}", "answer": 0, "picked": int(not r)}
        | {"set": "asked", "picked_normalised": 1, "picked_letter": 0}
        for n, r in enumerate(right)
    ]


@pytest.mark.parametrize(
    "gained, lost, verdict",
    [
        (30, 5, "rose"),
        (5, 30, "fell"),
        (20, 12, "not distinguishable"),
        (5, 0, "not distinguishable"),
        (0, 0, "not distinguishable"),
    ],
)
def test_noise_is_no_gain(tmp_path, gained, lost, verdict):
    rest = [True] * 40 + [False] * 60
    first = [False] * gained + [True] * lost + rest
    second = [True] * gained + [False] * lost + rest
    for name, right in (("a", first), ("b", second)):
        record = {
            "model": name,
            "texts": {},
            "questions": {"asked": {"fingerprint": "x", "accuracy": 0.5}},
            "number_format": "float32",
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
        write(tmp_path / f"{name}.answers.jsonl", answers_file(right))
    line = compare(tmp_path, "a", "b")["lines"][0]
    assert line["verdict"] == verdict
    assert line["p"] <= line["p_holm"]


def texts_file(path, name, values):
    """Figures of texts that cost as many nats as told."""
    documents = [
        {"id": f"line {n}", "source": "texts", "nll": value, "tokens": 9, "bytes": 10}
        for n, value in enumerate(values)
    ]
    record = {
        "model": name,
        "questions": {},
        "texts": {"texts": {"documents": documents, "fingerprint": "x"}},
        "number_format": "float32",
    }
    (path / f"{name}.json").write_text(json.dumps(record))


def test_a_small_change_that_all_texts_share_is_seen(tmp_path):
    random = np.random.default_rng(4)
    values = random.uniform(5, 20, 40)
    texts_file(tmp_path, "a", values)
    texts_file(tmp_path, "b", values * 0.97)
    (line,) = compare(tmp_path, "a", "b")["lines"]
    assert line["verdict"] == "fell"
    assert line["percent"] == pytest.approx(-3)
    assert line["percent_interval"] == pytest.approx([-3, -3])
    texts_file(tmp_path, "c", values + random.normal(0, 1, 40))
    (line,) = compare(tmp_path, "a", "c")["lines"]
    assert line["verdict"] == "not distinguishable"


def test_unlike_sets_are_not_compared(folder, files):
    corpus, asked, out = files
    evaluate({"one": folder}, corpus, None, out)
    write(corpus, [{"text": TEXT}])
    evaluate({"two": folder}, corpus, None, out)
    with pytest.raises(ValueError, match="differ in the set texts"):
        compare(out, "one", "two")
    evaluate({"three": folder}, None, asked, out)
    with pytest.raises(ValueError, match="share no measure"):
        compare(out, "two", "three")
    with pytest.raises(FileNotFoundError, match="evaluate four first"):
        compare(out, "two", "four")


def test_the_command_prints_a_table(folder, files, tmp_path, capsys):
    corpus, asked, out = files
    worse = nudged(folder, tmp_path / "worse", 0.1)
    rest = ["--corpus", str(corpus), "--questions", str(asked), "--out", str(out)]
    assert main([f"tiny={folder}", f"worse={worse}", *rest]) == 0
    printed = capsys.readouterr().out
    record = json.loads((out / "worse.json").read_text())
    assert f"{record['texts']['texts']['bits_per_byte']:.3f}" in printed
    assert "worse against tiny" in printed and "not distinguishable" in printed
    assert "30 questions see a difference of" in printed


@pytest.mark.parametrize(
    "change, words",
    [
        ("empty corpus", "set of documents is empty"),
        ("no corpus", "there is no file"),
        ("no answer", "has no answer"),
        ("no tokenizer", "tokenizer_config.json"),
        ("no model", "there is no model"),
        ("long", "the model takes 1024"),
        ("damaged", "line 1"),
        ("nothing", "nothing to measure"),
    ],
)
def test_errors_of_the_command_are_one_sentence(
    folder, files, tmp_path, capsys, change, words
):
    corpus, asked, out = files
    model, extra = folder, ["--corpus", str(corpus), "--questions", str(asked)]
    if change == "empty corpus":
        corpus.write_text("")
    elif change == "no corpus":
        corpus.unlink()
    elif change == "no answer":
        write(asked, [{**GOOD, "answer": None}])
    elif change == "no tokenizer":
        model = tiny_model(tmp_path / "bare")
        (model / "tokenizer_config.json").unlink()
    elif change == "no model":
        model = tmp_path / "absent"
    elif change == "long":
        extra += ["--length", "2000"]
    elif change == "damaged":
        corpus.write_text("{")
    elif change == "nothing":
        extra = []
    assert main([str(model), *extra, "--out", str(out)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in said and "Traceback" not in said


@pytest.mark.parametrize("change, kept", [(1.002, True), (1.03, False), (1.01, None)])
def test_a_loss_is_held_against_a_margin_that_was_set_before(tmp_path, change, kept):
    random = np.random.default_rng(6)
    values = random.uniform(5, 20, 40)
    texts_file(tmp_path, "a", values)
    texts_file(tmp_path, "b", values * random.normal(change, 0.01, 40))
    line, *_ = compare(tmp_path, "a", "b", {"texts": 1.0})["lines"]
    assert line["kept"] is kept
    said = {True: "lost less", False: "lost more", None: "may have lost"}[kept]
    assert f"{said}" in comparison(compare(tmp_path, "a", "b", {"texts": 1.0}))
    with pytest.raises(ValueError, match="general, which was not compared"):
        compare(tmp_path, "a", "b", {"general": 1.0})


PAPER = """# A title

Some words before.

## Abstract

We measure the Hubble constant.

## 1 Introduction

Distances are hard to measure.

### History

And were harder.

## Data and method

Cepheids in 37 galaxies.
"""


def test_a_paper_is_read_by_its_sections(loaded):
    whole, alone = losses(*loaded, [PAPER, "## Introduction\n\nNo paper."])
    assert not alone.sections
    assert list(whole.sections) == ["abstract", "introduction", "methods"]
    assert sum(nats for nats, _ in whole.sections.values()) < whole.nll
    begin = PAPER.index("## Abstract")
    assert sum(size for _, size in whole.sections.values()) == len(PAPER) - begin
    # what stands before the sections, read alone, has the rest of the loss
    head = losses(*loaded, [PAPER[:begin]])[0]
    rest = whole.nll - sum(nats for nats, _ in whole.sections.values())
    assert rest == pytest.approx(head.nll, rel=0.02)
    papers = [
        {"id": f"arxiv:2401.0000{n}v1", "source": "arxiv", "text": PAPER + "!" * n}
        for n in range(3)
    ]
    figure = bits_per_byte(*loaded, papers)
    assert set(figure["by_section"]) == set(whole.sections)
    assert figure["by_section"]["abstract"]["n_documents"] == 3


def test_open_questions_cost_the_bits_of_their_answers(folder, loaded, tmp_path):
    asked = [
        {"id": f"o{n}", "question": f"How old is {n}?", "gold": f"{n} billion years"}
        for n in range(12)
    ]
    file, out = write(tmp_path / "open.jsonl", asked), tmp_path / "out"
    worse = nudged(folder, tmp_path / "worse", 0.1)
    figures = evaluate([folder, worse], None, file, out)
    model, tokenizer = loaded
    nats = size = 0.0
    for record in asked:
        before = f"Question: {record['question']}\nAnswer:"
        start = len(tokenizer(before)["input_ids"])
        ids = torch.tensor(tokenizer(f"{before} {record['gold']}")["input_ids"])
        with torch.inference_mode():
            logs = model(ids[None]).logits[0].log_softmax(-1)
        nats -= sum(logs[at - 1, ids[at]].item() for at in range(start, len(ids)))
        size += len(record["gold"]) + 1
    figure = figures["tiny"]["questions"]["open"]
    assert figure["bits_per_byte"] == pytest.approx(nats / size / math.log(2), rel=1e-5)
    (line,) = compare(out, "tiny", "worse")["lines"]
    assert line["measure"] == "gold_bits_per_byte" and line["n"] == 12
    worse = figures["worse"]["questions"]["open"]["bits_per_byte"]
    assert line["tuned"] == pytest.approx(worse)
    assert table(figures).count("gold") == 1


def test_another_model_of_the_name_takes_no_answers_over(folder, files, tmp_path):
    corpus, asked, out = files
    sets = {"asked": asked, "more": write(asked.with_name("more.jsonl"), questions(6))}
    evaluate({"it": folder}, corpus, sets, out)
    evaluate({"it": nudged(folder, tmp_path / "other", 0.1)}, None, asked, out)
    lines = [json.loads(line) for line in (out / "it.answers.jsonl").open()]
    assert {line["set"] for line in lines} == {"asked"}
