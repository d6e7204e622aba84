"""Every config of configs/paper holds the published losses as they are, and trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.evaluator import DetectorEvaluator
from detectors.training.config import box_heads, load
from primitives.catalog import KNOWN
from tests.helpers.stock import PAPER, TOOL, trained

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "paper"


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
    program = ["-m", "autoloss", "train"] if tool == "autoloss train" else [str(TOOL)]
    trained(program, FOLDER / "fcos_r50.py", "fcos_r50", outlined, ROOT, tmp_path)
