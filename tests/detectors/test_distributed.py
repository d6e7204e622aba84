"""Two processes train as one process does on the images of both, also where one of them has no box."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from detectors.data.coco import CocoSource
from detectors.training import checkpoints
from tests.helpers.tiny import ATSS

ROOT = Path(__file__).parents[2]
GN = {"type": "GN", "num_groups": 8, "requires_grad": True}  # BatchNorm would see another batch in each process
PUBLISHED = ["--loss-cls", "cse_b_cls", "--loss-bbox", "cse_b_reg", "--centerness-iou"]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "AUTOLOSS_CACHE": str(cache)}


def recorded(folder: Path, processes: int) -> list[list[dict[str, Any]]]:
    """What every process met, iteration by iteration."""
    lines = [(folder / f"losses_{rank}.jsonl").read_text().splitlines() for rank in range(processes)]
    return [[json.loads(line) for line in at_once] for at_once in zip(*lines, strict=True)]


@pytest.fixture
def alternating(scenes: dict[str, CocoSource], tmp_path: Path) -> list[str]:
    """Eight scenes in order; the second and the fourth, which the second process sees first, have no box."""
    content = json.loads(scenes["train"].annotations.read_text())
    images = content["images"][:8]
    shown = {image["id"] for number, image in enumerate(images) if number not in (1, 3)}
    boxes = [entry for entry in content["annotations"] if entry["image_id"] in shown]
    file = tmp_path / "train.json"
    file.write_text(json.dumps({**content, "images": images, "annotations": boxes}))
    options = {"--data": file, "--images": scenes["train"].images}
    options |= {"--val-data": scenes["val"].annotations, "--val-images": scenes["val"].images}
    return [str(part) for option in options.items() for part in option]


@pytest.mark.parametrize("head", [{}, pytest.param(ATSS, marks=pytest.mark.slow)], ids=["FCOS", "ATSS"])
def test_two_processes_have_the_losses_and_the_weights_of_one_with_the_same_images(
    head: dict[str, Any], alternating: list[str], small_cache: Path, tmp_path: Path
) -> None:
    changes = {
        "train_cfg": {"_delete_": True, "type": "IterBasedTrainLoop", "max_iters": 2, "val_interval": 9},
        "val_dataloader": {"num_workers": 0, "persistent_workers": False},
        "optim_wrapper": {"_delete_": True, "type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.05}},
        "param_scheduler": [],
        "custom_imports": {"imports": ["tests.helpers.recorder"], "allow_failed_imports": False},
        "custom_hooks": [{"type": "Recorder"}],
        "default_hooks": {"checkpoint": {"by_epoch": False, "interval": 2}},
        "model": {"neck": {"norm_cfg": {"_delete_": True, **GN}}},
    }
    for key, value in head.items():
        changes["model"][key.removeprefix("model.")] = {"_delete_": True, **value}
    folders = {}
    for processes in (1, 2):
        loader = {
            "batch_size": 4 // processes,
            "num_workers": 0,
            "persistent_workers": False,
            "sampler": {"shuffle": False},
            "dataset": {"filter_cfg": {"_delete_": True, "filter_empty_gt": False}},
        }
        config = tmp_path / f"config_{processes}.py"
        base = f"_base_ = {str(ROOT / 'configs/detectors/tiny_fcos.py')!r}\n"
        parts = {**changes, "train_dataloader": loader}
        config.write_text(base + "\n".join(f"{name} = {value!r}" for name, value in parts.items()))
        folders[processes] = tmp_path / str(processes)
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"] if processes == 2 else []
        line = [sys.executable, *start, "-m", "autoloss", "train", str(config), *PUBLISHED, *alternating, "--seed", "3"]
        line += ["--backbone", "scratch", "--work-dir", str(folders[processes])]
        line += ["--launcher", "pytorch"] if processes == 2 else []
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment(small_cache))
        assert done.returncode == 0, done.stderr[-3000:]
    alone, together = recorded(folders[1], 1), recorded(folders[2], 2)
    assert len(alone) == len(together) == 2
    assert [rank["boxes"] == 0 for rank in together[0]] == [False, True]
    for (one,), both in zip(alone, together, strict=True):
        assert sorted(one["images"]) == sorted(image for rank in both for image in rank["images"])
        assert set(one["losses"]) == {"loss", "loss_cls", "loss_bbox", "loss_centerness"}
        for name, value in one["losses"].items():
            assert sum(rank["losses"][name] for rank in both) / 2 == pytest.approx(value, rel=1e-4), name
    weights, others = (checkpoints.weights(checkpoints.read(str(one / "iter_2.pth"))) for one in folders.values())
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text)
