"""Every config of configs/paper holds the published losses as they are, and trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import pytest
from mmengine.config import Config

from detectors.evaluator import DetectorEvaluator
from detectors.training.config import box_heads, load
from primitives.catalog import KNOWN
from tests.helpers.stock import PAPER

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "paper"
TOOL = Path(mmdet.__file__).parent / ".mim" / "tools" / "train.py"


def test_every_config_of_the_folder_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(PAPER)


@pytest.mark.parametrize("name", PAPER)
def test_a_config_holds_the_published_formulas_and_weights(name: str) -> None:
    pair, _ = PAPER[name]
    config = load(str(FOLDER / f"{name}.py"))
    heads = list(box_heads(config))
    assert len(heads) == (3 if "cascade" in name else 1)
    for head in heads:
        for slot, known in (("loss_cls", KNOWN[f"{pair}_cls"]), ("loss_bbox", KNOWN[f"{pair}_reg"])):
            assert head[slot].expression == str(known.expression)
            assert (head[slot].grammar, head[slot].get("alpha")) == (known.grammar, known.alpha)
        assert head.loss_cls.loss_weight == 1.0
        assert head.loss_bbox.loss_weight == (10.0 if pair == "cse_a" else 1.0)
        assert head.get("centerness_target") == (None if pair == "cse_a" else "iou")
        assert head.get("reg_decoded_bbox", "fcos" in name)
        assert head.num_classes == {"voc0712": 20, "bdd100k": 10}.get(name.rpartition("_")[2], 80)


def test_the_stages_of_the_cascade_differ_from_mmdetections_in_their_losses_alone() -> None:
    ours, theirs = (box_heads(load(f"configs/{folder}/cascade_rcnn_r50.py")) for folder in ("paper", "detectors"))
    changed = {"type", "loss_cls", "loss_bbox", "reg_decoded_bbox"}
    for one, other in zip(ours, theirs, strict=True):
        assert {key: value for key, value in one.items() if key not in changed} == {
            key: value for key, value in other.items() if key not in changed
        }


@pytest.mark.parametrize("name", PAPER)
def test_a_config_trains_for_an_iteration(name: str, outlined: dict[str, Any]) -> None:
    _, options = PAPER[name]
    evaluator = DetectorEvaluator(str(FOLDER / f"{name}.py"), outlined, batch_size=2, cfg_options=options)
    metrics = evaluator.evaluate({}, {"iterations": 1, "train_on": "train", "evaluate_on": "val"}, 0)
    assert np.isfinite(metrics["loss"])
    assert 0 <= metrics["score"] <= 1


@pytest.mark.parametrize("tool", ["autoloss train", "mmdetection's tools/train.py"])
def test_both_commands_train_a_config(tool: str, outlined: dict[str, Any], tmp_path: Path) -> None:
    config = load(str(FOLDER / "fcos_r50.py"), PAPER["fcos_r50"][1])
    loaders = {}
    for part in ("train", "val"):
        loaders[f"{part}_dataloader"] = {
            "batch_size": 20,
            "num_workers": 0,
            "persistent_workers": False,
            "dataset": {
                "data_root": "",
                "ann_file": outlined[part]["annotations"],
                "data_prefix": {"img": outlined[part]["images"]},
                "metainfo": {"classes": tuple(map(str, range(10)))},
                "pipeline": config[f"{part}_dataloader"].dataset.pipeline,
            },
        }
    file = tmp_path / "config.py"
    file.write_text(f"_base_ = {str(FOLDER / 'fcos_r50.py')!r}\n{Config(loaders).pretty_text}")
    options = {key: value for key, value in PAPER["fcos_r50"][1].items() if key.startswith("model.")}
    options |= {"model.bbox_head.num_classes": 10, "train_cfg.max_epochs": 1}
    options["val_evaluator.ann_file"] = outlined["val"]["annotations"]
    start = ["-m", "autoloss", "train"] if tool == "autoloss train" else [str(TOOL)]
    line = [sys.executable, *start, str(file), "--work-dir", str(tmp_path / "work"), "--cfg-options"]
    for key, value in options.items():
        inside = value if isinstance(value, dict) else {"": value}
        line += [f"{key}.{name}".strip(".") + f"={one}".replace(" ", "") for name, one in inside.items()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "Epoch(val) [1]" in done.stdout
    assert (tmp_path / "work" / "epoch_1.pth").is_file()
