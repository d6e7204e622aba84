"""Export for mmdetection: modules, heads and a config that stock mmdetection loads without this toolkit."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors import mmcv_ops
from detectors.export.source import class_name, losses_file
from primitives.catalog import grammar
from primitives.errors import InputError

DETECTORS = {
    "softmax": "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
    "sigmoid": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
}
"""Stock config for a class formula where no detector is named; box formulas alone go with the first."""
_CONFIG = '''"""{detector} with {losses}.

{about}

    python tools/train.py {{folder}}/config.py
{stand_in}"""

import sys

_base_ = {base!r}

sys.path.insert(0, "{{{{ fileDirname }}}}")  # losses.py lies beside this file
'''
_WITHOUT = """
mmcv_ops stands in for the compiled ops that the mmcv of `pip install` lacks; it leaves an mmcv that has them alone.
With such an mmcv, take "mmcv_ops" out of custom_imports and delete the file.
"""


def mmdet(
    losses: Mapping[str, Mapping[str, Any]], name: str, about: Sequence[str], setup: Mapping[str, Any]
) -> dict[str, str]:
    """The files of a folder that mmdetection's own tools train with: losses.py, config.py and what they need.

    Args:
        losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`.
        name: what the classes' names begin with.
        about: where the losses come from, paragraphs.
        setup: `evaluator` (how a DetectorEvaluator was built), `task` and `seed` of a run, or `detector` (a path or
            'mmdet::...') and `centerness_target`; `scale`: slots whose weights are those of the loss of weight 1 and
            take on the scale of the detector's own; `stand_in`: whether to write the stand-in for mmcv's compiled ops,
            None for where this mmcv lacks them.

    Returns:
        Text by file name.

    Raises:
        InputError: the detector is not known, has no such slot, or its head does not fit a formula.
    """
    lacks_ops = mmcv_ops.install()
    from detectors.training.config import box_heads, load, put_losses, scaled

    evaluator, detector = dict(setup.get("evaluator") or {}), setup.get("detector")
    centerness = setup.get("centerness_target")
    files: dict[str, str] = {}
    if evaluator and not detector:
        if evaluator.pop("type") != "detectors.evaluator:DetectorEvaluator":
            raise InputError("the run's evaluator trains no mmdetection detector; name one with --detector")
        centerness = centerness or evaluator.get("centerness_target")
        config = _of_run(evaluator, setup["task"], setup["seed"])
        base = detector = "detector.py"
    else:
        kinds = [grammar(loss["grammar"]).kind.name for slot, loss in losses.items() if slot == "loss_cls"]
        detector = detector or DETECTORS[kinds[0] if kinds else "softmax"]
        config = load(detector)
        base = detector if "::" in detector else "detector.py"
    stand_in = setup.get("stand_in")
    if stand_in is None:
        stand_in = lacks_ops
    before = [head.to_dict() for head in box_heads(config)]
    losses = scaled(config, losses, setup.get("scale", ()))
    put_losses(config, losses, centerness)
    model, heads = _changes(before, [head.to_dict() for head in box_heads(config)], name)
    imports_first = list((config.get("custom_imports") or {}).get("imports", [])) + ["mmcv_ops"] * stand_in
    files["losses.py"] = losses_file(losses, name, about, heads)
    if base == "detector.py":
        own = load(detector) if detector != base else _of_run(evaluator, setup["task"], setup["seed"])
        files[base] = _detector_file(own, imports_first, stand_in)
    if stand_in:
        files["mmcv_ops.py"] = f"{Path(mmcv_ops.__file__).read_text()}\n\ninstall()\n"
    path = "roi_head.bbox_head" if "roi_head" in config.model else "bbox_head"
    for part in reversed(path.split(".")):
        model = {part: model}
    files["config.py"] = _CONFIG.format(
        detector="The run's detector" if evaluator else detector,
        losses=" and ".join(class_name(name, slot) for slot in losses),
        about=textwrap.fill(about[0], 115),
        base=base,
        stand_in=_WITHOUT if stand_in else "",
    ) + _text({"custom_imports": _custom([*imports_first, "losses"]), "model": model})
    return files


def _custom(modules: Sequence[str]) -> dict[str, Any]:
    return {"imports": list(modules), "allow_failed_imports": False}


def _of_run(evaluator: Mapping[str, Any], task: Mapping[str, Any], seed: int) -> Any:
    """The detector as the run trained it, with its own losses, and mmdetection's own metric."""
    from detectors.evaluator import DetectorEvaluator

    config = DetectorEvaluator(**{**evaluator, "centerness_target": None}).configured({}, task, seed)
    truth = config.val_evaluator.ann_file
    config.val_evaluator = {"type": "CocoMetric", "ann_file": truth, "metric": "bbox"}
    config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    config.test_cfg = {"type": "TestLoop"}
    config.log_processor = {"type": "LogProcessor", "window_size": 50, "by_epoch": False}
    config.default_hooks["checkpoint"] = {
        "type": "CheckpointHook",
        "by_epoch": False,
        "interval": config.train_cfg.max_iters,
    }
    return config


def _detector_file(config: Any, first: Sequence[str], stand_in: bool) -> str:
    head = (
        '"""The detector with its own losses, whole: config.py changes it, and it trains as it is to compare with."""\n'
    )
    if stand_in:
        head += '\nimport sys\n\nsys.path.insert(0, "{{ fileDirname }}")\n'
    body = {key: value for key, value in config.to_dict().items() if key != "custom_imports"}
    if first:
        body = {"custom_imports": _custom(first), **body}
    return head + _text(body)


def _text(values: Mapping[str, Any]) -> str:
    from mmengine.config import Config

    return str(Config(dict(values)).pretty_text)


def _changes(before: Sequence[Any], after: Sequence[Any], name: str) -> tuple[Any, str | None]:
    """What config.py says of the head or heads, and the stock head that needs a class of its own."""
    from detectors.heads.registry import MECHANISMS, TWINS

    stock = None
    heads = []
    for old, new in zip(before, after, strict=True):
        changed = {key: value for key, value in new.items() if value != old.get(key)}
        for slot in ("loss_cls", "loss_bbox"):
            if slot in changed:
                keep = ("use_sigmoid", "loss_weight") if slot == "loss_cls" else ("loss_weight",)
                changed[slot] = {
                    "_delete_": True,
                    "type": class_name(name, slot),
                    **{key: changed[slot][key] for key in keep},
                    **({"reduction": changed[slot]["reduction"]} if changed[slot]["reduction"] != "mean" else {}),
                }
        if changed.get("type") in TWINS:
            head, mechanism = TWINS[changed["type"]]
            if mechanism not in MECHANISMS.values():
                raise InputError(f"{changed['type']}: only heads that hand over iou and no more are exported")
            stock = head.__name__
            changed["type"] = f"{name}{stock}"
        heads.append((old, changed))
    if len(heads) == 1:
        return heads[0][1], stock
    for _, changed in heads:  # a list takes the place of the old list as a whole
        for slot in ("loss_cls", "loss_bbox"):
            changed.get(slot, {}).pop("_delete_", None)
    return [{**old, **changed} for old, changed in heads], stock
