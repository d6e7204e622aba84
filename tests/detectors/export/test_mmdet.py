"""Exported folders in use: mmdetection's own tools train with them where our packages cannot be imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from autoloss.candidate import Candidate, Evaluation, How, Kind, Loss, Origin, State
from autoloss.config import load as load_settings
from autoloss.export import folder as package
from autoloss.export.selection import of_run, of_text
from autoloss.store.run import Run
from detectors import mmcv_ops
from tests.helpers.stock import TOOL, closed
from tests.helpers.survivors import FEW, known, survivors

mmcv_ops.install()

from mmdet.registry import MODELS  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from detectors.export.mmdet import mmdet as mmdet_files  # noqa: E402
from detectors.losses import expression as _losses  # noqa: E402, F401  registers them
from detectors.training.config import box_heads, load, put_losses  # noqa: E402
from primitives.catalog import GRAMMARS  # noqa: E402
from primitives.codegen.function import function_name  # noqa: E402
from primitives.errors import InputError  # noqa: E402

BCE = Loss.of({"expression": "sub(softplus(x), mul(x, y))", "grammar": "sigmoid", "alpha": 0.25})
FOUND = {"loss_cls": BCE, "loss_bbox": survivors("box", FEW)[0]}
PAIR_A = {"loss_cls": known("cse_a_cls"), "loss_bbox": known("cse_a_reg")}
PAIR_B = {"loss_cls": known("cse_b_cls"), "loss_bbox": known("cse_b_reg")}
STOCK = {
    "FCOS": "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "ATSS": "mmdet::atss/atss_r50_fpn_1x_coco.py",
    "RetinaNet": "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    "Faster R-CNN": "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
    "Cascade R-CNN": "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    "Mask R-CNN": "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
}


def run_with(losses: dict[str, Loss], config: str, folder: Path) -> Run:
    """A run whose only candidate beside the detector's own loss has these losses."""
    options = ["search.evaluator.data.train=40", "search.evaluator.data.val=8", "search.evaluator.data.test=8"]
    settings = load_settings(config, options)
    store = Run.create(folder, settings.identity())
    own = Candidate(0, Kind.OWN, 0, {}, Origin(How.OWN))
    store.born([own, Candidate(1, Kind.FOUND, 0, losses, Origin.of("by a test"))], [])
    rung = settings.ladder[0]
    store.started(1, rung.name, rung.seeds[0])
    store.finished(Evaluation(1, rung.name, rung.seeds[0], State.DONE, 0.5))
    return store


