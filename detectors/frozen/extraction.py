"""Extraction: what a frozen detector hands to its last layers: inputs, priors, assigned targets; computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from detectors import mmcv_ops

mmcv_ops.install()

from mmdet.models.roi_heads import StandardRoIHead  # noqa: E402
from mmdet.structures.bbox import get_box_tensor  # noqa: E402

from detectors.data.images import spaced  # noqa: E402
from detectors.frozen.assigned import channels, head_of, padded, pooled, samples, two_stage  # noqa: E402
from detectors.heads.registry import AWARE, MECHANISMS, stock  # noqa: E402
from detectors.heads.training_state import class_frequencies  # noqa: E402
from primitives.errors import InputError  # noqa: E402
from primitives.system.memory import machine_memory  # noqa: E402

POSITIVES, NEGATIVES = 128, 64
"""Most positives and negatives of an image that are kept; how many negatives to a positive there were is kept too."""


@dataclass(frozen=True)
class Training:
    """Samples to train on, P positives first, then negatives.

    Args:
        x: (S, F) inputs, standardised.
        labels: (S,) class index; the number of classes for background.
        priors: (S, 2) points or (S, 4) xyxy anchors or RoIs.
        level: (S,) of the pyramid.
        anchor: (S,) which of the anchors of its place.
        boxes: (P, 4) xyxy target boxes in the units of the head's loss.
        deltas: (P, 4) the same as the head's coder encodes them.
        box_weight: (P,) what the head weights the box loss with.
        size: (P,) square root of the share of its image that a target takes.
        frequency: (C,) of classes in the training annotations, relative to the most frequent one.
        centerness: (P,) targets, or (0,).
        negatives: negatives per positive that the head's own loss sees.
    """

    x: Tensor
    labels: Tensor
    priors: Tensor
    level: Tensor
    anchor: Tensor
    boxes: Tensor
    deltas: Tensor
    box_weight: Tensor
    size: Tensor
    frequency: Tensor
    centerness: Tensor
    negatives: float


@dataclass(frozen=True)
class Scenes:
    """Images of one shape that are evaluated.

    Args:
        maps: per level (B, C, H + 2, W + 2), padded and standardised; of a two-stage detector one of RoI features
            (B, R, F).
        priors: per level (H * W * A, D); of a two-stage detector the proposals (B, R, 4) of every image.
        image: (B,) ids.
        shape: (B, 2) height and width that boxes are clipped to.
        scale: (B, 2) factors of width and height between the image and the network's input.
        there: (B, R) which proposals there are; all of one-stage places.
    """

    maps: list[Tensor]
    priors: list[Tensor]
    image: Tensor
    shape: Tensor
    scale: Tensor
    there: Tensor


def check(model: Any) -> None:
    """Says whether a detector can be frozen.

    Raises:
        InputError: its head is not known.
    """
    known = [head.__name__ for head in MECHANISMS if head not in AWARE]
    region = getattr(model, "roi_head", None)
    head = type(getattr(model if region is None else region, "bbox_head", model)).__name__
    plain = region is None or isinstance(region, StandardRoIHead)
    if region is not None and plain and getattr(region.bbox_head.loss_cls, "use_sigmoid", False):
        raise InputError(
            "a rung of kind 'frozen' takes two-stage heads that classify by softmax; this loss_cls uses sigmoid"
        )
    if stock(head) not in known or not plain:
        name = head if plain else type(region).__name__
        raise InputError(f"a rung of kind 'frozen' does not know the head {name}; known: {', '.join(known)}")


@torch.no_grad()
def training(model: Any, dataset: Sequence[Any], count: int, seed: int) -> tuple[Training, Tensor, Tensor]:
    """Samples of `count` images, and the mean and deviation (C,) that inputs were standardised with.

    Args:
        model: the detector.
        dataset: of mmdetection, with boxes.
        count: of images; evenly spaced ones where there are more, for files may be sorted by class.
        seed: of the choice of negatives.

    Raises:
        InputError: no positive or no negative sample in them.
    """
    chosen = spaced(len(dataset), count)
    count = len(chosen)
    generator = torch.Generator().manual_seed(seed)
    rows: dict[bool, list[dict[str, Tensor]]] = {True: [], False: []}
    seen_positive = seen_negative = 0
    for inputs, sample in _batches(model, dataset, chosen, train=True):
        found = samples(model, inputs, sample)
        background = head_of(model).num_classes
        positive = (found["labels"] >= 0) & (found["labels"] < background)
        counted = found.pop("counted") > 0
        negative = (~positive & counted).nonzero()[:, 0]
        seen_positive += int(positive.sum())
        seen_negative += len(negative)
        x = found.pop("x")
        for good, which in ((True, positive.nonzero()[:, 0]), (False, negative)):
            most = POSITIVES if good else NEGATIVES
            if not good or len(which) > most:
                which = which[torch.randperm(len(which), generator=generator)[:most].to(which.device)]
            part = {name: value[which].cpu() for name, value in found.items()}
            rows[good].append({"x": x(which).cpu(), **part})
            if len(rows[good]) == 1:
                _check_memory(2 * rows[good][0]["x"].nbytes * count, f"samples of {count} training images", "images")
    both = {good: {name: torch.cat([row[name] for row in found]) for name in found[0]} for good, found in rows.items()}
    positives = len(both[True]["labels"])
    if not positives or not len(both[False]["labels"]):
        kind = "negative" if positives else "positive"
        raise InputError(
            f"a rung of kind 'frozen' found no {kind} sample in {count} training images; give it more images"
        )
    merged = {
        name: torch.cat([both[True][name], both[False][name]]) for name in ("x", "labels", "priors", "level", "anchor")
    }
    only = {name: both[True][name] for name in ("boxes", "deltas", "box_weight", "size", "centerness")}
    only["frequency"] = class_frequencies(dataset)
    if bool(torch.isnan(only["centerness"]).any()):
        only["centerness"] = only["centerness"][:0]
    by_channel = merged["x"].reshape(len(merged["x"]), channels(model), -1)
    mean, deviation = by_channel.mean((0, 2)), by_channel.std((0, 2)).clamp(min=1e-6)
    merged["x"] = ((by_channel - mean[:, None]) / deviation[:, None]).flatten(1)
    return Training(**merged, **only, negatives=seen_negative / seen_positive), mean, deviation


@torch.no_grad()
def scenes(model: Any, dataset: Sequence[Any], count: int, mean: Tensor, deviation: Tensor) -> list[Scenes]:
    """Images of a data set, those of one shape together.

    Args:
        model: the detector.
        dataset: of mmdetection.
        count: most images; evenly spaced ones where there are more.
        mean: (C,) that inputs are standardised with.
        deviation: (C,) the same.

    Raises:
        InputError: this machine has not the memory for them.
    """
    chosen = spaced(len(dataset), count)
    groups: dict[Any, list[dict[str, Any]]] = {}
    for inputs, sample in _batches(model, dataset, chosen, train=False):
        features = model.extract_feat(inputs)
        meta = sample.metainfo
        one: dict[str, Any] = {"image": meta["img_id"], "shape": meta["img_shape"][:2], "scale": meta["scale_factor"]}
        if two_stage(model):
            (proposals,) = model.rpn_head.predict(features, [sample], rescale=False)
            boxes = get_box_tensor(proposals.bboxes)
            one |= {"maps": [(pooled(model, features, boxes) - mean[:, None]) / deviation[:, None]], "priors": [boxes]}
            key: Any = "all"
        else:
            spread = [(padded(level)[0] - mean[:, None, None]) / deviation[:, None, None] for level in features]
            one["maps"], key = spread, tuple(level.shape[1:] for level in spread)
        one = {
            name: [part.cpu() for part in value] if name in ("maps", "priors") else value for name, value in one.items()
        }
        groups.setdefault(key, []).append(one)
        if len(groups) == len(groups[key]) == 1:
            needed = 2 * sum(part.nbytes for part in one["maps"]) * len(chosen)
            _check_memory(needed, f"features of {len(chosen)} images to evaluate on", "evaluate_images")
    return [_together(model, group) for group in groups.values()]


def _check_memory(needed: int, what: str, key: str) -> None:
    """Refuses what this machine has not the memory for.

    Raises:
        InputError: it has not.
    """
    memory = machine_memory()
    if needed > memory:
        raise InputError(
            f"a rung of kind 'frozen': {what} need {needed / 2**30:.1f} GiB, this machine has {memory / 2**30:.1f}; "
            f"lower {key} in the rung's task"
        )


def _together(model: Any, group: list[dict[str, Any]]) -> Scenes:
    if two_stage(model):
        most = max(1, max(len(one["priors"][0]) for one in group))
        maps = [torch.stack([_filled(one["maps"][0].flatten(1), most) for one in group])]
        priors = [torch.stack([_filled(one["priors"][0], most) for one in group])]
        there = torch.stack([torch.arange(most) < len(one["priors"][0]) for one in group])
    else:
        maps = [torch.stack(levels) for levels in zip(*(one["maps"] for one in group), strict=True)]
        sizes = [(level.shape[2] - 2, level.shape[3] - 2) for level in maps]
        priors = model.bbox_head.prior_generator.grid_priors(sizes, device=maps[0].device)
        there = torch.ones(len(group), 0, dtype=torch.bool)
    return Scenes(
        maps,
        list(priors),
        torch.tensor([one["image"] for one in group]),
        torch.tensor([one["shape"] for one in group]),
        torch.tensor([one["scale"] for one in group]),
        there,
    )


def _filled(rows: Tensor, count: int) -> Tensor:
    """(R, F) with rows of zeros to (count, F)."""
    return functional.pad(rows, (0, 0, 0, count - len(rows)))


def _batches(model: Any, dataset: Sequence[Any], chosen: Sequence[int], train: bool) -> Iterator[tuple[Tensor, Any]]:
    """Images one by one, as the network takes them."""
    for index in chosen:
        item = dataset[index]
        batch = {key: [item[key]] for key in ("inputs", "data_samples")}
        ready = model.data_preprocessor(batch, train)
        yield ready["inputs"], ready["data_samples"][0]


def plain(value: Training | Scenes) -> dict[str, Any]:
    """As a dictionary of tensors, lists and numbers, to be stored."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
