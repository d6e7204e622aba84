from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detectors.data.between.groups import expression, group, looks_grouped, parted
from detectors.data.check import checked_splits
from detectors.data.splits import say, sources
from primitives.errors import InputError

FILMS = [f"film{film}_{frame:04d}.png" for film in range(8) for frame in range(5)]


def written(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name in names:
        Image.new("RGB", (20, 10)).save(folder / name)
    content = {
        "images": [{"id": k, "file_name": name, "width": 20, "height": 10} for k, name in enumerate(names)],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [{"id": k, "image_id": k, "category_id": 7, "bbox": [1, 1, 9, 5]} for k in range(len(names))],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))


def files(found: dict[str, Any], split: str) -> list[str]:
    return [image["file_name"] for image in json.loads(found[split].annotations.read_text())["images"]]


def test_frames_of_one_film_stand_on_one_side(tmp_path: Path) -> None:
    part = {"annotations": str(written(tmp_path / "films", FILMS)), "images": str(tmp_path / "films")}
    apart = sources({"type": "coco", "train": part})
    films = {split: {name[:5] for name in files(apart, split)} for split in ("train", "val", "test")}
    assert films["train"] & films["val"]
    found = sources({"type": "coco", "train": part, "group_by": "^film[0-9]"})
    films = {split: {name[:5] for name in files(found, split)} for split in ("train", "val", "test")}
    assert not films["train"] & films["val"] | films["train"] & films["test"] | films["val"] & films["test"]
    assert {split: found[split].count for split in ("train", "val", "test")} == {"train": 30, "val": 5, "test": 5}
    again = sources({"type": "coco", "train": part, "group_by": "^(film[0-9])_"})
    assert files(again, "val") == files(found, "val")


@given(
    st.lists(st.integers(0, 9), min_size=3, max_size=60),
    st.integers(1, 2),
    st.integers(1, 20),
)
def test_no_group_is_parted_and_no_image_is_lost(films: list[int], parts: int, each: int) -> None:
    names = [f"{film}-{number}.png" for number, film in enumerate(films)]
    found = parted(names, r"^\d", each, parts)
    if len(set(films)) <= parts:
        assert found is None
    if found is not None:
        held = [place for part in found for place in part]
        rest = [place for place in range(len(names)) if place not in held]
        assert len(set(held)) == len(held)
        sides = [*found, rest]
        assert all(sides)
        assert sum(len({films[place] for place in side}) for side in sides) == len(set(films))


def test_too_few_groups_are_named(tmp_path: Path) -> None:
    part = {"annotations": str(written(tmp_path / "films", FILMS)), "images": str(tmp_path / "films")}
    with pytest.raises(InputError, match="group_by gives 1 groups of 40 images, too few to hold some out for val"):
        sources({"type": "coco", "train": part, "group_by": "^film"})


@pytest.mark.parametrize(
    "text", ["(", "(?=a)b", "", "a" * 501, "[z-a]", "(?P<x", "\\", "a{1000}{1000}{1000}", "\ud800"]
)
def test_what_is_no_regular_expression_is_one_line(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for ask in (
        lambda: expression(text),
        lambda: sources({"type": "coco", "train": {"annotations": "a.json"}, "group_by": text}),
        lambda: checked_splits(tmp_path, group_by=text),
    ):
        with pytest.raises(InputError, match="group_by") as caught:
            ask()
        assert len(str(caught.value).splitlines()) == 1
        str(caught.value).encode()
    assert capfd.readouterr() == ("", "")


def test_a_hostile_expression_takes_no_longer_than_another() -> None:
    """Python's own `re` would not end on it."""
    assert group("a" * 200 + "!", expression(r"^(a|a)*(a+)+$")) == "a" * 200 + "!"


@settings(max_examples=200)
@given(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.text(st.sampled_from("ab(.*+?)[]{}\\|^$1,"), max_size=20),
)
def test_any_expression_groups_any_name_or_is_refused(name: str, text: str) -> None:
    try:
        expression(text)
    except InputError:
        return
    assert isinstance(group(name, text), str)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (FILMS, "frames of one film"),
        ([f"P{k:04d}__1__{x}___{y}.png" for k in range(5) for x in (0, 512) for y in (0, 512)], "tiles of one scene"),
        ([f"IMG_{k}_jpeg_jpg.rf.{h}.jpg" for k in range(9) for h in ("ab12", "cd34")], "copies of one picture"),
        ([f"{k:06d}.png" for k in range(100)], None),
        ([f"BloodImage_{k:05d}.jpg" for k in range(100)], None),
        ([f"IMG_{k}_jpeg.jpg" for k in range(100)], None),
        (["cat.png", "dog.png", "horse.png"], None),
    ],
)
def test_names_that_tell_of_groups_are_noticed_and_others_are_not(names: list[str], what: str | None) -> None:
    found = looks_grouped(names)
    assert (found is None) == (what is None)
    if found is not None and what is not None:
        assert found[1].startswith(what)


def test_the_check_warns_of_groups_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    train, val = FILMS[::2], FILMS[1::2]
    for split, names in (("train", train), ("val", val)):
        written(tmp_path / "films" / split, names).rename(tmp_path / "films" / f"{split}.json")
    found = checked_splits(tmp_path / "films")
    (problem,) = found["problems"]
    assert (problem["name"], problem["count"], problem["stops"]) == ("frames of one film on both sides", 20, False)
    assert "20 images of val share one of 8 groups with train, first 'film0'" in problem["first"]
    assert checked_splits(tmp_path / "films", group_by="^(.*)$")["problems"] == []


def test_the_check_warns_of_groups_that_a_hold_out_would_part(tmp_path: Path) -> None:
    found = checked_splits(written(tmp_path / "films", FILMS))
    (problem,) = found["problems"]
    assert "--group-by" in problem["first"]
    assert found["usable"]
    assert checked_splits(tmp_path / "films" / "a.json", group_by="^film[0-9]")["problems"] == []


def test_splits_that_are_given_and_share_groups_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = {}
    for split, names in (("train", FILMS[::2]), ("val", FILMS[1::2])):
        parts[split] = {"annotations": str(written(tmp_path / split, names)), "images": str(tmp_path / split)}
    for more in ({}, {"longest": 16}):  # images that were made smaller have names of their own
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            description = {"type": "coco", **parts, "group_by": "^film[0-9]", **more}
            say(sources(description), description)
        assert "data.val: 20 images are of 8 groups that are trained on too, first 'film0'" in caplog.text
