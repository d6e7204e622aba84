"""A pipeline in its folder: what steps hand on, resumption, parts of it, what has changed, what it may take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autoloss.pipeline.index import FILE, Index
from autoloss.pipeline.kinds.audit import held
from autoloss.pipeline.kinds.search import searched
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.pipelines import STEPS, flow, index, left, written
from tests.helpers.searches import facts


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """File and folder of a pipeline that is done."""
    folder = tmp_path_factory.mktemp("pipeline")
    file = written(folder / "configs")
    assert flow(file, folder / "whole").run()
    return file, folder / "whole"


def test_every_step_stands_in_the_index_with_what_it_took_gave_and_tells(whole: tuple[Path, Path]) -> None:
    _, folder = whole
    found = json.loads((folder / FILE).read_text())
    assert list(found["steps"]) == STEPS
    assert {entry["state"] for entry in found["steps"].values()} == {"done"}
    assert all(entry["began"] <= entry["ended"] and entry["figures"] for entry in found["steps"].values())
    steps = found["steps"]
    assert steps["search_cls"]["took"]["losses"] == steps["search_bbox"]["gave"]["hands"]
    assert steps["audit"]["took"]["run"] == "search_cls"
    assert steps["audit"]["figures"]["p_better"] > 0.9
    assert steps["train"]["figures"]["seeds"] == 2
    assert steps["train"]["figures"]["low"] <= steps["train"]["figures"]["gain"] <= steps["train"]["figures"]["high"]
    for name in ("search_bbox/table.txt", "search_cls/audit/forest.png", "train/table.txt", "report/comparison.html"):
        assert (folder / name).is_file()
    assert "Whole trainings, 2 seeds each" in (folder / "train/table.txt").read_text()


def test_a_search_keeps_what_the_one_before_found_in_the_slot_that_it_leaves(whole: tuple[Path, Path]) -> None:
    _, folder = whole
    with Run.open(folder / "search_bbox") as before, Run.open(folder / "search_cls") as run:
        handed = index(folder)["steps"]["search_bbox"]["gave"]["hands"]
        assert set(handed) == {"loss_bbox"}  # the class loss was not searched
        assert all(one.losses.keys() <= {"loss_bbox"} for one in before.candidates() if one.breeds and one.parents)
        found = [one for one in run.candidates() if one.breeds]
        assert {one.losses["loss_bbox"].expression.text for one in found} == {handed["loss_bbox"]["formula"]}
        assert len({one.losses.get("loss_cls") for one in found}) == len(found)


def test_every_step_alone_gives_what_it_gives_in_the_pipeline(whole: tuple[Path, Path], tmp_path: Path) -> None:
    file, folder = whole
    quiet, pipeline = Console(quiet=True), flow(file, tmp_path / "none").pipeline
    searched(pipeline.settings(pipeline.step("search_bbox")), tmp_path / "search_bbox", quiet)
    assert facts(tmp_path / "search_bbox") == facts(folder / "search_bbox")
    here = {"workers": 1, "isolate": False}
    held(folder / "search_cls", tmp_path / "audit", {}, 5, None, None, 1, here, quiet)
    assert facts(tmp_path / "audit") == facts(folder / "search_cls/audit")
    assert (tmp_path / "audit/table.txt").read_text() == (folder / "search_cls/audit/table.txt").read_text()


class Killed(BaseException):
    """As SIGKILL: nobody catches it."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Whatever is kept, in the index or in a run, may be the last; `left` counts down to it."""
    lives = {"left": 0}

    def mortal(call: Any) -> Any:
        def called(*arguments: Any, **named: Any) -> Any:
            lives["left"] -= 1
            if lives["left"] < 0:
                raise Killed
            return call(*arguments, **named)

        return called

    monkeypatch.setattr(Index, "keep", mortal(Index.keep))
    monkeypatch.setattr(Run, "finished", mortal(Run.finished))
    return lives


def test_killed_again_and_again_it_ends_as_if_it_had_never_been(
    whole: tuple[Path, Path], tmp_path: Path, deadly: dict[str, int]
) -> None:
    file, folder = whole
    kills = 0
    while True:
        deadly["left"] = 11
        try:
            assert flow(file, tmp_path / "killed").run()
            break
        except Killed:
            kills += 1
    assert kills > 8
    assert left(tmp_path / "killed") == left(folder)


