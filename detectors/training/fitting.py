"""Fitting: image size, strides, ranges and anchors of a detector for the boxes of the data that it is to learn."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config

from detectors.data.annotations import is_ignored
from detectors.data.coco import CocoSource
from primitives.errors import InputError
from primitives.text.printable import printable

_LEAST, _STEP = 96, 32  # px
_WANTED = 16  # px of a small box: two cells of stride 8
_FINE = 10  # px, below which a box wants a cell of stride 4
_STOCK = {
    "FCOS": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "FasterRCNN": "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
}
"""mmdetection's own ResNet-50 at 1,333 x 800, by the type of the detector."""
_TINY = ("ResNet", 18, 3)
"""Backbone, its depth, and levels that the neck takes, of what a size changes."""
_BATCH = 16  # images that the learning rates of mmdetection's schedules are for
_PIXELS = {"mean": [103.5, 116.3, 123.7], "std": [57.4, 57.1, 58.4], "bgr_to_rgb": False}  # of ImageNet, blue first


@dataclass(frozen=True)
class _Size:
    """A row of `SIZES`: how large a detector is.

    Args:
        most: px of the longer side of an image.
        channels: of the first stage of the backbone.
        width: channels of the neck and of the heads.
        rates: learning rates of AdamW by the type of the detector.
    """

    most: int
    channels: int
    width: int
    rates: Mapping[str, float]


SIZES: dict[str, _Size | None] = {
    "small": _Size(320, 16, 32, {"FCOS": 2e-2, "FasterRCNN": 5e-3}),
    "medium": _Size(800, 64, 128, {"FCOS": 4e-3, "FasterRCNN": 1e-3}),
    "full": None,
}
"""For a laptop, for one GPU, and mmdetection's own."""


@dataclass(frozen=True)
class Fitted:
    """How a detector is fitted.

    Args:
        detector: config to take in place of the one that was named; empty for that.
        options: dotted keys and values for it.
        longest: most px of an image, None for what the config says.
        said: what was chosen, and from what.
    """

    detector: str
    options: dict[str, Any]
    longest: int | None
    said: str


@dataclass(frozen=True)
class _Boxes:
    """Sides (square root of the area) of the boxes at 10, 50 and 90 %, and quartiles of height by width.

    Args:
        sides: as shares of the longer side of their images.
        ratios: at 25 and 75 %.
        longest: px of the longer side of an image, the median.
    """

    sides: tuple[float, float, float]
    ratios: tuple[float, float]
    longest: float


def fit(config: Config, size: str, train: CocoSource, batch_size: int) -> Fitted:
    """Fits a detector to the boxes of its training data.

    Args:
        config: of a tiny detector, as `load` gives it.
        size: a key of `SIZES`.
        train: the data.
        batch_size: images an iteration.

    Raises:
        InputError: an unknown size, or a detector that none is known for.
    """
    kind = str(config.model.get("type"))
    row = SIZES[checked(size)]
    if kind not in _STOCK:
        raise InputError(f"size is for detectors of type {' or '.join(_STOCK)}, this one is {printable(kind, 60)}")
    loaders = ("train_dataloader", "val_dataloader")
    if _parts(config.model) != _TINY or not all("pipeline" in config[loader]["dataset"] for loader in loaders):
        raise InputError("size is for the tiny detectors that come with the toolkit; this one is as large as it is")
    if row is None:
        rate = 0.01 if kind == "FCOS" else 0.02
        options = {"optim_wrapper.optimizer.lr": rate * batch_size / _BATCH}
        return Fitted(_STOCK[kind], options, None, "full: mmdetection's own ResNet-50, images at 1,333 x 800")
    boxes = _boxes(train)
    pixels = _pixels(boxes, row.most)
    low, middle, high = (side * pixels for side in boxes.sides)
    strides, options = _DETECTORS[kind](boxes, pixels, row)
    options = {**_common(config, kind, pixels, row), **options}
    said = (
        f"{size}: images at {pixels} px, strides {', '.join(map(str, strides))}, for boxes of {low:.0f}, {middle:.0f} "
        f"and {high:.0f} px at 10, 50 and 90 %"
    )
    if low < _FINE:
        said += f"; below {_FINE} px little can be learnt: a larger size shows more" if size == "small" else ""
    return Fitted("", options, pixels, said)


def _parts(model: Any) -> tuple[Any, ...]:
    backbone, neck = (one if isinstance(one := model.get(part), dict) else {} for part in ("backbone", "neck"))
    return backbone.get("type"), backbone.get("depth"), len(neck.get("in_channels") or ())


def checked(size: object) -> str:
    """The name of a size.

    Raises:
        InputError: it is none.
    """
    if not isinstance(size, str) or size not in SIZES:
        raise InputError(f"unknown size {printable(repr(size), 80)}; choices: {', '.join(SIZES)}")
    return size


