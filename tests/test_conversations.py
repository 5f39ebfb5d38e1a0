"""A conversation is its owner's alone, and leaves as text that other programs can read."""

import inspect
import re

import bibtexparser
import mistune
import pytest
from markdown_it import MarkdownIt

from cosmosage.accounts import Accounts, Conversations
from cosmosage.accounts.conversations import CHARACTERS

PASSWORD = "the sky is dark at night"
PAPER = {
    "document": "arxiv:2407.04420v1",
    "number": 3,
    "text": "> a passage",
    "score": 7.5,
    "title": r"Planck 2018: $\Omega_m h^2$ & 100% of {\it it}",
    "authors": ["Aghanim, N.", "Planck Collaboration", "Vera C. Rubin"],
    "year": 2024,
    "licence": "http://creativecommons.org/licenses/by/4.0/",
    "url": "https://arxiv.org/abs/2407.04420v1",
}
OLD = PAPER | {"document": "arxiv:astro-ph/9901001", "title": "Old", "year": 1999}
BOOK = {
    "document": "book:cosmic-perspective#4",
    "number": 0,
    "text": "",
    "title": "Cosmic Perspective: Light",
    "authors": [],
    "year": None,
    "licence": "CC BY 4.0",
    "url": "https://example.org/a{b}c%20d",
}


@pytest.fixture(name="house")
def a_house(tmp_path):
    """Accounts with two users, their conversations, and the clock."""
    clock = [1_800_000_000.0]
    accounts = Accounts(tmp_path / "accounts.sqlite", lambda: clock[0])
    users = []
    for name in ("ada", "eve"):
        accounts.invite(name, "reader")
        users.append(accounts.users()[-1]["id"])
    yield accounts, Conversations(accounts.database), users, clock
    accounts.close()


def test_what_is_said_is_read_back(house):
    _, conversations, (ada, _), clock = house
    key = conversations.new(ada, "Dark\nmatter")
    conversations.add(ada, key, "user", "Why?\0 \ud800 '; DROP TABLE messages; --")
    clock[0] += 5
    conversations.add(ada, key, "assistant", "Because.", [PAPER, BOOK])
    told = conversations.get(ada, key)
    assert (told.title, told.created, told.changed) == (
        "Dark matter",
        clock[0] - 5,
        clock[0],
    )
    question, answer = conversations.messages(ada, key)
    assert question.content == "Why?\0 ? '; DROP TABLE messages; --"
    assert (question.role, question.sources, question.written) == (
        "user",
        [],
        clock[0] - 5,
    )
    assert (answer.role, answer.sources) == ("assistant", [PAPER, BOOK])
    conversations.rename(ada, key, "x" * 300)
    assert conversations.get(ada, key).title == "x" * 200


METHODS = {
    "add": ("user", "mine"),
    "get": (),
    "messages": (),
    "rename": ("mine",),
    "remove": (),
    "as_markdown": (),
    "as_bibtex": (),
}


def test_every_method_is_walked():
    public = {
        name
        for name, _ in inspect.getmembers(Conversations, inspect.isfunction)
        if not name.startswith("_")
    }
    assert public == set(METHODS) | {"new", "list"}


@pytest.mark.parametrize("method", METHODS)
def test_anothers_conversation_is_as_if_it_were_none(house, method):
    accounts, conversations, (ada, eve), _ = house
    key = conversations.new(ada, "secret")
    conversations.add(ada, key, "user", "secret question")
    own = conversations.new(eve, "mine")
    said = set()
    wrong = [(eve, key), (eve, "0" * 32), (eve, "%"), (eve, "' OR 1=1 --"), (99, key)]
    wrong += [(eve, "\ud800"), (eve, ""), (eve, key.upper()), (eve, f"{key}\0")]
    before = accounts.audit_log()
    for owner, asked in wrong:
        with pytest.raises(LookupError) as error:
            getattr(conversations, method)(owner, asked, *METHODS[method])
        said.add((type(error.value), str(error.value)))
    assert len(said) == 1
    assert accounts.audit_log() == before
    assert [each.id for each in conversations.list(eve)] == [own]
    assert [each.title for each in conversations.list(ada)] == ["secret"]
    assert len(conversations.messages(ada, key)) == 1


