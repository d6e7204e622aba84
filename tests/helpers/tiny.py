"""Small detectors of every kind that the tests train: configs and what is changed of them."""

from __future__ import annotations

from typing import Any

DIGITS = {"type": "digits", "train": 40, "val": 8, "test": 8}
ATSS = {
    "model.bbox_head": {
        "_delete_": True,
        "type": "ATSSHead",
        "num_classes": 10,
        "in_channels": 32,
        "feat_channels": 32,
        "stacked_convs": 1,
        "norm_cfg": {"type": "GN", "num_groups": 8},
        "anchor_generator": {
            "type": "AnchorGenerator",
            "ratios": [1.0],
            "octave_base_scale": 4,
            "scales_per_octave": 1,
            "strides": [8, 16],
        },
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]},
        "loss_cls": {"type": "FocalLoss", "use_sigmoid": True},
        "loss_bbox": {"type": "GIoULoss", "loss_weight": 2.0},
        "loss_centerness": {"type": "CrossEntropyLoss", "use_sigmoid": True},
    },
    "model.train_cfg": {
        "assigner": {"type": "ATSSAssigner", "topk": 9},
        "allowed_border": -1,
        "pos_weight": -1,
        "debug": False,
    },
}
RETINA = {
    "model.bbox_head": {
        "_delete_": True,
        "type": "RetinaHead",
        "num_classes": 10,
        "in_channels": 32,
        "feat_channels": 32,
        "stacked_convs": 1,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "ratios": [0.7, 1.4],
            "octave_base_scale": 3,
            "scales_per_octave": 2,
            "strides": [8, 16],
        },
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder"},
        "loss_cls": {"type": "FocalLoss", "use_sigmoid": True},
        "loss_bbox": {"type": "L1Loss"},
    },
    "model.train_cfg": {
        "assigner": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0},
        "sampler": {"type": "PseudoSampler"},
        "allowed_border": -1,
        "pos_weight": -1,
        "debug": False,
    },
}
DETECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "FCOS": ("configs/detectors/tiny_fcos.py", {}),
    "FCOS in pixels": ("configs/detectors/tiny_fcos.py", {"model.bbox_head.norm_on_bbox": False}),
    "ATSS": ("configs/detectors/tiny_fcos.py", ATSS),
    "RetinaNet": ("configs/detectors/tiny_fcos.py", RETINA),
    "Faster R-CNN": ("configs/detectors/tiny_faster_rcnn.py", {}),
}
