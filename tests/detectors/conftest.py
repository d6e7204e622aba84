"""What the tests of the detectors share: a few scenes of digits in a cache of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detectors.data.coco import CocoSource
from detectors.data.description import Digits
from detectors.data.digits import digit_scenes

COUNTS = {"train": 40, "val": 8, "test": 8}


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def scenes(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, CocoSource]:
    """Digit scenes by split; drawn once for all tests."""
    monkeypatch.setenv("AUTOLOSS_CACHE", str(small_cache))
    return digit_scenes(Digits(**COUNTS))


@pytest.fixture
def outlined(scenes: dict[str, CocoSource], tmp_path: Path) -> dict[str, Any]:
    """The scenes as files in COCO format, with an outline around every box, which Mask R-CNN asks for."""
    data: dict[str, Any] = {"type": "coco"}
    for split in ("train", "val"):
        content = json.loads(scenes[split].annotations.read_text())
        for entry in content["annotations"]:
            x, y, w, h = entry["bbox"]
            entry["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
        data[split] = {"annotations": str(tmp_path / f"{split}.json"), "images": str(scenes[split].images)}
    return data
