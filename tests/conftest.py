"""What the tests share: where the data is, and quiet, single-threaded torch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# One thread a process: of pytest, of pytest-xdist's workers, and of what tests start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("steady")

# Evaluators of the tests are named in configs as `tests.helpers.fast_evaluator:...`; processes that tests start find
# them, and the packages of this checkout, from any folder.
ROOT = Path(__file__).parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real data sets."""
    folder = os.environ.get("AUTOLOSS_DATA")
    if not folder:
        pytest.skip("AUTOLOSS_DATA names no folder with bccd/ and tiny_coco/")
    return Path(folder)


@pytest.fixture
def golden() -> Path:
    """Folder of the recorded reference values."""
    return Path(__file__).parent / "golden"
