"""An export that could not be written is refused before the search that it is of."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from primitives.errors import InputError
from tests.helpers.pipelines import flow, written


def test_mmdetection_is_no_target_of_a_search_that_trains_none_of_its_detectors(tmp_path: Path) -> None:
    file = written(tmp_path, steps=["search_bbox", "export"], export={})
    with pytest.raises(InputError, match="^export: the run's evaluator trains no mmdetection detector"):
        flow(file, tmp_path / "out").check()


def test_a_library_that_the_comparison_lacks_shows_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    lacks: Any = lambda name, *more: None if name == "jax" else found(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", lacks)
    file = written(tmp_path, steps=["search_bbox", "export"], export={"to": ["jax"]})
    with pytest.raises(InputError, match="^export: --to jax checks the file with JAX, which is not installed"):
        flow(file, tmp_path / "out").check()


def test_every_other_target_may_begin_and_nothing_is_written(tmp_path: Path) -> None:
    targets = ["torch", "torchvision", "numpy", "latex", "command"]
    file = written(tmp_path, steps=["search_bbox", "export"], export={"to": targets})
    assert flow(file, tmp_path / "out").check()
    assert not (tmp_path / "out").exists()


def test_a_detector_of_mmdetection_is_tried_as_it_will_be_exported(tmp_path: Path) -> None:
    options = {"search.evaluator.data": {"type": "digits", "train": 12, "val": 2, "test": 2}}
    search = {"config": "configs/search/digits_fcos.py", "cfg_options": options, "slots": None}
    file = written(tmp_path, steps=["search", "export"], search=search, export={})
    assert flow(file, tmp_path / "out").check()
