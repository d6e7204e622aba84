from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.audited import searched


@pytest.fixture(scope="session")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small search; nobody writes to it."""
    return searched(tmp_path_factory.mktemp("search") / "mine", generations=2, births=3)
