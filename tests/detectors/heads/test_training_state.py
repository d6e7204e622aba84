"""What a training tells heads: how far it is, under any loop and after a resume, and how frequent classes are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from detectors import mmcv_ops
from tests.helpers import handed

mmcv_ops.install()

from mmdet.registry import DATASETS  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402
from mmengine.registry import HOOKS, DefaultScope  # noqa: E402

from detectors.data.coco import CocoSource  # noqa: E402
from detectors.heads.handover import Intercepted  # noqa: E402
from detectors.heads.training_state import TrainingState, class_frequencies  # noqa: E402
from detectors.losses.expression import ExpressionClassLoss  # noqa: E402
from detectors.training import full  # noqa: E402
from primitives.errors import InputError  # noqa: E402

FCOS = "configs/detectors/tiny_fcos.py"
SHORT = {
    "train_cfg.max_epochs": 2,
    "train_dataloader.batch_size": 20,
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "val_dataloader.num_workers": 0,
    "val_dataloader.persistent_workers": False,
}
STOP = "StopsAfterOneEpoch"


@pytest.fixture(autouse=True)
def grammars(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    handed.add_grammars(monkeypatch)
    method = multiprocessing.get_start_method(allow_none=True)
    yield
    multiprocessing.set_start_method(method, force=True)


class Images:
    """A data set of images with these labels; minus a label stands for a region that is ignored."""

    def __init__(self, *labels: list[int]) -> None:
        self.labels, self.metainfo = labels, {"classes": ("a", "b", "c", "d")}

    def full_init(self) -> None:
        """There is nothing to load."""

    def __len__(self) -> int:
        return len(self.labels)

    def get_data_info(self, index: int) -> dict[str, Any]:
        found = [{"bbox_label": abs(label), "ignore_flag": int(label < 0)} for label in self.labels[index]]
        return {"instances": found}


def test_a_frequency_is_relative_to_the_most_frequent_class_and_never_0() -> None:
    found = class_frequencies(Images([0, 0, 1], [], [1, 0, 0, -2, -2]))
    assert found.tolist() == pytest.approx([1, 0.5, 0.25, 0.25])  # of c ignored regions, of d nothing


def test_frequencies_of_a_data_set_and_of_wrappers_are_the_same(scenes: dict[str, CocoSource]) -> None:
    from detectors.training.config import configure, load

    source = scenes["train"]
    config = configure(load(FCOS), train=source, evaluate=scenes["val"], losses={}, iterations=1, seed=0)
    plain = config.train_dataloader.dataset.to_dict()
    with DefaultScope.overwrite_default_scope("mmdet"):
        own = class_frequencies(DATASETS.build(plain))
        for wrapper in (
            {**plain, "serialize_data": True},
            {"type": "RepeatDataset", "dataset": plain, "times": 3},
            {"type": "ConcatDataset", "datasets": [plain, plain]},
        ):
            torch.testing.assert_close(class_frequencies(DATASETS.build(wrapper)), own)


class Head(nn.Module):
    """One that asks."""

    def __init__(self, *asks: str) -> None:
        super().__init__()
        self.layer, self.num_classes, self.from_training = nn.Linear(1, 1), 4, asks
        self.loss = Intercepted(nn.Identity(), lambda *_: None)


def test_heads_get_what_they_ask_for_and_no_data_are_counted_for_others() -> None:
    asking, other = Head("progress"), Head()
    model = nn.ModuleList([asking, other])
    runner = SimpleNamespace(model=model, iter=6, max_iters=8)  # without data to count
    hook = TrainingState()
    hook.before_train(runner)
    assert float(asking.progress) == 0.75
    assert not hasattr(other, "progress")
    runner.iter = 7
    hook.before_train_iter(runner, 0)
    assert float(asking.progress) == 0.875


def test_frequencies_of_other_classes_than_the_head_has_are_refused() -> None:
    head = Head("frequency")
    head.num_classes = 80
    loader = SimpleNamespace(dataset=Images([0]))
    with pytest.raises(ValueError, match="Head has num_classes=80, the data to train on have 4 classes"):
        TrainingState().before_train(SimpleNamespace(model=head, train_dataloader=loader, iter=0, max_iters=1))


@HOOKS.register_module(name=STOP, force=True)
class StopsAfterOneEpoch(Hook):  # type: ignore[misc]
    """As if the process was killed."""

    def before_train_epoch(self, runner: Any) -> None:
        if runner.epoch == 1:
            raise ValueError("stopped")


@pytest.mark.filterwarnings("ignore")  # of mmengine and PyTorch in a training that is logged
def test_progress_goes_on_where_a_resumed_training_goes_on(
    scenes: dict[str, CocoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, torch.Tensor]] = []
    forward = ExpressionClassLoss.forward

    def heard(module: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append((float(kwargs["progress"]), kwargs["frequency"]))
        return forward(module, *args, **kwargs)

    monkeypatch.setattr(ExpressionClassLoss, "forward", heard)
    parts = {
        split: {"annotations": str(scenes[split].annotations), "images": str(scenes[split].images)}
        for split in ("train", "val")
    }
    options: dict[str, Any] = {
        "losses": handed.losses("sigmoid"),
        "data": {"type": "coco", **parts},
        "work_dir": str(tmp_path / "work"),
        "seed": 0,
    }
    with pytest.raises(InputError, match="stopped"):
        full.train_detector(FCOS, **options, cfg_options={**SHORT, "custom_hooks": [{"type": STOP}]})
    assert [t for t, _ in seen] == [0, 0.25]
    seen.clear()
    full.train_detector(FCOS, **options, resume=True, cfg_options=SHORT)
    assert [t for t, _ in seen] == [0.5, 0.75]
    counted = seen[0][1]
    assert counted.shape == (10,)
    assert counted.max() == 1
    text = (tmp_path / "work" / "tiny_fcos.py").read_text()
    assert "TrainingState" in text
    assert "_have('detectors.heads.training_state')" in text
