import math
import pickle

import pytest
import torch

from primitives.catalog import GRAMMARS
from primitives.kinds import draws
from primitives.kinds.terminal import Terminal, Terminals


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"predicted": False}, "neither computed nor given"),
        ({"given": "score"}, "is detached; say predicted=False"),
        ({"given": "score", "predicted": False, "interval": (0, math.inf)}, "its interval must be finite"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused_when_it_is_declared(row: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Terminal(**{"name": "s", "interval": (0, 1), "unit": "1", "text": "score", **row})


def test_what_a_head_gives_is_drawn_in_its_interval_whatever_else_is_drawn() -> None:
    score = Terminal("s", (2, 3), "1", "score", given="score", predicted=False)
    other = Terminal("o", (0, 1), "1", "other", given="other", predicted=False)
    alone, both = draws.given([score], 50), draws.given([other, score], 50)
    assert torch.equal(alone["score"], both["score"])
    assert 2 <= float(alone["score"].min()) < float(alone["score"].max()) <= 3


def test_the_hash_that_is_kept_does_not_travel_to_another_process() -> None:
    rows = GRAMMARS["box_wide"].terminals
    assert hash(rows) == hash(tuple(rows))
    again = pickle.loads(pickle.dumps(Terminals(tuple(rows)[:1]), protocol=4))
    assert isinstance(again, Terminals)
    assert vars(again) == {}
