"""Two candidates are one where their gradients have one direction, and their weights one factor, in every slot."""

from __future__ import annotations

import pytest

from autoloss.candidate import Loss
from autoloss.config import from_mapping
from autoloss.gates import equivalence
from autoloss.gates.calibration import calibrated
from autoloss.gates.distinct import Distinct
from autoloss.gates.identities import Identities
from primitives.catalog import GRAMMARS
from tests.helpers.small import section

SETTINGS = from_mapping(
    section(slots={**section()["slots"], "loss_bbox": {"grammar": "box", "like": "giou", "weight": 10.0}})
)
BOX = GRAMMARS["box"]


def usual(text: str, weight: float = 10.0) -> Loss:
    return calibrated(BOX.parse(text), BOX, None, "giou", weight)


def identities() -> Identities:
    return Identities(SETTINGS.slots, SETTINGS.stand_ins)


def test_a_positive_factor_of_a_formula_is_no_other_candidate_and_one_of_its_weight_is() -> None:
    found, one = identities(), {"loss_bbox": usual("1 - i/u")}
    assert found.of({"loss_bbox": usual("3 - 2*i/u")}) == found.of(one)
    twice = found.of({"loss_bbox": usual("1 - i/u", 20.0)})
    assert twice != found.of(one)
    assert twice == f"{found.of(one)}*2"
    assert found.of({"loss_bbox": usual("3 - 2*i/u", 20.0)}) == twice
    assert found.of({"loss_bbox": usual("1 - i/u", 20.01)}) == twice  # of two digits


def test_a_slot_left_out_is_the_loss_that_stands_for_its_own_at_its_own_weight() -> None:
    found = identities()
    assert found.of({}) == found.of(SETTINGS.stand_ins)
    assert found.of({}) == found.of({"loss_bbox": usual("1 - (i/u - (e - u)/e)")})
    assert SETTINGS.stand_ins["loss_bbox"].loss_weight == 10.0


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.4, 3.0])
def test_the_factor_of_a_loss_is_that_of_its_usual_weight(factor: float) -> None:
    assert identities().factor("loss_bbox", usual("-log(i/u)").times(factor)) == factor


def test_each_formula_is_looked_at_once_whatever_its_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    identity = equivalence.identity
    monkeypatch.setattr(equivalence, "identity", lambda *of: looked.append(str(of[0])) or identity(*of))
    found, loss = identities(), usual("1 - i/u")
    looked.clear()
    for factor in (1.0, 2.0, 4.0):
        found.of({"loss_bbox": loss.times(factor)})
    assert looked.count("sub(1, div(i, u))") == 1


def test_a_gradient_without_a_direction_is_nobodys() -> None:
    seen = Distinct()
    for identity in ("", "abc+", "+abc", "abc+*2"):
        seen.add(identity)
        assert seen.verdict(identity).passed
    seen.add("abc+def*2")
    assert not seen.verdict("abc+def*2").passed