@pytest.mark.usefixtures("scenes")
@pytest.mark.parametrize(
    ("config", "losses", "centerness"),
    [
        pytest.param("configs/search/digits_fcos.py", FOUND, None, marks=pytest.mark.slow),
        ("configs/search/digits_fcos.py", PAIR_B, "iou"),
        ("configs/search/digits_faster_rcnn.py", {"loss_bbox": survivors("box_extended", FEW)[0]}, None),
        pytest.param("configs/search/digits_faster_rcnn.py", PAIR_A, None, marks=pytest.mark.slow),
    ],
    ids=["FCOS found", "FCOS published", "Faster R-CNN found", "Faster R-CNN published"],
)
def test_mmdetections_train_py_trains_the_digits_with_what_was_exported(
    config: str, losses: dict[str, Loss], centerness: str | None, tmp_path: Path
) -> None:
    with run_with(losses, config, tmp_path / "run") as store:
        (export,) = of_run(store)
    setup = {**export.setup, "centerness_target": centerness, "stand_in": True}
    folder = tmp_path / "exported"
    files = mmdet_files(export.spec(), export.name, export.about, setup)
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert [name.rpartition("_")[0] for name in files][:3] == [
        f"{export.name.lower()}_losses",
        "portable_config",
        "mmcv_ops",
    ]
    assert list(files)[3:] == ["detector.py", "config.py"]
    environment = {**os.environ, "PYTHONPATH": str(closed(tmp_path)), "OMP_NUM_THREADS": "1"}
    refused = subprocess.run(
        [sys.executable, "-c", "import detectors"], env=environment, check=False, capture_output=True
    )
    assert refused.returncode != 0
    line = [sys.executable, str(TOOL), str(folder / "config.py"), "--work-dir", str(tmp_path / "work")]
    line += ["--cfg-options", "train_cfg.max_iters=3", "train_cfg.val_interval=3", "default_hooks.logger.interval=1"]
    line += ["default_hooks.checkpoint.interval=3"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "Iter(train) [3/3]" in said
    assert "coco/bbox_mAP" in said
    assert "nan" not in "".join(line for line in said.splitlines() if "Iter(train)" in line)
    assert (tmp_path / "work" / "iter_3.pth").is_file()
    tag = Path(next(iter(files))).stem.rpartition("_")[2]
    assert f"type='{export.name}BoxLoss_{tag}'" in said  # the config that mmengine logs
    if centerness:
        assert f"type='{export.name}FCOSHead_{tag}'" in said
    check_it_loads_elsewhere(tmp_path, folder, tag, environment)


LOADS = """
import sys
import torch
from mmdet.apis import init_detector
detector = init_detector(sys.argv[1], sys.argv[2], device="cpu")
torch.manual_seed(0)
with torch.no_grad():
    if hasattr(detector, "bbox_head"):
        head = detector.bbox_head
        outputs = sum(head(detector.extract_feat(torch.randn(1, 3, 64, 64))), [])
    else:
        head = detector.roi_head.bbox_head
        outputs = head(torch.randn(4, head.in_channels, *head.roi_feat_size))
loss = getattr(head.loss_bbox, "loss", head.loss_bbox)
print("FOUND", type(loss).__name__, type(head).__name__, sum(float(part.abs().sum()) for part in outputs))
"""


def check_it_loads_elsewhere(tmp_path: Path, folder: Path, tag: str, environment: dict[str, str]) -> None:
    """The work dir alone, in another place; then its config, checkpoint and stand-in without the losses."""
    folder.rename(tmp_path / "taken away")
    moved = (tmp_path / "work").rename(tmp_path / "moved")
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.py", "iter_3.pth", *(path.name for path in moved.glob("mmcv_ops_*.py"))):
        shutil.copy(moved / name, bare)
    told = {}
    for place, what in ((moved, "train"), (bare, "infer")):
        line = [sys.executable, "-c", LOADS, str(place / "config.py"), str(place / "iter_3.pth")]
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd="/")
        assert done.returncode == 0, done.stderr[-3000:]
        assert ("a config for inference alone" in done.stderr) == (what == "infer")
        told[what] = next(line for line in done.stdout.splitlines() if line.startswith("FOUND")).split()[1:]
    assert told["train"][0].endswith(f"BoxLoss_{tag}")
    assert told["infer"][0] == "GIoULoss"
    assert "_" not in told["infer"][1]
    assert told["train"][2] == told["infer"][2]
    line = [sys.executable, str(TOOL), str(bare / "config.py"), "--work-dir", str(tmp_path / "again")]
    refused = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert refused.returncode != 0
    assert "a config for inference alone: to train, lay" in refused.stderr
    assert f"_losses_{tag}.py" in refused.stderr


def written(files: dict[str, str], folder: Path) -> Config:
    """An exported folder as mmengine reads it."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    path = list(sys.path)
    config = Config.fromfile(str(folder / "config.py"))
    assert sys.path == path
    return config


def batch() -> tuple[torch.Tensor, list[DetDataSample]]:
    """Two images of noise with a box or two each."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for boxes in ([[4.0, 4, 50, 60]], [[10.0, 20, 60, 64], [30.0, 2, 62, 40]]):
        sample = DetDataSample(metainfo={"img_shape": (64, 64), "pad_shape": (64, 64), "batch_input_shape": (64, 64)})
        masks = torch.zeros(len(boxes), 64, 64)
        from mmdet.structures.mask import BitmapMasks

        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes),
            labels=torch.arange(len(boxes)) + 1,
            masks=BitmapMasks(masks.numpy().astype("uint8"), 64, 64),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long())
        samples.append(sample)
    return torch.randn(2, 3, 64, 64, generator=generator), samples


def losses_of(model: Any) -> dict[str, float]:
    """Losses of a detector of few channels on the batch, its weights and samples seeded."""
    model.backbone.update(depth=18, init_cfg=None, frozen_stages=-1, norm_eval=False)
    model.backbone.pop("norm_cfg", None)
    model.backbone.style = "pytorch"
    model.neck.in_channels = [64, 128, 256, 512]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):  # as its Runner has it; the preprocessor is built by mmengine
        detector = MODELS.build(model)
    detector.init_weights()
    detector.train()
    inputs, samples = batch()
    torch.manual_seed(1)
    found = detector.loss(inputs, samples)
    return {
        name: sum(float(part.detach()) for part in (value if isinstance(value, list) else [value]))
        for name, value in found.items()
        if "loss" in name
    }


