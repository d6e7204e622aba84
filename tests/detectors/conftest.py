"""What the tests of the detectors share: a few scenes of digits in a cache of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.datasets import CocoSource
from detectors.digits import digit_scenes

COUNTS = {"train": 40, "val": 8, "test": 8}


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def scenes(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, CocoSource]:
    """Digit scenes by split; drawn once for all tests."""
    monkeypatch.setenv("AUTOLOSS_CACHE", str(small_cache))
    return digit_scenes(COUNTS)
