"""Example detections: trained once, kept beside the run, refused in a line where they cannot be had."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autoloss.config import from_mapping
from autoloss.report.detections import making
from autoloss.report.detections.document import checked
from autoloss.report.leaderboard import Leaderboard
from autoloss.report.page.told import Told
from autoloss.search.loop import discover
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.fast_evaluator import DOT, OddlyNamedEvaluator
from tests.helpers.small import section

SHOWING = {"type": "tests.helpers.fast_evaluator:OddlyNamedEvaluator"}


def of(folder: Path, **changes: Any) -> Path:
    settings = from_mapping(section(generations=1, **changes))
    with Run.create(folder, settings.identity()) as run:
        discover(settings, run)
    return folder


@pytest.fixture
def run(searched: Path, tmp_path: Path) -> Path:
    """A search that ended, of one's own."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(searched / "run.sqlite", folder)
    return folder


def test_the_best_found_and_the_own_loss_are_trained_once_and_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = autoloss("report", run, "--detections")
    assert first.returncode == 0
    assert [line.partition(" at ")[0] for line in first.stderr.splitlines()[:2]] == [
        "training the detector's own loss",
        f"training #{best(run)}",
    ]
    monkeypatch.setattr(OddlyNamedEvaluator, "detect", None)  # nothing is trained any more
    text = (run / "report.html").read_text()
    assert autoloss("report", run, "--detections").stderr.count("\n") == 1
    assert (run / "report.html").read_text() == text
    assert text.count('class="seen"') == 4


def test_an_evaluator_that_cannot_show_them_is_named(tmp_path: Path) -> None:
    done = autoloss("report", of(tmp_path / "run"), "--detections")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "DescentEvaluator shows no detections" in done.stderr


def test_a_training_that_fails_is_a_line_and_what_was_made_is_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detect = OddlyNamedEvaluator.detect

    def failing(self: OddlyNamedEvaluator, losses: Any, *more: Any) -> Any:
        if losses:
            raise FloatingPointError("loss_cls is nan at iteration 3")
        return detect(self, losses, *more)

    monkeypatch.setattr(OddlyNamedEvaluator, "detect", failing)
    done = autoloss("report", run, "--detections")
    assert done.returncode == 2
    assert f"the training of #{best(run)} failed: FloatingPointError: loss_cls is nan" in done.stderr
    assert [file.name for file in (run / "detections").iterdir()] == ["0.json"]


def best(run: Path) -> int:
    with Run.open(run) as opened:
        return Leaderboard.of(opened).picks()[0].candidate.number


def test_the_training_is_that_of_the_finale_with_its_first_seed(run: Path) -> None:
    with Run.open(run) as opened:
        making.make(opened, Leaderboard.of(opened), lambda _: None)
        for one in Told.of(opened).detections:
            assert (one.rung, one.seed) == ("full", 2)
            scores = {(e.candidate, e.rung, e.seed): e.score for e in opened.evaluations()}
            assert one.sets[0].score == scores[one.candidate, "full", 2]


def test_several_evaluators_show_a_set_each(tmp_path: Path) -> None:
    evaluators = [SHOWING, {"type": "tests.helpers.fast_evaluator:DescentEvaluator"}, SHOWING]
    folder = of(tmp_path / "run", evaluators=evaluators, evaluator={}, objective="mean")
    with Run.open(folder) as run:
        making.make(run, Leaderboard.of(run), lambda _: None)
        assert [len(one.sets) for one in Told.of(run).detections] == [2, 2]


def test_without_them_the_page_says_how_to_get_them_and_a_damaged_file_is_named(run: Path) -> None:
    assert autoloss("report", run).returncode == 0
    assert f"autoloss report {run} --detections" in (run / "report.html").read_text()
    (run / "detections").mkdir()
    (run / f"detections/{best(run)}.json").write_text("{")
    done = autoloss("report", run)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{best(run)}.json holds no detections" in done.stderr


def test_a_run_without_anything_found_has_nothing_to_show(tmp_path: Path) -> None:
    settings = from_mapping(section(evaluator=SHOWING))
    with Run.create(tmp_path / "run", settings.identity()) as run:
        run.describe({})
    done = autoloss("report", tmp_path / "run", "--detections")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nothing that was found has been trained yet" in done.stderr


IMAGE = {"name": "a", "picture": DOT, "width": 2, "height": 1, "objects": [], "found": []}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([{"score": 0.5, "says": "", "images": [{**IMAGE, "picture": b"<svg/>"}]}], "neither JPEG nor PNG"),
        ([{"score": 0.5, "says": "", "images": [{**IMAGE, "width": 0}]}], "sets.0.images.0.width"),
        ([{"score": float("nan"), "says": "", "images": [IMAGE]}], "sets.0.score"),
        ([{"score": 0.5, "says": "", "images": [{**IMAGE, "picture": DOT * 9999}]}], "sets.0.images.0.picture"),
        ([{"score": 0.5}], "images"),
        ([], "sets"),
        (7, "shape"),
    ],
)
def test_what_is_no_detections_is_named(given: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        checked(1, "full", 2, given)


def test_what_is_kept_is_json_that_anyone_reads(run: Path) -> None:
    with Run.open(run) as opened:
        making.make(opened, Leaderboard.of(opened), lambda _: None)
    kept: Mapping[str, Any] = json.loads((run / "detections/0.json").read_text())
    assert (kept["candidate"], kept["rung"], kept["seed"]) == (0, "full", 2)
    assert set(kept["sets"][0]["images"][0]["found"][0]) == {"box", "class", "score", "right"}
