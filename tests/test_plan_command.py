"""``python -m cosmosage.server plan``: what fits, before anything is loaded."""

import shutil

import pytest

from cosmosage.server.__main__ import main
from tests.tiny import tiny_model


def test_a_configuration_is_enough(tmp_path, capsys):
    """Weights are not looked at; what does not fit is said with what to change."""
    tiny_model(tmp_path / "model")
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "model" / "config.json", tmp_path / "alone")
    card = ["--card", "RTX A6000"]
    assert main(["plan", "--model", str(tmp_path / "alone"), *card]) == 0
    said = capsys.readouterr().out
    # by hand: 2 layers, keys and values, 2 groups of 8, in bf16
    assert (
        "128 bytes a token" in said and "1,024 tokens" in said and "48.00 GiB" in said
    )
    crowd = ["--users", "1000000"]
    assert main(["plan", "--model", str(tmp_path / "alone"), *card, *crowd]) == 1
    assert "do not fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, said",
    [(["--model", "nowhere"], "there is no model in nowhere"), (["--card", "x"], "x")],
)
def test_a_mistake_is_one_sentence(tmp_path, capsys, options, said):
    """And exit code 2."""
    model = [] if "--model" in options else ["--model", str(tiny_model(tmp_path / "m"))]
    capsys.readouterr()  # what saving it printed
    assert main(["plan", *model, *options]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
