"""The history of all runs, and the card of each."""

import threading

import pytest

from cosmosage import ledger

SETTINGS = {
    "base": "data/base",
    "data": "data/sample/tokens",
    "method": "full",
    "learning_rate": 1e-4,
    "rows_per_step": 4,
    "sequence_length": 512,
    "adapter": "dora",
    "lora_rank": 8,
}
COUNTS = {
    "steps": 10,
    "tokens": 20000,
    "seconds": 90.0,
    "loss": 2.5,
    "validation_loss": [3.0, 2.75],
    "bits_per_byte": [1.2, 1.1],
    "memory_gib": 2.5,
}


def test_what_is_recorded_is_read_back(tmp_path):
    history = tmp_path / "HISTORY.md"
    assert not ledger.read(history)
    ledger.record(history, "a1", "d1", SETTINGS, COUNTS)
    lora = SETTINGS | {"method": "lora", "base": "meta/Llama|3"}
    ledger.record(history, "b2", "d1", lora, COUNTS | {"validation_loss": None})
    one, two = ledger.read(history)
    assert one == {
        "run": "a1",
        "data": "d1",
        "base": "base",
        "recipe": "full, rate 0.0001, 4 x 512 a step",
        "steps": "10",
        "tokens": "20000",
        "hours": "0.025",
        "loss before": "3.0",
        "loss after": "2.75",
        "bits per byte before": "1.2",
        "bits per byte after": "1.1",
    }
    assert two["recipe"] == "lora, rate 0.0001, dora of rank 8, 4 x 512 a step"
    assert two["loss after"] == "—" and two["base"] == "Llama/3"
    # the same run again takes the place of its line
    ledger.record(history, "a1", "d1", SETTINGS, COUNTS | {"steps": 11})
    assert [each["run"] for each in ledger.read(history)] == ["a1", "b2"]
    assert ledger.read(history)[0]["steps"] == "11"


def test_runs_that_end_together_are_all_recorded(tmp_path):
    history = tmp_path / "HISTORY.md"
    threads = [
        threading.Thread(
            target=ledger.record, args=(history, f"run{n}", "d", SETTINGS, COUNTS)
        )
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {each["run"] for each in ledger.read(history)}
    assert found == {f"run{n}" for n in range(12)}


@pytest.mark.parametrize("measured", [True, False])
def test_a_card_says_what_it_is_and_what_it_is_worth(measured):
    counts = COUNTS if measured else COUNTS | {"validation_loss": None}
    card = ledger.card("mine", SETTINGS, counts)
    assert card.startswith("# mine\n") and "`data/base`" in card
    assert ("3.0000 -> 2.7500" in card) == measured
    assert ("not measured" in card) != measured
    for name, value in SETTINGS.items():
        assert f"| {name} | {value} |" in card
