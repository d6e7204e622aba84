"""Images as mmdetection reads them, on files made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detectors.data.findings import Findings
from detectors.data.images import look, missing, sample, spaced


def looked(folder: Path, name: str, width: int = 20, height: int = 10) -> dict[str, str]:
    findings = Findings()
    look([{"file_name": name, "width": width, "height": height}], folder, findings)
    return {problem.name: problem.first for problem in findings.problems()}


def turned(file: Path, tag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.new("RGB", (20, 10)).save(file, exif=exif)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "I;16"])
def test_grey_16_bit_and_transparent_images_are_read_in_colour(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(np.full((10, 20), 30000, np.uint16)) if mode == "I;16" else Image.new(mode, (20, 10))
    picture.save(tmp_path / "ü.png")
    assert looked(tmp_path, "ü.png") == {}


def test_an_image_that_exif_turns_has_the_size_that_mmdetection_reads(tmp_path: Path) -> None:
    from mmcv.transforms import LoadImageFromFile

    turned(tmp_path / "a.jpg", 6)
    loaded: dict[str, Any] = LoadImageFromFile().transform({"img_path": str(tmp_path / "a.jpg")})
    assert loaded["ori_shape"] == (20, 10)
    found = looked(tmp_path, "a.jpg")
    assert (
        "20 x 10 in the annotations, mmdetection reads 10 x 20, turned as its EXIF tag 6 says"
        in (found["image of another size"])
    )
    assert looked(tmp_path, "a.jpg", 10, 20).keys() == {"image that EXIF turns"}


def test_an_image_that_is_turned_upside_down_is_told_of(tmp_path: Path) -> None:
    turned(tmp_path / "a.jpg", 3)
    assert looked(tmp_path, "a.jpg").keys() == {"image that EXIF turns"}
    turned(tmp_path / "a.jpg", 1)
    assert looked(tmp_path, "a.jpg") == {}


def test_images_of_another_size_and_files_that_are_none_stop_a_training(tmp_path: Path) -> None:
    Image.new("RGB", (20, 12)).save(tmp_path / "a.png")
    assert "mmdetection reads 20 x 12: its boxes" in looked(tmp_path, "a.png")["image of another size"]
    for name, content in (("empty.jpg", b""), ("text.jpg", b"no image"), ("half.png", b"\x89PNG\r\n\x1a\n")):
        (tmp_path / name).write_bytes(content)
        assert looked(tmp_path, name).keys() == {"image that cannot be read"}, name


def test_a_jpeg_that_ends_too_early_stops_a_training(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    assert looked(tmp_path, "a.jpg", 64, 64) == {}
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) * 9 // 10])
    assert looked(tmp_path, "a.jpg", 64, 64).keys() == {"image that cannot be read"}


def test_missing_images_are_found_in_every_folder_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "in/b.png"):
        Image.new("L", (2, 2)).save(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    asked = ["c.png", "in/b.png", "a.png", "in/a.png", "none/a.png", "folder.png", "./a.png"]
    assert missing(asked, tmp_path) == ["c.png", "in/a.png", "none/a.png", "folder.png"]


def test_a_sample_is_spread_evenly() -> None:
    assert sample(range(100), 4) == [0, 25, 50, 75]
    assert sample([1, 2], 4) == [1, 2]


@given(st.integers(1, 500), st.integers(1, 500))
def test_images_that_are_chosen_are_different_ones_from_begin_to_end(total: int, count: int) -> None:
    chosen = spaced(total, count)
    assert len(set(chosen)) == min(total, count)
    assert chosen[0] == 0
    assert total - 1 - total / count <= chosen[-1] < total
