"""Texts to be read, as files from elsewhere hold them."""

import pytest

from cosmosage.evaluation.texts import text_records


@pytest.mark.parametrize("source", [{"a": 1}, 1, float("nan"), None, "", ["arxiv"]])
def test_a_source_that_is_no_name_is_none(source):
    found = text_records([{"text": "It expands.", "source": source}])[0]
    assert found["source"] == "texts"
    found = text_records([{"text": "It expands.", "source": "arxiv"}])[0]
    assert found["source"] == "arxiv"
