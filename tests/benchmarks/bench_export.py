"""Exported losses beside what a person would use instead, forward and backward on the same tensors, as ratios.

`python tests/benchmarks/bench_export.py`: known losses beside mmdetection's own modules, eager and under torch.compile,
then the published formulas beside an interpreter of them, one call per operator. Medians of interleaved runs, on one
core, and on a GPU where there is one; below 1 the exported one is faster.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from detectors import mmcv_ops
from detectors.export.source import losses_file
from primitives.catalog import GRAMMARS, KNOWN
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.box.kind import BOX
from primitives.kinds.sample import Sample
from primitives.operators import Operator

BOXES = (512, 65_536)
LOGITS = ((2_048, 81), (20_000, 80))
RUNS = 25
Case = tuple[str, str, Callable[[], Any], Callable[[], Any], Tensor]


def exported(name: str) -> nn.Module:
    """A known loss as its exported module."""
    known = KNOWN[name]
    slot, title = GRAMMARS[known.grammar].slot, f"Benchmark{name.title().replace('_', '')}"
    loss = {"expression": known.text, "grammar": known.grammar, "loss_weight": 1.0, "alpha": known.alpha}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"exported_{name}.py"
        file.write_text(losses_file({slot: loss}, title, ["Made by a benchmark."]).text)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    made: nn.Module = module.LOSSES[slot]()
    return made


def boxes(count: int, device: str) -> tuple[Tensor, Tensor]:
    """Predicted and target boxes that overlap."""
    corner, size = 500 * torch.rand(count, 2), 8 + 100 * torch.rand(count, 2)
    target = torch.cat((corner, corner + size), dim=-1)
    return (target + 4 * torch.rand(count, 4)).to(device).requires_grad_(), target.to(device)


def logits(rows: int, columns: int, classes: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels with background among them, and IoU of the positives."""
    labels = torch.randint(0, classes + 1, (rows,))
    iou = torch.rand(rows) * (labels < classes)
    return torch.randn(rows, columns).to(device).requires_grad_(), labels.to(device), iou.to(device)


def beside_mmdetection(device: str) -> list[Case]:
    """Name, size, both calls, and the tensor that gets the gradient."""
    from mmdet.models import losses as stock

    found: list[Case] = []
    # mmdetection's EIoULoss is another loss of that name, of Peng and Yu 2021.
    for name, theirs in {"giou": stock.GIoULoss(), "diou": stock.DIoULoss(), "ciou": stock.CIoULoss()}.items():
        mine = exported(name)
        for count in BOXES:
            pred, target = boxes(count, device)
            calls = [lambda p=pred, t=target, m=loss: m(p, t) for loss in (mine, theirs)]
            found.append((KNOWN[name].title, f"{count:,}", calls[0], calls[1], pred))
    pairs: dict[str, tuple[nn.Module, nn.Module]] = {
        "cross_entropy": (exported("cross_entropy"), stock.CrossEntropyLoss()),
        "focal": (exported("focal"), stock.FocalLoss()),
        "quality_focal": (exported("quality_focal"), stock.QualityFocalLoss()),
    }
    for name, modules in pairs.items():
        for rows, columns in LOGITS:
            classes = columns - 1 if name == "cross_entropy" else columns
            pred, labels, iou = logits(rows, columns, classes, device)
            wanted: Any = (labels, iou) if name == "quality_focal" else labels
            calls = [lambda p=pred, t=wanted, m=loss: m(p, t) for loss in modules]
            found.append((KNOWN[name].title, f"{rows:,} x {columns}", calls[0], calls[1], pred))
    return found


