"""Config: a detector's config, data, losses and budget in, one mmengine config out; the only config surgery."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.hub import get_config

from detectors.data.coco import CocoSource
from detectors.training.data_config import check_outlines, placed, set_classes
from primitives.catalog import GRAMMARS, grammar
from primitives.errors import InputError, reading
from primitives.kinds.classification.kind import SIGMOID, SOFTMAX
from primitives.system import places

SLOTS = ("loss_cls", "loss_bbox")
STATE = {"type": "TrainingState"}
"""The hook that tells heads of the training, where a formula reads it."""
BALANCE = {"type": "SelfBalance"}
"""The hook that balances class and box losses, where a task asks for it."""
_MOST_WEIGHT = 1e9
_EXPORTED = ("ClassLoss", "BoxLoss")  # of what exported losses are
_ON_BOXES = ("IoULoss", "ExpressionBoxLoss")  # how the names of losses end that take boxes, not offsets


def load(detector: str, cfg_options: Mapping[str, object] | None = None, beside: Sequence[str | Path] = ()) -> Config:
    """A detector's config.

    Args:
        detector: path of a config file, 'mmdet::...' for one that mmdetection ships, or the name of one that comes with
            the toolkit.
        cfg_options: dotted keys and values that override it.
        beside: folders to look in before the working directory.

    Raises:
        InputError: no such config, or one without a detector.
    """
    for name, value, kinds in (("a detector", detector, str), ("cfg_options", cfg_options, (Mapping, type(None)))):
        if not isinstance(value, kinds):
            raise InputError(f"{name} is {'a path or mmdet::...' if kinds is str else 'a dict'}, got {value!r}")
    with reading(f"{detector}: not a config that mmengine can read"):
        config = get_config(detector) if is_stock(detector) else Config.fromfile(found(detector, beside))
        config.merge_from_dict(dict(cfg_options or {}))
    if not isinstance(config.get("model", {}), Mapping):
        raise InputError(f"{detector}: model is a dict, got {config.model!r}")
    if not all(isinstance(head, Mapping) and isinstance(head.get("type"), (str, type)) for head in box_heads(config)):
        raise InputError(f"{detector}: a head is a dict with a type, got {next(box_heads(config))!r}")
    if not any(True for _ in box_heads(config)):
        raise InputError(f"{detector}: no detector: needs model.bbox_head or model.roi_head.bbox_head")
    if config.get("data_preprocessor"):  # mmengine merges it into the model
        config.model.setdefault("data_preprocessor", config.data_preprocessor)
    _check_losses(config, detector)
    _check_device(config, detector)
    for section in ("train_dataloader", "val_dataloader", "optim_wrapper"):
        if not config.get(section):
            raise InputError(f"{detector}: has no {section!r}; its pipeline and optimizer are taken from there")
    return config


def is_stock(detector: str) -> bool:
    """Whether a name is of a config that mmdetection, or another package of its kind, ships."""
    return "::" in detector and not detector.startswith(places.TOOLKIT)


def found(detector: str, beside: Sequence[str | Path] = ()) -> str:
    """The file of a detector's config; 'mmdet::...' stays as it is. Arguments and errors as of `load`."""
    if is_stock(detector):
        return detector
    try:
        return str(places.find(detector, "detector config", beside, "detectors"))
    except InputError as error:
        raise InputError(f"{error}, a stock one: 'mmdet::...'") from None


def _check_losses(config: Config, detector: str) -> None:
    """Refuses slots that hold no loss, and weights that no loss can be multiplied by, before a training is begun."""
    for head in box_heads(config):
        for slot in (slot for slot in SLOTS if slot in head):
            if not (isinstance(head[slot], Mapping) and isinstance(head[slot].get("type"), (str, type))):
                raise InputError(f"{detector}: {slot} is a dict with a type, got {head[slot]!r}")
    for place, weight in _weights(config.model, "model"):
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not (number and 0 <= weight <= _MOST_WEIGHT):
            raise InputError(f"{detector}: {place} is a number from 0 to {_MOST_WEIGHT:g}, got {weight!r}")


