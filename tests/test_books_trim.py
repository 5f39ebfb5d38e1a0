"""What is cut off a book, and what is kept, as a person asks for it."""

import pytest

from cosmosage import books

PROSE = "The universe expands and cools as it grows older. " * 12


def _pages(*texts):
    return [
        {"page": i, "status": "ok", "text": text + "\n\n"}
        for i, text in enumerate(texts, start=1)
    ]


BOOK = _pages(
    "# Contents\n\n"
    + "\n\n".join(f"{i} Chapter . . . . . . {9 * i}" for i in range(1, 9)),
    f"# 1 The Start\n\n{PROSE}\n\n## 1.1 Dust\n\n{PROSE}",
    "## 1.2 Exercises\n\n1. Show that dust cools.\n\n### Hints\n\nUse the first law.",
    f"# 2 The End\n\n{PROSE}\n\nProblems with this view are many.\n\n## Problems\n\n2. Why?",
    "# References\n\n[1] A. Writer, 2019, Journal of Things 12, 345.",
)


def _said(cut):
    chapters, cuts = books.trim(BOOK, cut)
    return "\n".join(chapter.text for chapter in chapters), [c.name for c in cuts]


def test_exercises_stay_unless_they_are_named():
    text, names = _said(books.CUTS)
    assert "Show that dust cools" in text and "2. Why?" in text
    assert names == ["contents", "bibliography"]
    text, names = _said((*books.CUTS, "exercises"))
    assert "dust cools" not in text and "first law" not in text and "Why?" not in text
    assert "Problems with this view are many." in text and "2 The End" in text
    assert names == ["contents", "exercises", "bibliography"]


def test_what_is_not_named_stays():
    text, names = _said(())
    assert "Chapter . . ." in text and "Journal of Things" in text and not names
    text, names = _said(("bibliography",))
    assert "Chapter . . ." in text and "Journal" not in text


def test_a_cut_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match="exercise.*wanted some of.*exercises"):
        books.trim(BOOK, ("exercise",))


@pytest.mark.parametrize(
    "title, is_cut",
    [
        ("Exercises", True),
        ("3.7 Problems", True),
        ("Problem Set 2", True),
        ("Review Questions", True),
        ("Exercises and Solutions", True),
        ("Problems of the big bang", False),
        ("Open problems in cosmology", False),
        ("Questions of scale", False),
    ],
)
def test_titles_of_exercises(title, is_cut):
    pages = _pages(f"# 1 One\n\n{PROSE}\n\n## {title}\n\nA line of its own.")
    chapters, _ = books.trim(pages, ("exercises",))
    assert ("A line of its own." not in chapters[0].text) == is_cut


@pytest.mark.parametrize(
    "line, is_imprint",
    [
        ("© 2020 A. Writer. All rights reserved.", True),
        ("the matrix © is the inverse of ©, the covariance", False),
    ],
)
def test_an_imprint_is_told_from_signs(line, is_imprint):
    pages = _pages(f"{line} {PROSE}", f"# 1 One\n\n{PROSE}")
    chapters, cuts = books.trim(pages)
    assert (line not in chapters[0].text) == is_imprint == bool(cuts)
