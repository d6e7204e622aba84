"""Exported folders whose losses read all that heads and trainings hand over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from detectors import mmcv_ops
from tests.detectors.export.test_mmdet import STOCK, losses_of, written
from tests.helpers import handed
from tests.helpers.stock import TOOL, closed

mmcv_ops.install()

from mmdet.registry import MODELS  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402

from detectors.export.mmdet import mmdet as mmdet_files  # noqa: E402
from detectors.training.config import STATE, box_heads, load, put_losses  # noqa: E402

GFL = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
SIGMOID = {**{name: STOCK[name] for name in ("FCOS", "ATSS", "RetinaNet")}, "GFL": GFL}
SOFTMAX = {name: STOCK[name] for name in ("Faster R-CNN", "Cascade R-CNN", "Mask R-CNN")}


@pytest.fixture(autouse=True)
def grammars(monkeypatch: pytest.MonkeyPatch) -> None:
    handed.add_grammars(monkeypatch)
    register_all_modules()


def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads as the hook leaves them after a quarter of a training."""
    build = MODELS.build

    def built(config: Any, *args: Any, **kwargs: Any) -> Any:
        model = build(config, *args, **kwargs)
        for part in model.modules():
            if getattr(part, "from_training", ()):
                assert part.from_training == ("frequency", "progress")
                part.progress = torch.tensor(0.25)
                part.frequency = torch.linspace(0.01, 1, part.num_classes)
        return model

    monkeypatch.setattr(MODELS, "build", built)


@pytest.mark.filterwarnings("ignore:DeprecationWarning. .num_anchors.:UserWarning")  # mmdetection of itself
@pytest.mark.parametrize("slots", [("loss_cls", "loss_bbox"), ("loss_bbox",)], ids=["both", "box loss alone"])
@pytest.mark.parametrize("detector", [*SIGMOID, *SOFTMAX])
def test_stock_detectors_compute_the_losses_that_the_toolkit_computes(
    detector: str, slots: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, base = ("sigmoid", SIGMOID[detector]) if detector in SIGMOID else ("softmax", SOFTMAX[detector])
    spec = handed.losses(kind, *slots)
    name = f"Handed{''.join(letter for letter in detector if letter.isalpha())}{len(slots)}"
    config = written(mmdet_files(spec, name, ["By a test."], {"detector": base, "stand_in": False}), tmp_path)
    assert [module.rpartition("_")[0] for module in config.custom_imports.imports][:2] == [
        "portable_config",
        "training_state",
    ]
    assert [hook["type"].partition("_")[0] for hook in config.custom_hooks[-2:]] == ["TrainingState", "PortableConfig"]
    ours = load(base)
    put_losses(ours, spec)
    assert STATE in ours.custom_hooks
    assert all(head["type"].startswith(name) for head in box_heads(config))
    told(monkeypatch)
    exported, expected = losses_of(config.model), losses_of(ours.model)
    assert exported.keys() == expected.keys()
    assert all(torch.isfinite(torch.tensor(value)) for value in exported.values())
    for key, value in expected.items():
        assert exported[key] == pytest.approx(value, rel=1e-4, abs=1e-6), key


def test_a_folder_whose_losses_read_nothing_of_the_training_has_no_hook_for_it(tmp_path: Path) -> None:
    spec = {"loss_bbox": {"expression": "sub(1, div(i, u))", "grammar": "box", "loss_weight": 1.0}}
    files = mmdet_files(spec, "Plain", ["By a test."], {"detector": STOCK["FCOS"], "stand_in": False})
    assert not any("training_state" in name or "TrainingState" in text for name, text in files.items())


@pytest.mark.usefixtures("scenes")
def test_mmdetection_trains_a_folder_alone_and_resumes_it_with_the_losses_that_would_have_been(tmp_path: Path) -> None:
    data = {"type": "digits", "train": 40, "val": 8, "test": 8}
    evaluator = {"type": "detectors.evaluator:DetectorEvaluator", "detector": "configs/detectors/tiny_fcos.py"}
    task = {"iterations": 4, "train_on": "train", "evaluate_on": "val"}
    setup = {"evaluator": {**evaluator, "data": data}, "task": task, "seed": 0, "stand_in": True}
    folder, importable = tmp_path / "exported", closed(tmp_path)
    folder.mkdir()
    for name, text in mmdet_files(handed.losses("sigmoid"), "Handed", ["By a test."], setup).items():
        (folder / name).write_text(text)
    whole = losses_of_iterations(folder, importable, tmp_path / "whole")
    assert sorted(whole) == [1, 2, 3, 4]
    again = losses_of_iterations(
        folder, importable, tmp_path / "again", "--resume", str(tmp_path / "whole" / "iter_2.pth")
    )
    assert again == {3: whole[3], 4: whole[4]}
    assert any(path.name.startswith("training_state_") for path in (tmp_path / "again").glob("*.py"))


def losses_of_iterations(folder: Path, closed: Path, work: Path, *more: str) -> dict[int, dict[str, float]]:
    """What mmdetection's own tool logs of a training where our packages cannot be imported."""
    line = [sys.executable, str(TOOL), str(folder / "config.py"), "--work-dir", str(work), *more, "--cfg-options"]
    line += ["default_hooks.logger.interval=1", "default_hooks.checkpoint.interval=2", "log_processor.window_size=1"]
    line += ["train_cfg.val_interval=100"]
    environment = {**os.environ, "PYTHONPATH": str(closed), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=work.parent)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    (log,) = work.glob("*/vis_data/scalars.json")
    rows = [json.loads(row) for row in log.read_text().splitlines()]
    return {
        row["step"]: {name: value for name, value in row.items() if "loss" in name} for row in rows if "loss" in row
    }
