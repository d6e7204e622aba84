"""Exported folders whose losses read all that heads and trainings hand over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from detectors import mmcv_ops
from tests.detectors.export.test_mmdet import STOCK, losses_of, written
from tests.helpers import handed

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
