"""The configs of stock detectors made small: narrow backbones without weights, small images."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmdet
from mmengine.config import Config

from detectors.training.config import load

TOOL = Path(mmdet.__file__).parent / ".mim" / "tools" / "train.py"
"""mmdetection's own."""
_CLOSED = """
import sys

class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("autoloss", "primitives", "detectors"):
            raise ImportError(f"{name} is closed here")

sys.meta_path.insert(0, Closed())
"""
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


def closed(folder: Path) -> Path:
    """A folder that on PYTHONPATH keeps a process from importing what is ours."""
    (folder / "closed").mkdir()
    (folder / "closed" / "sitecustomize.py").write_text(_CLOSED)
    return folder / "closed"


def trained(program: Sequence[str], base: Path, name: str, data: dict[str, Any], importable: Path, folder: Path) -> str:
    """What a program says that trains a small detector of a config file for an epoch, in a process of its own.

    Args:
        program: that takes what mmdetection's `tools/train.py` takes, after the interpreter.
        base: the config of a detector, on COCO.
        name: of the detector in `STOCK`, whose options make it small.
        data: `train` and `val`, each with `annotations` and `images`, of ten classes.
        importable: the folder on PYTHONPATH.
        folder: where the config and the work dir lie.
    """
    _, options = STOCK[name]
    config, loaders = load(f"configs/detectors/{name}.py", options), {}
    for part in ("train", "val"):
        loaders[f"{part}_dataloader"] = {
            "batch_size": 20,
            "num_workers": 0,
            "persistent_workers": False,
            "dataset": {
                "data_root": "",
                "ann_file": data[part]["annotations"],
                "data_prefix": {"img": data[part]["images"]},
                "metainfo": {"classes": tuple(map(str, range(10)))},
                "pipeline": config[f"{part}_dataloader"].dataset.pipeline,
            },
        }
    file = folder / "config.py"
    file.write_text(f"_base_ = {str(base)!r}\n{Config(loaders).pretty_text}")
    given = {key: value for key, value in options.items() if key.startswith("model.")}
    classes = "model.bbox_head.num_classes" if "bbox_head" in config.model else "model.roi_head.bbox_head.num_classes"
    given |= {classes: 10, "train_cfg.max_epochs": 1, "val_evaluator.ann_file": data["val"]["annotations"]}
    line = [sys.executable, *program, str(file), "--work-dir", str(folder / "work"), "--cfg-options"]
    for key, value in given.items():
        inside = value if isinstance(value, dict) else {"": value}
        line += [f"{key}.{name}".strip(".") + f"={one}".replace(" ", "") for name, one in inside.items()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(importable)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "Epoch(val) [1]" in done.stdout
    assert (folder / "work" / "epoch_1.pth").is_file()
    return said
