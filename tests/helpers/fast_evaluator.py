"""An evaluator without a detector: boxes and logits that descend under the losses for a few steps."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from autoloss.workers.executors import held
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.kinds.box.pair import aligned_iou
from primitives.kinds.sample import Sample
from tests.helpers.faults import misbehave, sick

KNOWN_ROWS = ("quality_focal", "cse_b_cls")


class DescentEvaluator:
    """Free boxes and logits follow the gradient; the score is their mean IoU and accuracy.

    A slot left out leaves its half at the start, so that the own loss scores, but low.
    """

    def __init__(self, pause: float = 0.0, fail: str = "") -> None:
        self.pause, self.fail = pause, fail

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        if self.fail == "prepare":
            raise InputError("data: missing")

    def describe(self) -> dict[str, object]:
        return {"detector": "free boxes and logits"}

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        overlap, certain = self.descended(losses, rung, seed)
        return {"score": float((overlap.mean() + certain.mean()) / 2)}

    def descended(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """IoU of every box and probability of every right class, (32,) each."""
        if self.fail == "own" and not losses:
            raise RuntimeError("no images")
        if self.fail == "memory" and not losses:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has 4 GiB.")
        if self.fail == "known" and any(known_loss(name).expression.text in str(losses) for name in KNOWN_ROWS):
            raise FloatingPointError("it is a known one")
        time.sleep(self.pause)
        generator = torch.Generator().manual_seed(seed)
        target = torch.rand(32, 2, generator=generator).repeat(1, 2) * 50 + torch.tensor([0.0, 0.0, 30.0, 30.0])
        pred = (target + torch.randn(32, 4, generator=generator) * 4).requires_grad_()
        logits = torch.zeros(32, 4, requires_grad=True)
        labels = torch.arange(32) % 4
        steps_of_all = int(str(rung["steps"]))
        for step in range(steps_of_all):
            total = (pred.sum() + logits.sum()) * 0
            for slot, loss in losses.items():
                grammar = GRAMMARS[str(loss["grammar"])]
                boxes, given = slot == "loss_bbox", {"iou": aligned_iou(pred, target).detach()}
                frequency = torch.linspace(1, 0.1, 4)
                given |= {"progress": torch.tensor(step / steps_of_all), "size": torch.full((32,), 0.3)}
                given |= {"score": logits.detach().softmax(-1)[range(32), labels]}
                given |= {"frequency": frequency[labels] if boxes else frequency}
                sample = Sample(pred, target, given) if boxes else Sample(logits, labels, given)
                value = grammar.losses(grammar.parse(str(loss["expression"])), sample)
                total = total + value.mean() * float(str(loss["loss_weight"]))
            steps = torch.autograd.grad(total, (pred, logits))
            if not all(bool(torch.isfinite(step).all()) for step in steps):
                raise FloatingPointError("the gradient is not finite")
            with torch.no_grad():
                pred -= steps[0].clamp(-1, 1) * 30
                logits -= steps[1].clamp(-1, 1) * 3
        return aligned_iou(pred.detach(), target), logits.detach().softmax(-1)[range(32), labels]


class HeldEvaluator(DescentEvaluator):
    """Evaluates `free` times in a process, and then only once a file is there."""

    def __init__(self, file: str, free: int) -> None:
        super().__init__()
        self.file, self.free = Path(file), free

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        self.free -= 1
        while self.free < 0 and not self.file.exists():
            time.sleep(0.05)
        return super().evaluate(losses, rung, seed)


class ImagesEvaluator(DescentEvaluator):
    """Tells in an audit what every box contributes; `noise` is the standard deviation of scores over seeds."""

    def __init__(self, pause: float = 0.0, fail: str = "", noise: float = 0.0) -> None:
        super().__init__(pause, fail)
        self.noise = noise

    def audit_task(self, rung: Mapping[str, object], balanced: bool) -> dict[str, object]:
        if self.fail == "no test":
            raise InputError("the data has no test split")
        return {**rung, "images": True, "balanced": balanced}

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        overlap, certain = self.descended(losses, rung, seed)
        each = ((overlap + certain) / 2).double().numpy()
        luck = np.random.default_rng([seed, len(str(losses))]).normal() * self.noise
        if not rung.get("images"):
            return {"score": float(each.mean() + luck)}
        each = each + luck + (0.01 if rung["balanced"] else 0)
        wrong = 1.0 if self.fail == "images" else 0.0
        scores = {"metric": "mean", "scores": each + wrong}
        return {"score": float(each.mean()), "per_image": scores}  # type: ignore[dict-item]


class GroupEvaluator(DescentEvaluator):
    """Evaluates side by side; a score also tells who stood beside whom, and what was made to share."""

    shared = 0

    def warm(self, rung: Mapping[str, object], seed: int) -> None:
        if self.fail == "warm":
            raise FloatingPointError("the own loss is NaN")
        if self.fail.startswith("warm memory "):
            with open(self.fail.removeprefix("warm memory "), "a") as tries:
                tries.write("x")
            raise MemoryError
        self.shared = seed

    def evaluate_many(
        self, losses: Sequence[Mapping[str, Mapping[str, object]]], rung: Mapping[str, object], seed: int
    ) -> list[dict[str, float] | str]:
        found: list[dict[str, float] | str] = []
        for place, one in enumerate(losses):
            if self.fail == "one" and place == 2:
                found.append("the gradient is not finite at iteration 3")
                continue
            found.append({"score": self.evaluate(one, rung, seed)["score"] + 1e-6 * place + 1e-5 * len(losses)})
        return [] if self.fail == "none" else found * 2 if self.fail == "twice" else found


class MeasuredEvaluator(GroupEvaluator):
    """Can be measured: one step and ten."""

    def measure_shared(self, rung: Mapping[str, object], seconds: float, folder: str) -> dict[str, float]:
        if not rung.get("shares"):
            return {}
        if self.fail == "shared memory":
            raise MemoryError
        with open(os.path.join(folder, "shared"), "w") as file:
            file.write("left for measure")
        return {"iterations": 100, "fixed": 0.1, "iteration": 0.02, "evaluate": 0.4, "load": 0.3, "bytes": 5e6}

    def measure(
        self,
        losses: Sequence[Mapping[str, Mapping[str, object]]],
        rung: Mapping[str, object],
        seconds: float,
        folder: str,
    ) -> dict[str, float]:
        assert os.path.exists(os.path.join(folder, "shared")) == bool(rung.get("shares"))
        spent = []
        for steps in (1, 11):
            begin = time.perf_counter()
            self.evaluate_many(losses, {**rung, "steps": steps}, 0)
            spent.append(time.perf_counter() - begin)
        iteration = max(spent[1] - spent[0], 1e-9) / 10
        told = {"iterations": int(str(rung["steps"])), "fixed": spent[0], "iteration": iteration, "evaluate": 0.0}
        return {"fixed": spent[0]} if self.fail == "little" else told


def text_of(name: str) -> str:
    """What the file holds that the evaluator of this worker names so."""
    evaluator = held().trained
    assert isinstance(evaluator, NamingEvaluator)
    return Path(evaluator.data[name]).read_text()


class MinusEvaluator(DescentEvaluator):
    """Scores by minus an error."""

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        return {"score": -0.5}


class SickEvaluator(DescentEvaluator):
    """Cannot be made the first times in a worker; `file` counts them."""

    def __init__(self, file: str, most: int) -> None:
        super().__init__()
        if multiprocessing.parent_process() is not None:
            sick(file, most)


class LameEvaluator(DescentEvaluator):
    """Cannot be made on one node of a cluster, that which comes first; `file` has the pid of its raylet."""

    def __init__(self, file: str) -> None:
        super().__init__()
        node = os.environ["RAY_RAYLET_PID"]
        with suppress(FileExistsError), open(file, "x") as first:
            first.write(node)
        time.sleep(0.5)
        if Path(file).read_text() == node:
            raise OSError("the GPU has fallen off the bus")


class NamingEvaluator(DescentEvaluator):
    """Has the name of a file."""

    def __init__(self, data: Mapping[str, str]) -> None:
        super().__init__()
        self.data = dict(data)


class OddEvaluator(DescentEvaluator):
    """Gives metrics of its own kind."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        return {self.name: np.float32(super().evaluate(losses, rung, seed)["score"])}


