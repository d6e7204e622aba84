"""Cost of a candidate on frozen features, K at once, beside trainings of its own by mmengine's Runner, in one run.

`python tests/benchmarks/bench_frozen.py`: both tiny detectors on the digits, on one core, and on a GPU where there is
one; the evaluation on 200 images is part of both. Writes a chart to results/fidelity/cost.png.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from autoloss.report.plots.fidelity_plot import save
from detectors.evaluator import DetectorEvaluator
from detectors.frozen import rung as frozen
from detectors.frozen.extraction import Scenes, Training
from detectors.tasks import TrainHeads
from primitives.catalog import GRAMMARS, KNOWN

COUNTS = (1, 4, 16, 64)
DETECTORS = {
    "FCOS": (
        "configs/detectors/tiny_fcos.py",
        ("focal", "quality_focal", "varifocal", "cse_b_cls", "giou", "iou", "log_iou"),
    ),
    "Faster R-CNN": ("configs/detectors/tiny_faster_rcnn.py", ("cross_entropy", "cse_a_cls", "giou", "iou", "log_iou")),
}
TASK = {"kind": "frozen", "iterations": 300, "pretrain": 1000, "images": 1000, "evaluate_on": "val"}
TRAINED = (400, 1200)


def candidates(names: tuple[str, ...], count: int) -> list[dict[str, Any]]:
    """Known losses in turn, as a search would hand them over."""
    found = []
    for number in range(count):
        known = KNOWN[names[number % len(names)]]
        loss = {"expression": known.text, "grammar": known.grammar, "loss_weight": 1.0, "alpha": known.alpha}
        found.append({GRAMMARS[known.grammar].slot: loss})
    return found


def on(device: str, found: frozen.Frozen) -> frozen.Frozen:
    """The same features on a device."""
    training: dict[str, Any] = {
        name: value.to(device) if torch.is_tensor(value) else value for name, value in vars(found.training).items()
    }
    scenes = []
    for group in found.scenes:
        parts: dict[str, Any] = {
            name: [one.to(device) for one in value] if isinstance(value, list) else value
            for name, value in vars(group).items()
        }
        scenes.append(Scenes(**parts))
    return frozen.Frozen(found.config, found.model.to(device), Training(**training), scenes, found.truth)


def main() -> None:
    """Prints a row per detector, device and K."""
    torch.set_num_threads(1)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    title = f"Seconds of a candidate: {TASK['iterations']} iterations on frozen features, K at once"
    table = Table(title=f"{title}, beside trainings alone", title_justify="left")
    for column in (
        "detector",
        "where",
        "K",
        "frozen s",
        "400 alone s",
        "times",
        "1,200 alone s",
        "times",
        "features, once s",
    ):
        table.add_column(column, justify="left" if column in ("detector", "where") else "right")
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    panel = figure.subplots()
    for name, (path, names) in DETECTORS.items():
        evaluator = DetectorEvaluator(path, {"type": "digits"})
        begin = time.perf_counter()
        evaluator.warm(TASK, 77)
        once = time.perf_counter() - begin
        task = evaluator._task(TASK)
        assert isinstance(task, TrainHeads)
        alone = []
        for iterations, count in zip(TRAINED, (3, 1), strict=True):
            begin = time.perf_counter()
            for losses in candidates(names, count):
                evaluator.evaluate(losses, {"iterations": iterations, "train_on": "train", "evaluate_on": "val"}, 0)
            alone.append((time.perf_counter() - begin) / count)
        for device in devices:
            found = on(device, evaluator._features(task, 77))
            each = []
            for count in COUNTS:
                frozen.evaluate(
                    found, candidates(names, min(count, 4)), task.model_copy(update={"iterations": 3}), seed=1
                )
                begin = time.perf_counter()
                frozen.evaluate(found, candidates(names, count), task, seed=1)
                each.append((time.perf_counter() - begin) / count)
                beside = [text for one in alone for text in (f"{one:.1f}", f"{one / each[-1]:.0f}")]
                table.add_row(name, device, str(count), f"{each[-1]:.3f}", *beside, f"{once:.0f}")
            panel.plot(COUNTS, [alone[0] / one for one in each], marker="o", label=f"{name}, {device}")
    Console(width=120).print(table)
    panel.set_xscale("log", base=2)
    panel.set_xlabel("K, candidates at once")
    panel.set_ylabel(f"times cheaper than {TRAINED[0]} iterations")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    folder = Path("results/fidelity")
    folder.mkdir(parents=True, exist_ok=True)
    save(figure, folder / "cost.png")


if __name__ == "__main__":
    main()
