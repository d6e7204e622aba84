import json
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from autoloss.audit.rescoring import rescored
from detectors.data.coco import CocoSource
from detectors.evaluator import DetectorEvaluator
from primitives.errors import InputError

FCOS = "configs/detectors/tiny_fcos.py"
DIGITS = {"type": "digits", "train": 40, "val": 8, "test": 8}
TASK = {"iterations": 3, "train_on": "train", "evaluate_on": "val"}
LOSSES = {"loss_bbox": {"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 1.0}}


def steady(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("seconds")}


def test_an_evaluation_is_scored_by_map_and_repeats_in_another_process_without_a_word(
    scenes: dict[str, CocoSource], capfd: pytest.CaptureFixture[str]
) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    evaluator.prepare({}, [])
    metrics = evaluator.evaluate(LOSSES, TASK, 1)
    assert metrics["score"] == metrics["mAP"]
    assert metrics["seconds_train"] > 0 < metrics["seconds_eval"]
    assert steady(evaluator.evaluate(LOSSES, TASK, 1)) == steady(metrics)
    assert evaluator.evaluate(LOSSES, TASK, 2)["loss"] != metrics["loss"]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        elsewhere = pool.submit(DetectorEvaluator(FCOS, DIGITS).evaluate, LOSSES, TASK, 1).result()
    assert steady(elsewhere) == steady(metrics)
    assert capfd.readouterr() == ("", "")


def test_a_dataset_config_beside_the_search_config_is_found_from_anywhere(
    scenes: dict[str, CocoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/data_of_mine.py").write_text(f"data = {DIGITS!r}\n")
    detector = str(Path(FCOS).absolute())
    monkeypatch.chdir(tmp_path)
    evaluator = DetectorEvaluator(detector, "data_of_mine.py", beside=[str(tmp_path / "mine")])
    evaluator.prepare({}, [])
    assert evaluator.describe()["beside"] == [str(tmp_path / "mine")]


def test_a_metric_of_a_class_that_the_evaluated_images_do_not_show_is_refused_at_the_start(
    scenes: dict[str, CocoSource],
) -> None:
    val = json.loads(scenes["val"].annotations.read_text())
    first = val["images"][0]["id"]
    shown = {entry["category_id"] for entry in val["annotations"] if entry["image_id"] == first}
    names = {one["id"]: one["name"] for one in val["categories"]}
    elsewhere = next(names[e["category_id"]] for e in val["annotations"] if e["category_id"] not in shown)
    task = {"kind": "frozen", "pretrain": 3, "iterations": 3, "images": 8, "evaluate_on": "val"}
    evaluator = DetectorEvaluator(FCOS, DIGITS, metric=[elsewhere])
    evaluator.prepare({}, [{**task, "evaluate_images": 8}])
    with pytest.raises(InputError, match="has no box in data.val in the 1 images that a rung evaluates there; raise"):
        evaluator.prepare({}, [{**task, "evaluate_images": 1}])


def test_weights_that_a_search_begins_with_are_looked_at_before_it_begins(
    scenes: dict[str, CocoSource], tmp_path: Path
) -> None:
    for name, why in (("nowhere.pth", "no checkpoint at"), ("other.pth", "none of its weights belongs to this")):
        torch.save({"state_dict": {"x": torch.ones(1)}}, tmp_path / "other.pth")
        evaluator = DetectorEvaluator(FCOS, DIGITS, cfg_options={"load_from": str(tmp_path / name)})
        with pytest.raises(InputError, match=why):
            evaluator.prepare({}, [])


def test_hooks_of_a_config_that_a_search_leaves_out_are_named(
    scenes: dict[str, CocoSource], caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS, cfg_options={"custom_hooks": [{"type": "EMAHook"}]})
    evaluator.prepare({}, [])
    assert "custom_hooks (EMAHook) are left out by a search; `autoloss train` has them" in caplog.text


def test_a_sampler_of_a_config_that_a_search_leaves_out_is_named(
    scenes: dict[str, CocoSource], caplog: pytest.LogCaptureFixture
) -> None:
    options = {"train_dataloader.sampler": {"type": "ClassAwareSampler", "num_sample_class": 1}}
    DetectorEvaluator(FCOS, DIGITS, cfg_options=options).prepare({}, [])
    assert "samplers (ClassAwareSampler) are left out by a search; `autoloss train` has them" in caplog.text


def test_the_verification_set_can_be_trained_and_scored(scenes: dict[str, CocoSource]) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    metrics = evaluator.evaluate({}, {**TASK, "train_on": "verify", "evaluate_on": "verify"}, 0)
    assert 0 <= metrics["score"] <= 1


def test_an_audit_trains_as_the_search_and_tells_what_every_test_image_contributes(
    scenes: dict[str, CocoSource],
) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS, metric="AP50")
    task = {**TASK, "iterations": 30}
    audit = evaluator.audit_task(task, False)
    evaluator.prepare({}, [audit])
    plain, told = evaluator.evaluate({}, {**task, "evaluate_on": "test"}, 1), evaluator.evaluate({}, audit, 1)
    contributions = told.pop("per_image")
    assert steady(told) == steady(plain)
    assert rescored(contributions, np.ones((1, 8), int))[0] == pytest.approx(told["score"], abs=1e-9)
    assert len(contributions["classes"])  # it detects something


def test_a_self_balanced_training_is_another(scenes: dict[str, CocoSource]) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    plain, balanced = (evaluator.evaluate({}, evaluator.audit_task(TASK, how), 1) for how in (False, True))
    assert balanced["loss"] != plain["loss"]


def test_an_audit_needs_a_test_split_and_a_whole_detector(scenes: dict[str, CocoSource]) -> None:
    parts = {
        split: {"annotations": str(scenes[split].annotations), "images": str(scenes[split].images)}
        for split in ("train", "val")
    }
    with pytest.raises(InputError, match="the data has no test split; name one: --test-data in the search"):
        DetectorEvaluator(FCOS, {"type": "coco", **parts}).audit_task(TASK, False)
    heads = {"kind": "frozen", "iterations": 3, "evaluate_on": "val"}
    with pytest.raises(InputError, match="this task is of kind 'frozen'; give the search a finale"):
        DetectorEvaluator(FCOS, DIGITS).audit_task(heads, False)


def test_a_description_is_plain_and_names_losses_and_images(scenes: dict[str, CocoSource]) -> None:
    description = json.loads(json.dumps(DetectorEvaluator(FCOS, DIGITS).describe()))
    assert description["own losses"].keys() == {"loss_cls", "loss_bbox"}
    assert description["images"] == {"train": 40, "val": 8, "test": 8, "verify": 10}
    assert description["classes"] == list("0123456789")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({**TASK, "evaluate_on": "moon"}, "evaluate_on is 'moon'; choices: verify, val, test"),
        ({**TASK, "train_on": "test"}, "train_on is 'test'; choices: train, verify"),
        ({**TASK, "epochs": 3}, "unknown key 'epochs' .*; it needs iterations, train_on and evaluate_on"),
        ({"iterations": 3, "train_on": "train"}, "missing key 'evaluate_on'"),
        ({**TASK, "iterations": 0}, "iterations must be a whole number from 1, got 0"),
        ({**TASK, "iterations": 1.5}, "iterations must be a whole number from 1, got 1.5"),
    ],
)
def test_a_rung_that_asks_for_something_else_is_named(
    scenes: dict[str, CocoSource], task: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        DetectorEvaluator(FCOS, DIGITS).evaluate({}, task, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "photos"}, "unknown data type 'photos'; choices: digits, coco"),
        ({}, "unknown data type None"),
        ({"type": "digits", "trian": 3}, "unknown key 'trian' .*; it may have train, val, test, seed, verify,"),
        ({"type": "digits", "train": "many"}, "data.train must be a whole number from 1, got 'many'"),
        ({"type": "digits", "val": 0}, "data.val must be a whole number from 1, got 0"),
        ({"type": "digits", "seed": -1}, "data.seed must be a whole number from 0, got -1"),
        ({"type": "digits", "train": 9000, "val": 1}, "val: 1 of 9301 scenes leaves it none of 1797 digits"),
        ({"type": "coco", "val": {}}, "needs train, and may have val"),
        (
            {"type": "coco", "train": {}, "val": {}},
            "data.train must be a dict of annotations and images, two paths, got {}",
        ),
        ({"type": "coco", "train": {"annotations": "a", "images": "b"}, "val": {}}, "data.val must be .*, got {}"),
        ({"type": "coco", "train": {"annotations": "a", "images": "b"}}, "no annotation file at 'a'"),
    ],
)
def test_data_that_cannot_be_used_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DetectorEvaluator(FCOS, data).prepare({}, [])


