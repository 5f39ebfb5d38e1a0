"""The embedded sample: what is served equals what the readable sources give, and is whole."""

import gzip
import importlib.util
import io
import math
import re
import tarfile
from collections import Counter
from pathlib import Path

import pymupdf
import pytest

from cosmosage import retrieval
from cosmosage.corpus.sides import position, side_at
from cosmosage.documents import read_documents, read_jsonl
from cosmosage.evaluation.questions import read_questions
from cosmosage.quantities import quantities

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample"
SOURCES = SAMPLE / "arxiv" / "sources"
LISTING = list(read_jsonl(SAMPLE / "arxiv" / "listing.jsonl"))
QUESTIONS = list(read_jsonl(SAMPLE / "questions" / "questions.jsonl"))
OPEN = read_questions(SAMPLE / "questions" / "open.jsonl")
NONE = read_questions(SAMPLE / "questions" / "unanswerable.jsonl")
GENERAL = list(read_documents(SAMPLE / "general.jsonl"))
NAMES = [f"{record['id'].replace('/', '_')}v{record['version']}" for record in LISTING]

SPEC = importlib.util.spec_from_file_location("sample_build", SAMPLE / "build.py")
builder = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(builder)


def shape(payload: bytes) -> str:
    """``pdf``, ``tar`` or ``tex``, from the bytes alone."""
    if payload.startswith(b"%PDF-"):
        return "pdf"
    content = gzip.decompress(payload)
    return "tar" if content[257:262] == b"ustar" else "tex"


def files(payload: bytes) -> dict[str, bytes]:
    """The files in a gzipped source."""
    content = gzip.decompress(payload)
    if shape(payload) == "tex":
        return {"": content}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {
            member.name: archive.extractfile(member).read()
            for member in archive.getmembers()
            if member.isfile()
        }


def test_the_committed_sample_is_what_the_builder_makes(tmp_path):
    """Compared unpacked, since zlib's libraries compress differently."""
    kept = tmp_path / "arxiv" / "sources"
    kept.mkdir(parents=True)
    for name in builder.PDF_ONLY:
        (kept / name).write_bytes((SOURCES / name).read_bytes())
    counts = builder.build(SAMPLE, tmp_path)
    assert counts == {
        "papers": len(LISTING),
        "questions": len(QUESTIONS),
        "general": len(GENERAL),
    }
    for name in ("arxiv/listing.jsonl", "questions/questions.jsonl", "general.jsonl"):
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes(), name
    assert sorted(path.name for path in kept.iterdir()) == sorted(NAMES)
    for name in NAMES:
        made, committed = (kept / name).read_bytes(), (SOURCES / name).read_bytes()
        if name in builder.PDF_ONLY:
            assert made == committed, name
        else:
            assert gzip.decompress(made) == gzip.decompress(committed), name


def test_building_twice_gives_the_same_bytes(tmp_path):
    """No time, owner or name of the machine is in what is served."""
    folder = SAMPLE / "papers" / "2600.00016v1"
    assert builder.as_served(folder) == builder.as_served(folder)
    archive = gzip.decompress(builder.as_served(folder))
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        members = opened.getmembers()
    assert [member.name for member in members] == sorted(
        member.name for member in members
    )
    assert {
        (member.mtime, member.uid, member.gid, member.uname) for member in members
    } == {(0, 0, 0, "")}
    (tmp_path / "ms.tex").write_text("text")
    (tmp_path / "ms.log").write_text("left by TeX")
    assert shape(builder.as_served(tmp_path)) == "tex"


def test_the_pdf_is_made_from_its_source():
    """It names the hash of its TeX, and its text is that paper's."""
    for name, main in builder.PDF_ONLY.items():
        payload = builder.as_pdf(SAMPLE / "papers" / name, main, SOURCES / name)
        assert payload == (SOURCES / name).read_bytes()
        with pymupdf.open(stream=payload, filetype="pdf") as paper:
            text = " ".join("".join(page.get_text() for page in paper).split())
        assert "dark-energy equation of state in two parameters" in text
        assert "The line w = −1 is called the phantom divide" in text


