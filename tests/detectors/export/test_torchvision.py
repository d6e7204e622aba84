"""Exported losses inside torchvision's detectors: with its own formulas they give its own losses."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import detection

from autoloss.export import folder as package
from autoloss.export.selection import of_text
from detectors.export.torchvision import files as torchvision_files
from primitives.kinds.box.pair import aligned_iou
from tests.helpers import handed


def put(texts: dict[str, str], folder: Path, **weights: float) -> ModuleType:
    """The files of an export, and the one with `put_into` imported from among them."""
    export = of_text(texts, "Mine", weights=weights)
    files = package.texts(export, "torchvision")
    for name, text in files.items():
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(Path(list(files)[1]).stem)
    finally:
        sys.path.remove(str(folder))


def detector(kind: str) -> nn.Module:
    torch.manual_seed(0)
    make = detection.fcos_resnet50_fpn if kind == "fcos" else detection.fasterrcnn_resnet50_fpn
    model: nn.Module = make(weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=64)
    return model.train()


def losses_of(model: nn.Module) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand(3, 64, 64, generator=generator) for _ in range(3)]
    targets = [
        {"boxes": torch.tensor([[4.0, 4, 40, 50], [20.0, 10, 60, 60]]), "labels": torch.tensor([1, 3])},
        {"boxes": torch.tensor([[10.0, 10, 30, 40]]), "labels": torch.tensor([2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()},
    ]
    torch.manual_seed(2)  # the samplers draw
    found: dict[str, Tensor] = model(images, targets)
    return found


# Reference: torchvision 0.29.2, sigmoid_focal_loss and generalized_box_iou_loss inside FCOS.
def test_focal_and_giou_in_fcos_are_torchvisions_own(tmp_path: Path) -> None:
    module = put({"loss_cls": "focal", "loss_bbox": "giou"}, tmp_path, loss_cls=1.0, loss_bbox=1.0)
    own, mine = losses_of(detector("fcos")), losses_of(module.put_into(detector("fcos")))
    assert own.keys() == mine.keys()
    for name, value in own.items():
        torch.testing.assert_close(mine[name], value, rtol=1e-4, atol=1e-6)


def test_cross_entropy_in_faster_rcnn_is_torchvisions_own(tmp_path: Path) -> None:
    module = put({"loss_cls": "cross_entropy"}, tmp_path, loss_cls=1.0)
    own, mine = losses_of(detector("faster")), losses_of(module.put_into(detector("faster")))
    for name, value in own.items():
        torch.testing.assert_close(mine[name], value, rtol=1e-4, atol=1e-6)


def test_a_box_loss_in_faster_rcnn_sees_decoded_boxes(tmp_path: Path) -> None:
    module = put({"loss_bbox": "iou"}, tmp_path, loss_bbox=2.0)
    model = module.put_into(detector("faster"))
    seen: dict[str, Any] = {}
    inner = module.BOX_LOSS

    def watched(pred: Tensor, target: Tensor) -> Tensor:
        seen["iou"] = aligned_iou(pred.detach(), target)
        value: Tensor = inner(pred, target)
        return value

    module.BOX_LOSS = watched
    found = losses_of(model)
    count = sum(len(proposals) for proposals in seen_samples(model))
    torch.testing.assert_close(found["loss_box_reg"].detach(), 2 * (1 - seen["iou"]).sum() / count)
    assert len(seen["iou"]) > 0
    found["loss_box_reg"].backward()
    assert model.roi_heads.box_predictor.bbox_pred.weight.grad.abs().sum() > 0


def seen_samples(model: Any) -> list[Tensor]:
    """The proposals that a step trained on; the closure that keeps them is asked."""
    cells = model.roi_heads.select_training_samples.__closure__
    seen = next(cell.cell_contents for cell in cells if isinstance(cell.cell_contents, dict))
    samples: list[Tensor] = seen["samples"][0]
    return samples


@pytest.mark.parametrize(("kind", "pair"), [("fcos", "cse_b"), ("faster", "cse_a")])
def test_published_pairs_train_and_the_detector_still_detects(kind: str, pair: str, tmp_path: Path) -> None:
    module = put({"loss_cls": f"{pair}_cls", "loss_bbox": f"{pair}_reg"}, tmp_path)
    model = module.put_into(detector(kind))
    total = sum(losses_of(model).values())
    assert isinstance(total, Tensor)
    total.backward()
    assert torch.isfinite(total)
    with torch.no_grad():
        (found,) = model.eval()([torch.rand(3, 64, 64)])
    assert set(found) == {"boxes", "labels", "scores"}


def test_another_kind_of_detector_is_refused(tmp_path: Path) -> None:
    module = put({"loss_cls": "focal"}, tmp_path)
    with pytest.raises(TypeError, match="FasterRCNN classifies by softmax, this class loss is for sigmoid"):
        module.put_into(detector("faster"))
    with pytest.raises(TypeError, match="go into torchvision's FCOS and FasterRCNN, not into Linear"):
        module.put_into(nn.Linear(2, 2))


def test_the_example_runs_where_our_packages_cannot_be_imported(tmp_path: Path) -> None:
    put({"loss_cls": "cse_b_cls", "loss_bbox": "giou"}, tmp_path)
    environment = {"PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "example.py"], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all("classification=" in line and "bbox_regression=" in line for line in lines)
    source = "".join(file.read_text() for file in tmp_path.glob("*.py"))
    assert not any(f"import {ours}" in source or f"from {ours}" in source for ours in ("autoloss", "primitives"))


@pytest.mark.parametrize("kind", ["fcos", "faster"])
def test_formulas_get_all_that_heads_and_trainings_hand_over(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed.add_grammars(monkeypatch)
    grammar = "sigmoid" if kind == "fcos" else "softmax"
    files = torchvision_files(handed.losses(grammar), f"Handed{kind.title()}", ["By a test."], {})
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    put_into = importlib.import_module(Path(list(files)[1]).stem)
    with pytest.raises(TypeError, match="a loss reads frequency: give it to put_into"):
        put_into.put_into(detector(kind), progress=lambda: 0.25)
    seen: dict[str, tuple[Tensor, ...]] = {}
    for name in ("CLASS_LOSS", "BOX_LOSS"):
        loss = getattr(put_into, name)
        monkeypatch.setattr(
            put_into, name, lambda *args, name=name, loss=loss: seen.setdefault(name, args) and loss(*args)
        )
    frequency = torch.tensor([1.0, 0.1, 1.0, 0.4])
    model = put_into.put_into(detector(kind), progress=lambda: 0.25, frequency=frequency)
    found = losses_of(model)
    assert all(torch.isfinite(value) for value in found.values())
    told = dict(zip(put_into.CLASS_READS, seen["CLASS_LOSS"][2:], strict=True))
    of_boxes = dict(zip(put_into.BOX_READS, seen["BOX_LOSS"][2:], strict=True))
    assert set(of_boxes) == {"iou", "score", "frequency", "progress", "size"}
    x, labels = seen["CLASS_LOSS"][0].detach(), seen["CLASS_LOSS"][1]
    columns = frequency if kind == "fcos" else torch.cat((frequency[1:], frequency[:1]))
    torch.testing.assert_close(told["frequency"], columns)
    pred, target = (part.detach() for part in seen["BOX_LOSS"][:2])
    positive = labels < (4 if kind == "fcos" else 3)
    torch.testing.assert_close(of_boxes["iou"], aligned_iou(pred, target), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(of_boxes["frequency"], columns[labels[positive]])
    torch.testing.assert_close(
        of_boxes["size"], ((target[:, 2:] - target[:, :2]).prod(-1) / 64**2).sqrt(), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(told["size"][positive], of_boxes["size"])
    assert (told["size"][~positive] == 1).all()
    p = x.sigmoid() if kind == "fcos" else x.softmax(-1)
    torch.testing.assert_close(of_boxes["score"], p[positive, labels[positive]])
    assert float(told["progress"]) == float(of_boxes["progress"]) == 0.25
    for given in (*told.values(), *of_boxes.values()):
        assert not given.requires_grad
    ast.parse(files["example.py"])
    assert 'state["progress"] = step / steps' in files["example.py"]