def beside_an_interpreter(device: str) -> list[Case]:
    """The four published formulas, exported and interpreted."""
    found: list[Case] = []
    for name in ("cse_a_cls", "cse_a_reg", "cse_b_cls", "cse_b_reg"):
        known, module = KNOWN[name], exported(name)
        expression = known.expression
        if GRAMMARS[known.grammar].slot == "loss_bbox":
            for count in BOXES:
                pred, target = boxes(count, device)

                def interpreted_boxes(p: Tensor = pred, t: Tensor = target, e: Expression = expression) -> Tensor:
                    inputs = GRAMMARS["box_pixels"].inputs(Sample(p, t))
                    return BOX.losses(interpreted(e, inputs), inputs).mean()

                call = lambda p=pred, t=target, m=module: m(p, t)  # noqa: E731
                found.append((known.title, f"{count:,}", call, interpreted_boxes, pred))
            continue
        use_sigmoid = known.grammar == "sigmoid"
        for rows, columns in LOGITS:
            pred, labels, iou = logits(rows, columns, columns if use_sigmoid else columns - 1, device)

            def interpreted_classes(
                p: Tensor = pred,
                t: Tensor = labels,
                w: Tensor = iou,
                e: Expression = expression,
                rules: Grammar = GRAMMARS[known.grammar],
                alpha: float | None = known.alpha,
            ) -> Tensor:
                inputs = rules.inputs(Sample(p, t, {"iou": w}))
                return rules.kind.losses(interpreted(e, inputs), inputs, alpha).mean()

            def called(p: Tensor = pred, t: Tensor = labels, w: Tensor = iou, m: nn.Module = module) -> Tensor:
                loss: Tensor = m(p, t, iou=w)
                return loss

            found.append((known.title, f"{rows:,} x {columns}", called, interpreted_classes, pred))
    return found


def interpreted(formula: Expression, inputs: dict[str, Tensor]) -> Tensor:
    """One call per operator, nothing shared."""
    if isinstance(formula.head, Operator):
        return formula.head.tensor(*[interpreted(part, inputs) for part in formula.arguments])
    if isinstance(formula.head, str):
        return inputs[formula.head]
    like = next(iter(inputs.values()))
    return torch.tensor(formula.head, dtype=like.dtype, device=like.device).expand(like.shape)


def seconds(call: Callable[[], Any], pred: Tensor) -> float:
    """Of one forward and backward."""
    begin = time.perf_counter()
    torch.autograd.grad(call().sum(), pred)
    if pred.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def ratio(mine: Callable[[], Any], theirs: Callable[[], Any], pred: Tensor) -> tuple[float, float, float]:
    """Milliseconds of both, and the median ratio of runs that stand beside each other."""
    for call in (mine, theirs):
        for _ in range(3):
            seconds(call, pred)
    runs = [(seconds(mine, pred), seconds(theirs, pred)) for _ in range(RUNS)]
    first, second = (1e3 * statistics.median(column) for column in zip(*runs, strict=True))
    return first, second, statistics.median(a / b for a, b in runs)


def table(title: str, cases: list[Case], other: str) -> Table:
    """A row per loss and size: eager and compiled."""
    made = Table(title=title, title_justify="left")
    for column in ("loss", "size", "exported ms", f"{other} ms", "ratio", "ratio compiled"):
        made.add_column(column, justify="left" if column in ("loss", "size") else "right")
    for name, size, mine, theirs, pred in cases:
        own, stock, eager = ratio(mine, theirs, pred)
        torch._dynamo.reset()
        compiled = ratio(torch.compile(mine), torch.compile(theirs), pred)[2]
        made.add_row(name, size, f"{own:.2f}", f"{stock:.2f}", f"{eager:.2f}", f"{compiled:.2f}")
    return made


def main() -> None:
    """Prints both tables, for the CPU and for a GPU where there is one."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mmcv_ops.install()
    console = Console(width=120)
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        place = "one core" if device == "cpu" else torch.cuda.get_device_name()
        console.print(
            table(f"Exported losses beside mmdetection's, {place}", beside_mmdetection(device), "mmdetection")
        )
        console.print(
            table(f"Exported formulas beside an interpreter, {place}", beside_an_interpreter(device), "interpreter")
        )


if __name__ == "__main__":
    main()
