"""Which model on the way is kept: points whose intervals say what they learnt and lost."""

import pytest

from cosmosage import plots
from cosmosage.evaluation import trade


def point(name, learned, forgotten, sure=0.5):
    """A model's point, with intervals of equal halves, or none."""
    out = {"series": "training", "name": name, "path": name}
    for kind, value in (("learned", learned), ("forgotten", forgotten)):
        edges = [value - sure, value + sure] if sure else None
        out |= {kind: value, f"{kind}_interval": edges}
    return out


EARLY, LATE = point("early", -3, 0.2), point("late", -5, 2)
UNTOLD, UNLEARNT = point("untold", -4, 0.8), point("unlearnt", 1, -0.3, 5)
SINGLE = point("single", -9, -1, None)


@pytest.mark.parametrize(
    "points, chosen, within",
    [
        ([LATE, EARLY, UNTOLD], "early", True),
        ([EARLY, LATE, point("more", -3.5, 0.3)], "more", True),
        ([LATE, UNTOLD, UNLEARNT], "untold", False),  # may have lost more than 1 %
        ([LATE], "late", False),
        ([UNLEARNT, point("worse", 2, 0)], "base", True),
        ([point("perhaps", -0.4, 0)], "base", True),
        ([SINGLE], "base", True),  # of a single text nobody can tell
        ([SINGLE, EARLY], "early", True),
        ([], "base", True),
    ],
)
def test_what_learnt_nothing_is_not_chosen_and_what_lost_is_told(
    points, chosen, within
):
    found = trade.choose(points, margin=1.0)
    assert (found["name"], found["within"]) == (chosen, within)
    assert found["path"] == (None if chosen == "base" else chosen)
    assert all("within" not in each for each in points)


def test_the_choice_can_be_drawn():
    found = [trade.choose(points, 1.0) for points in ([EARLY], [])]
    assert plots.trade(found).get_xlabel()