def test_listing_and_sources_belong_together():
    """A record a source, at least 24 papers, with every field that is read later."""
    assert sorted(NAMES) == sorted(path.name for path in SOURCES.iterdir())
    assert len(set(NAMES)) == len(NAMES)
    assert len({record["id"] for record in LISTING}) >= 24
    assert LISTING == sorted(
        LISTING, key=lambda record: (record["id"], record["version"])
    )
    for record in LISTING:
        assert re.fullmatch(
            r"2600\.\d{5}|[a-z-]+/\d{2}00\d{3}", record["id"]
        ), "month 00"
        assert record["title"] and record["abstract"] and record["authors"]
        assert record["categories"][0].startswith("astro-ph")
        assert re.fullmatch(r"202[56]-\d\d-\d\dT00:00:00Z", record["published"])
        assert record["published"] <= record["updated"]
        assert record["licence"].startswith("http")
    assert (
        max(Counter(record["id"] for record in LISTING).values()) == 2
    ), "one has versions"


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_whole(name):
    """Its braces match and every file that it asks for is there."""
    payload = (SOURCES / name).read_bytes()
    if shape(payload) == "pdf":
        assert payload.rstrip().endswith(b"%%EOF")
        return
    parts = files(payload)
    texts = {path: content.decode("latin-1") for path, content in parts.items()}
    if "%auto-ignore" in texts.get("", ""):
        assert "withdrawn" in texts[""]
        return
    main = [text for text in texts.values() if "\\documentclass" in text]
    assert len(main) == 1 and "\\end{document}" in main[0]
    for text in texts.values():
        bare = re.sub(r"(?<!\\)%.*|\\[{}%\\]", "", text)
        assert bare.count("{") == bare.count("}")
        for wanted in re.findall(r"\\(?:input|include)\{([^}]+)\}", bare):
            assert wanted in texts or f"{wanted}.tex" in texts


def test_the_sample_has_the_shapes_that_arxiv_serves():
    """Several files, one file, PDF, withdrawn; four classes; one Latin-1; an old id."""
    payloads = {name: (SOURCES / name).read_bytes() for name in NAMES}
    shapes = Counter(shape(payload) for payload in payloads.values())
    assert shapes["pdf"] == 1 and shapes["tar"] >= 6 and shapes["tex"] >= 8
    contents = [
        content
        for payload in payloads.values()
        if shape(payload) != "pdf"
        for content in files(payload).values()
    ]
    assert sum(b"%auto-ignore" in content for content in contents) == 1
    for kind in (b"article}", b"aastex631}", b"mnras}", b"revtex4-2}"):
        assert sum(kind in content for content in contents) >= 3, kind
    broken = 0
    for content in contents:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            broken += 1
    assert broken >= 1, "one file is Latin-1"
    assert any("/" in record["id"] for record in LISTING)


def test_one_paper_nearly_repeats_another():
    """The corpus's near-duplicate step has something to find: 3-gram Jaccard above 0.7."""

    def grams(name: str) -> set[tuple[str, ...]]:
        parts = files((SOURCES / name).read_bytes())
        words = re.findall(
            r"[a-z]+", " ".join(p.decode() for p in parts.values()).lower()
        )
        return set(zip(words, words[1:], words[2:]))

    first, second = grams("2600.00016v1"), grams("2600.00026v1")
    assert 0.7 < len(first & second) / len(first | second) < 0.95


def test_the_questions_are_answered_by_documents_that_exist():
    """146 with a document and 40 without, each with four different choices."""
    assert len(QUESTIONS) == 186
    assert len({question["id"] for question in QUESTIONS}) == 186
    assert len({question["question"] for question in QUESTIONS}) == 186
    papers = {f"arxiv:{record['id']}v{record['version']}" for record in LISTING}
    answered = [question for question in QUESTIONS if question["document"] is not None]
    assert len(answered) == 146
    for question in QUESTIONS:
        assert len(set(question["choices"])) == 4, question["id"]
        assert question["answer"] in range(4), question["id"]
        assert question["subject"], question["id"]
        document = question["document"]
        if document is not None and not document.startswith("book:"):
            assert document in papers, question["id"]
    books = {
        q["document"].split("#")[0]
        for q in answered
        if q["document"].startswith("book:")
    }
    assert len(books) == 1


def withheld(question: dict) -> bool:
    """Whether the sample's split keeps the document of a question from training."""
    return side_at(position(question["document"]), 0.4) != "train"


def test_as_many_questions_ask_what_was_read_as_what_was_withheld():
    """73 and 73 of the choices, 30 and 30 of the open ones, all on documents that are kept."""
    answered = [question for question in QUESTIONS if question["document"] is not None]
    assert Counter(map(withheld, answered)) == {True: 73, False: 73}
    assert Counter(map(withheld, OPEN)) == {True: 30, False: 30}
    for question in [*answered, *OPEN]:
        name = question["document"]
        # near duplicate of 2600.00016, withdrawn, older version
        assert not re.match(r"arxiv:2600\.(00026|00027|00005v1)", name), question["id"]


