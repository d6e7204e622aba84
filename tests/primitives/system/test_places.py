"""Where a path is looked for: beside the config that names it, then in the working directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from primitives.errors import InputError
from primitives.system import places


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder with a config, and the working directory."""
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
    monkeypatch.chdir(here)
    return beside, here


def test_beside_the_config_comes_before_the_working_directory(folders: tuple[Path, Path]) -> None:
    beside, here = folders
    (here / "data.json").touch()
    assert places.find("data.json", "file", [beside]) == Path("data.json")
    (beside / "data.json").touch()
    assert places.find("data.json", "file", [beside]) == beside / "data.json"
    assert places.find(here / "data.json", "file", [beside]) == here / "data.json"


def test_what_is_nowhere_is_said_with_both_places(folders: tuple[Path, Path]) -> None:
    beside, here = folders
    with pytest.raises(InputError) as error:
        places.find("data.json", "file", [beside])
    assert str(error.value) == (
        f"no file at 'data.json', neither beside the config in {beside} nor in the working directory {here}"
    )


def test_a_config_in_a_tree_of_configs_names_others_as_the_toolkits_do(tmp_path: Path) -> None:
    file = tmp_path / "configs/search/mine.py"
    assert places.around(file) == [tmp_path / "configs/search", tmp_path]
    assert places.around(tmp_path / "mine.py") == [tmp_path]


@pytest.mark.parametrize("name", ["autoloss::../pyproject.toml", "autoloss::/etc/passwd", "\0", "a" * 5000, ""])
def test_names_that_are_none_find_nothing(name: str, folders: tuple[Path, Path]) -> None:
    with pytest.raises(InputError):
        places.find(name, "config file", folder="search")
