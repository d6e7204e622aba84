"""A gate, a known loss, a target of exports, a conversion, a command: each is a function or a row, one is thrown in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from autoloss import candidate, cli
from autoloss.commands import data
from autoloss.export import plain
from autoloss.export.selection import of_text
from autoloss.export.target import TARGETS, Target
from autoloss.gates import equivalence, pipeline
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.kinds.verdict import Verdict
from tests.helpers.command import autoloss

BOXES = GRAMMARS["box"]


def short(trial: pipeline.Trial) -> Verdict:
    """A formula has at most four nodes."""
    size = trial.expression.size
    return Verdict("short", size <= 4, f"{size} nodes, at most 4 are allowed")


def test_a_gate_is_a_function_of_a_trial_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    *before, distinct = pipeline.GATES
    monkeypatch.setattr(pipeline, "GATES", (*before, short, distinct))
    *names, last, converges = candidate.GATES
    monkeypatch.setattr(candidate, "GATES", (*names, "short", last, converges))
    passed = pipeline.judge(BOXES.parse("neg(div(i, u))"), BOXES)
    assert passed.passed
    assert tuple(verdict.gate for verdict in passed.verdicts) == candidate.GATES
    refused = pipeline.judge(BOXES.parse("neg(log(div(i, u)))"), BOXES).verdicts[-1]
    assert (refused.gate, refused.passed, refused.reason) == ("short", False, "5 nodes, at most 4 are allowed")
    done = autoloss("check", "neg(log(div(i, u)))")
    assert done.returncode == 1
    assert "short" in done.stdout


def test_a_known_loss_is_a_row_of_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    fourth = KnownLoss("fourth_iou", "IoU (fourth power)", "box", "-(i/u)**4", "by a test")
    monkeypatch.setitem(KNOWN, fourth.name, fourth)
    equivalence._known_identities.cache_clear()
    try:
        verdict = pipeline.judge(fourth.expression, BOXES).verdicts[-2]
        assert verdict.reason == "its gradient is that of IoU (fourth power)"
        assert of_text({"loss_bbox": "fourth_iou"}).losses["loss_bbox"].expression == fourth.expression
    finally:
        equivalence._known_identities.cache_clear()


def files(
    losses: Mapping[str, Mapping[str, Any]], name: str, about: Sequence[str], setup: Mapping[str, Any]
) -> dict[str, str]:
    """Functions of PyTorch, and what they are."""
    return {**plain.torch_files(losses, name, about, setup), "about.txt": "\n".join(about)}


def test_a_target_of_exports_is_a_function_from_losses_to_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(TARGETS, "mine", Target("mine", f"{__name__}:files", "import {losses}"))
    done = autoloss("export", "--loss-bbox", "giou", "--to", "mine", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "the file equals the formula" in done.stdout
    written = {path.name for path in (tmp_path / "out").iterdir()}
    (module,) = (path.stem for path in (tmp_path / "out").glob("*.py"))
    assert written == {"about.txt", "card.md", "loss_bbox.png", f"{module}.py"}
    assert f"import {module}" in (tmp_path / "out/card.md").read_text()


def points(source: Path) -> dict[str, Any]:
    """A line of five numbers a box: number of the image, left, top, width, height."""
    rows = [[int(word) for word in line.split()] for line in source.read_text().splitlines()]
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 99, "height": 99} for number, *_ in rows]
    boxes = [
        {"id": place, "image_id": number, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for place, (number, *box) in enumerate(rows, start=1)
    ]
    return {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "thing"}]}


def test_a_conversion_is_a_function_from_a_path_to_content_of_coco(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(data.CONVERTERS, "points", f"{__name__}:points")
    (tmp_path / "points.txt").write_text("1 2 3 10 10\n2 5 5 20 10\n")
    done = autoloss("data", "convert", "points", tmp_path / "points.txt", "--out", tmp_path / "coco.json")
    assert done.stdout.strip() == f"{tmp_path / 'coco.json'}: 2 images, 2 boxes, 1 classes"
    checked = autoloss("data", "check", tmp_path / "coco.json", "--images", tmp_path)
    assert "missing image" in checked.stdout
    assert "unknown" not in checked.stdout
    unknown = autoloss("data", "convert", "kitti", tmp_path, "--out", tmp_path / "other.json")
    assert "choices: voc, yolo, bdd100k, auto, points" in unknown.stderr


def size(formula: str) -> None:
    """Tell the number of nodes of a formula."""
    typer.echo(BOXES.parse(formula).size)


def test_a_command_is_a_function_that_the_command_line_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.app, "registered_commands", [*cli.app.registered_commands])
    cli.app.command()(size)
    assert autoloss("size", "neg(div(i, u))").stdout == "4\n"
    assert "Tell the number of nodes" in autoloss("--help").stdout
    wrong = autoloss("size", "foo(i)")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
