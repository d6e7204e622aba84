"""Trainings by the whole schedule of a config: what is put in, what goes on, and what is refused in one line."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import util
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from autoloss.candidate import Candidate, How, Kind, Loss, Origin
from autoloss.cli import main
from autoloss.config import from_mapping
from autoloss.store.run import Run
from detectors.data.coco import CocoSource
from detectors.data.description import Digits
from detectors.data.digits import digit_scenes
from detectors.training import full
from detectors.training.checkpoints import read, weights
from detectors.training.config import box_heads
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.small import section
from tests.helpers.stock import STOCK

ROOT = Path(__file__).parents[3]
FCOS = "configs/detectors/tiny_fcos.py"
BOX = {"loss_bbox": {"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 2.0}}
READS_W = {"loss_cls": {"expression": "neg(mul(w, mul(y, x)))", "grammar": "sigmoid", "loss_weight": 1.0}}
SHORT = {
    "train_cfg.max_epochs": 1,
    "train_dataloader.batch_size": 20,
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "val_dataloader.num_workers": 0,
    "val_dataloader.persistent_workers": False,
}
pytestmark = pytest.mark.filterwarnings("ignore")  # of mmengine and PyTorch in a training that is logged


@contextmanager
def restored() -> Iterator[None]:
    """What a Runner sets for the process is set back."""
    method = multiprocessing.get_start_method(allow_none=True)
    yield
    multiprocessing.set_start_method(method, force=True)


@pytest.fixture(autouse=True)
def steady() -> Iterator[None]:
    with restored():
        yield


def described(scenes: dict[str, CocoSource]) -> dict[str, Any]:
    parts = {
        split: {"annotations": str(scenes[split].annotations), "images": str(scenes[split].images)}
        for split in ("train", "val")
    }
    return {"type": "coco", **parts}


@pytest.fixture
def data(scenes: dict[str, CocoSource]) -> dict[str, Any]:
    return described(scenes)


@pytest.fixture(scope="session")
def trained(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A training that has ended, with its checkpoint; read it, and train elsewhere."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), restored():
        warnings.simplefilter("ignore")
        patch.setenv("AUTOLOSS_CACHE", str(small_cache))
        made = described(digit_scenes(Digits(train=40, val=8, test=8)))
        found = full.train_detector(FCOS, losses={}, data=made, work_dir=str(folder), seed=1, cfg_options=SHORT)
    assert found is not None
    return found


def options(given: dict[str, Any]) -> list[str]:
    """A description as options of the command line."""
    train, val = given["train"], given["val"]
    first = ["--data", train["annotations"], "--images", train["images"]]
    return [*first, "--val-data", val["annotations"], "--val-images", val["images"]]


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "autoloss", "train", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=folder)


@HOOKS.register_module()
class Hungry(Hook):  # type: ignore[misc]
    """Asks for more memory than any machine has."""

    def before_train(self, runner: Any) -> None:
        torch.empty(1 << 55)


def test_a_training_that_was_killed_after_its_last_checkpoint_is_scored_from_it(
    trained: dict[str, Any], small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(small_cache))
    work_dir = shutil.copytree(trained["work_dir"], tmp_path / "work")
    checkpoint = work_dir / Path(trained["checkpoint"]).name
    (work_dir / "last_checkpoint").write_text(str(checkpoint))
    made = described(digit_scenes(Digits(train=40, val=8, test=8)))
    given: dict[str, Any] = {"losses": {}, "data": made, "seed": 1, "cfg_options": SHORT}
    found = full.train_detector(FCOS, work_dir=str(work_dir), resume=True, **given)
    assert found is not None
    assert found["metrics"]
    assert found["metrics"] == trained["metrics"]
    assert found["checkpoint"] == str(checkpoint)


def test_the_command_trains_prints_map_in_one_line_and_resumes(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [f"{key}={value}" for key, value in SHORT.items()]
    line = [str(ROOT / FCOS), "--loss-bbox", "neg(log(div(i, u)))", *options(data), "--seed", "1", "--cfg-options"]
    first = command(*line, *small, folder=tmp_path)
    assert first.returncode == 0, first.stderr[-2000:]
    assert "Epoch(train) [1][2/2]" in first.stdout  # mmengine's log, as people know it
    assert first.stdout.splitlines()[-1].startswith("val: mAP 0.0")
    assert first.stdout.splitlines()[-1].endswith("work_dirs/tiny_fcos/epoch_1.pth")
    work = tmp_path / "work_dirs" / "tiny_fcos"
    assert "ExpressionBoxLoss" in (work / "tiny_fcos.py").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["autoloss", "train", *line, *small])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "tiny_fcos holds a training (epoch_1.pth); go on with it by --resume" in capsys.readouterr().err
    resumed = command(*line, *small[1:], "train_cfg.max_epochs=2", "--resume", "--json", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    found = json.loads(resumed.stdout)
    assert "Epoch(train) [2]" in resumed.stderr
    assert "Epoch(train) [1]" not in resumed.stderr
    assert found["checkpoint"].endswith("epoch_2.pth")
    assert 0 <= found["mAP"] == found["metrics"]["bbox_mAP"] <= 1


def test_a_candidate_of_a_run_trains_a_stock_detector_with_the_iou_as_centerness_and_is_scored_on_test_data(
    scenes: dict[str, CocoSource], data: dict[str, Any], tmp_path: Path
) -> None:
    box = Loss.of({"expression": "sub(1, div(i, u))", "grammar": "box", "loss_weight": 1.25})
    with Run.create(tmp_path / "run", from_mapping(section()).identity()) as run:
        found = Candidate(1, Kind.FOUND, 0, {"loss_bbox": box}, Origin.of("random: loss_bbox"))
        run.born([Candidate(0, Kind.OWN, 0, {}, Origin(How.OWN)), found], [])
    test = ["--test-data", str(scenes["test"].annotations), "--test-images", str(scenes["test"].images)]
    small = {**STOCK["atss_r50"][1], **SHORT, "model.backbone.norm_cfg.type": "BN", "model.test_cfg.score_thr": 0}
    small |= {"model.bbox_head.norm_cfg.type": "GN", "model.bbox_head.norm_cfg.num_groups": 8}
    small.pop("model.backbone.norm_cfg")
    changes = [f"{key}={value}" for key, value in small.items()]
    line = [str(ROOT / "configs/detectors/atss_r50.py"), "--run", str(tmp_path / "run"), "--candidate", "1"]
    line += ["--centerness-iou", *options(data), *test, "--json", "--cfg-options", *changes]
    done = autoloss("train", *line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert 0 <= result["test"]["mAP"] <= 1
    assert result["test"]["metrics"].keys() == result["metrics"].keys()
    head = full.load(str(tmp_path / "work_dirs/atss_r50/atss_r50.py")).model.bbox_head
    assert head.loss_bbox.expression == str(box.expression)
    assert head.loss_bbox.loss_weight == pytest.approx(2 * box.loss_weight, rel=1e-4)  # ATSS has GIoU with weight 2
    assert head.centerness_target == "iou"
    assert loaded_elsewhere(tmp_path / "work_dirs/atss_r50", tmp_path) == {
        "with autoloss": ["ExpressionBoxLoss", "IoUAwareATSSHead"],
        "without": ["GIoULoss", "ATSSHead"],
    }


LOADS = """
import sys
if sys.argv[3] == "without":
    sys.modules.update(dict.fromkeys(("autoloss", "primitives", "detectors")))  # None: not to be had
