"""The evaluator protocol: what the engine asks of whoever trains detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol, cast, runtime_checkable

from pydantic import AfterValidator

from autoloss.values import Plain
from primitives.errors import InputError
from primitives.system import names
from primitives.text.printable import printable

_PLACE = "search.evaluator"
EVALUATORS = {
    "detector": "detectors.evaluator:DetectorEvaluator",
    "command": "autoloss.evaluators.command:CommandEvaluator",
}
"""Those that come with the toolkit: their classes by the names that configs may use."""
_METHODS = ("prepare", "describe", "evaluate")
PER_IMAGE = "per_image"
"""Among the metrics of an evaluation: what each image contributes to the score; see `Auditable`."""
BESIDE = "beside"
"""Argument of an evaluator that looks for the paths of its config: folders to look in before the working directory."""


class Evaluator(Protocol):
    """Trains and scores a detector under given losses; an object of this shape is all the engine needs.

    It is built once in the main process, where `prepare` is called, and once in every worker. A class whose evaluations
    only wait (for another machine, a queue, a clock) says so by `waits = True`; of it a machine has as many workers as
    a config asks for.
    """

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        """Makes or checks the data, and that a search can be done; nothing is trained.

        Args:
            slots: name of the grammar of each slot that the search fills.
            tasks: of all rungs.

        Raises:
            InputError: what a person can mend: data, a task, a slot or a grammar that does not fit.
        """

    def describe(self) -> Mapping[str, Any]:
        """What is trained on what, as plain values."""

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> Mapping[str, float]:
        """Metrics of one training, `score` among them, higher being better, from 0; reports call a hundredth a point.

        Args:
            losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`; a slot left out keeps its loss.
            rung: the rung's `task` from the config.
            seed: of weights and data order.

        Raises:
            Exception: the evaluation failed; the text becomes the reason.
        """


@runtime_checkable
class SideBySide(Protocol):
    """What an evaluator may do besides: many candidates in one go, on what they share."""

    def warm(self, rung: Mapping[str, object], seed: int) -> None:
        """Makes what every evaluation of a rung with a seed shares; called once, in a worker, before any of them.

        Args:
            rung: the rung's `task` from the config.
            seed: of weights and data order.

        Raises:
            InputError: what a person can mend.
        """

    def evaluate_many(
        self, losses: Sequence[Mapping[str, Mapping[str, object]]], rung: Mapping[str, object], seed: int
    ) -> Sequence[Mapping[str, float] | str]:
        """Metrics of every candidate, `score` among them, or the reason why there are none.

        Args:
            losses: of every candidate, as of `Evaluator.evaluate`.
            rung: the rung's `task` from the config.
            seed: of weights and data order.
        """


@runtime_checkable
class Measurable(Protocol):
    """What an evaluator needs besides for `autoloss estimate`: the cost of a rung from a few real iterations.

    Both methods give `fixed`, `iteration` and `evaluate`, seconds of what does not depend on the length, of an
    iteration, and of the evaluation at the end (or the extraction of features) on all its images; and `iterations`, of
    the whole thing. Bytes that the whole thing will hold beside what was held here may be added as `memory_more`.
    """

    def measure_shared(self, rung: Mapping[str, object], seconds: float, folder: str) -> Mapping[str, float]:
        """What `SideBySide.warm` costs for one seed; empty where the candidates of this rung share nothing.

        Args:
            rung: the rung's `task` from the config.
            seconds: about so many to spend.
            folder: to leave what `measure` needs of it.

        Returns:
            The above; `load`, seconds of a worker to load it; `bytes` that are kept.
        """

    def measure(
        self,
        losses: Sequence[Mapping[str, Mapping[str, object]]],
        rung: Mapping[str, object],
        seconds: float,
        folder: str,
    ) -> Mapping[str, float]:
        """What the evaluation of candidates costs, side by side where there are several.

        Args:
            losses: of every candidate, as of `Evaluator.evaluate`.
            rung: the rung's `task` from the config.
            seconds: about so many to spend.
            folder: that `measure_shared` of this rung had.

        Returns:
            The above; optionally `bytes_data`, of prepared data.
        """


@runtime_checkable
class Auditable(Protocol):
    """What an evaluator may have besides for `autoloss audit`: without it scores stand for all images at once.

    The `evaluate` of an audit's task gives under `PER_IMAGE` what each image contributes to `score`, a mapping of
    `metric` and arrays. Of 'mean', `scores` (images,): the score is their mean. Of 'precision' and 'recall', COCO's,
    the detections (N,) that count, by class and within it best first: `classes` and `images`, numbers from 0;
    `hits` and `misses` (N, thresholds), true where they match an object and where they match none (neither: ignored);
    and `truths` (classes, images), how many objects there are.
    """

    def audit_task(self, rung: Mapping[str, object], balanced: bool) -> Mapping[str, object]:
        """The task of an audit: the training of a rung, scored on a test split, which bred no candidate.

        Args:
            rung: the rung's `task` from the config.
            balanced: train with the box loss times stop(class loss / box loss).

        Raises:
            InputError: there is no test split, or losses cannot be balanced.
        """


@runtime_checkable
class Detecting(Protocol):
    """What an evaluator may do besides for `autoloss report --detections`: show what a detector finds."""

    def detect(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int, most: int
    ) -> Sequence[Mapping[str, Any]]:
        """What the detector of one training finds on a few images, the same ones whatever the losses.

        Args:
            losses: as of `Evaluator.evaluate`.
            rung: the rung's `task` from the config.
            seed: of weights and data order.
            most: images.

        Returns:
            Of every data set the `score`; `says`, which detections are shown, such as those from a score up; and
            `images`. An image has a `name`, a `picture` (JPEG or PNG), `width` and `height` of what boxes are measured
            in, `objects` (`box`, `class`, `found`: whether a detection matches it) and what was `found` (`box`,
            `class`, `score`, `right`: whether it matches an object). A box is x, y, width, height.

        Raises:
            InputError: what a person can mend.
        """


def named(name: object) -> tuple[str, str]:
    """Module and class that the `type` of an evaluator stands for; nothing is imported.

    Args:
        name: one of EVALUATORS, or 'module:Class'.

    Raises:
        ValueError: it is no such name.
    """
    try:
        return names.split(EVALUATORS.get(name, name) if isinstance(name, str) else name, "evaluator", "")
    except ValueError:
        got = "" if name is None else f", got {printable(repr(name))}"
        choices = ", ".join(EVALUATORS)
        raise ValueError(f"evaluator needs a type: {choices}, or one of your own as 'module:Class'{got}") from None


def _whole(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "type": ":".join(named(spec.get("type")))} if spec else spec


Spec = Annotated[Plain, AfterValidator(_whole)]
"""`type` and arguments, as of `build`; with the whole name of the class, as run files have it."""


def class_of(spec: Mapping[str, Any]) -> type[Evaluator]:
    """The class that a config names; it is imported and looked at, nothing of it is called.

    Args:
        spec: `type`, one of EVALUATORS or 'module:Class', and its arguments.

    Raises:
        InputError: it cannot be imported, or is no class with the methods of an evaluator.
    """
    try:
        name = ":".join(named(spec.get("type")))
    except ValueError as error:
        raise InputError(f"{_PLACE}.type: {error}") from None
    return names.class_of(name, _PLACE, _METHODS, EVALUATORS["detector"])


def build(spec: Mapping[str, Any]) -> Evaluator:
    """The evaluator that a config names.

    Args:
        spec: `type`, one of EVALUATORS or 'module:Class', and its arguments; `beside` only goes to who names it.

    Raises:
        InputError: it cannot be imported, is no evaluator, or does not take the arguments.
    """
    kind = class_of(spec)
    told = {key: value for key, value in spec.items() if key != BESIDE or names.takes(kind, BESIDE)}
    return cast("Evaluator", names.built(kind, told, _PLACE))