def test_the_right_answer_cannot_be_guessed_from_its_place_or_length():
    """Places are balanced, and the longest choice is right no more often than by chance."""
    places = Counter(question["answer"] for question in QUESTIONS)
    assert (
        sum((places[place] - 46.5) ** 2 / 46.5 for place in range(4)) < 7.8
    )  # chi2, 3 d.o.f., 5 %
    for groups in (
        QUESTIONS,
        [question for question in QUESTIONS if question["document"] is not None],
        [question for question in QUESTIONS if question["document"] is None],
    ):
        for extreme in (max, min):
            hits = 0.0  # a tie of n choices that holds the right one counts as 1/n
            for question in groups:
                lengths = [len(choice) for choice in question["choices"]]
                best = extreme(lengths)
                if lengths[question["answer"]] == best:
                    hits += 1 / lengths.count(best)
            spread = math.sqrt(len(groups) * 0.25 * 0.75)
            assert (hits - len(groups) / 4) / spread < 2.5, (
                extreme.__name__,
                len(groups),
            )


def source(document: str) -> str:
    """The TeX of a paper or a chapter of the book."""
    place, _, name = document.partition(":")
    if place == "book":
        paths = [*SAMPLE.glob(f"book/source/0{name.split('#')[1]}_*.tex")]
    else:
        paths = [*(SAMPLE / "papers" / name.replace("/", "_")).rglob("*.tex")]
    assert paths, document
    return " ".join(path.read_text("latin-1") for path in paths)


def test_the_open_answers_are_short_and_stand_in_their_documents():
    """60, at most four a document, at least 40 in numbers; the question does not give them."""
    assert len(OPEN) == len({question["question"] for question in OPEN}) == 60
    assert max(Counter(question["document"] for question in OPEN).values()) <= 4
    assert sum(next(quantities(q["gold"]), None) is not None for q in OPEN) >= 40
    for question in OPEN:
        gold, text = question["gold"], source(question["document"])
        if number := re.match(r"-?\d[\d.]*", gold):
            assert re.search(
                rf"(?<![\d.]){re.escape(number[0])}(?!\.?\d)", text
            ), question["id"]
        else:
            assert len(gold.split()) <= 4, question["id"]
            assert set(retrieval.words(gold)) <= set(retrieval.words(text)), question[
                "id"
            ]
        assert not set(retrieval.words(gold)) <= set(
            retrieval.words(question["question"])
        ), question["id"]


def test_the_unanswerable_questions_are_marked_and_stand_alone():
    """30 in the style of the others, none of which is asked with an answer."""
    assert len(NONE) == len({question["question"] for question in NONE}) == 30
    for question in NONE:
        assert question["unanswerable"] is True, question["id"]
        assert set(question) == {"id", "question", "unanswerable", "subject"}
    asked = [*QUESTIONS, *OPEN, *NONE]
    assert len({question["id"] for question in asked}) == len(asked)
    assert len({question["question"] for question in asked}) == len(asked)


def test_the_general_texts_are_whole_and_free():
    """20 documents by name, each a page of plain prose with a title and a licence."""
    assert len(GENERAL) == 20
    names = [text.id for text in GENERAL]
    assert names == sorted(set(names))
    assert len({text.title for text in GENERAL}) == 20
    for text in GENERAL:
        assert text.id.startswith("general:") and text.source == "general", text.id
        assert text.licence == "http://creativecommons.org/licenses/by/4.0/", text.id
        assert 260 <= len(text.text.split()) <= 340, text.id
        assert 1 <= len(text.text.split("\n\n")) <= 4, text.id
        assert "\n" not in text.text.replace("\n\n", ""), text.id
        assert not re.search(r"[*_#$\\|{}]|  ", text.text), text.id


def test_a_general_text_needs_a_title(tmp_path):
    """One block may be a title or a text; which, nobody can tell."""
    (tmp_path / "poem.txt").write_text("One line\nand another\n")
    with pytest.raises(ValueError, match="poem.txt is one block; put a title"):
        builder.general(tmp_path / "poem.txt")


def test_the_general_texts_share_no_phrase_with_anything():
    """No 8 words in a row stand in two of them, or in one and in a paper or the book."""

    def grams(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"[^\W_]+", text.lower())
        return set(zip(*(words[start:] for start in range(8))))

    science = [*SAMPLE.glob("papers/**/*.tex"), *SAMPLE.glob("book/source/*.tex")]
    seen = set().union(*(grams(path.read_text("latin-1")) for path in science))
    assert len(seen) > 10_000
    for text in GENERAL:
        own = grams(text.text)
        assert not own & seen, text.id
        seen |= own
