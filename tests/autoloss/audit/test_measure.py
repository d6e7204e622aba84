from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoloss.audit.measure import measure
from autoloss.audit.verdict import analysed
from autoloss.config import from_mapping
from autoloss.report.audit import words
from autoloss.search.progress import Progress
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers import fast_evaluator
from tests.helpers.audited import IMAGES, audited, plan_of, searched, unseen
from tests.helpers.small import section


class _Stop(Exception):  # noqa: N818
    pass


class _Killed:
    """A screen on which an audit ends after some changes."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, _: Any) -> _Killed:
        return self

    def __enter__(self) -> _Killed:
        return self.tell  # type: ignore[return-value]

    def __exit__(self, *_: object) -> None:
        pass

    def tell(self, _: Progress) -> None:
        self.left -= 1
        if self.left == 0:
            raise _Stop


@pytest.fixture(scope="module")
def whole(search: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return audited(search, tmp_path_factory.mktemp("whole") / "audit", trials=3)


@pytest.mark.parametrize("after", [3, 20, 60, 90])
def test_a_killed_audit_goes_on_and_says_what_it_would_have_said(
    search: Path, whole: Any, tmp_path: Path, after: int
) -> None:
    with pytest.raises(_Stop):
        measure(plan_of(search, trials=3), tmp_path / "audit", _Killed(after))
    with pytest.raises(InputError, match="the same command goes on"):
        analysed(tmp_path / "audit")
    assert audited(search, tmp_path / "audit", trials=3) == whole


def test_two_workers_say_what_one_does(search: Path, whole: Any, tmp_path: Path) -> None:
    assert audited(search, tmp_path / "audit", trials=3, workers={"workers": 2}) == whole


def test_an_audit_that_is_done_trains_nothing_again(search: Path, whole: Any, tmp_path: Path) -> None:
    assert audited(search, tmp_path / "audit", trials=3) == whole
    told: list[Progress] = []

    class Watched(_Killed):
        def tell(self, now: Progress) -> None:
            told.append(now)

    measure(plan_of(search, trials=3), tmp_path / "audit", Watched(0))
    assert not any(now.latest for now in told)


def test_the_search_is_left_as_it_is(search: Path, tmp_path: Path) -> None:
    before = (search / "run.sqlite").read_bytes()
    audited(search, tmp_path / "audit", trials=1)
    assert (search / "run.sqlite").read_bytes() == before


def test_an_audit_of_other_finalists_or_seeds_is_left_alone(search: Path, tmp_path: Path) -> None:
    audited(search, tmp_path / "audit", trials=1)
    before = (tmp_path / "audit" / "run.sqlite").read_bytes()
    with pytest.raises(InputError, match=r"made with another config: search.finale.rung.seeds"):
        audited(search, tmp_path / "audit", trials=1, seeds=6)
    with pytest.raises(InputError, match="holds an audit of other finalists, or with other controls; name another"):
        audited(search, tmp_path / "audit", trials=3)
    assert (tmp_path / "audit" / "run.sqlite").read_bytes() == before


def test_an_audit_of_a_run_that_was_renamed_says_which_name_it_had(search: Path, tmp_path: Path) -> None:
    audited(search, tmp_path / "audit", trials=1)
    renamed = shutil.copytree(search, tmp_path / "renamed")
    with pytest.raises(InputError, match=f"of a run that was named '?{search.name}'? and is now '?renamed'?: give its"):
        audited(renamed, tmp_path / "audit", trials=1)


def test_a_folder_with_other_files_is_refused(search: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        audited(search, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_elsewhere_the_same_losses_meet_with_weights_that_were_tuned_at_home(search: Path, tmp_path: Path) -> None:
    slots = {**section()["slots"], "loss_bbox": {"grammar": "box", "like": "giou", "weight": 2.0}}
    there = from_mapping(section(evaluator=IMAGES, slots=slots))
    found = audited(search, tmp_path / "audit", trials=3, on={"there": there})
    assert [place.home for place in found.places] == [True, False]
    assert "On there, with weights as tuned elsewhere, over" in words.paragraph(found)
    assert "On mine, over" in words.paragraph(found)
    losses = {}
    for folder in ("audit", "audit/on-there"):
        with Run.open(tmp_path / folder) as run:
            numbers = {row["control"]: row["number"] for row in run.description["audit"]["contestants"]}
            candidates = {one.number: one for one in run.candidates()}
            losses[folder] = {control: candidates[number].losses for control, number in numbers.items()}
            rungs = {e.rung for e in run.evaluations()}
    assert rungs == {"audit", "audit, self-balanced"}
    for control, here in losses["audit"].items():
        for slot, loss in here.items():
            other = losses["audit/on-there"][control][slot]
            share = 2.0 if slot == "loss_bbox" else 1.0
            assert other.expression == loss.expression
            assert other.loss_weight == pytest.approx(share * loss.loss_weight, rel=1e-4)


def test_an_audit_goes_on_at_more_places_and_keeps_those_it_has(search: Path, tmp_path: Path) -> None:
    there = from_mapping(section(evaluator=IMAGES))
    first = audited(search, tmp_path / "audit", trials=1, on={"one": there})
    more = audited(search, tmp_path / "audit", trials=1, on={"two": there})
    assert [place.on for place in more.places] == ["mine", "one", "two"]
    assert more.places[:2] == first.places
    assert audited(search, tmp_path / "audit", trials=1) == more


def test_a_detector_whose_own_loss_fails_elsewhere_ends_the_audit_there_and_not_at_home(
    tmp_path: Path, search: Path
) -> None:
    bad = from_mapping(section(evaluator={**IMAGES, "fail": "own"}))
    with pytest.raises(InputError, match="the detector's own loss failed at rung 'audit'"):
        measure(plan_of(search, trials=1, on={"bad": bad}), tmp_path / "audit", unseen)
    assert [place.on for place in analysed(tmp_path / "audit").places] == ["mine"]
    assert audited(search, tmp_path / "audit", trials=1) == analysed(tmp_path / "audit")


def test_an_audit_goes_on_whoever_chose_its_seeds(search: Path, tmp_path: Path) -> None:
    plan = plan_of(search, trials=1)
    measure(replace(plan, why="as a power calculation says"), tmp_path / "audit", unseen)
    assert audited(search, tmp_path / "audit", trials=1, seeds=plan.seeds).planned == "as asked for"


def test_an_audit_does_not_go_on_or_begin_with_other_data_behind_the_paths_of_its_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {"images": {"test": 100}}
    monkeypatch.setattr(fast_evaluator.ImagesEvaluator, "describe", lambda _: told)
    search = searched(tmp_path / "search")
    with pytest.raises(_Stop):
        measure(plan_of(search, trials=1), tmp_path / "audit", _Killed(20))
    plan = plan_of(search, trials=1)
    told["images"] = {"test": 101}
    with pytest.raises(InputError, match='search was begun with other images: {"test": 100} there, {"test": 101} now'):
        plan_of(search, trials=1)
    later = replace(plan, places=tuple(replace(place, description=told) for place in plan.places))
    with pytest.raises(InputError, match='audit was begun with other images: {"test": 100} there, {"test": 101} now'):
        measure(later, tmp_path / "audit", unseen)