def _weights(part: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every loss_weight below a part of a config, and where it stands."""
    pairs = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, (list, tuple)) else ()
    for key, value in pairs:
        if key == "loss_weight":
            yield f"{place}.{key}", value
        else:
            yield from _weights(value, f"{place}.{key}")


def _check_device(config: Config, detector: str) -> None:
    """Refuses a device that mmengine would not train on: it takes a GPU where PyTorch sees one, and reads no key."""
    asked, here = config.get("device"), get_device()
    if asked is not None and str(asked).partition(":")[0] != here:
        how = "hide the GPUs by CUDA_VISIBLE_DEVICES=''" if here != "cpu" else "PyTorch sees no GPU on this machine"
        raise InputError(f"{detector}: device={str(asked)!r} cannot be had, trainings here run on {here!r}: {how}")


def box_heads(config: Config) -> Iterator[ConfigDict]:
    """The heads that hold `loss_cls` and `loss_bbox`: of a one-stage detector, or of every stage of a two-stage one."""
    model = config.get("model") or {}
    head = model.get("roi_head", model).get("bbox_head")
    yield from head if isinstance(head, (list, tuple)) else [head] if head is not None else []


def slots(config: Config) -> dict[str, str]:
    """The detector's own losses as text, per slot."""
    head = next(box_heads(config))
    return {slot: ", ".join(f"{k}={v}" for k, v in head[slot].items()) for slot in SLOTS if slot in head}


def configure(
    config: Config,
    *,
    train: CocoSource,
    evaluate: CocoSource,
    losses: Mapping[str, Mapping[str, Any]],
    iterations: int,
    seed: int,
    batch_size: int = 8,
    centerness_target: str | None = None,
) -> Config:
    """One training and its evaluation as a config for mmengine's Runner.

    Args:
        config: of the detector, as `load` gives it; it is not changed.
        train: images to train on.
        evaluate: images to evaluate on.
        losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`; a slot left out keeps its loss.
        iterations: length of the training; warm-up and decay scale with it.
        seed: of weights and data order.
        batch_size: images an iteration.
        centerness_target: None for the head's own, `iou` for the IoU of the predicted box.

    Raises:
        InputError: a slot or an input of a formula that the detector does not have, or a class grammar that does
            not fit its head.
    """
    config = Config(config.to_dict())
    put_losses(config, losses, centerness_target)
    set_classes(config.model, len(evaluate.classes))
    _set_data(config, train, evaluate, batch_size, seed)
    _set_schedule(config, iterations)
    config.randomness = {"seed": seed}
    return config


def put_losses(config: Config, losses: Mapping[str, Mapping[str, Any]], centerness_target: str | None = None) -> None:
    """Puts losses into the slots of every box head of a config, in place; arguments and errors as of `configure`."""
    from detectors.heads.registry import roi_head_type

    given = given_of(losses)
    for head in box_heads(config):
        _put_losses(head, losses, given, centerness_target)
    reads = {name for names in given.values() for name in names}
    if "size" in reads and "roi_head" in config.model:
        config.model.roi_head["type"] = roi_head_type(config.model.roi_head["type"])
    hooks = [*(config.get("custom_hooks") or [])]
    if reads & {"progress", "frequency"} and STATE not in hooks:
        config.custom_hooks = [*hooks, STATE]


def given_of(losses: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What the formula of every slot reads beside prediction and target."""
    rules = {slot: grammar(loss["grammar"]) for slot, loss in losses.items()}
    return {slot: rules[slot].given(rules[slot].parse(loss["expression"])) for slot, loss in losses.items()}


def scaled(
    config: Config, losses: Mapping[str, Mapping[str, Any]], slots: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """Losses whose weights are those of the loss of weight 1, at the scale of the detector's own.

    Args:
        config: with the detector's own losses.
        losses: as of `configure`.
        slots: whose weights change.
    """
    return {
        slot: {**loss, "loss_weight": float(f"{loss['loss_weight'] * own_scale(config, slot):.6g}")}
        if slot in slots
        else loss
        for slot, loss in losses.items()
    }


def own_scale(config: Config, slot: str) -> float:
    """The weight of the detector's own loss; where that is no IoU loss, what mmdetection's configs put in its place.

    These are GIoU with weight 10 in two-stage heads (faster-rcnn_r50_fpn_giou_1x_coco) and 2 in heads with anchors
    (atss_r50_fpn_1x_coco).

    Raises:
        InputError: the loss is an exported one, whose weight is its own.
    """
    own = next(box_heads(config)).get(slot, {})
    if own and any(base.__name__ in _EXPORTED for base in _class(own["type"]).__mro__):
        raise InputError(
            f"{slot} of the detector is {own['type']}, an exported loss, whose weight says nothing of other losses; "
            "take the config that it was exported for"
        )
    if slot == "loss_cls" or str(own.get("type", "")).endswith(_ON_BOXES):
        return float(own.get("loss_weight", 1.0))
    return 10.0 if "roi_head" in config.model else 2.0


def _put_losses(
    head: ConfigDict,
    losses: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, tuple[str, ...]],
    centerness_target: str | None,
) -> None:
    from detectors.heads.iou_aware import CenternessIoUAware
    from detectors.heads.registry import head_type

    for slot, loss in losses.items():
        if slot not in SLOTS or slot not in head:
            choices = ", ".join(name for name in SLOTS if name in head) or "none"
            raise InputError(f"{head['type']} has no slot {slot!r}; choices: {choices}")
        put = _box_loss if slot == "loss_bbox" else _class_loss
        put(head, loss)
    more = () if centerness_target is None else ("iou",)
    head["type"] = head_type(head["type"], {*given.get("loss_cls", ()), *more}, given.get("loss_bbox", ()))
    if centerness_target is not None:
        if not issubclass(_class(head["type"]), CenternessIoUAware):
            raise InputError(
                f"centerness_target={centerness_target!r} is for FCOSHead and ATSSHead, this head is {head['type']}"
            )
        head["centerness_target"] = centerness_target


def _box_loss(head: ConfigDict, loss: Mapping[str, Any]) -> None:
    _ask_for_boxes(head)
    head["loss_bbox"] = {
        "type": "ExpressionBoxLoss",
        "expression": loss["expression"],
        "grammar": loss["grammar"],
        "reduction": head["loss_bbox"].get("reduction", "mean"),  # heads that sum divide by themselves
        "loss_weight": loss["loss_weight"],
    }


def _ask_for_boxes(head: ConfigDict) -> None:
    """Makes the head hand boxes to `loss_bbox`: a formula over areas means nothing on offsets from anchors."""
    own = head["loss_bbox"]["type"]
    bases = _class(head["type"]).__mro__[:-1]
    if any(base.__name__ in _OF_SHARES for base in bases):
        raise InputError(f"{head['type']} hands loss_bbox shares of the image's sides; a box formula needs boxes")
    if any("reg_decoded_bbox" in inspect.signature(base).parameters for base in bases):
        head["reg_decoded_bbox"] = True
    elif not own.endswith(_ON_BOXES):
        raise InputError(
            f"{head['type']} hands no boxes to loss_bbox ({own}); a box formula needs a head that does, "
            "such as FCOSHead, ATSSHead, RetinaHead, Shared2FCBBoxHead"
        )


_WITHOUT_LABELS = ("YOLOXHead", "YOLOV3Head", "VFNetHead", "CenterNetUpdateHead")
"""Heads whose class loss is given a score for every class in place of a label."""
_OF_SHARES = ("DIIHead",)
"""Heads that hand boxes to `loss_bbox` as shares of the image's sides."""


def _class_loss(head: ConfigDict, loss: Mapping[str, Any]) -> None:
    if any(base.__name__ in _WITHOUT_LABELS for base in _class(head["type"]).__mro__):
        raise InputError(
            f"{head['type']} hands scores to loss_cls and no labels; a class formula needs a head that does, such as "
            "FCOSHead, ATSSHead, RetinaHead, GFLHead, Shared2FCBBoxHead"
        )
    kind = SIGMOID if _uses_sigmoid(head["loss_cls"]) else SOFTMAX
    if grammar(loss["grammar"]).kind is not kind:
        choices = " or ".join(repr(name) for name, rules in GRAMMARS.items() if rules.kind is kind)
        raise InputError(
            f"{head['type']} classifies by {kind.name}, so loss_cls needs grammar {choices}, got {loss['grammar']!r}"
        )
    head["loss_cls"] = {
        "type": "ExpressionClassLoss",
        "expression": loss["expression"],
        "grammar": loss["grammar"],
        "alpha": loss.get("alpha"),
        "use_sigmoid": kind is SIGMOID,
        "reduction": head["loss_cls"].get("reduction", "mean"),
        "loss_weight": loss["loss_weight"],
    }


def _uses_sigmoid(loss: ConfigDict) -> bool:
    """What the config says, or the default of its class."""
    default = inspect.signature(_class(loss["type"])).parameters.get("use_sigmoid")
    return bool(loss.get("use_sigmoid", default.default if default else False))


def _class(name: str) -> type:
    from mmdet.registry import MODELS

    found: type | None = MODELS.get(name)
    if found is None:
        raise InputError(f"mmdetection has no {name!r}; register it through custom_imports in the detector's config")
    return found


def _set_data(config: Config, train: CocoSource, evaluate: CocoSource, batch_size: int, seed: int) -> None:
    check_outlines(config.train_dataloader.dataset, train)
    for name, source, shuffled in (("train_dataloader", train, True), ("val_dataloader", evaluate, False)):
        config[name] = {
            "batch_size": batch_size if shuffled else 16,
            "num_workers": 0,
            "persistent_workers": False,
            "sampler": {"type": "InfiniteSampler" if shuffled else "DefaultSampler", "shuffle": shuffled, "seed": seed},
            "dataset": placed(
                config[name]["dataset"],
                source,
                test_mode=not shuffled,
                serialize_data=False,  # of use only with workers that share memory
                filter_cfg={"filter_empty_gt": False, "min_size": 0} if shuffled else None,
            ),
        }
    config.val_evaluator = {"type": "FastCocoMetric", "ann_file": str(evaluate.boxes)}
    for unused in ("test_dataloader", "test_evaluator", "test_cfg"):
        config[unused] = None


def _set_schedule(config: Config, iterations: int) -> None:
    """A linear warm-up over a tenth, then a cosine to a hundredth of the learning rate."""
    warm = max(1, iterations // 10)
    last = max(iterations, warm + 1)  # a single iteration is all warm-up
    config.train_cfg = {"type": "IterBasedTrainLoop", "max_iters": iterations, "val_interval": iterations}
    config.val_cfg = {"type": "ValLoop"}
    config.param_scheduler = [
        {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": warm},
        {
            "type": "CosineAnnealingLR",
            "T_max": last - warm,
            "eta_min_ratio": 0.01,
            "by_epoch": False,
            "begin": warm,
            "end": last,
        },
    ]