@pytest.mark.filterwarnings("ignore:DeprecationWarning. .num_anchors.:UserWarning")  # mmdetection of itself
@pytest.mark.parametrize(
    ("detector", "centerness"), [*((detector, None) for detector in STOCK), ("FCOS", "iou"), ("ATSS", "iou")]
)
def test_stock_detectors_compute_the_losses_that_the_toolkit_computes(
    detector: str, centerness: str | None, tmp_path: Path
) -> None:
    """Every head that needs the IoU, with the published pair of its kind: exported beside formulas in the toolkit."""
    register_all_modules()
    pair = PAIR_B if detector in ("FCOS", "ATSS", "RetinaNet") else PAIR_A
    spec = {slot: loss.spec() for slot, loss in pair.items()}
    name = f"Stock{''.join(letter for letter in detector if letter.isalpha())}{(centerness or '').title()}"
    setup = {"detector": STOCK[detector], "stand_in": False, "centerness_target": centerness}
    config = written(mmdet_files(spec, name, ["By a test."], setup), tmp_path)
    assert [module.rpartition("_")[0] for module in config.custom_imports.imports] == [
        "portable_config",
        f"{function_name(name, GRAMMARS['box'].kind).removesuffix('_box_loss')}_losses",
    ]
    ours = load(STOCK[detector])
    put_losses(ours, spec, centerness)
    assert all(head["type"].startswith(name) for head in box_heads(config))
    exported, expected = losses_of(config.model), losses_of(ours.model)
    assert exported.keys() == expected.keys()
    assert all(torch.isfinite(torch.tensor(value)) for value in exported.values())
    for key, value in expected.items():
        assert exported[key] == pytest.approx(value, rel=1e-4, abs=1e-6), key


BOXES = ("sub(1, div(i, u))", "sub(1, square(div(i, u)))")


def test_two_exports_in_one_process_are_two_losses(tmp_path: Path) -> None:
    pred, target = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 5, 10, 15]])  # IoU 1/3
    values = []
    for number, text in enumerate(BOXES):
        config = written(package.texts(of_text({"loss_bbox": text}), "mmdet"), tmp_path / str(number))
        loss = MODELS.build({**config.model.roi_head.bbox_head.loss_bbox, "loss_weight": 1.0})
        values.append(float(loss(pred, target)))
    assert values == pytest.approx([1 - 1 / 3, 1 - 1 / 9], rel=1e-5)


def test_two_exports_in_one_config_are_two_losses(tmp_path: Path) -> None:
    setup = {"detector": STOCK["FCOS"]}
    first = of_text({"loss_cls": "quality_focal"}, setup=setup)
    second = of_text({"loss_bbox": BOXES[1]}, setup=setup)
    one, other = (
        written(package.texts(export, "mmdet"), tmp_path / name) for export, name in ((first, "a"), (second, "b"))
    )
    both = tmp_path / "both.py"
    kind = other.model.bbox_head.loss_bbox.type
    imports = [*one.custom_imports.imports, *other.custom_imports.imports]
    both.write_text(
        f"""_base_ = "a/config.py"
custom_imports = dict(imports={imports}, allow_failed_imports=False)
model = dict(bbox_head=dict(loss_bbox=dict(type={kind!r}, loss_weight=2.5)))
"""
    )
    config = Config.fromfile(str(both))
    ours = load(STOCK["FCOS"])
    put_losses(ours, {**first.spec(), "loss_bbox": {**second.spec()["loss_bbox"], "loss_weight": 2.5}})
    exported, expected = losses_of(config.model), losses_of(ours.model)
    assert exported == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert expected != pytest.approx(losses_of(one.model), rel=1e-4, abs=1e-6)


def test_an_edited_copy_is_not_taken_for_the_file_of_its_name(tmp_path: Path) -> None:
    files = package.texts(of_text({"loss_bbox": "diou"}), "mmdet")
    written(files, tmp_path / "first")
    name = next(iter(files))
    files[name] = files[name].replace("return ", "return 2 * ", 1)
    with pytest.raises(ImportError, match=f"{name} is not .*{name}, which is imported under its name: rename"):
        written(files, tmp_path / "second")