def test_a_pipeline_that_is_done_does_nothing_more(whole: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = whole
    before = left(folder)
    monkeypatch.setattr(Run, "finished", None)
    assert flow(file, folder).run()
    assert left(folder) == before


def test_only_does_one_step_and_from_goes_on_with_what_is_there(tmp_path: Path) -> None:
    file = written(tmp_path, steps=["search_bbox", "search_cls", "export"])
    with pytest.raises(InputError, match="--only search_cls: it needs search_bbox, which is not done"):
        flow(file, tmp_path / "out", only="search_cls").run()
    with pytest.raises(InputError, match="--from export: it needs search_bbox"):
        flow(file, tmp_path / "out", first="export").run()
    with pytest.raises(InputError, match="no step 'serch_cls' .did you mean 'search_cls'"):
        flow(file, tmp_path / "out", first="serch_cls").run()
    assert not (tmp_path / "out").exists()
    assert flow(file, tmp_path / "out", only="search_bbox").run()
    states = [entry["state"] for entry in index(tmp_path / "out")["steps"].values()]
    assert states == ["done", "waiting", "waiting"]
    assert flow(file, tmp_path / "out", first="search_cls").run()
    assert {entry["state"] for entry in index(tmp_path / "out")["steps"].values()} == {"done"}


def test_a_condition_that_is_not_so_ends_the_pipeline_and_says_what_it_read(tmp_path: Path) -> None:
    gated = {"ref": "search_bbox", "proceed_if": "search_bbox.gain > 2"}
    file = written(tmp_path, steps=["search_bbox", "search_cls", "export"], search_cls=gated)
    assert not flow(file, tmp_path / "out").run()
    steps = index(tmp_path / "out")["steps"]
    assert [entry["state"] for entry in steps.values()] == ["done", "not reached", "not reached"]
    assert steps["export"]["why"].startswith("search_cls.proceed_if is not so: search_bbox.gain > 2 (search_bbox.gain ")
    written(tmp_path, steps=["search_bbox", "search_cls", "export"])  # a condition is no input: it may be changed
    assert flow(file, tmp_path / "out").run()


def test_a_step_that_has_changed_says_so_and_is_done_anew_when_asked(tmp_path: Path) -> None:
    steps = ["search_bbox", "search_cls", "export"]
    file, out = written(tmp_path, steps=steps), tmp_path / "out"
    assert flow(file, out).run()
    before = left(out)
    changed = {"config": "search.py", "slots": ["loss_bbox"], "cfg_options": {"search.seed": 8}}
    written(tmp_path, steps=steps, search_bbox=changed)
    with pytest.raises(InputError) as caught:
        flow(file, out).run()
    assert "search_bbox has changed since it was begun in" in str(caught.value)
    assert "search.seed is 8, it was 7; --anew does it anew" in str(caught.value)
    assert left(out) == before
    assert flow(file, out, anew=True).run()
    assert facts(out / "search_bbox.1") == before["runs"]["search_bbox"]  # nothing is lost
    after = index(out)["steps"]
    assert after["search_bbox"]["inputs"]["search"]["seed"] == after["search_cls"]["inputs"]["search"]["seed"] == 8
    assert after["search_cls"]["took"]["losses"] == after["search_bbox"]["gave"]["hands"]


def test_a_step_whose_files_were_removed_is_done_again(tmp_path: Path) -> None:
    file, out = written(tmp_path, steps=["search_bbox", "export"]), tmp_path / "out"
    assert flow(file, out).run()
    before = left(out)
    (out / "export/latex/loss_bbox.tex").unlink(missing_ok=True)
    for path in (out / "export/latex").iterdir():
        path.unlink()
    (out / "export/latex").rmdir()
    (out / "export").rmdir()
    assert flow(file, out).run()
    assert left(out) == before


def test_a_step_that_fails_says_which_it_is_and_goes_on_once_that_is_mended(tmp_path: Path) -> None:
    file, out = written(tmp_path, "ImagesEvaluator", ["search_bbox", "export"]), tmp_path / "out"
    config = (tmp_path / "search.py").read_text()
    (tmp_path / "search.py").write_text(config.replace("'type'", "'fail': 'prepare', 'type'"))
    with pytest.raises(InputError, match="^search_bbox: data: missing$"):
        flow(file, out).run()
    entry = index(out)["steps"]["search_bbox"]
    assert (entry["state"], entry["why"]) == ("failed", "search_bbox: data: missing")
    (tmp_path / "search.py").write_text(config)
    assert flow(file, out).run()
    assert index(out)["steps"]["search_bbox"]["state"] == "done"


def test_an_audit_that_the_data_does_not_allow_is_refused_before_any_search(tmp_path: Path) -> None:
    file, out = written(tmp_path, "ImagesEvaluator", ["search_bbox", "audit"]), tmp_path / "out"
    config = (tmp_path / "search.py").read_text()
    (tmp_path / "search.py").write_text(config.replace("'type'", "'fail': 'no test', 'type'"))
    with pytest.raises(InputError, match="^audit: the data has no test split$"):
        flow(file, out).run()
    assert not (out / "search_bbox").exists()


def test_a_folder_that_is_not_its_own_is_left_alone(whole: tuple[Path, Path], tmp_path: Path) -> None:
    file, folder = whole
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no pipeline"):
        flow(file, tmp_path / "notes")
    other = file.with_name("other.py")
    other.write_text(file.read_text())
    with pytest.raises(InputError, match="holds pipeline 'toy'; name another folder"):
        flow(other, folder)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE).write_text('{"pipeline": 3')
    with pytest.raises(InputError, match="is no index that autoloss wrote"):
        flow(file, tmp_path / "broken")


def test_who_read_the_index_before_another_process_went_on_begins_nothing(tmp_path: Path) -> None:
    file = written(tmp_path / "configs", steps=["search_bbox"])
    first, second = (flow(file, tmp_path / "run") for _ in range(2))
    first.run()
    before = left(tmp_path / "run")
    with pytest.raises(InputError, match="was changed while this began; the same command goes on"):
        second.run()
    assert left(tmp_path / "run") == before
