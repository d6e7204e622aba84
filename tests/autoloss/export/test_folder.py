"""Exported files are compared with the formulas in a process where none of our packages can be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from autoloss.candidate import Loss
from autoloss.export import card, isolated_check, reference
from autoloss.export import folder as package
from autoloss.export.selection import Export, catalog, of_text
from primitives.catalog import GRAMMARS, KNOWN
from primitives.codegen.function import function_name
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.survivors import COUNT, FEW, known, survivors


def put(loss: Loss, name: str, folder: Path) -> Path:
    """What `package.compare` compares, in a folder of its own."""
    kind = loss.grammar.kind
    export = Export(name, {kind.slot: loss}, ["By a test."])
    folder.mkdir()
    ((file, text),) = package.texts(export, "torch").items()
    (folder / file).write_text(text)
    case = {"function": function_name(name, kind), "slot": "", "arguments": list(kind.arguments)}
    case["wanted"] = reference.wanted(loss)
    torch.save({"file": file, "backend": "torch", "losses": [case]}, folder / "case.pt")
    return folder / file


def compared(folders: list[Path]) -> str:
    line = [sys.executable, "-I", isolated_check.__file__, *map(str, folders)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("count", [FEW, pytest.param(COUNT, marks=pytest.mark.slow)])
def test_catalog_and_random_survivors_are_the_same_where_our_packages_cannot_be_imported(
    count: int, tmp_path: Path
) -> None:
    losses = [known(name) for name in KNOWN] + [loss for grammar in GRAMMARS for loss in survivors(grammar, count)]
    assert len(losses) == len(KNOWN) + len(GRAMMARS) * count
    for number, loss in enumerate(losses):
        put(loss, f"Loss{number}", tmp_path / str(number))
    assert compared(sorted(tmp_path.iterdir())) == ""


def test_a_wrong_constant_is_found(tmp_path: Path) -> None:
    file = put(known("giou"), "Giou", tmp_path / "giou")
    file.write_text(file.read_text().replace("return 1.0 - (i / u", "return 1.0 - (1.00001 * i / u"))
    assert "giou_box_loss: float32 values differ in" in compared([tmp_path / "giou"])
    export = of_text({"loss_bbox": "giou"})
    with pytest.raises(package.ExportError, match="differs from the formula: giou_box_loss: float32 values differ"):
        package.compare(export, file, "torch")


def test_where_a_gradient_vanishes_to_rounding_an_export_is_the_same(tmp_path: Path) -> None:
    text = "log(alf(add(sqrt(0.12), add(k, t))))"
    loss = Loss.of({"expression": text, "grammar": "box_wide", "loss_weight": 106.6})
    sizes = reference.wanted(loss)[0]["gradient"].abs().amax(-1)
    assert sizes.min() < 1e-6 * sizes.mean()
    put(loss, "Vanishing", tmp_path / "vanishing")
    assert compared([tmp_path / "vanishing"]) == ""


def test_a_file_that_needs_the_toolkit_is_refused(tmp_path: Path) -> None:
    file = put(known("giou"), "Giou", tmp_path / "giou")
    file.write_text(file.read_text().replace("import torch\n", "import torch\nimport primitives\n", 1))
    with pytest.raises(package.ExportError, match="primitives is not to be imported by what was exported"):
        package.compare(of_text({"loss_bbox": "giou"}), file, "torch")


@pytest.mark.parametrize("target", ["torch", "numpy", "jax", "latex"])
def test_plain_targets_are_written_and_checked(target: str, tmp_path: Path) -> None:
    if target == "jax":
        pytest.importorskip("jax", reason="JAX is an optional extra: pip install 'autoloss[jax]'")
    export = of_text({"loss_cls": "cse_b_cls", "loss_bbox": "diou"}, "Pair")
    names = [path.name for path in package.write(export, target, tmp_path / "out")]
    if target == "latex":
        assert names == ["losses.tex"]
        assert "L_{\\mathrm{bbox}} = d - \\frac{i}{u} + 1" in (tmp_path / "out" / "losses.tex").read_text()
        return
    assert names[:3] == ["card.md", "loss_bbox.png", "loss_cls.png"]
    assert names[3:] == list(package.texts(export, target))
    text = (tmp_path / "out" / names[3]).read_text()
    assert "PAIR_BOX_LOSS_WEIGHT = " in text
    assert ("import torch" in text) == (target == "torch")


def test_what_a_command_is_handed_over_is_a_file_a_slot_that_is_checked(tmp_path: Path) -> None:
    export = of_text({"loss_cls": "varifocal", "loss_bbox": "diou"}, "Pair")
    names = [path.name for path in package.write(export, "command", tmp_path)]
    assert names == ["card.md", "loss_bbox.png", "loss_bbox.py", "loss_cls.png", "loss_cls.py"]
    assert "READS: tuple[str, ...] = ('iou',)\nWEIGHT = " in (tmp_path / "loss_cls.py").read_text()
    assert "## Box loss: `loss`" in (tmp_path / "card.md").read_text()
    wrong = (tmp_path / "loss_bbox.py").read_text().replace("return ", "return 2 * ")
    (tmp_path / "loss_bbox.py").write_text(wrong)
    alone = of_text({"loss_bbox": "diou"}, "Pair")
    with pytest.raises(package.ExportError, match="loss: float32 values differ"):
        package.compare(alone, tmp_path / "loss_bbox.py", "command")


def test_jax_that_is_not_installed_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"which is not installed: pip install 'autoloss\[jax\]'"):
        package.write(of_text({"loss_bbox": "giou"}), "jax", tmp_path / "out")


def test_a_folder_with_files_is_kept_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "losses.tex").write_text("mine")
    export = of_text({"loss_bbox": "giou"})
    with pytest.raises(InputError, match="holds other files; name another folder, or write over them with --force"):
        package.write(export, "latex", tmp_path)
    assert (tmp_path / "losses.tex").read_text() == "mine"
    package.write(export, "latex", tmp_path, force=True)
    assert "frac" in (tmp_path / "losses.tex").read_text()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not [path for path in tmp_path.parent.iterdir() if path.name.startswith(f".{tmp_path.name}")]


def test_an_export_that_fails_its_check_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "RELATIVE", dict.fromkeys(reference.RELATIVE, -1.0))
    with pytest.raises(package.ExportError):
        package.write(of_text({"loss_bbox": "giou"}), "numpy", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


PUBLISHED = Path(__file__).parents[3] / "results" / "published"


@pytest.mark.parametrize("name", catalog({"stand_in": True}))
def test_results_hold_what_the_command_writes(name: str) -> None:
    """`autoloss export --catalog --stand-in --force --out results/published`, but for the bytes of the pictures."""
    export = catalog({"stand_in": True})[name]
    files = package.texts(export, "mmdet")
    files[card.FILE] = card.text(export, "mmdet", list(files))
    for file, text in files.items():
        assert (PUBLISHED / name / file).read_text() == text, f"{name}/{file}: run make published"
    pictures = {f"{slot}.png" for slot in export.losses}
    assert {path.name for path in (PUBLISHED / name).iterdir()} == {*files, *pictures}
    for picture in pictures:
        with Image.open(PUBLISHED / name / picture) as image:
            assert image.size == (1200, 876)


def test_results_hold_nothing_else() -> None:
    assert {path.name for path in PUBLISHED.iterdir()} == set(catalog())


def test_an_unknown_target_is_named_with_the_choices() -> None:
    with pytest.raises(InputError, match="unknown target 'tensorflow'; choices: mmdet, torch, torchvision, jax, numpy"):
        package.texts(of_text({"loss_bbox": "giou"}), "tensorflow")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "export takes a RUN, or --loss-cls and --loss-bbox, or --catalog"),
        (["run", "--loss-bbox", "giou"], "export takes a RUN, or --loss-cls and --loss-bbox, or --catalog"),
        (["nowhere"], "no run in 'nowhere'"),
        (["--loss-bbox", "giou", "--candidate", "3"], "--candidate and --top choose among the losses of a RUN"),
        (["--loss-bbox", "giou", "--detector", "mmdet::detr/detr_r50_8xb2-150e_coco.py"], "DETRHead"),
        (["--loss-bbox", "giou", "--detector", "none.py"], "no detector config at 'none.py'"),
        (["--loss-cls", "focal", "--detector", "configs/detectors/tiny_faster_rcnn.py"], "classifies by softmax"),
        (["--loss-bbox", "giou", "--to", "onnx"], "unknown target 'onnx'"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = autoloss("export", *arguments, "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
