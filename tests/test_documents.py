"""The record and its files: against a real kill, a real full disk, and texts known by hand."""

import gzip
import os
import random
import re
import resource
import signal
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from cosmosage.documents import (
    Document,
    finish,
    finished,
    fingerprint,
    paragraphs,
    passages,
    read_documents,
    read_json,
    read_jsonl,
    whole_file,
    write_json,
    write_jsonl,
    xml_tree,
)


def in_a_child(work) -> int:
    """Run ``work`` in a process of its own, which gets no further than that; its id."""
    if child := os.fork():
        return child
    try:
        work()
    finally:
        os._exit(7)  # pylint: disable=protected-access  # pytest lives in the parent


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "there.txt"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        with whole_file(path) as file:
            file.write("half of")
            file.flush()
            raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_killed_writer_leaves_nothing_under_the_name(tmp_path, name):
    path = tmp_path / name

    def endless():
        draw = random.Random(0)
        write_jsonl(path, iter(lambda: {"text": draw.randbytes(999).hex()}, None))

    child = in_a_child(endless)
    until = time.monotonic() + 20
    while not sum(part.stat().st_size for part in tmp_path.iterdir()):
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert not path.exists()
    assert write_jsonl(path, [{"text": "again"}]) == 1
    assert list(read_jsonl(path)) == [{"text": "again"}]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, name):
    reader, writer = os.pipe()

    def overflow():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then write() itself fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            with whole_file(tmp_path / name) as file:
                file.write(random.Random(0).randbytes(200_000).hex())
        except OSError as error:
            os.write(writer, str(error).encode())

    child = in_a_child(overflow)
    os.close(writer)
    os.waitpid(child, 0)
    assert b"no room on the disk" in os.read(reader, 1000)
    os.close(reader)
    assert not list(tmp_path.iterdir())


def test_equal_contents_give_equal_bytes(tmp_path):
    records = [{"text": f"universe {number}"} for number in range(100)]
    for folder in ("one", "two"):
        write_jsonl(tmp_path / folder / f"{folder}.jsonl.gz", records)
        os.utime(tmp_path / folder)
        time.sleep(1.01 if folder == "one" else 0)  # a gzip header counts in seconds
    one = (tmp_path / "one" / "one.jsonl.gz").read_bytes()
    assert one == (tmp_path / "two" / "two.jsonl.gz").read_bytes()
    assert len(gzip.decompress(one).splitlines()) == 100


def test_a_document_comes_back_as_it_went(tmp_path):
    document = Document(
        id="arxiv:2407.04420v1",
        text="line one\nline two\u2028 with $H_0$, \u03bb, \U0001f30c and \x85",
        source="arxiv",
        title="On \u039bCDM",
        authors=("M. Lema\u00eetre", "E. Hubble"),
        year=1929,
        licence="CC0",
        url="https://example.org",
    )
    assert write_jsonl(tmp_path / "d.jsonl.gz", [document]) == 1
    assert list(read_documents(tmp_path / "d.jsonl.gz")) == [document]
    record = asdict(document) | {"authors": list(document.authors)}
    del record["messages"]  # prose has none
    assert list(read_jsonl(tmp_path / "d.jsonl.gz"))[0] == record


def test_a_conversation_keeps_its_turns_and_is_read_as_text(tmp_path):
    turns = (
        {"role": "user", "content": "What is $H_0$?"},
        {"role": "assistant", "content": "The rate of the expansion today."},
    )
    path = tmp_path / "qa.jsonl"
    write_jsonl(path, [{"id": "qa:1", "source": "qa", "messages": list(turns)}])
    (document,) = read_documents(path)
    assert document.messages == turns
    assert document.text == "What is $H_0$?\n\nThe rate of the expansion today."
    write_jsonl(path, [document])
    assert list(read_documents(path)) == [document]


