"""Tasks: what a rung asks of the evaluator."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Literal, TypeVar

from detectors.strict import Count, Strict
from primitives.catalog import grammar
from primitives.errors import InputError
from primitives.text.printable import printable


class TrainDetector(Strict):
    """Trains a detector under the losses.

    Args:
        iterations: how many.
        train_on: split.
        evaluate_on: split; `test` is val where the data has no test split.
        per_image: tell what each image contributes to the score, too.
        balanced: the box loss times stop(class loss / box loss).
    """

    kind: Literal["train"] = "train"
    iterations: Count
    train_on: Literal["train", "verify"]
    evaluate_on: Literal["verify", "val", "test"]
    per_image: bool = False
    balanced: bool = False


class TrainHeads(Strict):
    """Trains a small head per candidate on the features of a detector that was trained with its own losses.

    Args:
        iterations: of the heads.
        pretrain: iterations of the detector.
        images: training images that samples are taken from.
        evaluate_images: most images that are evaluated.
        positives: samples with an object an iteration.
        negatives: samples without one.
        train_on: split.
        evaluate_on: split; `test` is val where the data has no test split.
    """

    kind: Literal["frozen"] = "frozen"
    iterations: Count
    pretrain: Count = 1000
    images: Count = 1000
    evaluate_images: Count = 500
    positives: Count = 192
    negatives: Count = 320
    train_on: Literal["train", "verify"] = "train"
    evaluate_on: Literal["verify", "val", "test"]


Task = TrainDetector | TrainHeads
_Task = TypeVar("_Task", TrainDetector, TrainHeads)
_KINDS: dict[str, type[Task]] = {"train": TrainDetector, "frozen": TrainHeads}


def task_of(rung: Mapping[str, object]) -> Task:
    """The task that a rung's plain values name; without `kind` a training.

    Raises:
        InputError: an unknown kind or key, a key that is missing, or a value that is none.
    """
    kind = rung.get("kind", "train")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(f"a rung's kind is {printable(repr(kind))}; choices: {', '.join(_KINDS)}, descend")
    return _KINDS[kind].read(rung, "a rung's task", "a rung's ")


def whole(rung: Mapping[str, object]) -> dict[str, object]:
    """A training of the whole detector: a rung's task, or of one of small heads what made the features beneath them.

    Raises:
        InputError: as of `task_of`.
    """
    task = task_of(rung)
    if isinstance(task, TrainDetector):
        return dict(rung)
    return {"iterations": task.pretrain, "train_on": task.train_on, "evaluate_on": task.evaluate_on}


def lasting(task: _Task, iterations: int) -> _Task:
    """A task of other length."""
    return task.model_copy(update={"iterations": iterations})


def audited(rung: Mapping[str, object], balanced: bool, splits: Container[str]) -> dict[str, object]:
    """A training as an audit does it: on the test split, telling what each image contributes.

    Args:
        rung: the training.
        balanced: as of `TrainDetector`.
        splits: that the data has.

    Raises:
        InputError: there is no test split, or the task trains no whole detector.
    """
    if isinstance(task_of(rung), TrainHeads):
        raise InputError("an audit trains whole detectors, this task is of kind 'frozen'; give the search a finale")
    if "test" not in splits:
        raise InputError(
            "an audit is on images on which nothing was trained or bred: the data has no test split; name one: "
            "--test-data in the search, or data.test in the config"
        )
    return {**rung, "evaluate_on": "test", "per_image": True, **({"balanced": True} if balanced else {})}


def any_formula(name: str) -> dict[str, object]:
    """A formula that reads every input of a grammar: a detector that takes it takes them all."""
    first, *others = (terminal.name for terminal in grammar(name).terminals)
    text = first
    for other in others:
        text = f"add({text}, {other})"
    return {"expression": text, "grammar": name, "loss_weight": 1.0}
