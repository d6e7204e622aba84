"""Evaluator: trains and scores a detector under given losses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detectors import mmcv_ops
from detectors.datasets import CocoSource, coco_source, one_image_per_class
from detectors.digits import SPLITS, digit_scenes
from primitives.catalog import grammar
from primitives.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

_log = logging.getLogger(__name__)
_TASK = {"iterations": None, "train_on": ("train", "verify"), "evaluate_on": ("verify", "val", "test")}


class DetectorEvaluator:
    """Trains and scores a detector; satisfies the engine's Evaluator protocol by shape.

    Args:
        detector: config of the detector, a path or 'mmdet::...'.
        data: `type` 'digits' with optional counts `train`, `val`, `test` and `seed`; or 'coco' with `train`, `val`
            and optionally `test`, each with `annotations` and `images`.
        batch_size: images an iteration.
        centerness_target: None for the head's own, `iou` for the IoU of the predicted box.
        cfg_options: dotted keys and values that override the detector's config.

    Raises:
        InputError: the detector or the data cannot be used.
    """

    def __init__(
        self,
        detector: str,
        data: Mapping[str, Any],
        batch_size: int = 8,
        centerness_target: str | None = None,
        cfg_options: Mapping[str, object] | None = None,
    ) -> None:
        mmcv_ops.install()
        from detectors.configure import load

        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"batch_size must be a whole number from 1, got {batch_size!r}")
        if centerness_target not in (None, "iou"):
            raise InputError(f"unknown centerness_target {centerness_target!r}; choices: None, 'iou'")
        self.detector, self.data = detector, dict(data)
        self.batch_size, self.centerness_target = batch_size, centerness_target
        self.config = load(detector, cfg_options)
        self._sources: dict[str, CocoSource] | None = None

    @property
    def sources(self) -> dict[str, CocoSource]:
        """The data by split; made or checked when first asked for."""
        if self._sources is None:
            self._sources = _sources(self.data)
        return self._sources

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        """Makes or checks the data, says once what of it is left out, and tries every task and slot.

        Args:
            slots: name of the grammar of each slot that a search fills.
            tasks: as `evaluate` takes them.

        Raises:
            InputError: the data, a task, a slot or a grammar cannot be used with this detector.
        """
        for split, source in self.sources.items():
            if source.left_out:
                _log.warning("data.%s: left out %d boxes without width or height", split, source.left_out)
        losses = {slot: _any_formula(name) for slot, name in slots.items()}
        for task in tasks:
            self.configured(losses, task, 0)

    def describe(self) -> dict[str, Any]:
        """The detector, its own losses and the data as plain values."""
        from detectors.configure import slots

        return {
            "detector": self.detector,
            "own losses": slots(self.config),
            "classes": list(self.sources["train"].classes),
            "images": {split: source.count for split, source in self.sources.items()},
            "boxes left out": {split: source.left_out for split, source in self.sources.items()},
        }

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        """One training and its evaluation.

        Args:
            losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`; a slot left out keeps its loss.
            rung: `iterations`, `train_on` (train or verify) and `evaluate_on` (verify, val or test).
            seed: of weights and data order.

        Returns:
            `score`, the COCO mAP (0..1), and the other metrics of `train`.

        Raises:
            InputError: the rung asks for something else.
            TrainingFailedError: a loss, a weight or a predicted box is not finite.
        """
        from detectors.train import train

        metrics = train(self.configured(losses, rung, seed))
        return {"score": metrics["mAP"], **metrics}

    def configured(self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int) -> Config:
        """The training that `evaluate` does, as a config for mmengine's Runner."""
        from detectors import train  # noqa: F401  imports mmdetection without its noise
        from detectors.configure import configure

        task = self._task(rung)
        return configure(
            self.config,
            train=self.sources[task["train_on"]],
            evaluate=self.sources[task["evaluate_on"]],
            losses=losses,
            iterations=task["iterations"],
            seed=seed,
            batch_size=self.batch_size,
            centerness_target=self.centerness_target,
        )

    def _task(self, rung: Mapping[str, object]) -> dict[str, Any]:
        for key in {**_TASK, **rung}:
            if key not in _TASK or key not in rung:
                state = "unknown" if key not in _TASK else "missing"
                raise InputError(f"{state} key {key!r} in a rung's task; needed: {', '.join(_TASK)}")
        for key, choices in _TASK.items():
            known = [choice for choice in choices or () if choice in self.sources]
            if choices and rung[key] not in known:
                raise InputError(f"a rung's {key} is {rung[key]!r}; choices: {', '.join(known)}")
        if not isinstance(rung["iterations"], int) or rung["iterations"] < 1:
            raise InputError(f"a rung's iterations must be a whole number from 1, got {rung['iterations']!r}")
        return dict(rung)


def _sources(data: Mapping[str, Any]) -> dict[str, CocoSource]:
    kind, rest = data.get("type"), {key: value for key, value in data.items() if key != "type"}
    if kind == "digits":
        unknown = sorted(set(rest) - {*SPLITS, "seed"})
        if unknown:
            raise InputError(f"unknown key {unknown[0]!r} in data of type 'digits'; choices: {', '.join(SPLITS)}, seed")
        sources = digit_scenes({**SPLITS, **{key: rest[key] for key in SPLITS if key in rest}}, rest.get("seed", 0))
    elif kind == "coco":
        unknown = sorted(set(rest) - set(SPLITS))
        if unknown or not {"train", "val"} <= set(rest):
            raise InputError(
                f"data of type 'coco' needs train and val, and may have test; got {', '.join(rest) or 'none'}"
            )
        sources = {split: _coco(split, part) for split, part in rest.items()}
        for split, source in sources.items():
            if source.classes != sources["train"].classes:
                raise InputError(f"{split} has classes {source.classes}, train has {sources['train'].classes}")
    else:
        raise InputError(f"unknown data type {kind!r}; choices: digits, coco")
    return {**sources, "verify": one_image_per_class(sources["train"])}


def _coco(split: str, part: object) -> CocoSource:
    if not isinstance(part, Mapping) or set(part) != {"annotations", "images"}:
        raise InputError(f"data.{split} needs annotations and images, got {part!r}")
    return coco_source(part["annotations"], part["images"])


def _any_formula(name: str) -> dict[str, object]:
    """A formula that reads every input of a grammar: a detector that takes it takes them all."""
    first, *others = (terminal.name for terminal in grammar(name).terminals)
    text = first
    for other in others:
        text = f"add({text}, {other})"
    return {"expression": text, "grammar": name, "loss_weight": 1.0}