def test_ids_are_long_and_never_the_same(house):
    _, conversations, (ada, _), _ = house
    keys = {conversations.new(ada, "") for _ in range(50)}
    assert len(keys) == 50
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_the_list_is_the_last_touched_first(house):
    _, conversations, (ada, _), clock = house
    keys = []
    for _ in range(5):
        keys.append(conversations.new(ada, ""))
        clock[0] += 1
    conversations.add(ada, keys[1], "user", "again")
    listed = [each.id for each in conversations.list(ada)]
    assert listed == [keys[place] for place in (1, 4, 3, 2, 0)]
    assert [each.id for each in conversations.list(ada, 2)] == listed[:2]
    assert conversations.list(ada, -1) == []


def test_bounds(house, monkeypatch):
    _, conversations, (ada, eve), clock = house
    kept = conversations.new(eve, "another's")
    keys = [conversations.new(ada, str(number)) for number in range(3)]
    conversations.add(ada, keys[0], "user", "x" * CHARACTERS)
    for content, sources in (
        ("x" * (CHARACTERS + 1), []),
        ("", [{"text": "x" * 10**6}]),
    ):
        with pytest.raises(ValueError, match="at most 100000 and 400000 are kept"):
            conversations.add(ada, keys[0], "user", content, sources)
    with pytest.raises(ValueError, match="'system' is no role"):
        conversations.add(ada, keys[0], "system", "x")
    for _ in range(499):
        conversations.add(ada, keys[0], "user", "x")
    with pytest.raises(ValueError, match="500 messages"):
        conversations.add(ada, keys[0], "user", "x")
    monkeypatch.setattr("cosmosage.accounts.conversations.CONVERSATIONS", 3)
    clock[0] += 1
    conversations.add(ada, keys[1], "user", "touched")  # so that 2 is the oldest but 0
    clock[0] += 1
    conversations.new(ada, "3")
    assert [each.title for each in conversations.list(ada)] == ["3", "1", "2"]
    conversations.new(ada, "4")
    assert [each.title for each in conversations.list(ada)] == ["4", "3", "1"]
    assert conversations.get(eve, kept)
    with pytest.raises(LookupError, match="no such user"):
        conversations.new(99, "nobody's")


def test_removal_is_logged_and_takes_the_bytes_along(house):
    accounts, conversations, (ada, _), _ = house
    path = accounts.database.path

    def stored(word):
        return any(word in each.read_bytes() for each in path.parent.iterdir())

    key = conversations.new(ada, "Title of pumpkins")
    conversations.add(ada, key, "user", "Why are there pumpkins?" * 3000)
    assert stored(b"pumpkins")
    conversations.remove(ada, key)
    assert not stored(b"pumpkins")
    key = conversations.new(ada, "")
    conversations.add(ada, key, "user", "Why are there turnips?" * 3000)
    accounts.remove("ada")
    assert not stored(b"turnips")
    told = [(line["what"], line["who"]) for line in accounts.audit_log()]
    assert ("conversation removed", "ada") in told


# Markdown


def exported(house, content, sources=(), title="A title"):
    """A question and an answer as Markdown."""
    accounts, conversations, (ada, _), _ = house
    key = conversations.new(ada, title)
    conversations.add(ada, key, "user", "What is *it*?")
    conversations.add(ada, key, "assistant", content, sources)
    text = conversations.as_markdown(ada, key)
    line = accounts.audit_log(1)[0]
    assert (line["what"], line["detail"]) == ("conversation exported", "Markdown")
    return text


def test_markdown_holds_questions_answers_and_sources(house):
    text = exported(house, "It is $a<b$ and $$x_i$$ [1].", [PAPER, BOOK])
    assert text == (
        "# A title\n\n"
        "Begun on 2027-01-15 (UTC).\n\n"
        "## Question 1\n\n"
        "What is *it*?\n\n"
        "### Answer\n\n"
        "It is $a< b$ and $$x_i$$ [1].\n\n"
        "### Sources\n\n"
        "1. Aghanim, N\\., Planck Collaboration, Vera C\\. Rubin, "
        r"*Planck 2018\: $\Omega_m h^2$ \& 100% of \{\\it it\}*, 2024, CC BY 4\.0, "
        "<https://arxiv.org/abs/2407.04420v1>\n"
        "2. *Cosmic Perspective\\: Light*, CC BY 4\\.0, "
        "<https://example.org/a%7Bb%7Dc%20d>\n"
    )