def test_half_a_surrogate_pair_does_not_stop_the_writing(tmp_path):
    write_jsonl(tmp_path / "d.jsonl", [{"text": "a\ud83db"}])
    assert list(read_jsonl(tmp_path / "d.jsonl")) == [{"text": "a?b"}]


def test_a_record_needs_only_a_text(tmp_path):
    path = tmp_path / "foreign.jsonl"
    path.write_text(
        '{"text": "first", "column": [1]}\n\n{"text": "second", "title": null}\n'
    )
    one, two = read_documents(path)
    assert (one.id, one.text) == ("foreign.jsonl:1", "first")
    assert (two.id, two.title, two.authors) == ("foreign.jsonl:2", "", ())


@pytest.mark.parametrize(
    "line, said",
    [
        ('{"text": "cut}', "line 2: Invalid control character"),
        ("[1, 2]", "line 2: not an object"),
        ('{"id": "x"}', "record 2: field 'text' is missing"),
        ('{"text": 5}', "record 2: field 'text' is 5"),
        ('{"text": "x", "authors": "E. Hubble"}', "record 2: field 'authors'"),
        ('{"text": "x", "authors": 5}', "record 2: field 'authors'"),
        ('{"text": "x", "year": "1929"}', "record 2: field 'year'"),
        ('{"messages": 5}', "record 2: field 'messages' is 5"),
        ('{"messages": "hello"}', "record 2: field 'messages' is 'hello'"),
        ('{"messages": ["hello"]}', "record 2: field 'messages' holds 'hello'"),
        ('{"messages": [{"role": "user"}]}', "a turn has to be an object with"),
        ('{"messages": [{"role": "god", "content": ""}]}', "user or assistant"),
        ('{"messages": []}', "record 2: field 'text' is missing"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, said):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "good"}\n' + line + "\n")
    read = read_documents(path)
    assert next(read).text == "good"
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        next(read)
    assert said in str(caught.value)


def test_a_cut_or_foreign_file_is_named(tmp_path):
    whole = tmp_path / "whole.jsonl.gz"
    draw = random.Random(0)
    write_jsonl(whole, [{"text": draw.randbytes(500).hex()} for _ in range(200)])
    packed = whole.read_bytes()
    damaged = bytearray(packed)
    damaged[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    for name, held in (
        ("cut.jsonl.gz", packed[: len(packed) // 2]),
        ("damaged.jsonl.gz", bytes(damaged)),
        ("plain.jsonl.gz", b'{"text": "not compressed"}\n'),
        ("nested.jsonl", b"[" * 200_000 + b"\n"),
        ("latin.jsonl", '{"text": "Lema\u00eetre"}\n'.encode("latin-1")),
    ):
        (tmp_path / name).write_bytes(held)
        with pytest.raises(ValueError, match=name):
            list(read_jsonl(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        list(read_jsonl(tmp_path / "absent.jsonl"))


@pytest.mark.parametrize(
    "name, pack", [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress)]
)
def test_a_mark_of_the_byte_order_is_no_text(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(b'\xef\xbb\xbf{"text": "a"}\n{"text": "b"}\n'))
    assert [record["text"] for record in read_jsonl(tmp_path / name)] == ["a", "b"]


def test_a_broken_json_file_says_what_to_do(tmp_path):
    write_json(tmp_path / "a.json", {"rate": 70.0})
    assert read_json(tmp_path / "a.json") == {"rate": 70.0}
    (tmp_path / "a.json").write_text('{"rate": ')
    with pytest.raises(ValueError, match="a.json is no JSON file .* delete it"):
        read_json(tmp_path / "a.json")
    with pytest.raises(ValueError):
        write_json(tmp_path / "b.json", {"rate": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_fingerprint_feels_what_a_result_depends_on(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    file.write_text("one")
    (folder / "inner" / "a").write_text("one")
    seen = [fingerprint(file), fingerprint(folder), fingerprint(tmp_path / "absent")]
    before = file.stat()
    file.write_text("two")  # same length, and below the same time
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    seen.append(fingerprint(file))
    (folder / "inner" / "a").write_text("longer")
    seen.append(fingerprint(folder))
    (folder / "inner" / "a").rename(folder / "inner" / "b")
    seen.append(fingerprint(folder))
    (folder / "inner" / "c").touch()
    seen.append(fingerprint(folder))
    assert len(set(seen)) == len(seen)
    os.utime(file, (0, 0))
    copy = tmp_path / "copy"
    copy.write_text("two")
    assert fingerprint(file) == fingerprint(copy) == seen[3]


def test_a_fingerprint_keeps_its_parts_apart():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert re.fullmatch("[0-9a-f]{16}", fingerprint())
    different = [(1, 23), (12, 3), (123,), ("1", "23"), ([1], [23]), ([1, 23],)]
    assert len({fingerprint(*parts) for parts in different}) == len(different)


def test_a_stage_is_finished_for_its_fingerprint_only(tmp_path):
    mark = tmp_path / "stage" / "done.json"
    assert finished(mark, "key") is None
    assert finish(mark, "key", {"rows": 3}) == {"rows": 3}
    assert finished(mark, "key") == {"rows": 3}
    assert finished(mark, "other") is None


DISPLAYED = "$$\n\\begin{aligned}\na &= b\n\n\\\\ c &= d\n\\end{aligned}\n$$"
"""A formula with a blank line in it."""


def test_paragraphs_by_hand():
    listing = "```\nx = 1\n\ny = 2\n```"
    text = f"\n\nOne\nstill one.\n \t\nTwo:\n{DISPLAYED}\nstill two.\n\n\n{listing}\n"
    assert paragraphs(text) == [
        "One\nstill one.",
        f"Two:\n{DISPLAYED}\nstill two.",
        listing,
    ]
    assert paragraphs(" \n\n ") == []


def test_neighbouring_formulas_are_no_displayed_one():
    # a macro's expansion gives $a$$b$; the two dollars in it open nothing
    text = f"Where $a$$b$ holds.\n\n{DISPLAYED}\n\nIt costs $5, \\$6 or $7 now.\n\nEnd."
    assert paragraphs(text) == text.replace("\n\n\\\\", "@").split("\n\n")[:1] + [
        DISPLAYED,
        "It costs $5, \\$6 or $7 now.",
        "End.",
    ]


def random_text(draw: random.Random) -> tuple[str, list[str]]:
    """Prose of many sentences with formulas that look like ends of sentences, and those."""
    formulas, blocks = [], []
    for _ in range(draw.randint(1, 8)):
        sentences = []
        for _ in range(draw.randint(1, 30)):
            words = ["The"] + [
                draw.choice(["rate", "of", "light", "is", "5.3", "e.g. Mpc"])
                for _ in range(draw.randint(1, 12))
            ]
            if draw.random() < 0.5:
                formulas.append(f"$x_{{{len(formulas)}}} = 1. A \\, .\nB$")
                words.insert(draw.randint(1, len(words)), formulas[-1])
            if draw.random() < 0.1:
                words.append(draw.choice(["at $5", "for \\$7", "$a$$b$"]))
            sentences.append(" ".join(words) + draw.choice(".!?"))
        blocks.append(" ".join(sentences))
        if draw.random() < 0.5:
            formulas.append(f"$$ y_{{{len(formulas)}}} = 2. A\n\n + 3. B $$")
            blocks.append(formulas[-1])
    return "\n\n".join(blocks), formulas


@pytest.mark.parametrize("characters", [80, 400, 1500])
def test_passages_cut_no_formula_and_lose_no_word(characters):
    draw = random.Random(characters)
    for _ in range(50):
        text, formulas = random_text(draw)
        parts = passages(text, characters)
        assert " ".join(parts).split() == text.split()
        for formula in formulas:
            assert sum(formula in part for part in parts) == 1
        for part in parts:  # too long only where one sentence or formula is
            if len(part) > characters:
                bare = re.sub(r"\$\$.*?\$\$|\$x.*?B\$", "", part, flags=re.DOTALL)
                assert len(re.findall(r"[.!?] (?=The)", bare)) == 0


WHOLE = [
    "$x_{%} = 1. A \\, .\nB$",
    "$$% = 2. A\n\n + 3. B$$",
    "\\( %. A and 1. B \\)",
    "\\[ %. A\n\n B. C \\]",
    "\\begin{align}\n% &= 1. A\n\n\\\\[2pt] B &= 2. C\n\\end{align}",
    "\\begin{equation*} %. A. \\begin{array}{c} B. \\\\\n\n C. D \\end{array} E \\end{equation*}",
    "$$\n\\begin{cases} % & \\text{if $x. A$ holds} \\\\\n\n 1. B \\end{cases}\n$$",
    "\n```python\n% = 1. A\n\n# costs $5. And\nprint. And\n```\n",
    "\n````\n%. A\n```\n\nB. C\n```\nD. E\n````\n",
    "\n~~~\n%. A\n\nB. C at $5. D\n~~~\n",
]
"""What is never cut: maths in every form and listings, with ends of sentences, blank lines and
lone dollars inside; ``%`` stands for a word that is there once."""


@pytest.mark.parametrize("characters", [60, 300, 1500])
def test_no_form_of_maths_and_no_listing_is_cut(characters):
    draw = random.Random(characters)
    for _ in range(100):
        held, blocks = [], []
        for _ in range(draw.randint(1, 8)):
            sentences = []
            for _ in range(draw.randint(1, 20)):
                words = [
                    "The",
                    *draw.choices(["rate", "of", "5.3", "e.g.", "\\$7"], k=6),
                ]
                if draw.random() < 0.3:
                    held.append(draw.choice(WHOLE).replace("%", f"u{len(held)}"))
                    words.insert(draw.randint(1, len(words)), held[-1])
                sentences.append(" ".join(words) + draw.choice(".!?"))
            blocks.append(draw.choice(" \n").join(sentences))
        text = "\n\n".join(blocks)
        parts = passages(text, characters)
        assert " ".join(parts).split() == text.split()
        for whole in held:
            assert sum(whole.strip() in part for part in parts) == 1, whole


@pytest.mark.parametrize("opened", ["$$", "$ ", "\\(", "\\[", "\\begin{align}", "~~~"])
def test_what_is_opened_and_never_closed_loses_no_word(opened):
    text = f"One {opened} two. " * 3 + "\n\nThree. Four \\] five \\) six.\n\nSeven."
    parts = passages(text, 20)
    assert " ".join(parts).split() == text.split()
    assert parts[-1] == "Seven." or opened in ("$$", "~~~")


def test_short_paragraphs_share_a_passage():
    assert passages("One.\n\nTwo.\n\nThree.", 12) == ["One.\n\nTwo.", "Three."]
    assert passages("One is. Two is. Three is.", 16) == ["One is. Two is.", "Three is."]
    assert not passages("", 10)


def test_whole_file_writes_bytes_where_asked(tmp_path):
    path = Path(tmp_path) / "deep" / "inside" / "a.bin"
    with whole_file(path, "wb") as file:
        file.write(b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("before", ["", "<!--" + "." * 2000 + "-->"])
def test_xml_that_declares_entities_is_not_read(encoding, before):
    """Wherever they stand: ten lines of them may stand for gigabytes of text."""
    head = f'<?xml version="1.0" encoding="{encoding}"?>{before}'
    text = head + "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"
    with pytest.raises(ValueError, match="declares entities"):
        xml_tree(text.encode(encoding))
    assert xml_tree((head + "<!DOCTYPE a><a>ü</a>").encode(encoding)).text == "ü"
