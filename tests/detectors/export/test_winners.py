"""What results/ keeps of searches, in use: mmdetection's own tools train with it where ours cannot be imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.stock import STOCK, TOOL, closed, trained

KEPT = sorted((Path(__file__).parents[3] / "results").glob("*/export/mmdet"))


def test_winners_are_kept() -> None:
    assert {folder.parents[1].name for folder in KEPT} >= {"flagship", "bccd"}


@pytest.mark.parametrize("folder", KEPT, ids=[folder.parents[1].name for folder in KEPT])
def test_a_winner_trains_its_stock_detector(folder: Path, outlined: dict[str, Any], tmp_path: Path) -> None:
    config = (folder / "config.py").read_text()
    (base,) = re.findall(r"^_base_ = '(.*)'$", config, re.MULTILINE)
    (name,) = [one for one in STOCK if base in Path(f"configs/detectors/{one}.py").read_text()]
    said = trained([str(TOOL)], folder / "config.py", name, outlined, closed(tmp_path), tmp_path)
    for loss in re.findall(r"type='(Candidate\w*Loss_\w*)'", config):
        assert f"type='{loss}'" in said  # the config that mmengine logs
    assert "loss_bbox: nan" not in said
    assert "loss_cls: nan" not in said
