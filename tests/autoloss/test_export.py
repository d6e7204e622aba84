"""Exported files are imported in a process of their own, where none of our packages can be."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autoloss import gates
from autoloss.candidate import Loss
from autoloss.export import losses_file
from autoloss.variation import random_formula, seeded
from primitives.catalog import GRAMMARS, KNOWN
from primitives.features import box_features, class_features, per_sample

# Compares every file of a folder with the values and gradients that lie beside it.
ELSEWHERE = """
import importlib.util, sys
from pathlib import Path

class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("autoloss", "primitives", "detectors"):
            raise ImportError(name)

sys.meta_path.insert(0, Closed())
import torch
torch.set_num_threads(1)
for file in sorted(Path(sys.argv[1]).glob("*.py")):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    case = torch.load(file.with_suffix(".pt"), weights_only=True)
    for dtype, (inputs, values, gradient) in case.items():
        inputs = {name: value.clone() for name, value in inputs.items()}
        pred = inputs.pop("pred").requires_grad_()
        found = getattr(module, file.stem.title().replace("_", ""))(reduction="none", loss_weight=1.0)(pred, **inputs)
        (mine,) = torch.autograd.grad(found.sum(), pred)
        tolerance = 1e-6 if dtype == "float32" else 1e-12
        for name, got, want in (("values", found.detach(), values), ("gradient", mine, gradient)):
            scale = want.abs().amax(-1, keepdim=True) if want.dim() == 2 else want.abs()
            wrong = (got - want).abs() > 4 * tolerance * scale + tolerance
            if bool(wrong.any()):
                print(file.stem, dtype, name, float((got - want).abs().max()), int(wrong.sum()))
    for low in (torch.float16, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            narrow = {n: v.to(low) if v.is_floating_point() else v for n, v in case["float32"][0].items()}
            loss = getattr(module, file.stem.title().replace("_", ""))()(narrow.pop("pred"), **narrow)
        if loss.dtype != torch.float32:
            print(file.stem, low, loss)
"""


def inputs_of(grammar: str, dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    if GRAMMARS[grammar].slot == "loss_bbox":
        centre, size = (torch.rand(1000, 2, generator=generator, dtype=torch.float64) for _ in range(2))
        target = torch.cat((100 * centre, 100 * centre + 4 + 60 * size), dim=-1)
        moved = target + 8 * (torch.rand(1000, 4, generator=generator, dtype=torch.float64) - 0.5) * (
            1 + size.repeat(1, 2)
        )
        return {"pred": moved.to(dtype), "target": target.to(dtype)}
    width = 5 if grammar == "sigmoid" else 6
    return {
        "pred": 3 * torch.randn(1000, width, generator=generator, dtype=torch.float64).to(dtype),
        "target": torch.arange(1000) % 6,
        "iou": torch.rand(1000, generator=generator, dtype=torch.float64).to(dtype),
    }


def expected(loss: Loss, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    rules = GRAMMARS[loss.grammar]
    pred = inputs["pred"].clone().requires_grad_()
    if rules.slot == "loss_bbox":
        named = box_features(
            pred, inputs["target"], pixels=rules.name == "box_pixels", extended=rules.name == "box_extended"
        )
    else:
        named = class_features(pred, inputs["target"], inputs["iou"], use_sigmoid=rules.name == "sigmoid")
    values = per_sample(rules.parse(loss.expression)(named), named, loss.alpha)
    return values.detach(), torch.autograd.grad(values.sum(), pred)[0]


def put(loss: Loss, folder: Path, stem: str) -> None:
    slot = GRAMMARS[loss.grammar].slot
    (folder / f"{stem}.py").write_text(
        losses_file({slot: loss}, {slot: stem.title().replace("_", "")}, "By a test.", "0")
    )
    case = {}
    for dtype in (torch.float32, torch.float64):
        inputs = inputs_of(loss.grammar, dtype)
        case[str(dtype).removeprefix("torch.")] = (inputs, *expected(loss, inputs))
    torch.save(case, folder / f"{stem}.pt")


def compare(folder: Path) -> str:
    line = [sys.executable, "-c", ELSEWHERE, str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_known_losses_are_the_same_where_our_packages_cannot_be_imported(tmp_path: Path) -> None:
    for known in KNOWN.values():
        put(Loss(str(known.expression), known.grammar, 1.0, known.alpha), tmp_path, known.name)
    assert compare(tmp_path) == ""


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_random_survivors_are_the_same_too(grammar: str, tmp_path: Path) -> None:
    rules, found = GRAMMARS[grammar], 0
    with seeded("export", grammar):
        while found < 5:
            judgement = gates.sifted(random_formula(rules), rules)
            if judgement.passed:
                put(Loss(str(judgement.expression), grammar, 1.0, None), tmp_path, f"formula_{found}")
                found += 1
    assert compare(tmp_path) == ""


def test_classes_are_registered_in_mmdetection(tmp_path: Path) -> None:
    losses = {
        "loss_cls": Loss(KNOWN["quality_focal"].text, "sigmoid", 1.5, None),
        "loss_bbox": Loss(KNOWN["giou"].text, "box", 2.0, None),
    }
    names = {"loss_cls": "ExportedClassLoss", "loss_bbox": "ExportedBoxLoss"}
    (tmp_path / "losses.py").write_text(losses_file(losses, names, "Made by a test.", "0"))
    script = (
        "import detectors.mmcv_ops as ops; ops.install(); import losses; from mmdet.registry import MODELS;"
        "box = MODELS.build(dict(type='ExportedBoxLoss')); cls = MODELS.build(dict(type='ExportedClassLoss'));"
        "print(box.loss_weight, cls.loss_weight, cls.use_sigmoid)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "2.0 1.5 True\n", done.stderr


def test_the_file_says_what_it_holds() -> None:
    loss = {"loss_bbox": Loss(KNOWN["iou"].text, "box", 1.0, None)}
    text = losses_file(loss, {"loss_bbox": "LinearIoULoss"}, "Candidate 7 of a run.", "0.1.0")
    for part in (
        "Candidate 7 of a run.",
        "Formula: sub(1, div(i, u))",
        "LaTeX: - \\\\frac{i}{u} + 1",
        "return 1.0 - i / u",
    ):
        assert part in text
    assert not any(word in text for word in ("import autoloss", "import primitives", "functional", "import math"))
