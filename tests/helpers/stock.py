"""The configs of stock detectors made small: narrow backbones without weights, small images."""

from __future__ import annotations

from typing import Any

SIZE = (96, 96)
_COMMON: dict[str, Any] = {
    "model.backbone.init_cfg": None,
    "model.backbone.base_channels": 8,
    "model.backbone.stem_channels": 8,
    "model.backbone.frozen_stages": -1,
    "model.backbone.norm_eval": False,
    "model.backbone.norm_cfg": {"type": "BN", "requires_grad": True},
    "model.neck.in_channels": [32, 64, 128, 256],
    "model.neck.out_channels": 32,
    "train_dataloader.dataset.pipeline.2.scale": SIZE,
    "val_dataloader.dataset.pipeline.1.scale": SIZE,
}
_ONE_STAGE = {
    "model.bbox_head.in_channels": 32,
    "model.bbox_head.feat_channels": 32,
    "model.bbox_head.stacked_convs": 1,
}
_ROI = {
    "model.rpn_head.in_channels": 32,
    "model.rpn_head.feat_channels": 32,
    "model.roi_head.bbox_roi_extractor.out_channels": 32,
}
_BOX_HEAD = {"in_channels": 32, "fc_out_channels": 32}
_TWO_STAGE = _ROI | {f"model.roi_head.bbox_head.{key}": value for key, value in _BOX_HEAD.items()}
_CASCADE = _ROI | {f"model.roi_head.bbox_head.{n}.{key}": v for n in range(3) for key, v in _BOX_HEAD.items()}
_MASK = _TWO_STAGE | {
    "model.roi_head.mask_roi_extractor.out_channels": 32,
    "model.roi_head.mask_head.in_channels": 32,
    "model.roi_head.mask_head.conv_out_channels": 32,
    "model.roi_head.mask_head.num_convs": 1,
}
STOCK: dict[str, tuple[str, dict[str, Any]]] = {
    "faster_rcnn_r50": ("softmax", _COMMON | _TWO_STAGE),
    "faster_rcnn_r101": ("softmax", _COMMON | _TWO_STAGE),
    "cascade_rcnn_r50": ("softmax", _COMMON | _CASCADE),
    "mask_rcnn_r50": ("softmax", _COMMON | _MASK),
    "retinanet_r50": ("sigmoid", _COMMON | _ONE_STAGE),
    "fcos_r50": ("sigmoid", _COMMON | _ONE_STAGE),
    "atss_r50": ("sigmoid", _COMMON | _ONE_STAGE),
    "gfl_r50": ("sigmoid", _COMMON | _ONE_STAGE),
}
"""By name of the config: what its class loss is, and the options that make it small."""
_VOC = _COMMON | {"train_dataloader.dataset.dataset.datasets.0.pipeline.2.scale": SIZE} | _TWO_STAGE
_VOC.pop("train_dataloader.dataset.pipeline.2.scale")
PAPER: dict[str, tuple[str, dict[str, Any]]] = {
    "faster_rcnn_r50": ("cse_a", _COMMON | _TWO_STAGE),
    "faster_rcnn_r101": ("cse_a", _COMMON | _TWO_STAGE),
    "cascade_rcnn_r50": ("cse_a", _COMMON | _CASCADE),
    "mask_rcnn_r50": ("cse_a", _COMMON | _MASK),
    "fcos_r50": ("cse_b", _COMMON | _ONE_STAGE),
    "atss_r50": ("cse_b", _COMMON | _ONE_STAGE),
    "faster_rcnn_r50_voc0712": ("cse_a", _VOC),
    "faster_rcnn_r50_bdd100k": ("cse_a", _COMMON | _TWO_STAGE),
}
"""By name of a config of configs/paper: the published pair, and the options that make it small."""
