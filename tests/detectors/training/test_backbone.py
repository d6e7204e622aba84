from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detectors import mmcv_ops
from detectors.training.backbone import SCRATCH, begin_with
from detectors.training.config import load

mmcv_ops.install()


def test_weights_of_a_whole_detector_are_not_loaded_over_those_of_the_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    torch.save({"state_dict": {"conv1.weight": torch.ones(1)}}, tmp_path / "mine.pth")
    for choice in (SCRATCH, str(tmp_path / "mine.pth")):
        config = load("tiny_fcos", {"load_from": "coco.pth"})
        assert "in place of coco.pth" in begin_with(config, choice)
        assert config.load_from is None
