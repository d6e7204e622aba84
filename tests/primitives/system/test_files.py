from __future__ import annotations

from pathlib import Path

import pytest

from primitives.errors import InputError
from primitives.system.files import write_whole


def test_a_file_is_written_anew_or_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "facts.json"
    write_whole(file, "first")
    assert file.read_text() == "first"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"cannot write .*facts.json: No space left on device"):
        write_whole(file, "second")
    assert file.read_text() == "first"


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*facts.json: No such file or directory"):
        write_whole(tmp_path / "none" / "facts.json", "text")
