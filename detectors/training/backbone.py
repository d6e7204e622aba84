"""Backbone: which weights a detector, or its backbone, begins with."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from detectors.training.checkpoints import OF_SEARCH, check_detector, loadable, prefix, read, weights
from detectors.training.data_config import set_classes
from primitives.errors import InputError

SCRATCH = "scratch"
_BATCH_NORMS = ("BN", "BN1d", "BN2d", "BN3d", "SyncBN", "MMSyncBN", "NaiveSyncBN")
_GROUPS = 32  # Wu and He 2018, arXiv 1803.08494, section 4


def begin_with(config: Config, choice: str) -> str:
    """Changes where the backbone of a config begins, in place.

    Args:
        config: of a detector.
        choice: a file, or 'scratch'.

    Returns:
        What was changed, for a person.

    Raises:
        InputError: the detector has no backbone of its own, or the file is none.
    """
    backbone = config.model.get("backbone")
    if backbone is None:
        raise InputError(f"--backbone {choice}: {config.model['type']} has no model.backbone")
    named = [part["checkpoint"] for part in pretrained(backbone)]
    if config.get("load_from"):  # which would be loaded over it
        named, config.load_from = [config.load_from], None
    instead = f" in place of {named[0]}" if named else ""
    config.model.pop("pretrained", None)
    if choice == SCRATCH:
        return f"backbone: no pretrained weights{instead}{_without_batch_norm(backbone)}"
    found = read(choice)
    backbone["init_cfg"] = {"type": "Pretrained", "checkpoint": loadable(choice, found)}
    begin = prefix(weights(found))
    if begin:
        backbone["init_cfg"]["prefix"] = begin
    return f"backbone: {choice}{instead}{' (the backbone of that detector)' if begin else ''}"


def pretrained(part: Any) -> Iterator[Any]:
    """Every place in a config that loads weights at the start."""
    if isinstance(part, dict):
        if part.get("type") == "Pretrained" and "checkpoint" in part:
            yield part
        for value in part.values():
            yield from pretrained(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from pretrained(value)


def forget_pretrained(part: Any) -> None:
    """Takes out of a config what loads weights at the start, in place."""
    if isinstance(part, dict):
        if any(True for _ in pretrained(part.get("init_cfg"))):
            part["init_cfg"] = None
        for value in part.values():
            forget_pretrained(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            forget_pretrained(value)


def _without_batch_norm(backbone: Any) -> str:
    """GroupNorm in place of BatchNorm, which means nothing frozen without weights and little for two images."""
    from mmdet.registry import MODELS

    backbone["init_cfg"] = None
    known: dict[str, Any] = {}
    for kind in MODELS.get(backbone["type"]).__mro__[:-1]:
        for name, parameter in inspect.signature(kind).parameters.items():
            known.setdefault(name, parameter.default)
    said = ""
    norm = backbone.get("norm_cfg", known.get("norm_cfg"))
    if isinstance(norm, dict) and norm.get("type") in _BATCH_NORMS:
        widths = [int(backbone[key]) for key in ("base_channels", "stem_channels") if backbone.get(key)]
        groups = math.gcd(_GROUPS, *widths)
        backbone["norm_cfg"] = {"type": "GN", "num_groups": groups, "requires_grad": True}
        said = f"; GroupNorm ({groups} groups) in place of {norm['type']}"
    thawed = False
    for name, value in (("frozen_stages", -1), ("norm_eval", False)):
        if name in known:
            thawed = thawed or backbone.get(name, known[name]) != value
            backbone[name] = value
    return f"{said}{'; all stages are trained' if thawed else ''}"


def check_begin(config: Config, classes: int) -> None:
    """Downloads, or reads, the weights that trainings begin with, before anything is searched.

    Args:
        config: of the detector.
        classes: that the data has.

    Raises:
        InputError: there are none, they hold more than weights, or are of another detector.
    """
    for place in pretrained(config.model.to_dict()):
        read(place["checkpoint"], OF_SEARCH)
    if config.get("load_from"):
        from detectors.training.short import built

        model = copy.deepcopy(config.model)
        set_classes(model, classes)
        check_detector(config.load_from, built(model), classes)
