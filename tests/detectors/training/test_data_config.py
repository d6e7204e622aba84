"""What a config of a detector says of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectors.data.coco import CocoSource
from detectors.training.data_config import files_of, look_beside, metric_on


def config(root: str) -> dict[str, Any]:
    leaf = {"type": "CocoDataset", "data_root": root, "ann_file": "train.json", "data_prefix": {"img": "images"}}
    return {
        "train_dataloader": {"dataset": {"type": "RepeatDataset", "dataset": leaf}},
        "val_dataloader": {"dataset": {**leaf, "data_root": None, "ann_file": "there.json"}},
        "val_evaluator": {"type": "CocoMetric", "ann_file": f"{root}train.json"},
        "test_dataloader": None,
    }


def test_data_that_lie_beside_the_config_are_read_there_and_others_where_commands_run(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.json").touch()
    found = config("data/")
    look_beside(found, [tmp_path / "nowhere", tmp_path])
    leaf = found["train_dataloader"]["dataset"]["dataset"]
    assert list(files_of(leaf)) == [str(tmp_path / "data/train.json"), str(tmp_path / "data/images")]
    assert found["val_evaluator"]["ann_file"] == str(tmp_path / "data/train.json")
    assert list(files_of(found["val_dataloader"]["dataset"])) == ["there.json", "images"]
    again = config("data/")
    look_beside(again, [])
    assert again == config("data/")


def test_a_metric_among_several_keeps_what_is_of_any_data(scenes: dict[str, CocoSource]) -> None:
    asked = {"type": "CocoMetric", "ann_file": "there.json", "metric": ["bbox", "segm"], "classwise": True}
    for given in ({**asked, "format_only": True}, [{"type": "DumpResults"}, asked]):
        found = metric_on(given, scenes["val"])
        assert (found["metric"], found["classwise"]) == (["bbox", "segm"], True)
        assert found["ann_file"] == str(scenes["val"].annotations)
        assert "format_only" not in found
    assert metric_on(None, scenes["val"])["metric"] == "bbox"
