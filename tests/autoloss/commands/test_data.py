"""The commands about data, as a person types them."""

from __future__ import annotations

import json
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from autoloss.commands.data import app, described
from autoloss.commands.options import on_data
from detectors.data.coco import coco_source
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
    other = autoloss("data", "convert", "kitti", tmp_path / "det.json", "--out", tmp_path / "b.json")
    assert "unknown format 'kitti'; choices: voc, yolo, bdd100k" in other.stderr
    split = autoloss("data", "convert", "bdd100k", tmp_path / "det.json", "--out", out, "--force", "--split", "a")
    assert "--split is for voc and yolo" in split.stderr


def test_options_become_a_description(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("detectors.data.splits.look", lambda _: None)
    shipped = described(Path("configs/datasets/coco2017.py"), None, None, None, None, None)
    assert shipped is not None
    assert shipped["train"]["images"] == "data/coco/train2017"
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "b.json"):
        Path(name).write_text("{}")
    for name in ("i", "j"):
        Path(name).mkdir()
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
def test_options_that_do_not_belong_together_are_named(
    given: tuple[str | None, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text("{}")
    Path("i").mkdir()
    with pytest.raises(InputError, match=message):
        described(*(None if value is None else Path(value) for value in given))


def coco(folder: Path, names: list[str], image: str = "a.png") -> tuple[Path, Path]:
    """A set with an image and a box of each class."""
    Image.new("RGB", (200, 100)).save(folder / "a.png")
    content = {
        "images": [{"id": 1, "file_name": image, "width": 200, "height": 100}],
        "categories": [{"id": key, "name": name} for key, name in enumerate(names)],
        "annotations": [
            {"id": key, "image_id": 1, "category_id": key, "bbox": [key % 9, 1, 20, 20]} for key in range(len(names))
        ],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json", folder


HOSTILE = [
    "",
    "a\nb\r\u2028c",
    "[bold red]x[/]",
    "\x1b[31mred\x07\x9b2J",
    "\x00nul",
    "\ud800",
    "\u202eabc\u2066",
    "a|b`<script>",
    "$x^2$ $\\frac{1}{0",
    "שלום",
    "x" * 10_000,
    "猫\U0001f600",
    ":smile:",
]


@pytest.mark.filterwarnings("error")
def test_names_of_any_kind_are_shown_by_their_escapes_in_tables_and_in_the_picture(tmp_path: Path) -> None:
    file, images = coco(tmp_path, HOSTILE)
    shown = CliRunner().invoke(app, ["check", str(file), "--images", str(images), "--plot", str(tmp_path / "p.svg")])
    assert shown.exit_code == 1, shown.exception
    assert set(shown.output) >= set("[bold red]x[/] :smile:")
    assert not {c for c in shown.output if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}
    assert max(map(len, shown.output.splitlines())) <= 120
    for part in (
        r"a\nb\r\u2028c",
        "[bold red]x[/]",
        r"\x1b[31mred\x07\x9b2J",
        r"\ud800",
        r"\u202eabc\u2066",
        ":smile:",
    ):
        assert part in shown.output
    drawn = (tmp_path / "p.svg").read_text()
    assert "[bold red]x[/]" in drawn
    assert r"$x^2$ $\frac{1}{0" in drawn
    assert "x" * 100 not in drawn
    plain = CliRunner().invoke(app, ["check", str(file), "--images", str(images), "--json"])
    assert [row["name"] for row in json.loads(plain.output)["classes"]] == HOSTILE


@settings(max_examples=40)
@given(name=st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(HOSTILE))
def test_any_name_of_a_class_or_an_image_is_a_table_or_one_line(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for names, image in ((["cat", name], "a.png"), (["cat"], name or "none")):
            file, images = coco(Path(folder), names, image)
            shown = CliRunner().invoke(app, ["check", str(file), "--images", str(images)])
            assert shown.exit_code in (0, 1), shown.exception
            assert not {c for c in shown.output if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n"}
            try:
                coco_source(file, images)
            except InputError as error:
                assert len(str(error)) < 2_000
                assert len(str(error).splitlines()) == 1
                str(error).encode()
            else:
                assert shown.exit_code == 0


@pytest.mark.parametrize("where", ["folder", "data.yaml", "labels/a.txt"])
def test_a_yolo_folder_is_recognised_wherever_it_is_pointed_at(tmp_path: Path, where: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text("names: [cat]\n")
    place = tmp_path if where == "folder" else tmp_path / where
    found = described(place, None, None, None, None, None)
    assert found == {"type": "coco", "train": {"annotations": str(place)}}
    with pytest.raises(InputError, match="--images is for annotations in a file of COCO JSON; .* is YOLO in a folder"):
        described(place, tmp_path, None, None, None, None)


def test_options_of_a_config_about_data_change_the_data_that_is_named(tmp_path: Path) -> None:
    file, images = coco(tmp_path, ["cat"])
    named = (file, images, None, None, None, None)
    config = Path("configs/search/digits_fcos.py")
    found = on_data(config, ["search.evaluator.data.hold_out=3", "search.generations=2"], *named)
    assert found.evaluator["data"]["hold_out"] == 3
    assert found.evaluator["data"]["train"] == {"annotations": str(file), "images": str(images)}
    assert found.generations == 2
    for option in ("search.evaluator.data.train.images=x", "search.evaluator.data=x"):
        with pytest.raises(InputError, match="beside --data: .*; leave one of them out"):
            on_data(config, [option], *named)


def test_classes_can_be_named_for_a_conversion(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    line = ["convert", "yolo", str(tmp_path), "--out", str(tmp_path / "o.json"), "--classes"]
    done = CliRunner().invoke(app, [*line, "cat, dog"])
    assert done.exit_code == 0, done.exception
    assert [row["name"] for row in json.loads((tmp_path / "o.json").read_text())["categories"]] == ["cat", "dog"]
    for text in ("cat,", "cat,cat", ""):
        refused = CliRunner().invoke(app, [*line, text, "--force"])
        assert "--classes takes different names" in str(refused.exception)


def splits(root: Path) -> Path:
    """A YOLO data set as Roboflow exports it, of two splits; its description names a third that is not there."""
    for split in ("train", "valid"):
        for inner in ("images", "labels"):
            (root / split / inner).mkdir(parents=True)
        Image.new("RGB", (40, 20)).save(root / split / "images" / "a.jpg")
        (root / split / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.4 0.1 0.4 0.6 0.1 0.6\n")
    (root / "data.yaml").write_text(
        "names: [cat, dog]\ntrain: ../train/images\nval: ../valid/images\ntest: ../test/images"
    )
    return root


def test_a_folder_is_checked_split_by_split_and_converted_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    root = splits(tmp_path / "set")
    shown = autoloss("data", "check", root)
    assert shown.returncode == 0, shown.stderr
    assert "its description names a split test that is not there" in shown.stderr
    for split in ("train", "val"):
        assert f"{root} ({split}): 1 images (1 opened), 2 boxes of 2 classes" in " ".join(shown.stdout.split())
    assert "No problems between the splits." in shown.stdout
    (root / "train" / "labels" / "a.txt").rename(root / "train" / "labels" / "b.txt")
    Image.new("RGB", (40, 20)).save(root / "train" / "images" / "b.jpg")
    for _ in range(2):  # also when it was converted before
        assert "image without a label file, taken to show no object" in autoloss("data", "check", root).stdout
    plain = json.loads(autoloss("data", "check", root, "--json").stdout)
    assert list(plain["splits"]) == ["train", "val"]
    assert plain["usable"]
    out = tmp_path / "val.json"
    done = autoloss("data", "convert", "auto", root, "--split", "val", "--out", out)
    assert done.stdout.strip() == f"{out}: 1 images, 2 boxes, 2 classes"
    content = json.loads(out.read_text())
    assert content["images"][0]["file_name"] == "valid/images/a.jpg"
    assert [entry["bbox"] for entry in content["annotations"]] == [[10, 5, 20, 10], [4, 2, 12, 10]]


def test_parts_of_a_folder_can_be_named_in_place_of_its_own(tmp_path: Path) -> None:
    root, other = splits(tmp_path / "set"), splits(tmp_path / "other")
    found = described(root, None, other, None, None, None, "^a")
    assert found == {
        "type": "coco",
        "train": {"annotations": str(root), "split": "train"},
        "val": {"annotations": str(other), "split": "val"},
        "group_by": "^a",
    }
    with pytest.raises(InputError, match="--group-by needs --data"):
        described(None, None, None, None, None, None, "^a")
    with pytest.raises(InputError, match=r"other has no split for test; it has train, val"):
        described(root, None, None, None, other, None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "a folder without annotations of a known format; known: COCO JSON"),
        ({"readme.txt": "hello", "package.json": "{}"}, "a folder without annotations of a known format"),
        ({"train.json": '{"images": [{"file_name": "x.png"}]}'}, "needs --images, .* 'x.png', is not beside it"),
        (
            {"a_train.json": '{"file_name": "x"}', "b_train.json": '{"file_name": "x"}'},
            "2 files may be meant: a_train.json, b_train.json; name one of them by --data",
        ),
        ({"val/a.xml": "<annotation/>"}, "--data .* has no split to train on; it has val"),
    ],
)
def test_what_is_no_data_set_is_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        described(tmp_path, None, None, None, None, None)
    assert len(str(caught.value).splitlines()) == 1