class BadEvaluator(GroupEvaluator):
    """Some candidates do harm: `faults` has what each does by its losses, as JSON with sorted keys."""

    def __init__(self, faults: Mapping[str, str], pause: float = 0.0) -> None:
        super().__init__(pause)
        self.faults = dict(faults)

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        how = self.faults.get(json.dumps(losses, sort_keys=True), "")
        misbehave(how)
        tempfile.TemporaryFile().close()
        return {"score": float(how)} if how in ("nan", "inf") else super().evaluate(losses, rung, seed)


MARKUP = '<script>document.title = "run"</script>'
NAMES = (MARKUP, "[red]alarm[/red]", "\"quoted\" & 'so'", "x" * 10_000, "\u202eright to left", "שלום", "{{ 7 * 7 }}")
"""Class names that a page, a card or a terminal may take for something else."""


DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
"""A picture of one pixel."""


class OddlyNamedEvaluator(DescentEvaluator):
    """Tells precision, and detections, of classes whose names are markup; one loss fails with such a reason, too."""

    def describe(self) -> dict[str, object]:
        return {"detector": f"{MARKUP}.py", "classes": list(NAMES), "images": {"train": 10, MARKUP: 3}}

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        if known_loss("cse_b_cls").expression.text in str(losses):
            raise FloatingPointError(f"{MARKUP} [red]fails[/red]")
        score = super().evaluate(losses, rung, seed)["score"]
        return {"score": score, **{f"AP of {name}": score for name in NAMES}}

    def detect(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int, most: int
    ) -> list[dict[str, object]]:
        names = (*NAMES, "cat")
        image = {
            "name": f"{MARKUP}.jpg",
            "picture": DOT,
            "width": 200,
            "height": 100,
            "objects": [{"box": [9 * k, 5, 8, 60], "class": name, "found": k > 1} for k, name in enumerate(names)],
            "found": [
                {"box": [9 * k, 6, 8, 60], "class": name, "score": 0.9 - 0.1 * k, "right": k > 1}
                for k, name in enumerate(names)
            ],
        }
        score = self.evaluate(losses, rung, seed)["score"]
        return [{"score": score, "says": f"from score 0.20 up {MARKUP}", "images": [image] * min(most, 2)}]