def test_a_folder_shadows_no_module_of_anyone(tmp_path: Path) -> None:
    files = package.texts(of_text({"loss_bbox": "giou"}), "mmdet")
    written(files, tmp_path)
    assert not any(name in sys.modules for name in ("losses", "mmcv_ops", "detector", "config"))
    text = "".join(files.values())
    assert "{folder}" not in text
    assert "sys.path" not in files["config.py"]


def test_a_box_loss_alone_needs_no_head_of_its_own() -> None:
    export = of_text({"loss_bbox": "giou"})
    files = package.texts(export, "mmdet")
    assert "IoUAware" not in next(iter(files.values()))
    assert "loss_weight=10.0" in files["config.py"]  # mmdetection's own GIoU in place of L1
    assert "reg_decoded_bbox=True" in files["config.py"]
    files = mmdet_files(export.spec(), "Giou", export.about, {**export.setup, "detector": STOCK["FCOS"]})
    assert "loss_weight=1.0" in files["config.py"]
    files = mmdet_files(export.spec(), "Giou", export.about, {**export.setup, "detector": STOCK["RetinaNet"]})
    assert "loss_weight=2.0" in files["config.py"]


def test_the_stand_in_is_written_only_when_it_is_needed_or_asked_for() -> None:
    export = of_text({"loss_bbox": "giou"})
    with_it, without = (
        mmdet_files(export.spec(), "Giou", export.about, {**export.setup, "stand_in": needed})
        for needed in (True, False)
    )
    (stand_in,) = (Path(name).stem for name in set(with_it) - set(without))
    assert stand_in.startswith("mmcv_ops_")
    assert f"'{stand_in}'" in with_it["config.py"]
    assert "mmcv_ops" not in without["config.py"]
    assert f'take "{stand_in}" out of this file' in with_it["config.py"]


def test_an_evaluator_of_another_kind_needs_a_detector() -> None:
    export = of_text({"loss_bbox": "giou"})
    setup = {"evaluator": {"type": "mine:Evaluator"}, "task": {}, "seed": 0}
    with pytest.raises(InputError, match="trains no mmdetection detector; name one with --detector"):
        mmdet_files(export.spec(), "Giou", export.about, setup)


def test_a_detector_of_the_toolkit_is_written_beside_the_config_by_whatever_name_it_is_asked_for() -> None:
    for name in ("autoloss::detectors/tiny_fcos.py", "tiny_fcos"):
        setup = {"detector": name, "stand_in": False}
        files = mmdet_files({"loss_bbox": FOUND["loss_bbox"].spec()}, "Toy", ["Of a test."], setup)
        assert "_base_ = 'detector.py'" in files["config.py"].replace('"', "'")
        assert "FCOSHead" in files["detector.py"]


@pytest.mark.usefixtures("scenes")
@pytest.mark.parametrize(
    ("task", "iterations", "lasts", "says"),
    [
        ({"kind": "frozen", "iterations": 300, "pretrain": 700, "evaluate_on": "val"}, None, 700, True),
        ({"kind": "frozen", "iterations": 300, "pretrain": 700, "evaluate_on": "val"}, 50, 50, False),
        ({"iterations": 300, "train_on": "train", "evaluate_on": "val"}, None, 300, False),
        ({"iterations": 300, "train_on": "train", "evaluate_on": "val"}, 50, 50, False),
    ],
)
def test_a_whole_detector_is_not_trained_as_briefly_as_small_heads(
    task: dict[str, Any], iterations: int | None, lasts: int, says: bool, tmp_path: Path
) -> None:
    data = {"type": "digits", "train": 40, "val": 8, "test": 8}
    evaluator = {**load_settings("configs/search/digits_fcos.py").evaluator, "data": data}
    setup = {"evaluator": evaluator, "task": task, "seed": 0, "iterations": iterations, "stand_in": False}
    files = mmdet_files({"loss_bbox": FOUND["loss_bbox"].spec()}, "Toy", ["Of a test."], setup)
    (tmp_path / "detector.py").write_text(files["detector.py"])
    config = Config.fromfile(tmp_path / "detector.py")
    assert config.train_cfg.max_iters == config.default_hooks.checkpoint.interval == lasts
    said = " ".join(files["config.py"].split())
    assert ("whole detector is trained for the 700 iterations of the one whose features they had" in said) == says
