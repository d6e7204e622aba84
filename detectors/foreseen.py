"""Foreseen: what is known of a whole training before it: how long it is, at what scale, and whether it can be done."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from detectors.evaluator import DetectorEvaluator
from detectors.tasks import any_formula
from detectors.training.backbone import SCRATCH, begin_with
from detectors.training.checkpoints import check_backbone
from detectors.training.config import SLOTS, load, own_scale
from detectors.training.data_config import files_of, times
from detectors.training.full import check_weights, prepared
from detectors.training.short import built
from primitives.errors import InputError, reading


def length(
    detector: str, data: Mapping[str, Any] | None = None, cfg_options: Mapping[str, object] | None = None
) -> tuple[int, int]:
    """Iterations of a whole training, and images of each; arguments and errors as of `train_detector`."""
    iterations, batch = _length(prepared(detector, {}, data=data, cfg_options=cfg_options))
    if iterations is None:
        raise InputError(f"how long {detector} trains cannot be told: its data are no COCO JSON; give --data")
    return iterations, batch


def _length(config: Config) -> tuple[int | None, int]:
    """Iterations, None of data that is no COCO JSON, and images of each."""
    batch: int = config.train_dataloader.batch_size
    if "max_iters" in config.train_cfg:
        return int(config.train_cfg.max_iters), batch
    count = 0
    for dataset, often in times(config.train_dataloader.dataset):
        files = [Path(file) for file in files_of(dataset)]
        annotations = [file for file in files if file.suffix == ".json"]
        if not annotations:
            return None, batch
        images = (len(json.loads(file.read_text(encoding="utf-8"))["images"]) for file in annotations)
        count += often * sum(images)
    return int(config.train_cfg.max_epochs) * math.ceil(count / batch), batch


def scales(detector: str, cfg_options: Mapping[str, object] | None = None) -> dict[str, float]:
    """The weight of a detector's own loss by slot; of one on offsets, that of what mmdetection puts in its place.

    Args:
        detector: config, as of `train_detector`.
        cfg_options: as of `train_detector`.

    Raises:
        InputError: no such config, no detector, or one with exported losses.
    """
    config = load(detector, cfg_options)
    return {slot: own_scale(config, slot) for slot in SLOTS}


def check(
    detector: str,
    slots: Mapping[str, str],
    *,
    centerness_target: str | None = None,
    data: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    cfg_options: Mapping[str, object] | None = None,
) -> None:
    """Refuses a training that could not begin, whatever formulas it gets.

    Args:
        detector: config; it and the others as of `train_detector`.
        slots: name of the grammar of each slot that is filled.
        centerness_target: of the head.
        data: in place of the config's.
        backbone: a file of weights, or 'scratch'.
        cfg_options: that override the config.

    Raises:
        InputError: something that was given cannot be used.
    """
    losses = {slot: any_formula(name) for slot, name in slots.items()}
    config = prepared(detector, losses, (), centerness_target, data, backbone, cfg_options)
    with reading(f"{detector}: a training of it has no length"):
        _length(config)
    with reading(f"{detector}: mmengine cannot build it"):
        model = built(config.model)
    check_weights(config, model, backbone)


def check_own(evaluator: DetectorEvaluator, backbone: str | None, cfg_options: Mapping[str, object]) -> None:
    """Refuses what a whole training of a search's own detector would begin with.

    Args:
        evaluator: of the search.
        backbone: a file of weights, 'scratch', or None for what the config says.
        cfg_options: that override the config.

    Raises:
        InputError: they cannot be used.
    """
    config = copy.deepcopy(evaluator.config)
    with reading("cfg_options"):
        config.merge_from_dict(dict(cfg_options))
    if backbone is not None:
        begin_with(config, backbone)
        if backbone != SCRATCH:
            model: Any = built(config.model)
            check_backbone(backbone, model.backbone)
