"""Export for mmdetection: modules, heads and a config that stock mmdetection loads without this toolkit."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors import mmcv_ops
from detectors.export.source import LossesFile, losses_file
from detectors.tasks import whole
from primitives.catalog import grammar
from primitives.errors import InputError, one_line
from primitives.text.markup import digest, docstring, plain

_log = logging.getLogger(__name__)
DETECTORS = {
    "softmax": "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
    "sigmoid": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
}
"""Stock config for a class formula where no detector is named; box formulas alone go with the first."""
_CONFIG = '''"""{title}

{about}

    python tools/train.py config.py

from this folder, with mmdetection's own tools/train.py. In the work dir it leaves a config that loads wherever it
lies, for inference also without the losses.
{stand_in}"""

_base_ = {base!r}
{loader}
list(map(_have, {modules!r}))
'''
_DETECTOR = '''"""The detector with its own losses, whole: config.py changes it; as it is it trains to compare with."""

_base_ = []
'''
_WITHOUT = """
{module} stands in for the compiled ops that the mmcv of `pip install` lacks; it leaves an mmcv that has them
alone. With such an mmcv, take "{module}" out of this file and delete the other.
"""


def mmdet(
    losses: Mapping[str, Mapping[str, Any]], name: str, about: Sequence[str], setup: Mapping[str, Any]
) -> dict[str, str]:
    """The files of a folder that mmdetection's own tools train with: the losses, config.py and what they need.

    Args:
        losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`.
        name: what the classes' names begin with.
        about: where the losses come from, paragraphs.
        setup: `evaluator` (how a DetectorEvaluator was built), `task` and `seed` of a run, and `iterations` where they
            are not the task's; or `detector` (a path or 'mmdet::...') and `centerness_target`; `scale`: slots whose
            weights are those of the loss of weight 1 and take on the scale of the detector's own; `stand_in`: whether
            to write the stand-in for mmcv's compiled ops, None for where this mmcv lacks them.

    Returns:
        Text by file name, that of the losses first.

    Raises:
        InputError: the detector is not known, has no such slot, or its head does not fit a formula.
    """
    lacks_ops = mmcv_ops.install()
    from detectors.heads import training_state
    from detectors.heads.registry import ROI_TWINS
    from detectors.training import portable as portable_config
    from detectors.training.config import STATE, box_heads, is_stock, load, put_losses, scaled
    from detectors.training.portable import LOADER, text_of

    evaluator, detector = dict(setup.get("evaluator") or {}), setup.get("detector")
    centerness, heads = setup.get("centerness_target"), ""
    if evaluator and not detector:
        if evaluator.pop("type") != "detectors.evaluator:DetectorEvaluator":
            raise InputError("the run's evaluator trains no mmdetection detector; name one with --detector")
        centerness = centerness or evaluator.get("centerness_target")
        task, heads = _whole(setup["task"], setup.get("iterations"))
        config = _of_run(evaluator, task, setup["seed"])
        base = detector = "detector.py"
    else:
        kinds = [grammar(loss["grammar"]).kind.name for slot, loss in losses.items() if slot == "loss_cls"]
        detector = detector or DETECTORS[kinds[0] if kinds else "softmax"]
        config = load(detector)
        base = detector if is_stock(detector) else "detector.py"
    wanted = setup.get("stand_in")
    ops = {f"mmcv_ops_{digest(mmcv_ops.text())}": mmcv_ops.text()} if (lacks_ops if wanted is None else wanted) else {}
    before, roi_before = [head.to_dict() for head in box_heads(config)], _roi_head(config)
    losses = scaled(config, losses, setup.get("scale", ()))
    put_losses(config, losses, centerness)
    after, roi_after = [head.to_dict() for head in box_heads(config)], _roi_head(config)
    roi_head = None if roi_after == roi_before else ROI_TWINS[roi_after].__name__
    file = losses_file(losses, name, about, _new_head(before, after), roi_head)
    hook, portable = _hook(portable_config, "PortableConfig", "portable_config")
    state, telling = _hook(training_state, STATE["type"], "training_state")
    reads = STATE in (config.get("custom_hooks") or [])
    imported = [*ops, *portable, *(telling if reads else {}), file.module]
    files = {file.module: file.text, **portable, **(telling if reads else {}), **ops}
    changed = {"custom_imports": _custom(config, imported), "custom_hooks": _hooks(config, hook, state)}
    if base == "detector.py":
        own = load(detector) if detector != base else _of_run(evaluator, task, setup["seed"])
        files["detector"] = _detector_file(own, [*ops, *portable] if ops else [], hook)
    trained = "The run's detector" if evaluator else detector
    model = {"bbox_head": _changes(before, after, file)}
    if "roi_head" in config.model:
        model = {"roi_head": {**({"type": file.class_name(roi_head)} if roi_head else {}), **model}}
    files["config"] = _CONFIG.format(
        title=docstring(textwrap.fill(f"{plain(trained)} with {' and '.join(map(file.class_name, losses))}.", 115)),
        about="\n\n".join(docstring(textwrap.fill(part, 115)) for part in (about[0], *filter(None, [heads]))),
        base=base,
        loader=LOADER.format(or_at="", origin=""),
        modules=imported,
        stand_in="".join(_WITHOUT.format(module=module) for module in ops),
    ) + text_of({**changed, "model": model})
    return {f"{stem}.py": text for stem, text in files.items()}


def _hook(module: Any, name: str, stem: str) -> tuple[str, dict[str, str]]:
    """The name of a hook as it is exported, and its module, text by name."""
    text = Path(module.__file__).read_text(encoding="utf-8")
    hook = f"{name}_{digest(text)}"
    return hook, {f"{stem}_{digest(text)}": text.replace(name, hook)}


def _hooks(config: Any, hook: str, state: str = "") -> list[Any]:
    """The hooks of a config, one more, and the exported twin of the one that tells heads of the training."""
    from detectors.training.config import STATE

    return [*({"type": state} if one == STATE else one for one in config.get("custom_hooks") or []), {"type": hook}]


def _roi_head(config: Any) -> str:
    """The `type` of the RoI head, empty for a one-stage detector."""
    return str(config.model.get("roi_head", {}).get("type", ""))


def _custom(config: Any, modules: Sequence[str]) -> dict[str, Any]:
    """What a config imports, and these modules after it."""
    first = (config.get("custom_imports") or {}).get("imports", [])
    return {"imports": [*first, *modules], "allow_failed_imports": False}


def _whole(task: Mapping[str, Any], iterations: int | None) -> tuple[dict[str, Any], str]:
    """The task that trains the whole detector, and what to know of it where the run's trains small heads alone."""
    found = {**whole(task), **({} if iterations is None else {"iterations": iterations})}
    if iterations is not None or whole(task) == task:
        return found, ""
    said = (
        "The last rung of the run trains small heads alone; here the whole detector is trained for the "
        f"{found['iterations']} iterations of the one whose features they had."
    )
    _log.warning("%s", said)
    return found, said


def _of_run(evaluator: Mapping[str, Any], task: Mapping[str, Any], seed: int) -> Any:
    """The detector as the run trained it, with its own losses, and mmdetection's own metric."""
    from detectors.evaluator import DetectorEvaluator

    try:
        trained = DetectorEvaluator(**{**evaluator, "centerness_target": None})
    except TypeError as error:
        raise InputError(f"the run's evaluator does not take its arguments: {one_line(error)}") from None
    config = trained.configured({}, task, seed)
    truth = config.val_evaluator.ann_file
    config.val_evaluator = {"type": "CocoMetric", "ann_file": truth, "metric": "bbox"}
    config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    config.test_cfg = {"type": "TestLoop"}
    config.log_processor = {"type": "LogProcessor", "window_size": 50, "by_epoch": False}
    last = {"type": "CheckpointHook", "by_epoch": False, "interval": config.train_cfg.max_iters}
    config.default_hooks = {**(config.get("default_hooks") or {}), "checkpoint": last}
    return config


def _detector_file(config: Any, modules: Sequence[str], hook: str) -> str:
    from detectors.training.portable import LOADER, text_of

    values = config.to_dict()
    if modules:
        values = {**values, "custom_imports": _custom(config, modules), "custom_hooks": _hooks(config, hook)}
    load = f"{LOADER.format(or_at='', origin='')}\nlist(map(_have, {list(modules)!r}))\n" if modules else ""
    return f"{_DETECTOR}{load}{text_of(values)}"


def _new_head(before: Sequence[Any], after: Sequence[Any]) -> str | None:
    """The stock head that needs a class of its own, None for none."""
    from detectors.heads.registry import MECHANISMS, TWINS

    types = sorted({new["type"] for old, new in zip(before, after, strict=True) if new["type"] != old["type"]})
    for head, mechanism in (TWINS[kind] for kind in types if kind in TWINS):
        if mechanism not in MECHANISMS.values():
            raise InputError(f"{types[0]}: a head that hands over more than the toolkit's own do is not exported")
        return head.__name__
    return None


def _changes(before: Sequence[Any], after: Sequence[Any], file: LossesFile) -> Any:
    """What config.py says of the head or heads."""
    from detectors.heads.registry import TWINS

    heads = []
    for old, new in zip(before, after, strict=True):
        changed = {key: value for key, value in new.items() if value != old.get(key)}
        for slot in ("loss_cls", "loss_bbox"):
            if slot in changed:
                keep = ("use_sigmoid", "loss_weight") if slot == "loss_cls" else ("loss_weight",)
                changed[slot] = {
                    "_delete_": True,
                    "type": file.class_name(slot),
                    **{key: changed[slot][key] for key in keep},
                    **({"reduction": changed[slot]["reduction"]} if changed[slot]["reduction"] != "mean" else {}),
                }
        if changed.get("type") in TWINS:
            changed["type"] = file.class_name(TWINS[changed["type"]][0].__name__)
        heads.append((old, changed))
    if len(heads) == 1:
        return heads[0][1]
    for _, changed in heads:  # a list takes the place of the old list as a whole
        for slot in ("loss_cls", "loss_bbox"):
            changed.get(slot, {}).pop("_delete_", None)
    return [{**old, **changed} for old, changed in heads]
