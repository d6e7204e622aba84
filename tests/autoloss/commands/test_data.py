"""The commands about data, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoloss.commands.data import described
from primitives.errors import InputError
from tests.helpers.command import autoloss


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve scenes of digits as files."""
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    done = autoloss("data", "digits", "--out", tmp_path / "digits", "--train", 6, "--val", 3, "--test", 3)
    assert done.returncode == 0, done.stderr
    return tmp_path / "digits"


def test_digits_are_written_and_pass_the_check_with_a_picture(digits: Path) -> None:
    picture = digits.parent / "sizes.png"
    done = autoloss("data", "check", digits / "train.json", "--images", digits / "train", "--plot", picture)
    assert done.returncode == 0, done.stderr
    assert "6 images (6 opened)" in done.stdout
    assert "It can be used." in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    again = autoloss("data", "digits", "--out", digits)
    assert again.returncode == 2
    assert "holds train already" in again.stderr


def test_a_check_lists_every_problem_and_its_exit_code_says_whether_a_training_can_start(digits: Path) -> None:
    content = json.loads((digits / "train.json").read_text())
    content["annotations"][0]["bbox"][2] = 0
    content["annotations"][1]["category_id"] = 99
    content["images"][0]["width"] = 50
    (digits / "train" / content["images"][2]["file_name"]).unlink()
    (digits / "broken.json").write_text(json.dumps(content))
    done = autoloss("data", "check", digits / "broken.json", "--images", digits / "train", "--read", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    stops = {row["name"]: row["count"] for row in found["problems"] if row["stops"]}
    assert stops == {"unknown category": 1, "missing image": 1, "image of another size": 1}
    assert found["left_out"] >= 1
    assert found["opened"] == 5
    shown = autoloss("data", "check", digits / "broken.json", "--images", digits / "train")
    assert shown.returncode == 1
    assert all(name in shown.stdout for name in stops)


def test_a_check_of_what_is_no_coco_json_is_one_line(digits: Path) -> None:
    text = (digits / "train.json").read_text()
    (digits / "half.json").write_text(text[: len(text) // 2])
    for file, images in (("half.json", "train"), ("none.json", "train"), ("train.json", "none")):
        done = autoloss("data", "check", digits / file, "--images", digits / images)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


def test_convert_writes_a_file_that_the_check_reads(tmp_path: Path) -> None:
    frames = [{"name": "a.jpg", "labels": [{"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 9, "y2": 9}}]}]
    (tmp_path / "det.json").write_text(json.dumps(frames))
    out = tmp_path / "new" / "coco.json"
    done = autoloss("data", "convert", "bdd100k", tmp_path / "det.json", "--out", out)
    assert done.stdout.strip() == f"{out}: 1 images, 1 boxes, 10 classes"
    again = autoloss("data", "convert", "bdd100k", tmp_path / "det.json", "--out", out)
    assert (again.returncode, again.stderr.strip()) == (
        2,
        f"autoloss: {out} is there; write over it with --force",
    )
    other = autoloss("data", "convert", "yolo", tmp_path / "det.json", "--out", tmp_path / "b.json")
    assert "unknown format 'yolo'; choices: voc, bdd100k" in other.stderr
    split = autoloss("data", "convert", "bdd100k", tmp_path / "det.json", "--out", out, "--force", "--split", "a")
    assert "--split is for voc" in split.stderr


def test_options_become_a_description() -> None:
    a, b, i, j = map(Path, ("a.json", "b.json", "i", "j"))
    train = {"annotations": "a.json", "images": "i"}
    assert described(None, None, None, None, None, None) is None
    assert described(a, i, None, None, None, None) == {"type": "coco", "train": train}
    assert described(a, i, b, None, b, j) == {
        "type": "coco",
        "train": train,
        "val": {"annotations": "b.json", "images": "i"},
        "test": {"annotations": "b.json", "images": "j"},
    }
    shipped = described(Path("configs/datasets/coco2017.py"), None, None, None, None, None)
    assert shipped is not None
    assert shipped["train"]["images"] == "data/coco/train2017"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((None, "i", None, None, None, None), "--images needs --data"),
        (("a.json", None, None, None, None, None), "--data a.json needs --images"),
        (("a.json", "i", None, "j", None, None), "--val-images needs --val-data"),
        (("a.py", "i", None, None, None, None), "is a dataset config and names every split; --images is for"),
        (("none.py", None, None, None, None, None), "no dataset config at 'none.py'"),
    ],
)
def test_options_that_do_not_belong_together_are_named(given: tuple[str | None, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        described(*(None if value is None else Path(value) for value in given))
