"""Forward and backward of exported losses beside mmdetection's own modules on the same tensors, as ratios.

`python tests/benchmarks/bench_export.py [--compile]`: medians of interleaved runs on one core; below 1 the exported
one is faster.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from autoloss.candidate import Loss
from autoloss.export import losses_file
from detectors import mmcv_ops
from primitives.catalog import GRAMMARS, KNOWN

BOXES = (512, 65_536)
LOGITS = ((2_048, 81), (20_000, 80))


def exported(name: str) -> nn.Module:
    """A known loss as its exported module."""
    known = KNOWN[name]
    slot, title = GRAMMARS[known.grammar].slot, f"Exported{name.title().replace('_', '')}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"exported_{name}.py"
        loss = Loss(str(known.expression), known.grammar, 1.0, known.alpha)
        file.write_text(losses_file({slot: loss}, {slot: title}, "Made by a benchmark.", "0"))
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    made: nn.Module = getattr(module, title)()
    return made


def boxes(count: int) -> tuple[Tensor, Tensor]:
    """Predicted and target boxes that overlap."""
    corner, size = 500 * torch.rand(count, 2), 8 + 100 * torch.rand(count, 2)
    target = torch.cat((corner, corner + size), dim=-1)
    return (target + 4 * torch.rand(count, 4)).requires_grad_(), target


def cases() -> list[tuple[str, str, Callable[[], Any], Callable[[], Any], Tensor]]:
    """Name, size, both calls, and the tensor that gets the gradient."""
    from mmdet.models import losses as stock

    found: list[tuple[str, str, Callable[[], Any], Callable[[], Any], Tensor]] = []
    mine, theirs = exported("giou"), stock.GIoULoss()
    for count in BOXES:
        pred, target = boxes(count)
        found.append(
            ("GIoU", f"{count:,}", lambda p=pred, t=target: mine(p, t), lambda p=pred, t=target: theirs(p, t), pred)
        )
    pairs: dict[str, tuple[nn.Module, nn.Module]] = {
        "cross_entropy": (exported("cross_entropy"), stock.CrossEntropyLoss()),
        "focal": (exported("focal"), stock.FocalLoss()),
        "quality_focal": (exported("quality_focal"), stock.QualityFocalLoss()),
    }
    for name, (own, other) in pairs.items():
        for rows, columns in LOGITS:
            pred = torch.randn(rows, columns).requires_grad_()
            classes = columns - 1 if name == "cross_entropy" else columns
            labels, iou = torch.randint(0, classes + 1, (rows,)), torch.rand(rows)
            target: Any = (labels, iou * (labels < classes)) if name == "quality_focal" else labels
            own_call, other_call = (lambda p=pred, t=target, m=loss: m(p, t) for loss in (own, other))
            found.append((name, f"{rows:,} x {columns}", own_call, other_call, pred))
    return found


def seconds(call: Callable[[], Any], pred: Tensor) -> float:
    """Of one forward and backward."""
    begin = time.perf_counter()
    torch.autograd.grad(call().sum(), pred)
    return time.perf_counter() - begin


def main() -> None:
    """Prints a row per loss and size."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mmcv_ops.install()
    table = Table(title="Exported losses beside mmdetection's, forward and backward", title_justify="left")
    for title in ("loss", "size", "exported ms", "mmdetection ms", "ratio"):
        table.add_column(title, justify="left" if title in ("loss", "size") else "right")
    for name, size, own, other, pred in cases():
        if "--compile" in sys.argv:
            own, other = torch.compile(own), torch.compile(other)
        for call in (own, other):
            seconds(call, pred)
        runs = [(seconds(own, pred), seconds(other, pred)) for _ in range(15)]
        mine, theirs = (1e3 * statistics.median(column) for column in zip(*runs, strict=True))
        table.add_row(name, size, f"{mine:.2f}", f"{theirs:.2f}", f"{mine / theirs:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