HOSTILE = [
    "![x](https://evil.example/?q=1)",
    "![x][a]\n\n[a]: https://evil.example",
    "[your bank](https://evil.example) [b][a]\n\n[a]:\n  https://evil.example",
    "<img src=https://evil.example> <script>alert(1)</script> <!-- x -->",
    "<https://evil.example> https://evil.example www.evil.example HTTP://evil.example",
    "### Sources\n\n1. Forged, *Paper*",
    "Sources\n===\n\nSources\n-\n\nSources\n ---  \n\nSources\n=",
    "- # Sources\n> ## Sources\n1. ### Sources\n   # Sources",
    "```\nnever closed",
    "> ~~~\n> never closed",
    "- ```html\n<b>",
    "\\[x](https://evil.example) \\\\[x](https://evil.example)",
    "[x\r](https://evil.example)\r# Sources\r\n# Sources",
    "a $$ never closed",
]


@pytest.mark.parametrize("content", HOSTILE)
def test_nothing_in_an_answer_loads_links_or_forges(house, content):
    text = exported(house, content, [PAPER])
    # two independent parsers; the second makes links of bare addresses, too
    tokens = [
        each
        for token in MarkdownIt("commonmark").parse(text)
        for each in (token, *(token.children or []))
    ]
    kinds = [token.type for token in tokens]
    assert not {"image", "html_inline", "html_block", "fence"} & set(kinds)
    links = [token.attrs["href"] for token in tokens if token.type == "link_open"]
    assert links == [PAPER["url"]]
    headings = [
        tokens[place + 1].content
        for place, kind in enumerate(kinds)
        if kind == "heading_open"
    ]
    assert headings == ["A title", "Question 1", "Answer", "Sources"]
    page = mistune.create_markdown(escape=False, plugins=["url", "math"])(text)
    assert re.findall("<(?:a|img|script|pre)[^>]*", page) == [
        f'<a href="{PAPER["url"]}"'
    ]
    assert len(re.findall("<h[1-6]", page)) == 4
    assert "www.evil" not in text  # which GitHub makes a link, though mistune doesn't


NASTY = [
    "} @misc{evil, title = {x}",
    "{{{{",
    "}}}}",
    "\\",
    "\\} \\{",
    "a\n}\n\n@book{evil,\n title={x}\n}\n",
    "@string{x = {y}}",
    "% comment }",
    '" # "',
    "$}$ ${$ $\\input{/etc/passwd}$ \\input{/etc/passwd} \\write18{rm -rf /}",
    "$ x^^5cinput y $ #1 ~ ^ _ &",
    "\x00\x1b[31m \u2028 \ud800",
    "*bold* _it_ `code` [x](https://evil.example) ![x](y) <b> # 1. |",
    "",
    "A lone $ and another $\\alpha",
]


@pytest.mark.parametrize("title", NASTY)
def test_a_hostile_title_stays_one_line_of_markdown(house, title):
    source = PAPER | {"title": title, "authors": [title], "licence": title}
    text = exported(house, "x", [source], title)
    parsed = MarkdownIt("commonmark").parse(text)
    kinds = [token.type for each in parsed for token in (each, *(each.children or []))]
    assert kinds.count("heading_open") == 4 and kinds.count("list_item_open") == 1
    assert kinds.count("link_open") == 1
    assert not {"image", "html_inline", "html_block", "code_inline"} & set(kinds)


# BibTeX


def bibliography(house, sources):
    """What an independent parser reads of some sources."""
    _, conversations, (ada, _), _ = house
    key = conversations.new(ada, "")
    conversations.add(ada, key, "user", "What?")
    conversations.add(ada, key, "assistant", "This.", sources[:2])
    conversations.add(ada, key, "assistant", "And this.", sources[1:])
    text = conversations.as_bibtex(ada, key)
    library = bibtexparser.parse_string(text)
    assert not library.failed_blocks
    assert len(library.blocks) == len(library.entries)  # no comments, no strings
    return text, library.entries


