import gc
import json
import math
import multiprocessing
import os
import tempfile
import weakref
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detectors.data.coco import CocoSource, coco_source
from detectors.training.coco_metric import ExplodedBoxError, FastCocoMetric
from detectors.training.config import configure, load
from detectors.training.short import MMLogger, Runner, TrainingFailedError, Watch, train_briefly

FCOS = "configs/detectors/tiny_fcos.py"
FASTER = "configs/detectors/tiny_faster_rcnn.py"
LOG_IOU = {"loss_bbox": {"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 1.0}}
FORMULA = "neg(mul(w, add(mul(y, log(sigmoid(x))), mul(sub(1, y), log(sub(1, sigmoid(x)))))))"
READS_W = {"loss_cls": {"expression": FORMULA, "grammar": "sigmoid", "loss_weight": 1.0}}


def config(
    scenes: dict[str, CocoSource],
    losses: dict[str, Any] | None = None,
    detector: str = FCOS,
    options: dict[str, object] | None = None,
    iterations: int = 3,
) -> Any:
    return configure(
        load(detector, options),
        train=scenes["train"],
        evaluate=scenes["val"],
        losses=losses or {},
        iterations=iterations,
        seed=1,
        batch_size=4,
    )


def steady(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("seconds")}


def beginning(monkeypatch: pytest.MonkeyPatch, made: Any) -> tuple[dict[str, torch.Tensor], list[list[int]]]:
    """The weights before the first iteration, and the images of each batch."""
    weights: dict[str, torch.Tensor] = {}
    batches: list[list[int]] = []
    call_hook = Runner.call_hook

    def spy(runner: Runner, name: str, **kwargs: Any) -> None:
        if name == "before_train_iter":
            state = runner.model.state_dict()
            weights.update({key: value.clone() for key, value in state.items() if key not in weights})
            batches.append([sample.img_id for sample in kwargs["data_batch"]["data_samples"]])
        call_hook(runner, name, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "call_hook", spy)
        train_briefly(made)
    return weights, batches


@pytest.mark.parametrize("losses", [LOG_IOU, READS_W])
def test_weights_and_data_at_the_beginning_do_not_depend_on_the_loss(
    scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch, losses: dict[str, Any]
) -> None:
    weights, batches = beginning(monkeypatch, config(scenes))
    others, other_batches = beginning(monkeypatch, config(scenes, losses))
    assert batches == other_batches
    assert len(batches) == 3
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize("detector", [FCOS, FASTER])
def test_the_same_training_twice_gives_the_same_numbers(scenes: dict[str, CocoSource], detector: str) -> None:
    first, again = (steady(train_briefly(config(scenes, LOG_IOU, detector, iterations=6))) for _ in range(2))
    assert first == again
    assert {"mAP", "mAP_50", "mAP_75", "loss"} <= first.keys()
    assert 0 <= first["mAP"] <= first["mAP_50"] <= 1


def test_a_training_learns(scenes: dict[str, CocoSource]) -> None:
    scenes = {**scenes, "val": scenes["train"]}
    assert train_briefly(config(scenes, iterations=120))["mAP"] > 0.02


def test_a_loss_that_is_not_finite_ends_the_training_with_iteration_and_value(scenes: dict[str, CocoSource]) -> None:
    made = config(scenes)
    made.model.bbox_head.loss_bbox.loss_weight = float("inf")
    with pytest.raises(TrainingFailedError, match="loss_bbox is inf at iteration 1"):
        train_briefly(made)
    options = {"optim_wrapper.optimizer.lr": 1e30}
    with pytest.raises(TrainingFailedError, match=r"loss\w* is nan at iteration 2"):
        train_briefly(config(scenes, options=options))


def test_weights_that_the_last_step_ruins_are_a_failed_training(scenes: dict[str, CocoSource]) -> None:
    options = {"optim_wrapper.optimizer.lr": float("inf")}
    with pytest.raises(TrainingFailedError, match=r"holds (nan|-?inf) after iteration 1"):
        train_briefly(config(scenes, options=options, iterations=1))


def test_a_training_leaves_nothing_behind(
    scenes: dict[str, CocoSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    made = config(scenes)
    failing = config(scenes)
    failing.model.bbox_head.loss_bbox.loss_weight = float("inf")
    spare = tmp_path / "tmp"
    spare.mkdir()
    multiprocessing.set_start_method("spawn", force=True)
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    monkeypatch.chdir(tmp_path)
    train_briefly(made)
    with pytest.raises(TrainingFailedError):
        train_briefly(failing)
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == ["tmp"]
    assert not os.listdir(spare)
    assert multiprocessing.get_start_method() == "spawn"
    assert not [name for name in MMLogger._instance_dict if str(name).startswith("autoloss")]


def test_trainings_do_not_pile_up_in_memory(scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[Runner]] = []
    begin = Runner.train

    def spy(runner: Runner) -> Any:
        seen.append(weakref.ref(runner))
        return begin(runner)

    monkeypatch.setattr(Runner, "train", spy)
    for _ in range(2):
        train_briefly(config(scenes))
    gc.collect()
    assert [runner() for runner in seen] == [None, None]


def test_a_checkpoint_that_the_detectors_config_loads_is_loaded(
    scenes: dict[str, CocoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, _ = beginning(monkeypatch, config(scenes))
    name = "bbox_head.conv_reg.bias"
    torch.save({"state_dict": {**weights, name: torch.full_like(weights[name], 0.5)}}, tmp_path / "start.pth")
    started, _ = beginning(monkeypatch, config(scenes, options={"load_from": str(tmp_path / "start.pth")}))
    assert started[name].tolist() == [0.5] * 4
    other = "backbone.conv1.weight"
    assert torch.equal(started[other], weights[other])


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


def test_a_checkpoint_that_holds_code_is_not_run(scenes: dict[str, CocoSource], tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "meta": Bomb(tmp_path / "made")}, tmp_path / "bomb.pth")
    with pytest.raises(UnpicklingError):
        train_briefly(config(scenes, options={"load_from": str(tmp_path / "bomb.pth")}))
    assert not (tmp_path / "made").exists()


def test_weights_that_are_not_finite_are_not_saved(scenes: dict[str, CocoSource]) -> None:
    model = torch.nn.Linear(1, 1)
    watch = Watch()
    runner = SimpleNamespace(iter=7, model=model)
    watch.before_save_checkpoint(runner, {})
    model.bias.data.fill_(math.nan)
    with pytest.raises(TrainingFailedError, match="bias holds nan after iteration 7"):
        watch.before_save_checkpoint(runner, {})


def predictions(source: CocoSource) -> list[dict[str, Any]]:
    """Boxes near the true ones, some of them wrong, as mmdetection hands them to a metric."""
    rng = np.random.default_rng(0)
    content = json.loads(source.annotations.read_text())
    samples = []
    for image in content["images"]:
        truth = [entry for entry in content["annotations"] if entry["image_id"] == image["id"]]
        xywh = np.array([entry["bbox"] for entry in truth for _ in range(3)], dtype=float)
        xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1) + rng.normal(0, 2, xywh.shape)
        labels = [entry["category_id"] if rng.random() < 0.8 else 3 for entry in truth for _ in range(3)]
        found = {"bboxes": xyxy, "scores": rng.random(len(xyxy)), "labels": np.array(labels)}
        samples.append(
            {"img_id": image["id"], "pred_instances": {key: torch.from_numpy(value) for key, value in found.items()}}
        )
    return samples


def test_the_metric_equals_pycocotools(scenes: dict[str, CocoSource], capsys: pytest.CaptureFixture[str]) -> None:
    source = scenes["val"]
    samples, metric = predictions(source), FastCocoMetric(str(source.annotations))
    metric.process(None, samples)
    ours = metric.compute_metrics(metric.results)
    truth = COCO(str(source.annotations))
    rows = [
        {"image_id": sample["img_id"], "category_id": int(label), "score": float(score)}
        | {"bbox": [x1, y1, x2 - x1, y2 - y1]}
        for sample in samples
        for (x1, y1, x2, y2), score, label in zip(*(v.tolist() for v in sample["pred_instances"].values()), strict=True)
    ]
    reference = COCOeval(truth, truth.loadRes(rows), "bbox")
    reference.evaluate()
    reference.accumulate()
    reference.summarize()
    assert 0.1 < ours["mAP"] < 0.9
    np.testing.assert_allclose([ours["mAP"], ours["mAP_50"], ours["mAP_75"]], reference.stats[:3], rtol=1e-9)


def test_the_metric_is_0_without_detections_and_refuses_boxes_that_are_not_finite(
    scenes: dict[str, CocoSource],
) -> None:
    samples, metric = predictions(scenes["val"]), FastCocoMetric(str(scenes["val"].annotations))
    empty = {"img_id": 0, "pred_instances": {key: v[:0] for key, v in samples[0]["pred_instances"].items()}}
    metric.process(None, [empty])
    found = metric.compute_metrics(metric.results)
    assert found.keys() >= {"mAP", "mAP_50", "mAP_75", "AP_small", "AR100"}
    assert set(found.values()) == {0.0}
    samples[0]["pred_instances"]["bboxes"][0, 2] = float("inf")
    with pytest.raises(ExplodedBoxError, match="box of image 0 is not finite"):
        metric.process(None, samples)


@pytest.mark.parametrize("detector", [FCOS, FASTER])
@pytest.mark.parametrize(
    ("annotations", "images"),
    [("bccd/val.json", "bccd/images"), ("tiny_coco/annotations/instances_val2017.json", "tiny_coco/val2017")],
)
def test_real_images_with_empty_boxes_and_crowds_train(
    scenes: dict[str, CocoSource], data: Path, annotations: str, images: str, detector: str
) -> None:
    source = coco_source(data / annotations, data / images)
    metrics = train_briefly(config({"train": source, "val": source}, LOG_IOU, detector))
    assert np.isfinite(metrics["loss"])
    assert 0 <= metrics["mAP"] <= 1
