"""Seconds of the suppression of a frozen rung's evaluation: ours, all heads and images at once, beside torchvision's.

`python tests/benchmarks/bench_suppression.py`: one process, one thread, what K heads on the digits' 200 validation
images hand over. torchvision's `batched_nms` is called per head and image, which is how mmdetection calls it; one call
for everything (classes of every head and image told apart) is tried on a tenth only, for it looks for every class
among all boxes. The same for drawn boxes of one class, and with equal scores among them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torchvision
from bench_frozen import DETECTORS, candidates
from rich.console import Console
from rich.table import Table
from torch import Tensor

from detectors.evaluator import DetectorEvaluator
from detectors.frozen import postprocess
from detectors.frozen import rung as frozen
from detectors.tasks import TrainHeads

TASK = {"kind": "frozen", "iterations": 300, "pretrain": 400, "images": 300, "evaluate_on": "val"}
COUNTS = (4, 16)
Kept = tuple[Tensor, Tensor, Tensor]


def handed_over(found: frozen.Frozen, names: tuple[str, ...], count: int, task: TrainHeads) -> list[tuple[Any, ...]]:
    """What the evaluation of K candidates calls `suppressed` with."""
    with mock.patch.object(postprocess, "suppressed", wraps=postprocess.suppressed) as listening:
        frozen.evaluate(found, candidates(names, count), task, seed=1)
    return [call.args for call in listening.call_args_list]


def each_group(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float, most: int) -> Kept:
    """`batched_nms` per head and image."""
    found = (
        boxes.new_zeros(len(boxes), most, 4),
        scores.new_full((len(boxes), most), -1.0),
        labels.new_zeros(len(boxes), most),
    )
    for group in range(len(boxes)):
        (there,) = (scores[group] >= 0).nonzero(as_tuple=True)
        there = there[scores[group, there].topk(min(len(there), postprocess.MOST)).indices]
        parts = boxes[group, there], scores[group, there], labels[group, there]
        keep = torchvision.ops.batched_nms(*parts, threshold)[:most]
        for whole, part in zip(found, parts, strict=True):
            whole[group, : len(keep)] = part[keep]
    return found


def at_once(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float, most: int) -> Tensor:
    """One call of `batched_nms`; what stands, without the cut to `most`."""
    group = torch.arange(len(boxes))[:, None].expand_as(labels)
    there = scores >= 0
    classes = (group * (int(labels.max()) + 1) + labels)[there]
    kept: Tensor = torchvision.ops.batched_nms(boxes[there], scores[there], classes, threshold)
    return kept


def seconds(call: Callable[..., Any], calls: list[tuple[Any, ...]]) -> float:
    """Of all calls, the best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        for args in calls:
            call(*args)
        best = min(best, time.perf_counter() - begin)
    return best


def equal(calls: list[tuple[Any, ...]]) -> str:
    """In how many groups both keep the very same boxes, scores and labels."""
    same = total = 0
    for args in calls:
        mine, theirs = postprocess.suppressed(*args), each_group(*args)
        for group in range(len(args[0])):
            here, there = mine[1][group] >= 0, theirs[1][group] >= 0
            same += all(torch.equal(a[group, here], b[group, there]) for a, b in zip(mine, theirs, strict=True))
            total += 1
    return f"{same} of {total}"


def drawn(classes: int, ties: bool) -> tuple[Any, ...]:
    """1,000 boxes in each of 50 groups, spread over 400 pixels."""
    generator = torch.Generator().manual_seed(0)
    centre, size = (
        400 * torch.rand(50, 1000, 2, generator=generator),
        20 + 30 * torch.rand(50, 1000, 2, generator=generator),
    )
    scores = torch.rand(50, 1000, generator=generator)
    labels = torch.randint(0, classes, (50, 1000), generator=generator)
    boxes = torch.cat((centre - size / 2, centre + size / 2), dim=-1)
    return boxes, (50 * scores).round() / 50 if ties else scores, labels, 0.6, 100


def row(name: str, count: str, calls: list[tuple[Any, ...]]) -> list[str]:
    """A row of the table."""
    tenth = [(*(part[: len(part) // 10] for part in args[:3]), *args[3:]) for args in calls]
    groups, boxes = sum(len(args[0]) for args in calls), sum(int((args[1] >= 0).sum()) for args in calls)
    took = [seconds(postprocess.suppressed, calls), seconds(each_group, calls), seconds(at_once, tenth)]
    return [name, count, str(groups), f"{boxes:,}", *(f"{one:.2f}" for one in took), equal(calls)]


def main() -> None:
    """Prints a row per detector and K."""
    torch.set_num_threads(1)
    table = Table(title="Seconds of the suppression, one thread")
    for column in (
        "detector",
        "K",
        "groups",
        "boxes",
        "ours",
        "batched_nms each",
        "batched_nms at once, a tenth",
        "equal",
    ):
        table.add_column(column, justify="left" if column == "detector" else "right")
    for name, (path, names) in DETECTORS.items():
        evaluator = DetectorEvaluator(path, {"type": "digits"})
        task = evaluator._task(TASK)
        assert isinstance(task, TrainHeads)
        found = evaluator._features(task, 77)
        for count in COUNTS:
            table.add_row(*row(name, str(count), handed_over(found, names, count, task)))
    for classes, ties in ((1, False), (10, False), (10, True)):
        table.add_row(*row(f"drawn, {classes} classes{', ties' * ties}", "", [drawn(classes, ties)]))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
