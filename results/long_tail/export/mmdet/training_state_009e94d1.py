"""Training state: the hook that tells heads how far the training is, and how frequent the classes are.

Exported folders carry this file with them, so it needs PyTorch and mmengine alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor


@HOOKS.register_module(force=True)
class TrainingState_009e94d1(Hook):  # type: ignore[misc]
    """Sets `progress` and `frequency` of every head that asks for them by `from_training`.

    `progress`: the share of all iterations that is over, 0 at the first one, also where a training goes on after it was
    interrupted, under loops that count iterations and those that count epochs. `frequency`: see `class_frequencies`.
    """

    comes_along = True

    def before_train(self, runner: Any) -> None:
        """See mmengine's Hook."""
        heads = [part for part in runner.model.modules() if getattr(part, "from_training", ())]
        self.timed = [head for head in heads if "progress" in head.from_training]
        counting = [head for head in heads if "frequency" in head.from_training]
        if counting:
            frequency = class_frequencies(runner.train_dataloader.dataset)
            for head in counting:
                if head.num_classes != len(frequency):
                    raise ValueError(
                        f"{type(head).__name__} has num_classes={head.num_classes}, the data to train on have "
                        f"{len(frequency)} classes, and a loss reads their frequency"
                    )
                head.frequency = frequency.to(_device(head))
        self._tell(runner)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:  # noqa: ARG002
        """See mmengine's Hook."""
        self._tell(runner)

    def _tell(self, runner: Any) -> None:
        for head in self.timed:
            head.progress = torch.full((), runner.iter / runner.max_iters, device=_device(head))


def class_frequencies(dataset: Any) -> Tensor:
    """How often every class is annotated, relative to the most frequent one.

    Args:
        dataset: of mmdetection, or a wrapper; what a wrapper repeats counts as often. Ignored regions do not count.

    Returns:
        (C,) in 0..1, above 0: a class without annotations counts as one with a single one.
    """
    counts = [0] * len(dataset.metainfo["classes"])
    for image in _images(dataset):
        for instance in image["instances"]:
            counts[instance["bbox_label"]] += not instance.get("ignore_flag", 0)
    found = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
    return found / found.max()


def _images(dataset: Any) -> Iterator[Any]:
    dataset.full_init()
    if not getattr(dataset, "serialize_data", True):  # else it would be copied whole, outlines and all
        yield from dataset.data_list
    else:
        yield from (dataset.get_data_info(index) for index in range(len(dataset)))


def _device(head: Any) -> torch.device:
    return next(head.parameters()).device
