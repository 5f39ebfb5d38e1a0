"""A plot that lives in a cell while a training runs."""

import matplotlib.pyplot as plt

from cosmosage import plots
from cosmosage.documents import write_jsonl
from cosmosage.plots import training


def test_a_live_plot_is_drawn_anew_in_its_place(tmp_path, monkeypatch):
    shown = []

    class Handle:
        """A place in a cell."""

        def update(self, figure):
            """Show another figure there."""
            shown.append(("again", figure))

    def display(figure, display_id):
        assert display_id
        shown.append(("first", figure))
        return Handle()

    monkeypatch.setattr(training, "display", display)
    open_before = plt.get_fignums()
    watch = plots.live(plots.loss)
    write_jsonl(tmp_path / "metrics.jsonl", [{"tokens": 8, "loss": 2.0}])
    for _ in range(3):
        watch(tmp_path)
    assert [how for how, _ in shown] == ["first", "again", "again"]
    assert len({id(figure) for _, figure in shown}) == 3
    assert plt.get_fignums() == open_before  # or the cell would show the last once more
