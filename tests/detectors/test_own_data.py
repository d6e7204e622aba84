"""The searches that are for data of one's own, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detectors.data.coco import CocoSource
from tests.helpers.command import autoloss

SMALL = ["workers=1", "isolate=False", "finale=None", "births=1", "generations=1"]
SMALL += ["known=[]", "controls=[]", "init=random", "evaluator.batch_size=2"]
for _rung in (0, 1):
    _task = {"pretrain": 2, "iterations": 2, "images": 8, "positives": 16, "negatives": 16}
    SMALL += [f"ladder.{_rung}.task.{key}={value}" for key, value in _task.items()]


@pytest.fixture
def folder(scenes: dict[str, CocoSource], tmp_path: Path) -> Path:
    """Scenes of digits as a folder of COCO JSON beside folders of images."""
    (tmp_path / "digits").mkdir()
    for split, source in scenes.items():
        if split != "verify":
            (tmp_path / "digits" / split).symlink_to(source.images)
            (tmp_path / "digits" / f"{split}.json").write_text(source.annotations.read_text())
    return tmp_path / "digits"


@pytest.mark.parametrize("config", ["own_fcos", "own_faster_rcnn"])
def test_a_folder_is_searched_at_a_size_that_fits_its_boxes(config: str, folder: Path, tmp_path: Path) -> None:
    options: list[Any] = [f"search.{option}" for option in SMALL]
    line = ["search", f"configs/search/{config}.py", tmp_path / "run", "--data", folder, "--size", "small"]
    done = autoloss(*line, "--cfg-options", *options, "search.evaluator.metric=AP50")
    assert done.returncode == 0, done.stderr
    assert "COCO JSON, with train and val and test" in done.stderr
    assert "size small: images at 96 px, strides " in done.stderr
    shown = json.loads(autoloss("show", tmp_path / "run", "--json").stdout)
    assert shown["trained"]["metric"] == "AP50"
    assert shown["trained"]["size"].startswith("small: images at 96 px")
    assert shown["settings"]["evaluator"]["data"]["val"]["images"] == str(folder / "val")


@pytest.mark.parametrize("config", ["own_fcos", "own_faster_rcnn"])
def test_without_data_it_is_said_what_to_give(config: str, tmp_path: Path) -> None:
    done = autoloss("search", f"configs/search/{config}.py", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("autoloss: this search is for your data: give --data PATH")
    again = autoloss("search", f"configs/search/{config}.py", tmp_path / "run", "--size", "huge")
    assert (again.returncode, "Traceback" in again.stderr) == (2, False)