def test_arguments_that_cannot_be_used_are_named() -> None:
    with pytest.raises(InputError, match="batch_size must be a whole number from 1, got 0"):
        DetectorEvaluator(FCOS, DIGITS, batch_size=0)
    with pytest.raises(InputError, match="unknown centerness_target 'box'; choices: None, 'iou'"):
        DetectorEvaluator(FCOS, DIGITS, centerness_target="box")
    with pytest.raises(InputError, match=r"no detector config at 'none\.py'"):
        DetectorEvaluator("none.py", DIGITS)


def coco(folder: Path, name: str) -> dict[str, str]:
    """A data set of one image, with a box and an empty box of class `name`."""
    folder.mkdir()
    Image.new("RGB", (20, 10)).save(folder / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": 7, "name": name}],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 7, "bbox": [1, 1, width, 5]} for k, width in ((1, 9), (2, 0))
        ],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return {"annotations": str(folder / "a.json"), "images": str(folder)}


def test_prepare_says_what_is_left_out_and_workers_do_not_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    part = coco(tmp_path / "one", "cat")
    evaluator = DetectorEvaluator(FCOS, {"type": "coco", "train": part, "val": part})
    with caplog.at_level(logging.WARNING):
        description = evaluator.describe()
        assert not caplog.records
        evaluator.prepare({}, [])
    assert "data.train: left out 1 boxes without width or height" in caplog.text
    assert description["boxes left out"] == {"train": 1, "val": 1, "verify": 0}
    assert description["classes"] == ["cat"]