from mmdet.apis import init_detector
detector = init_detector(sys.argv[1], sys.argv[2], device="cpu")
print(type(getattr(detector.bbox_head.loss_bbox, "loss", detector.bbox_head.loss_bbox)).__name__)
print(type(detector.bbox_head).__name__)
"""


def loaded_elsewhere(work_dir: Path, tmp_path: Path) -> dict[str, list[str]]:
    """The box loss and the head that mmdetection makes of a work dir in another place."""
    moved = work_dir.rename(tmp_path / "moved")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = {}
    for how in ("with autoloss", "without"):
        line = [sys.executable, "-c", LOADS, str(moved / "atss_r50.py"), str(moved / "epoch_1.pth"), how]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd="/", env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        found[how] = done.stdout.splitlines()[-2:]
    return found


def test_losses_classes_and_data_are_put_into_the_config_and_its_schedule_stays(data: dict[str, Any]) -> None:
    config = full.prepared("configs/detectors/cascade_rcnn_r50.py", BOX, scale=["loss_bbox"], data=data)
    heads = list(box_heads(config))
    assert [head.num_classes for head in heads] == [10, 10, 10]
    assert [head.loss_bbox.loss_weight for head in heads] == [20.0, 20.0, 20.0]  # that of GIoU in its place is 10
    assert config.train_dataloader.dataset.metainfo["classes"] == tuple(map(str, range(10)))
    assert config.train_dataloader.batch_size == 2
    assert config.train_dataloader.sampler.type == "DefaultSampler"
    assert config.train_dataloader.dataset.filter_cfg == {"filter_empty_gt": True, "min_size": 32}
    truth = json.loads(Path(config.val_evaluator.ann_file).read_text())
    assert len(truth["images"]) == len(json.loads(Path(data["val"]["annotations"]).read_text())["images"])
    assert (config.val_evaluator.type, config.val_evaluator.metric) == ("CocoMetric", "bbox")
    assert config.train_cfg.max_epochs == 12
    assert [step.type for step in config.param_scheduler] == ["LinearLR", "MultiStepLR"]


def test_repeated_and_joined_data_sets_keep_what_repeats_them(data: dict[str, Any]) -> None:
    config = full.prepared("configs/paper/faster_rcnn_r50_voc0712.py", {}, data=data)
    dataset = config.train_dataloader.dataset
    assert (dataset.type, dataset.times, dataset.dataset.type) == ("RepeatDataset", 3, "CocoDataset")
    assert config.val_evaluator.type == "CocoMetric"


def test_from_scratch_the_backbone_has_group_norm_and_says_so(
    data: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    config = full.prepared("configs/detectors/faster_rcnn_r50.py", {}, data=data, backbone="scratch")
    backbone = config.model.backbone
    assert backbone.norm_cfg == {"type": "GN", "num_groups": 32, "requires_grad": True}
    assert (backbone.init_cfg, backbone.frozen_stages, backbone.norm_eval) == (None, -1, False)
    assert (
        "backbone: no pretrained weights in place of torchvision://resnet50; GroupNorm (32 groups) in place of BN; "
        "all stages are trained" in caplog.text
    )


def test_a_file_of_backbone_weights_or_of_a_detector_is_taken_without_a_download(
    trained: dict[str, Any], data: dict[str, Any], tmp_path: Path
) -> None:
    made = weights(read(trained["checkpoint"]))
    backbone = {name.removeprefix("backbone."): value for name, value in made.items() if name.startswith("backbone.")}
    torch.save(backbone, tmp_path / "backbone.pth")
    for number, file in enumerate((trained["checkpoint"], str(tmp_path / "backbone.pth"))):
        still = {**SHORT, "optim_wrapper.optimizer.lr": 0.0, "optim_wrapper.optimizer.weight_decay": 0.0}
        folder = str(tmp_path / str(number))
        found = full.train_detector(
            FCOS, losses={}, data=data, backbone=file, work_dir=folder, seed=2, cfg_options=still
        )
        assert found is not None
        after = weights(read(found["checkpoint"]))
        assert torch.equal(after["backbone.conv1.weight"], backbone["conv1.weight"])
        assert not torch.equal(after["neck.lateral_convs.0.conv.weight"], made["neck.lateral_convs.0.conv.weight"])
    deeper = {**SHORT, "model.backbone.depth": 34}
    with pytest.raises(InputError, match=r"lacks \d+ of the \d+ weights of the config's ResNet, first 'layer1"):
        full.train_detector(FCOS, losses={}, data=data, backbone=file, work_dir=str(tmp_path / "x"), cfg_options=deeper)


def test_a_checkpoint_of_another_number_of_classes_is_refused(
    trained: dict[str, Any], data: dict[str, Any], tmp_path: Path
) -> None:
    content = json.loads(Path(data["train"]["annotations"]).read_text())
    content["categories"].append({"id": 99, "name": "none"})
    (tmp_path / "more.json").write_text(json.dumps(content))
    more = {"type": "coco", "train": {**data["train"], "annotations": str(tmp_path / "more.json")}, "hold_out": 4}
    message = r"epoch_1.pth has 10 classes, the data 11: bbox_head.conv_cls.weight is 10 x .* there and 11 x .* here"
    given = {**SHORT, "load_from": trained["checkpoint"]}
    with pytest.raises(InputError, match=message):
        full.train_detector(FCOS, losses={}, data=more, work_dir=str(tmp_path / "second"), cfg_options=given)
    with pytest.raises(InputError, match=message):
        full.train_detector(FCOS, losses={}, data=more, work_dir=trained["work_dir"], resume=True, cfg_options=SHORT)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


@pytest.mark.parametrize(
    ("detector", "given", "message"),
    [
        ("none.py", {}, "no detector config at 'none.py'"),
        ("configs/datasets/coco2017.py", {}, "no detector: needs model.bbox_head or model.roi_head.bbox_head"),
        ("mmdet::centernet/centernet_r18_8xb16-crop512-140e_coco.py", {"losses": BOX}, "has no slot 'loss_bbox'; choi"),
        ("mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py", {"losses": READS_W}, "hands over iou stands in for 'YOLOFHead'"),
        (FCOS, {"resume": True}, "--resume: nothing to resume in .*work: it has no checkpoint"),
        (FCOS, {"backbone": "none.pth"}, "no checkpoint at 'none.pth'"),
        (FCOS, {"amp": True}, "--amp needs a GPU"),
        (FCOS, {"launcher": "pytorch"}, "--launcher pytorch is for processes that torchrun starts: LOCAL_RANK is not"),
        (FCOS, {"launcher": "mine"}, "unknown --launcher 'mine'; choices: none, pytorch, slurm, mpi"),
        (FCOS, {"data": {"type": "coco", "train": {"annotations": "a", "images": "b"}}}, "no annotation file at 'a'"),
        (FCOS, {"data": None}, r"no data/coco/annotations/instances_train2017.json, which train_dataloader of configs"),
        (FCOS, {"options": {"model.bbox_head.type": "NoHead"}}, "mmengine cannot build it: .*NoHead"),
        (FCOS, {"options": {"custom_hooks": [{"type": "Hungry"}]}}, "out of memory: lower train_dataloader.batch_size"),
        (FCOS, {"options": {"optim_wrapper.optimizer.lr": 1e30}}, r"the training ended: loss\w* is nan at iteration 2"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    detector: str, given: dict[str, Any], message: str, data: dict[str, Any], tmp_path: Path
) -> None:
    given = {"losses": {}, "data": data, **given}
    changes = {**SHORT, **given.pop("options", {})} if detector == FCOS else {}
    with pytest.raises(InputError, match=message) as caught:
        full.train_detector(detector, work_dir=str(tmp_path / "work"), cfg_options=changes, **given)
    assert "\n" not in str(caught.value)


def test_loaders_whose_sockets_have_no_room_for_their_paths_are_refused(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "get_temp_dir", lambda: "/tmp/" + "x" * 90)
    loading = {**SHORT, "train_dataloader.num_workers": 1}
    with pytest.raises(InputError, match="data loaders with workers need sockets in /tmp/x.*set TMPDIR to a shorter"):
        full.train_detector(FCOS, losses={}, data=data, work_dir=str(tmp_path / "work"), cfg_options=loading)


def test_annotations_that_are_no_coco_json_are_one_line(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[1, 2")
    bad = {"type": "coco", "train": {**data["train"], "annotations": str(tmp_path / "bad.json")}}
    with pytest.raises(InputError, match="bad.json.*JSON"):
        full.train_detector(FCOS, losses={}, data=bad, work_dir=str(tmp_path / "work"), cfg_options=SHORT)
    own = {
        **SHORT,
        "train_dataloader.dataset.data_root": "",
        "train_dataloader.dataset.ann_file": str(tmp_path / "bad.json"),
        "train_dataloader.dataset.data_prefix.img": data["train"]["images"],
        "val_dataloader.dataset.data_root": "",
        "val_dataloader.dataset.ann_file": data["val"]["annotations"],
        "val_dataloader.dataset.data_prefix.img": data["val"]["images"],
    }
    with pytest.raises(InputError, match="its data cannot be used: .*autoloss data check FILE"):
        full.train_detector(FCOS, losses={}, work_dir=str(tmp_path / "work"), cfg_options=own)


def test_weights_that_cannot_be_downloaded_are_one_line_with_what_to_do(data: dict[str, Any], tmp_path: Path) -> None:
    name = "http://127.0.0.1:9/resnet.pth"
    changes = {**STOCK["faster_rcnn_r50"][1], **SHORT}
    changes["model.backbone.init_cfg"] = {"type": "Pretrained", "checkpoint": name}
    with pytest.raises(InputError, match=f"cannot download {name} .*--backbone FILE, or .*--backbone scratch"):
        full.train_detector(
            "configs/detectors/faster_rcnn_r50.py",
            losses={},
            data=data,
            work_dir=str(tmp_path / "work"),
            cfg_options=changes,
        )


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(data: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "made by a checkpoint"
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"state_dict": Bomb(target)}))
    torch.save({"state_dict": {}, "meta": Bomb(target)}, tmp_path / "other.pth")
    for name in ("bomb.pth", "other.pth"):
        for given in (
            {"backbone": str(tmp_path / name)},
            {"cfg_options": {**SHORT, "load_from": str(tmp_path / name)}},
        ):
            arguments = {"cfg_options": SHORT, **given}
            with pytest.raises(InputError, match="no checkpoint of weights and plain values alone"):
                full.train_detector(FCOS, losses={}, data=data, work_dir=str(tmp_path / "work"), **arguments)
    assert not target.exists()
