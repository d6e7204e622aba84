from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small import section

from autoloss.candidate import Candidate, Evaluation, Kind, Loss, State
from autoloss.export.selection import of_run, of_text
from autoloss.settings import from_mapping
from autoloss.store.run import Run
from primitives.catalog import KNOWN
from primitives.errors import InputError

GIOU = Loss(KNOWN["giou"].text, "box", 2.0)
FOCAL = Loss(KNOWN["focal"].text, "sigmoid", 1.5, 0.25)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with the detector's own loss (0), a known one (1) and three that were found (2 to 4); 4 never trained."""
    settings = from_mapping(section())
    store = Run.create(tmp_path / "run", settings.identity())
    store.describe({"detector": "tiny.py", "images": {"train": 10, "val": 5}, "classes": ["a", "b"]})
    candidates = [
        Candidate(0, Kind.OWN, 0, {}, "the detector's own loss"),
        Candidate(1, Kind.KNOWN, 0, {"loss_cls": FOCAL}, "known: focal"),
        Candidate(2, Kind.FOUND, 0, {"loss_bbox": GIOU}, "random: loss_bbox"),
        Candidate(3, Kind.FOUND, 1, {"loss_cls": FOCAL, "loss_bbox": GIOU}, "crossover of 1 and 2"),
        Candidate(4, Kind.FOUND, 1, {"loss_bbox": GIOU}, "mutation of 2"),
    ]
    store.born(candidates, [])
    for number, rung, seed, score in [
        (0, "verify", 0, 0.5),
        (0, "full", 2, 0.40),
        (0, "full", 3, 0.44),
        (1, "full", 2, 0.30),
        (2, "full", 2, 0.50),
        (2, "full", 3, 0.52),
        (3, "verify", 0, 0.9),
    ]:
        store.started(number, rung, seed)
        store.finished(Evaluation(number, rung, seed, State.DONE, score, {}, None, 1.0, 1.0))
    return store


def test_the_best_found_is_taken_with_its_provenance(run: Run) -> None:
    (best,) = of_run(run)
    assert best.name == "Candidate2"
    assert best.losses == {"loss_bbox": GIOU}
    assert best.about[0] == (
        "Candidate 2 of run run (seed 7): random: loss_bbox. Score at full: 0.510 ± 0.014, the detector's own loss "
        "0.420 ± 0.028 (COCO mAP on the images of that rung)."
    )
    assert best.about[1] == "Found with tiny.py on 10 train, 5 val images with 2 classes, by autoloss 0.1.0."
    assert best.setup == {"evaluator": {"type": "fast_evaluator:DescentEvaluator"}, "task": {"steps": 8}, "seed": 2}
    assert [row["candidate"] for row in best.row["beside"]] == [0, 1]


def test_more_of_the_best_and_a_candidate_by_number(run: Run) -> None:
    assert [one.name for one in of_run(run, top=5)] == ["Candidate2", "Candidate3"]
    assert of_run(run, number=1)[0].losses == {"loss_cls": FOCAL}
    assert of_run(run, number=3, name="Mine")[0].name == "Mine"


@pytest.mark.parametrize(
    ("number", "message"),
    [(9, "no candidate 9 in .*; it has 0 to 4"), (0, "candidate 0 is the detector's own loss")],
)
def test_a_candidate_that_is_not_there_is_named(run: Run, number: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_run(run, number)


def test_a_run_without_a_finished_candidate_says_so(tmp_path: Path) -> None:
    store = Run.create(tmp_path / "run", from_mapping(section()).identity())
    store.born([Candidate(0, Kind.FOUND, 0, {"loss_bbox": GIOU}, "random")], [])
    with pytest.raises(InputError, match="no candidate that the search found has finished a training"):
        of_run(store)


def test_a_known_loss_keeps_its_name_alpha_and_the_weight_of_the_loss_it_replaces() -> None:
    export = of_text({"loss_cls": "focal"})
    assert export.name == "Focal"
    assert export.losses["loss_cls"].alpha == 0.25
    assert export.losses["loss_cls"].loss_weight == 1.0
    assert "Lin et al. 2017" in export.about[0]
    assert of_text({"loss_bbox": "giou"}).losses["loss_bbox"].loss_weight == 1.0
    assert of_text({"loss_cls": "cse_a_cls", "loss_bbox": "cse_a_reg"}).name == "Exported"


def test_a_formula_is_weighted_like_the_loss_it_replaces_unless_a_weight_is_given() -> None:
    twice = of_text({"loss_bbox": "mul(2, sub(1, sub(div(i, u), div(sub(e, u), e))))"}).losses["loss_bbox"]
    assert twice.loss_weight == pytest.approx(0.5, rel=1e-4)
    export = of_text({"loss_bbox": "giou"}, weights={"loss_bbox": 3.0})
    assert export.losses["loss_bbox"].loss_weight == 3.0
    assert export.setup["scale"] == []


@pytest.mark.parametrize(
    ("texts", "arguments", "message"),
    [
        ({"loss_cls": "giou"}, {}, "--loss-cls giou: a formula of grammar box is for loss_bbox"),
        ({"loss_bbox": "mul(x, y)"}, {"class_grammar": "sigmoid"}, "fit two grammars"),
        ({"loss_bbox": "div(i, foo)"}, {}, "unknown name 'foo'"),
        (
            {"loss_cls": "focall"},
            {},
            "--loss-cls 'focall' is neither a formula nor a known loss; known: cross_entr",
        ),
        ({"loss_bbox": "giou"}, {"name": "my loss"}, "--name 'my loss': a class's name begins with a capital"),
        ({"loss_cls": "cross_entropy"}, {"alpha": 0.3}, "--alpha 0.3 is for sigmoid losses"),
        ({"loss_bbox": "add(1, 2)"}, {}, "reads none|has no finite gradient"),
        ({"loss_cls": "mul(x, y)"}, {}, "fit two grammars"),
    ],
)
def test_text_that_cannot_be_exported_is_named(texts: dict[str, str], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_text(texts, **arguments)


def test_the_specification_is_plain(run: Run) -> None:
    (best,) = of_run(run)
    assert json.loads(json.dumps(best.spec())) == {
        "loss_bbox": {"expression": GIOU.expression, "grammar": "box", "loss_weight": 2.0, "alpha": None}
    }
