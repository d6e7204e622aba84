"""The commands that a search ends with are whole, and do what they say when they are pasted."""

from __future__ import annotations

import io
import itertools
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from autoloss.commands import train
from autoloss.config import from_mapping, parsed
from autoloss.report import next_steps, tables
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.loop import discover
from autoloss.store.run import Run
from tests.helpers.command import autoloss
from tests.helpers.small import section

DETECTOR = "detectors.evaluator:DetectorEvaluator"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    settings = from_mapping(section())
    folder = tmp_path_factory.mktemp("a run") / ("long " * 30).strip()
    with Run.create(folder, settings.identity()) as run:
        discover(settings, run)
        return Leaderboard.of(run)


def on(found: Leaderboard, data: Mapping[str, Any] | str) -> Leaderboard:
    """The leaderboard as if a detector had been trained on some data."""
    evaluator = {"type": DETECTOR, "detector": "configs/detectors/tiny_fcos.py", "data": data}
    assert found.settings is not None
    return replace(found, settings=found.settings.model_copy(update={"evaluator": evaluator}))


def coco(folder: str) -> dict[str, Any]:
    parts = {
        split: {"annotations": f"{folder}/{split}.json", "images": f"{folder}/{split}"} for split in ("train", "val")
    }
    return {"type": "coco", **parts}


@pytest.mark.parametrize("data", [{"type": "digits", "train": 12, "val": 2, "test": 2}, coco("it's mine")])
def test_the_best_is_exported_shown_and_trained_by_pasting(
    found: Leaderboard, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, dict[str, Any]]] = []
    fake = SimpleNamespace(train=lambda config, **given: trained.append((config, given)))
    monkeypatch.setattr(train, "TRAIN", "here:train")
    monkeypatch.setitem(sys.modules, "here", fake)  # type: ignore[arg-type]
    if data["type"] == "coco":
        assert autoloss("data", "digits", "--out", "it's mine", "--train", 12, cwd=tmp_path).returncode == 0
    commands = [shlex.split(line.partition(" > ")[0]) for line in next_steps.commands(on(found, data))]
    assert [words[1] for words in commands if words[1] != "data"] == ["export", "audit", "show", "show", "train"]
    for words in commands:
        if words[1] not in ("export", "audit"):  # of a run whose evaluator trains no detector, and nothing long
            done = autoloss(*words[1:], cwd=tmp_path)
            assert done.returncode == 0, (words, done.stderr)
    ((config, given),) = trained
    assert config.endswith("configs/detectors/tiny_fcos.py")
    best = found.found[0].candidate
    assert {slot: loss["expression"] for slot, loss in given["losses"].items()} == {
        slot: str(loss.expression) for slot, loss in best.losses.items()
    }
    assert set(given["data"]) >= {"train", "val"}


def test_what_a_search_had_spoilt_is_spoilt_in_the_data_that_is_trained_on(found: Leaderboard) -> None:
    noisy = {"type": "digits", "train": 12, "label_noise": 0.3, "box_noise": 0.1, "missing": 0.15}
    made = next(line for line in next_steps.commands(on(found, noisy)) if line.startswith("autoloss data"))
    assert made == "autoloss data digits --out digits --train 12 --label-noise 0.3 --box-noise 0.1 --missing 0.15"
    hostile = next_steps.commands(on(found, {**noisy, "train": "1; touch hacked"}))
    assert any("--train '1; touch hacked' " in line for line in hostile)
    grouped = next_steps.commands(on(found, {**coco("mine"), "group_by": r"(\w+)_"}))[-1]
    assert grouped.endswith(r" --group-by '(\w+)_'")


def test_a_detector_that_the_search_had_changed_is_trained_with_the_same_changes(found: Leaderboard) -> None:
    changes = {
        "model.backbone.init_cfg.checkpoint": "it's_mine.pth",
        "optim_wrapper": {"optimizer": {"lr": 0.5, "betas": [0.8, 0.9]}, "clip_grad": None},
    }
    changed = on(found, coco("mine"))
    changed.settings.evaluator.update(centerness_target="iou", cfg_options=changes)
    line = shlex.split(next_steps.commands(changed)[-1])
    given = [value for option, value in itertools.pairwise(line) if option == "--cfg-options"]
    assert "--centerness-iou" in line
    assert parsed(given, "") == {
        "model.backbone.init_cfg.checkpoint": "it's_mine.pth",
        "optim_wrapper.optimizer.lr": 0.5,
        "optim_wrapper.optimizer.betas": [0.8, 0.9],
        "optim_wrapper.clip_grad": None,
    }
    assert "--c" not in next_steps.commands(on(found, coco("mine")))[-1].partition("--candidate")[2]


@pytest.mark.parametrize("value", ["None", "5", "a,b", "two words", {}])
def test_where_no_text_says_a_change_no_command_trains(found: Leaderboard, value: object) -> None:
    changed = on(found, coco("mine"))
    changed.settings.evaluator["cfg_options"] = {"model.name": value}
    assert not any(line.startswith("autoloss train") for line in next_steps.commands(changed))


@pytest.mark.parametrize("more", [{"hold_out": 5}, {"longest": 64}, {"spoil": {"missing": 0.1}}])
def test_where_no_command_would_train_on_the_same_data_none_is_printed(
    found: Leaderboard, more: dict[str, Any]
) -> None:
    lines = next_steps.commands(on(found, {**coco("mine"), **more}))
    assert not any(line.startswith("autoloss train") for line in lines)


def test_a_detector_that_was_fitted_to_the_data_is_trained_as_it_was_exported(found: Leaderboard) -> None:
    fitted = on(found, coco("mine"))
    fitted.settings.evaluator["size"] = "small"
    export, *_, train_again = (shlex.split(line) for line in next_steps.commands(fitted))
    assert train_again == ["autoloss", "train", f"{export[export.index('--out') + 1]}/config.py"]


def test_an_evaluator_of_ones_own_exports_plain_functions(found: Leaderboard, tmp_path: Path) -> None:
    export, *rest = next_steps.commands(found)
    assert [line.split()[1] for line in rest] == ["audit", "show", "show"]
    assert autoloss(*shlex.split(export)[1:], cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir())


def test_without_a_test_split_there_is_nothing_to_audit(found: Leaderboard) -> None:
    without = replace(found, trained={**found.trained, "test": "val"})
    assert not any(line.startswith("autoloss audit") for line in next_steps.commands(without))


def test_none_is_cut_off_at_the_edge_of_a_narrow_screen(found: Leaderboard, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    shown = on(found, coco("x" * 200))
    tables.ending(shown, Console(file=out, width=40))
    lines = [line.strip() for line in out.getvalue().split("What next:")[1].splitlines() if line.strip()]
    assert lines == next_steps.commands(shown)
