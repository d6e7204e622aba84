from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from primitives.system import memory


@pytest.mark.parametrize(("said", "of_machine"), [("1048576\n", False), ("max\n", True), (f"{2**62}\n", True)])
def test_memory_is_that_of_the_container_where_it_has_a_limit(
    said: str, of_machine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "memory.max"
    file.write_text(said)
    monkeypatch.setattr(memory, "_LIMITS", (tmp_path / "absent", file))
    assert memory.machine_memory() == (psutil.virtual_memory().total if of_machine else 1048576)
