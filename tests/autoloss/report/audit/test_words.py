from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from autoloss.audit.contestants import OWN_LOSS, OWN_TUNED, PUBLISHED
from autoloss.audit.document import plain_values
from autoloss.audit.verdict import Audit, Comparison, Contender, Place
from autoloss.report.audit import words
from autoloss.report.audit.table import table
from autoloss.report.plots import audit_plot
from autoloss.report.terminal import Plain

SCORES = (0.40, 0.41, 0.42, 0.43, 0.44)
IOU = {"expression": "sub(1, div(i, u))", "grammar": "box", "loss_weight": 2.0, "alpha": None}


def row(control: str, difference: float, half: float, holm: float, finalist: int = 51) -> Comparison:
    low, high = difference - half, difference + half
    return Comparison(finalist, control, "mine", "mAP", difference, low, high, 0.99, holm)


FOUND = Audit(
    "mine",
    (101, 102, 103, 104, 105),
    "as asked for",
    {"loss_bbox": 9},
    {51: {"loss_bbox": IOU}},
    (
        Place(
            "mine",
            "mAP",
            300,
            0.011,
            0.018,
            (
                Contender("", "#51", 51, {}, SCORES),
                Contender(OWN_LOSS, "the detector's own loss", 0, {}, SCORES),
                Contender(OWN_TUNED, "the detector's own loss", 0, {"loss_bbox": 0.5}, SCORES),
                Contender(PUBLISHED, "CSE-Autoloss-B box", None, {}, (), "with seed 103: the loss is nan"),
            ),
            (row(OWN_LOSS, 0.046, 0.01, 0.0001), row(OWN_TUNED, 0.012, 0.02, 0.4)),
        ),
    ),
)


def printed(found: Audit) -> str:
    console = Plain(width=120)
    with console.capture() as caught:
        console.print(table(found))
    return " ".join(caught.get().split())


def test_the_verdict_names_what_is_beaten_what_is_not_told_apart_and_what_failed() -> None:
    assert words.paragraph(FOUND) == (
        "On mine, over 5 new seeds and 300 images, in points of mAP with 95 % intervals: #51 is better than the "
        "own loss (+4.6, +3.6 to +5.6); not told apart from the own loss with tuned weights (+1.2, -0.8 to +3.2). The "
        "published pair (CSE-Autoloss-B box) failed with seed 103: the loss is nan. A true difference below 1.8 points "
        "would mostly go unseen. Not among the controls: the self-balanced own loss, the tuned best known loss, the "
        "best of random search."
    )


def test_it_says_when_the_search_ranked_its_finalists_on_the_same_images() -> None:
    said = "The search ranked its finalists on the same images, which flatters them."
    assert said not in words.paragraph(FOUND)
    assert said in words.paragraph(replace(FOUND, places=(replace(FOUND.places[0], seen=True),)))


def test_a_difference_that_is_not_shown_once_it_is_corrected_is_not_called_better() -> None:
    place = replace(FOUND.places[0], comparisons=(row(OWN_LOSS, 0.02, 0.019, 0.06),), contenders=())
    assert "#51 is not told apart from the own loss" in words.paragraph(replace(FOUND, places=(place,)))


def test_the_table_has_the_noise_the_formula_and_the_weights() -> None:
    said = printed(FOUND)
    assert "seeds differ by 1.1 points (pooled standard deviation); differences from 1.8 points are shown" in said
    assert "1 - i/u" in said
    assert "bbox x 0.5" in said
    assert "failed" in said
    assert "< 0.001" in said


def test_what_nobody_knows_of_images_is_said() -> None:
    said = printed(replace(FOUND, places=(replace(FOUND.places[0], images=0),)))
    assert "over 5 new seeds, in points" in said
    assert "paired, over seeds (the evaluator does not tell what images contribute)" in said


@pytest.mark.parametrize("places", [1, 3])
def test_the_forest_is_drawn_also_where_every_finalist_failed(tmp_path: Path, places: int) -> None:
    empty = replace(FOUND.places[0], comparisons=(), smallest=None)
    audit_plot.draw(replace(FOUND, places=FOUND.places * places), tmp_path / "forest.png")
    audit_plot.draw(replace(FOUND, places=(empty,)), tmp_path / "none.png")
    with Image.open(tmp_path / "forest.png") as image:
        assert image.width > 400 * places
    assert plain_values(replace(FOUND, places=(empty,)))["setup"]["smallest_difference"] is None
    assert "would mostly go unseen" not in printed(replace(FOUND, places=(empty,)))