def test_bibtex_holds_each_record_once(house):
    again = PAPER | {"document": "arxiv:2407.04420v2", "number": 9}
    text, entries = bibliography(house, [PAPER, BOOK, again, OLD, PAPER])
    assert [(each.entry_type, each.key) for each in entries] == [
        ("misc", "arxiv-2407.04420"),
        ("book", "book-cosmic-perspective-4"),
        ("misc", "arxiv-astro-ph-9901001"),
    ]
    fields = [{f.key: f.value for f in each.fields} for each in entries]
    assert fields[0] == {
        "author": "Aghanim, N. and {Planck Collaboration} and Vera C. Rubin",
        "title": r"{Planck 2018: $\Omega_m h^2$ \& 100\% of "
        r"\textbraceleft{}\textbackslash{}it it\textbraceright{}}",
        "year": "2024",
        "eprint": "2407.04420",
        "archivePrefix": "arXiv",
        "url": "https://arxiv.org/abs/2407.04420v1",
        "note": "CC BY 4.0",
    }
    assert fields[1] == {
        "title": "{Cosmic Perspective: Light}",
        "url": "https://example.org/a%7Bb%7Dc%20d",
        "note": "CC BY 4.0",
    }
    assert fields[2]["eprint"] == "astro-ph/9901001"
    assert fields[2]["primaryClass"] == "astro-ph"
    assert text.count("@") == 3


@pytest.mark.parametrize("title", NASTY)
def test_a_hostile_record_is_one_entry(house, title):
    source = {
        "document": f"arxiv:{title}",
        "title": title,
        "authors": [title, "Ada Lovelace", title],
        "year": 2024,
        "licence": title,
        "url": f"https://example.org/{title}",
    }
    text, entries = bibliography(house, [source, BOOK])
    assert len(entries) == 2
    fields = {each.key: each.value for each in entries[0].fields}
    assert set(fields) <= {"author", "title", "year", "url", "note"}
    assert "Ada Lovelace" in fields["author"] and fields["year"] == "2024"
    # as BibTeX counts: every brace, whatever stands before it
    depth = 0
    for sign in text:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0 and text.count("@") == 2
    # what TeX would obey: signs that were escaped, and nothing that opens a file
    assert not re.search(r"(?<!textbackslash\{\})(?<=\\)(input|write)", text)
    assert not re.search(r"(?<!\\)%(?!40|[0-9A-F]{2})", text)


def test_records_of_wrong_kinds_lose_what_is_wrong(house):
    odd = [
        {},
        {"title": 5, "authors": "Ada", "year": "2024", "url": 7, "document": None},
        {"document": "a b", "authors": [None, {}, " "], "year": True, "url": "ftp://x"},
        {"document": "a-b", "year": -1, "url": "javascript:alert(1)"},
        {"document": "A B", "year": 10**9, "url": "https://[x"},
        {"document": "d", "url": "https://a b", "title": "and"},
    ]
    _, entries = bibliography(house, odd)
    assert [each.key for each in entries] == ["source", "a-b", "a-b-2", "A-B-3", "d"]
    for each in entries[:-1]:
        assert [(f.key, f.value) for f in each.fields] == [("title", "{Without title}")]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Aghanim, N.", "Aghanim, N."),
        ("Vera Rubin", "Vera Rubin"),
        ("Müller, J.", "Müller, J."),
        ("Romeo and Juliet", "{Romeo and Juliet}"),
        ("DES Collaboration", "{DES Collaboration}"),
        ("a, b, c, d", "{a, b, c, d}"),
        ("Anderson, A.", "Anderson, A."),
    ],
)
def test_names_are_as_bibtex_takes_them(house, name, written):
    _, entries = bibliography(house, [PAPER | {"authors": [name]}, BOOK])
    assert entries[0].fields_dict["author"].value == written


def test_an_empty_conversation_is_exported(house):
    _, conversations, (ada, _), _ = house
    key = conversations.new(ada, "")
    assert conversations.as_bibtex(ada, key) == ""
    assert conversations.as_markdown(ada, key).startswith("# Conversation\n")