def test_splits_of_other_classes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    data = {"type": "coco", "train": coco(tmp_path / "one", "cat"), "val": coco(tmp_path / "two", "dog")}
    with pytest.raises(InputError, match=r"data.val has boxes of class 'dog', which data.train lacks; it has cat"):
        DetectorEvaluator(FCOS, data).prepare({}, [])


def test_data_as_people_have_it_is_trained_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bilder").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 60 x 40, shown and read 40 x 60
    pictures = {
        "größe/猫.png": Image.new("L", (60, 40)),
        "tief.png": Image.fromarray(np.full((40, 60), 40_000, np.uint16)),
        "gedreht.jpg": Image.new("RGB", (60, 40)),
        "leer.png": Image.new("RGBA", (60, 40)),
    }
    images, boxes = [], []
    for number, (name, picture) in enumerate(pictures.items()):
        file = tmp_path / "bilder" / name
        file.parent.mkdir(exist_ok=True)
        picture.save(file, **({"exif": exif} if name == "gedreht.jpg" else {}))
        size = {"width": 40, "height": 60} if name == "gedreht.jpg" else {"width": 60, "height": 40}
        images.append({"id": f"bild {number}", "file_name": name, **size})
        if name != "leer.png":
            boxes.append({"image_id": f"bild {number}", "category_id": 7, "bbox": [5, 5, 20, 30]})
            boxes.append({"image_id": f"bild {number}", "category_id": 900, "bbox": [0, 0, 30, 30], "iscrowd": 1})
            boxes.append({"image_id": f"bild {number}", "category_id": 900, "bbox": [50, 5, 0, 30]})
    categories = [{"id": 900, "name": "猫"}, {"id": 7, "name": "größe"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    part = {"annotations": str(tmp_path / "a.json"), "images": str(tmp_path / "bilder")}
    evaluator = DetectorEvaluator(FCOS, {"type": "coco", "train": part, "val": part}, batch_size=4)
    assert evaluator.describe()["boxes left out"]["train"] == 3
    metrics = evaluator.evaluate(LOSSES, {**TASK, "iterations": 100}, 0)
    assert metrics["score"] > 0.2  # grey, deep and turned images are learned, each with a box of its own
