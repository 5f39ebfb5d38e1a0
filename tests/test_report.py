"""The page, with texts from elsewhere on it."""

from cosmosage import report


def test_half_a_surrogate_pair_is_a_question_mark(tmp_path):
    half = "a\ud800b"
    section = report.Section(half, half, report.quoted(half))
    page = report.write(tmp_path / "page.html", half, [half], [section])
    assert page.read_text("utf-8").count("a?b") == 6
