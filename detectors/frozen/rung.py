"""Frozen: the rung that trains a small head per candidate on the features of a briefly trained detector.

The detector is trained once with its own losses; what its head would see is computed once and kept on disk. A candidate
then costs a fraction of a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed

from detectors.data.cache import cache_folder, once
from detectors.frozen import extraction, small_heads
from detectors.frozen.assigned import two_stage
from detectors.frozen.postprocess import scored
from detectors.tasks import TrainHeads
from detectors.training.coco_metric import Truth
from detectors.training.config import box_heads, put_losses
from detectors.training.short import trained
from primitives.errors import InputError

_log = logging.getLogger(__name__)
_VERSION = 3  # of what is kept; part of the name of its folder
FILE = "features.pt"


@dataclass(frozen=True)
class Frozen:
    """A detector's frozen features, and its configuration.

    Args:
        config: of the detector with its own losses and data, as `configure` gives it.
        model: the detector.
        training: samples of the training images.
        scenes: images that are evaluated.
        truth: of these images.
    """

    config: Config
    model: Any
    training: extraction.Training
    scenes: Sequence[extraction.Scenes]
    truth: Truth

    @property
    def test(self) -> Mapping[str, Any]:
        """Rules of the evaluation."""
        return _rules(self.model)


def freeze(config: Config, task: TrainHeads, seed: int, device: str = "cpu") -> Frozen:
    """Trains a detector, or takes what was kept of an equal one, and computes what its head sees.

    Args:
        config: of the detector with its own losses, its data and the length of its training, as `configure` gives it.
        task: how many images samples are taken from and are evaluated.
        seed: of the training and of the choice of samples.
        device: where heads are to train.

    Raises:
        InputError: the head is not known, too few samples, or the file that was kept is another one's.
        TrainingFailedError: the detector's own loss fails.
    """
    check(config)
    described = {
        "version": _VERSION,
        "made by": ["cuda" if torch.cuda.is_available() else "cpu", torch.__version__, mmdet.__version__],
        "images": task.images,
        "evaluate_images": task.evaluate_images,
        "seed": seed,
        "config": config.to_dict(),
    }
    text = json.dumps(described, sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    counts = (task.images, task.evaluate_images)
    folder = once(
        cache_folder() / f"frozen-{key}",
        lambda fresh: write(fresh / FILE, trained(config), config, counts, seed, text),
    )
    return read(folder / FILE, config, text, device)


def read(file: Path, config: Config, text: str, device: str = "cpu") -> Frozen:
    """What `write` kept.

    Args:
        file: with the features.
        config: of the detector, as `configure` gives it.
        text: that `write` was given.
        device: where heads are to train.

    Raises:
        InputError: the file is another one's.
        MemoryError: there is none for it.
    """
    from mmdet.registry import MODELS

    try:
        kept = torch.load(file, weights_only=True, map_location=device)
    except (torch.cuda.OutOfMemoryError, MemoryError):
        raise MemoryError("out of memory for features; lower workers, or the rung's images, evaluate_images") from None
    if kept["described"] != text:
        raise InputError(f"{file.parent} holds features of another config; remove it, and they are made anew")
    model = _quietly(lambda: MODELS.build(config.model))
    model.load_state_dict(kept["weights"])
    model.train(False)
    return Frozen(
        config,
        model.to(device),
        extraction.Training(**kept["training"]),
        [extraction.Scenes(**group) for group in kept["scenes"]],
        Truth(config.val_evaluator.ann_file),
    )


def check(config: Config) -> None:
    """Says whether a detector can be frozen and its detections computed here.

    Raises:
        InputError: the head is not known, or its test_cfg asks for another kind of suppression.
    """
    from mmdet.registry import MODELS

    model = _quietly(lambda: MODELS.build(config.model))
    extraction.check(model)
    nms = _rules(model).get("nms", {})
    if nms.get("type") != "nms" or nms.get("class_agnostic"):
        raise InputError(f"a rung of kind 'frozen' needs test_cfg.nms of type 'nms' within classes, got {dict(nms)}")


def _rules(model: Any) -> Mapping[str, Any]:
    return dict(model.test_cfg["rcnn"] if two_stage(model) else model.test_cfg)


def evaluate(
    frozen: Frozen,
    losses: Sequence[Mapping[str, Mapping[str, Any]]],
    task: TrainHeads,
    seed: int,
    centerness_target: str | None = None,
) -> list[dict[str, float] | str]:
    """Trains and scores a head per candidate, all on the same samples in the same order.

    Args:
        frozen: the features.
        losses: of every candidate, per slot `expression`, `grammar`, `loss_weight` and `alpha`.
        task: how many iterations, and samples of an iteration.
        seed: of first weights and order.
        centerness_target: None for the head's own, `iou` for the IoU of the predicted box.

    Returns:
        For every candidate `score` and the COCO metrics, or what went wrong.
    """
    boxes = small_heads.Boxes(frozen.model.roi_head.bbox_head if two_stage(frozen.model) else frozen.model.bbox_head)
    there = len(frozen.training.boxes)
    if there < task.positives:
        _log.warning(
            "a rung of kind 'frozen': its training images give %d positive samples, which repeat to fill the %d of an "
            "iteration; give it more images, or lower positives",
            there,
            task.positives,
        )
    pairs = [_pair(frozen.config, one, boxes) for one in losses]
    numbers = (task.iterations, task.positives, task.negatives, seed)
    try:
        heads, failed = small_heads.train_heads(frozen.training, pairs, boxes, *numbers, centerness_target == "iou")
        metrics = scored(heads, frozen.scenes, frozen.test, frozen.truth)
    except torch.cuda.OutOfMemoryError:
        metrics = []
    if not metrics:  # here nothing of the attempt is held any more
        return _halved(frozen, losses, task, seed, centerness_target)
    return [_told(one, first) for one, first in zip(metrics, failed, strict=True)]


def _told(metrics: Mapping[str, float] | None, first: int | None) -> dict[str, float] | str:
    if first is not None:
        return f"the gradient is not finite at iteration {first + 1}"
    if metrics is None:
        return "a predicted box or score is not finite"
    return {"score": metrics["mAP"], **metrics}


def _halved(frozen: Frozen, losses: Sequence[Mapping[str, Any]], *asked: Any) -> list[dict[str, float] | str]:
    """The same in two parts."""
    if len(losses) == 1:
        return ["out of memory (of the GPU, with one candidate; lower the rung's images, positives or negatives)"]
    torch.cuda.empty_cache()
    half = len(losses) // 2
    _log.warning("out of GPU memory with %d heads at once; going on with %d", len(losses), half)
    return [found for part in (losses[:half], losses[half:]) for found in evaluate(frozen, part, *asked)]


def _pair(config: Config, losses: Mapping[str, Mapping[str, Any]], boxes: small_heads.Boxes) -> small_heads.Pair:
    """The losses of a candidate as modules; of a slot left out the detector's own."""
    from mmdet.registry import MODELS

    changed = Config({"model": config.model.to_dict()})
    put_losses(changed, losses)
    head = next(box_heads(changed))
    losses_of = MODELS.build(head["loss_cls"]), MODELS.build(head["loss_bbox"])
    missing = {name for loss in losses_of for name in getattr(loss, "reads", ())} - set(small_heads.HANDS_OVER)
    if missing:
        raise InputError(
            f"a rung of kind 'frozen' hands over {', '.join(small_heads.HANDS_OVER)} beside prediction and target, a "
            f"formula reads {', '.join(sorted(missing))}; leave such rungs out of the ladder"
        )
    # Heads that scale their outputs decode them before the loss; the others do where they are told to.
    decoded = boxes.scaled or bool(head.get("reg_decoded_bbox", False))
    return small_heads.Pair(*losses_of, decoded)


def write(file: Path, model: Any, config: Config, counts: tuple[int, int], seed: int, text: str = "") -> None:
    """Computes what the head of a trained detector sees, and keeps it.

    Args:
        file: to write.
        model: the detector.
        config: of it, as `configure` gives it.
        counts: of training images, and of images that are evaluated.
        seed: of the choice of samples.
        text: what this was made from.

    Raises:
        InputError: too few samples, or no memory.
    """
    from mmdet.registry import DATASETS

    model.train(False)
    device = next(model.parameters()).device

    def extract() -> dict[str, Any]:
        set_random_seed(seed)
        init_default_scope("mmdet")
        training, mean, deviation = extraction.training(
            model, DATASETS.build(config.train_dataloader.dataset), counts[0], seed
        )
        images = DATASETS.build(config.val_dataloader.dataset)
        scenes = extraction.scenes(model, images, counts[1], mean.to(device), deviation.to(device))
        return {"training": extraction.plain(training), "scenes": [extraction.plain(group) for group in scenes]}

    torch.save({"described": text, "weights": model.state_dict(), **_quietly(extract)}, file)


def _quietly(call: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()