def _boxes(source: CocoSource) -> _Boxes:
    content = json.loads(source.boxes.read_text())
    longest = {image["id"]: max(image["width"], image["height"]) for image in content["images"]}
    rows = [
        (*entry["bbox"][2:], longest[entry["image_id"]]) for entry in content["annotations"] if not is_ignored(entry)
    ]
    wide, high, long = np.array(rows, dtype=float).T
    low, middle, top = np.quantile(np.sqrt(wide * high) / long, (0.1, 0.5, 0.9)).tolist()
    narrow, tall = np.quantile(high / wide, (0.25, 0.75)).tolist()
    return _Boxes((low, middle, top), (narrow, tall), float(np.median(list(longest.values()))))


def _pixels(boxes: _Boxes, most: int) -> int:
    """Of the longer side of an image: small boxes as large as wanted, but images no larger than they are."""
    wanted = min(_WANTED / boxes.sides[0], boxes.longest, most)
    return max(_LEAST, min(most, int(np.ceil(wanted / _STEP)) * _STEP))


def _common(config: Config, kind: str, pixels: int, row: _Size) -> dict[str, Any]:
    scales = {
        f"{loader}.dataset.pipeline.{place}.scale": (pixels, pixels)
        for loader in ("train_dataloader", "val_dataloader")
        for place, step in enumerate(config[loader]["dataset"]["pipeline"])
        if step["type"] == "Resize"
    }
    if not scales:
        raise InputError("size changes the Resize of a detector's pipelines, and this one has none")
    first = row.channels
    return {
        **scales,
        **{f"model.data_preprocessor.{name}": value for name, value in _PIXELS.items()},
        "model.backbone.base_channels": first,
        "model.backbone.stem_channels": first,
        "model.neck.in_channels": [first, 2 * first, 4 * first],
        "model.neck.out_channels": row.width,
        "optim_wrapper.optimizer.lr": row.rates[kind],
    }


def _fcos(boxes: _Boxes, pixels: int, row: _Size) -> tuple[list[int], dict[str, Any]]:
    """A level of stride s for boxes of up to 4 s px, as in the tiny FCOS."""
    low, _, high = (side * pixels for side in boxes.sides)
    strides = [4, 8, 16] if low < _FINE else [8, 16]  # all that the backbone has, or all but the first
    while 8 * strides[-1] < high and len(strides) < 5:
        strides.append(2 * strides[-1])
    edges = [-1, *(4 * stride for stride in strides[:-1]), 1e8]
    return strides, {
        "model.neck.start_level": 0 if strides[0] == 4 else 1,
        "model.neck.num_outs": len(strides),
        "model.bbox_head.in_channels": row.width,
        "model.bbox_head.feat_channels": row.width,
        "model.bbox_head.strides": strides,
        "model.bbox_head.regress_ranges": tuple(itertools.pairwise(edges)),
        "model.test_cfg.nms_pre": 300,
        "model.test_cfg.max_per_img": 100,
        "model.data_preprocessor.pad_size_divisor": max(32, strides[-1]),
    }


def _faster_rcnn(boxes: _Boxes, pixels: int, row: _Size) -> tuple[list[int], dict[str, Any]]:
    """Anchors from small boxes to large ones, a size a level; RoI features from the level that fits."""
    low, _, high = (side * pixels for side in boxes.sides)
    scale = float(np.clip(round(low / 4, 1), 2, 8))
    strides = [4, 8, 16]
    while 1.5 * scale * strides[-1] < high and len(strides) < 5:
        strides.append(2 * strides[-1])
    narrow, tall = (float(np.clip(round(ratio, 2), 0.33, 3)) for ratio in boxes.ratios)
    several = high > 64
    return strides, {
        "model.neck.num_outs": len(strides),
        "model.rpn_head.in_channels": row.width,
        "model.rpn_head.feat_channels": row.width,
        "model.rpn_head.anchor_generator.scales": [scale],
        "model.rpn_head.anchor_generator.ratios": [narrow, tall] if tall > 1.3 * narrow else [(narrow + tall) / 2],
        "model.rpn_head.anchor_generator.strides": strides,
        "model.roi_head.bbox_roi_extractor.out_channels": row.width,
        "model.roi_head.bbox_roi_extractor.featmap_strides": strides[:3] if several else [4],
        "model.roi_head.bbox_roi_extractor.finest_scale": 28,
        "model.roi_head.bbox_head.in_channels": row.width,
        "model.roi_head.bbox_head.fc_out_channels": 3 * row.width,
        "model.train_cfg.rpn_proposal.nms_pre": 200,
        "model.train_cfg.rpn_proposal.max_per_img": 64,
        "model.train_cfg.rcnn.sampler.num": 32,
        "model.test_cfg.rpn.nms_pre": 200,
        "model.test_cfg.rpn.max_per_img": 64,
        "model.test_cfg.rcnn.max_per_img": 100,
        "model.data_preprocessor.pad_size_divisor": max(32, strides[-1]),
    }


_DETECTORS: dict[str, Callable[[_Boxes, int, _Size], tuple[list[int], dict[str, Any]]]] = {
    "FCOS": _fcos,
    "FasterRCNN": _faster_rcnn,
}
