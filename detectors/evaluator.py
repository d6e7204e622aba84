"""Evaluator: trains and scores a detector under given losses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors import mmcv_ops
from detectors.data.coco import CocoSource, resized
from detectors.data.splits import located, say, sources
from detectors.strict import MOST
from detectors.tasks import Task, TrainDetector, TrainHeads, any_formula, audited, lasting, task_of
from primitives.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

    from detectors.frozen.rung import Frozen

_log = logging.getLogger(__name__)


class DetectorEvaluator:
    """Trains and scores a detector; satisfies the engine's Evaluator protocol by shape.

    Args:
        detector: config of the detector, a path or 'mmdet::...'.
        data: a description as of `sources`, or the path of a dataset config; None says what to give.
        batch_size: images an iteration.
        centerness_target: None for the head's own, `iou` for the IoU of the predicted box.
        cfg_options: dotted keys and values that override the detector's config.
        beside: folders in which the paths of detector and data are looked for before the working directory.
        metric: the score: `mAP`, `AP50`, `AP75`, `AP_small`, `AR100` and their like, or classes whose mean AP it is.
        size: `small`, `medium` or `full`: image size, strides and anchors are chosen from the boxes to train on; None
            for the detector as its config has it.

    Raises:
        InputError: the detector or the data cannot be used.
    """

    def __init__(
        self,
        detector: str,
        data: Mapping[str, Any] | str | None,
        batch_size: int = 8,
        centerness_target: str | None = None,
        cfg_options: Mapping[str, object] | None = None,
        beside: Sequence[str] = (),
        metric: str | Sequence[str] = "mAP",
        size: str | None = None,
    ) -> None:
        mmcv_ops.install()
        from detectors.training import fitting
        from detectors.training.config import load
        from detectors.training.metric import Metric

        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or not 1 <= batch_size <= MOST:
            raise InputError(f"batch_size must be a whole number from 1, got {batch_size!r}; at most {MOST:,}")
        if centerness_target not in (None, "iou"):
            raise InputError(f"unknown centerness_target {centerness_target!r}; choices: None, 'iou'")
        if data is None:
            raise InputError(
                "this search is for your data: give --data PATH, COCO JSON or a folder (COCO, YOLO, VOC, LabelImg, "
                "what Roboflow exports)"
            )
        self.size = None if size is None else fitting.checked(size)
        self.detector, self.data, self._options = detector, data, dict(cfg_options or {})
        self.batch_size, self.centerness_target = batch_size, centerness_target
        self._beside = tuple(beside)
        self._config = load(detector, cfg_options, self._beside)
        self.metric = Metric.of(metric)
        self._sources: dict[str, CocoSource] | None = None
        self._fitted = ""
        self._frozen: tuple[tuple[TrainHeads, int], Frozen] | None = None

    @property
    def sources(self) -> dict[str, CocoSource]:
        """The data by split; made or checked when first asked for."""
        if self._sources is None:
            found = sources(self._located)
            self._sources = found if self.size is None else self._fit(self.size, found)
        return self._sources

    @property
    def _located(self) -> dict[str, Any]:
        """The description of the data, with its paths as they are found."""
        return located(self.data, self._beside)

    @property
    def config(self) -> Config:
        """Of the detector, fitted to the data where a size asks for it."""
        if self.size is not None:
            self.sources  # noqa: B018  fits it
        return self._config

    def _fit(self, size: str, found: dict[str, CocoSource]) -> dict[str, CocoSource]:
        """Fits the detector to the data, and makes images smaller once that it would make smaller each time."""
        from detectors.training.config import load
        from detectors.training.fitting import fit

        fitted = fit(self._config, size, found["train"], self.batch_size)
        self._config = load(fitted.detector or self.detector, {**fitted.options, **self._options}, self._beside)
        self._fitted = fitted.said
        if fitted.longest is None or "longest" in self._located:
            return found
        return {split: resized(source, fitted.longest) for split, source in found.items()}

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        """Makes or checks the data, says once what of it is left out, and tries every task and slot.

        Args:
            slots: name of the grammar of each slot that a search fills.
            tasks: as `evaluate` takes them.

        Raises:
            InputError: the data, a task, a slot or a grammar cannot be used with this detector.
        """
        from detectors.frozen import rung as frozen
        from detectors.training.backbone import check_begin
        from detectors.training.data_config import left_out

        say(self.sources, self._located)
        if self._fitted:
            _log.warning("size %s", self._fitted)
        if any(self._on_val_instead(task_of(task)) for task in tasks):
            _log.warning(
                "the data has no test split: what is to be evaluated on test is evaluated on val, which chose the "
                "candidates, so its scores flatter them; name a test split by --test-data or data.test"
            )
        losses = {slot: any_formula(name) for slot, name in slots.items()}
        for task in map(self._task, tasks):
            most = task.evaluate_images if isinstance(task, TrainHeads) else None
            self.metric.check(self.sources[task.evaluate_on], task.evaluate_on, most)
            config = self._configured(losses, task, 0)
            if isinstance(task, TrainHeads):
                frozen.check(config)
        for what, kinds in left_out(self.config).items():
            _log.warning("%s (%s) are left out by a search; `autoloss train` has them", what, ", ".join(kinds))
        check_begin(self.config, len(self.sources["train"].classes))

    def _on_val_instead(self, task: Task) -> bool:
        return task.evaluate_on == "test" and "test" not in self.sources

    def describe(self) -> dict[str, Any]:
        """The detector, its own losses and the data as plain values."""
        from detectors.training.config import slots

        spoilt = {split: list(source.spoilt) for split, source in self.sources.items() if source.spoilt}
        return {
            "detector": self.detector,
            **self._elsewhere(),
            "own losses": slots(self.config),
            "classes": list(self.sources["train"].classes),
            "images": {split: source.count for split, source in self.sources.items()},
            "boxes left out": {split: source.left_out for split, source in self.sources.items()},
            **({"spoilt": spoilt} if spoilt else {}),
            **({} if "test" in self.sources else {"test": "val"}),
            **({} if self.metric.name == "mAP" else {"metric": self.metric.name}),
            **({"size": self._fitted} if self._fitted else {}),
        }

    def _elsewhere(self) -> dict[str, list[str]]:
        """Where paths were looked for, if one was found there and not where its name says."""
        from detectors.training.config import found

        with suppress(InputError):  # of what is nowhere but there
            if found(self.detector, self._beside) == self.detector and self._located == located(self.data, ()):
                return {}
        return {"beside": list(self._beside)}

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, Any]:
        """One training and its evaluation.

        Args:
            losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`; a slot left out keeps its loss.
            rung: `iterations`, `train_on` (train or verify) and `evaluate_on` (verify, val or test); `per_image` and
                `balanced` as of `audit_task`; with `kind` 'frozen' see `evaluate_many`.
            seed: of weights and data order.

        Returns:
            `score` (0..1), the metric that is searched for, the metrics of `train`, and what each image contributes.

        Raises:
            InputError: the rung asks for something else.
            TrainingFailedError: a loss, a weight or a predicted box is not finite.
        """
        from detectors.training.short import TrainingFailedError, train_briefly

        task = self._task(rung)
        if isinstance(task, TrainHeads):
            (found,) = self.evaluate_many([losses], rung, seed)
            if isinstance(found, str):
                raise TrainingFailedError(found)
            return found
        metrics = train_briefly(self._configured(losses, task, seed))
        return {"score": self.metric.score(metrics), **metrics}

    def audit_task(self, rung: Mapping[str, object], balanced: bool) -> dict[str, object]:
        """The task of an audit, see the engine's `Auditable`; arguments and errors as of `tasks.audited`."""
        return audited(rung, balanced, self.sources)

    def detect(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int, most: int
    ) -> list[dict[str, Any]]:
        """What a training finds on a few of the images that it is evaluated on; see the engine's `Detecting`."""
        from detectors import detections
        from detectors.training.short import train_briefly

        task = self._task(rung)
        if isinstance(task, TrainHeads):
            raise InputError(detections.NO_DETECTOR)
        config = self._configured(losses, task, seed)
        config.val_evaluator["judged"] = True
        found = train_briefly(config)
        return [detections.examples(self.sources[task.evaluate_on], found, self.metric.score(found), most)]

    def warm(self, rung: Mapping[str, object], seed: int) -> None:
        """Makes what every evaluation of a rung with a seed shares; errors as of `evaluate`."""
        task = self._task(rung)
        if isinstance(task, TrainHeads):
            self._features(task, seed)

    def evaluate_many(
        self, losses: Sequence[Mapping[str, Mapping[str, object]]], rung: Mapping[str, object], seed: int
    ) -> list[dict[str, float] | str]:
        """A small head per candidate on frozen features, side by side.

        Args:
            losses: of every candidate, as `evaluate` takes them.
            rung: `kind` 'frozen', `iterations` and `evaluate_on`; `pretrain` iterations of the detector with its own
                losses, training `images`, most `evaluate_images`, `positives` and `negatives` of an iteration and
                `train_on` have defaults. Other kinds train one candidate after another.
            seed: of the pretraining, of first weights and of order.

        Returns:
            For every candidate `score` and the COCO metrics, or what went wrong.

        Raises:
            InputError: the rung asks for something else, or the detector cannot be frozen.
        """
        task = self._task(rung)
        if not isinstance(task, TrainHeads):
            return [self.evaluate(one, rung, seed) for one in losses]
        return self._heads(self._features(task, seed), losses, task, seed)

    def measure_shared(self, rung: Mapping[str, object], seconds: float, folder: str) -> dict[str, float]:
        """What the evaluations of a rung with a seed share, measured; see the engine's `Measurable`."""
        from mmengine.device import get_device

        from detectors import profiling
        from detectors.frozen import rung as frozen

        task = self._task(rung)
        if not isinstance(task, TrainHeads):
            return {}
        wanted = min(task.images, self.sources[task.train_on].count), self._evaluated(task)
        file = Path(folder) / frozen.FILE
        device = get_device()
        return profiling.features(
            lambda count: self._configured({}, lasting(task, count), 0), task.pretrain, wanted, seconds, file, device
        )

    def measure(
        self,
        losses: Sequence[Mapping[str, Mapping[str, object]]],
        rung: Mapping[str, object],
        seconds: float,
        folder: str,
    ) -> dict[str, float]:
        """What an evaluation of a rung costs, measured; see the engine's `Measurable`."""
        from mmengine.device import get_device

        from detectors import profiling
        from detectors.frozen import rung as frozen

        task = self._task(rung)
        images, more = self._evaluated(task), {"bytes_data": profiling.prepared_bytes(self.sources)}
        if not isinstance(task, TrainHeads):
            found = profiling.training(
                lambda count: self._configured(losses[0], lasting(task, count), 0), task.iterations, images, seconds
            )
            for name in ("fixed", "iteration", "evaluate"):
                found[name] *= len(losses)  # they are trained one after another
            return found | more
        few = frozen.read(Path(folder) / frozen.FILE, self._configured({}, lasting(task, 1), 0), "", get_device())
        found = profiling.heads(
            few, lambda on, count: self._heads(on, losses, lasting(task, count), 0), task.iterations, images, seconds
        )
        return found | more

    def _evaluated(self, task: Task) -> int:
        """Number of images that a task evaluates."""
        count = self.sources[task.evaluate_on].count
        return min(count, task.evaluate_images) if isinstance(task, TrainHeads) else count

    def _heads(
        self, found: Frozen, losses: Sequence[Mapping[str, Any]], task: TrainHeads, seed: int
    ) -> list[dict[str, float] | str]:
        """Heads on frozen features."""
        from detectors.frozen import rung as frozen

        metrics = frozen.evaluate(found, losses, task, seed, self.centerness_target)
        return [one if isinstance(one, str) else {**one, "score": self.metric.score(one)} for one in metrics]

    def _features(self, task: TrainHeads, seed: int) -> Frozen:
        """The frozen features of a rung with a seed; the last ones stay in memory."""
        from mmengine.device import get_device

        from detectors.frozen import rung as frozen

        key = (task, seed)
        if self._frozen is None or self._frozen[0] != key:
            config = self._configured({}, lasting(task, task.pretrain), seed)
            self._frozen = None  # so that two of them are never held at once
            self._frozen = (key, frozen.freeze(config, task, seed, get_device()))
        return self._frozen[1]

    def configured(self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int) -> Config:
        """The training that `evaluate` does, as a config for mmengine's Runner."""
        return self._configured(losses, self._task(rung), seed)

    def _configured(self, losses: Mapping[str, Mapping[str, object]], task: Task, seed: int) -> Config:
        """A training of the detector on the data of a task, for as many iterations."""
        from detectors.training import short  # noqa: F401  imports mmdetection without its noise
        from detectors.training.config import BALANCE, configure

        config = configure(
            self.config,
            train=self.sources[task.train_on],
            evaluate=self.sources[task.evaluate_on],
            losses=losses,
            iterations=task.iterations,
            seed=seed,
            batch_size=self.batch_size,
            centerness_target=self.centerness_target,
        )
        if isinstance(task, TrainDetector) and task.per_image:
            config.val_evaluator["per_image"] = list(self.metric.classes) or self.metric.name
        if isinstance(task, TrainDetector) and task.balanced:
            config.custom_hooks = [*(config.get("custom_hooks") or []), BALANCE]
        return config

    def _task(self, rung: Mapping[str, object]) -> Task:
        task = task_of(rung)
        return task.model_copy(update={"evaluate_on": "val"}) if self._on_val_instead(task) else task
