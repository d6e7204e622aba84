import json
import logging
from pathlib import Path

import pytest

from detectors.data.cache import cache_folder, once
from detectors.data.coco import coco_source
from detectors.data.description import Digits
from detectors.data.digits import digit_scenes
from primitives.errors import InputError

SMALL = {"train": 30, "val": 6, "test": 9}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "a flipped bit": (lambda folder: flip(folder / "train.json"), "train.json is another"),
    "an empty file": (lambda folder: (folder / "val.json").write_bytes(b""), "val.json is another"),
    "half a picture": (lambda folder: (folder / "test" / "00003.png").write_bytes(b"\x89PNG"), "00003.png is another"),
    "a picture that is gone": (lambda folder: (folder / "test" / "00003.png").unlink(), "00003.png is missing"),
    "no sums": (lambda folder: (folder / "sums.json").unlink(), "no sums.json that can be read"),
    "half of the sums": (lambda folder: (folder / "sums.json").write_text('{"a"'), "no sums.json that can be read"),
    "sums of nothing": (lambda folder: (folder / "sums.json").write_text("7"), "no sums.json that can be read"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_prepared_data_that_is_damaged_is_made_anew_with_a_word(
    what: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digit_scenes(Digits(**SMALL))
    (folder,) = cache.iterdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    change, said = DAMAGE[what]
    change(folder)
    with caplog.at_level(logging.WARNING):
        digit_scenes(Digits(**SMALL))
    assert said in caplog.text
    assert "made anew" in caplog.text
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert list(cache.iterdir()) == [folder]


def test_prepared_data_that_is_whole_is_used_again_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    made: list[Path] = []

    def write(fresh: Path) -> None:
        made.append(fresh)
        (fresh / "file").write_text("content")

    for _ in range(3):
        assert (once(cache_folder() / "folder", write) / "file").read_text() == "content"
    assert len(made) == 1
    assert not caplog.text


def test_a_damaged_copy_of_a_data_set_is_made_anew(tmp_path: Path, cache: Path) -> None:
    train = digit_scenes(Digits(**SMALL))["train"]
    source = coco_source(train.annotations, train.images)
    names = source.annotations.with_name("names.json")
    names.write_text(json.dumps(["another.png"]))
    assert coco_source(train.annotations, train.images) == source
    assert "another.png" not in names.read_text()


def test_a_cache_that_is_a_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot keep prepared data"):
        once(cache_folder() / "folder", lambda _: None)
