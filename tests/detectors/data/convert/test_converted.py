"""What converters make is kept, and made anew when what they read has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detectors.data.convert.converted import as_coco
from primitives.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A YOLO data set of one image whose labels lie elsewhere, behind a link, and the file of labels."""
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    (data / "images").mkdir(parents=True)
    elsewhere.mkdir()
    Image.new("RGB", (20, 10)).save(data / "images/a.png")
    (elsewhere / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (data / "classes.txt").write_text("cat\ndog\n")
    (data / "labels").symlink_to(elsewhere)
    return data, elsewhere / "a.txt"


def classes(data: Path) -> list[Any]:
    file, _ = as_coco(data)
    return [entry["category_id"] for entry in json.loads(file.read_text())["annotations"]]


def test_labels_behind_a_link_that_change_are_converted_anew(linked: tuple[Path, Path]) -> None:
    data, label = linked
    before = classes(data)
    assert classes(data) == before
    label.write_text("1 0.5 0.5 0.5 0.5\n")
    assert classes(data) != before


def test_links_in_a_ring_end(linked: tuple[Path, Path]) -> None:
    data, _ = linked
    (data / "again").symlink_to(data)
    assert classes(data)


def test_other_files_and_links_to_nothing_do_not_matter(linked: tuple[Path, Path]) -> None:
    data, _ = linked
    before, _ = as_coco(data)
    (data / "notes.log").write_text("new")
    (data / "gone.log").symlink_to(data / "nowhere")
    assert as_coco(data)[0] == before


def test_a_label_that_cannot_be_read_is_named(linked: tuple[Path, Path]) -> None:
    data, label = linked
    (label.parent / "b.txt").symlink_to(data / "nowhere")
    with pytest.raises(InputError, match=r"cannot read .*b\.txt: No such file"):
        as_coco(data)
