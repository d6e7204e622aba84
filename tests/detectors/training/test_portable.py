"""Configs that load wherever they lie; trainings that leave them are in test_export and test_training."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from detectors import mmcv_ops

mmcv_ops.install()

from detectors.heads import registry  # noqa: E402, F401  registers them
from detectors.losses import expression  # noqa: E402, F401  registers them
from detectors.training.config import load, put_losses  # noqa: E402
from detectors.training.portable import portable, text_of  # noqa: E402
from primitives.text.markup import digest  # noqa: E402

PAIR = {
    "loss_cls": {"expression": "neg(mul(w, mul(y, x)))", "grammar": "sigmoid", "loss_weight": 1.0},
    "loss_bbox": {"expression": "sub(1, div(i, u))", "grammar": "box", "loss_weight": 2.0},
}


@pytest.mark.parametrize(
    "name", ["{{ fileDirname }}", "{{_base_.model}}", "{{$HOME:x}}", "\\ud800", "a\nb", "'\"", "\\"]
)
def test_names_in_a_config_mean_themselves(name: str, tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    file.write_text(text_of({"metainfo": {"classes": (name,)}}))
    assert Config.fromfile(str(file)).metainfo.classes == (name,)


def test_a_config_whose_modules_are_there_is_the_config_itself(tmp_path: Path) -> None:
    config = load("configs/detectors/tiny_fcos.py")
    put_losses(config, PAIR, "iou")
    config.custom_hooks = [{"type": "PortableConfig"}, {"type": "EMAHook"}]
    text, modules = portable(config, str(tmp_path))
    stand_in = f"mmcv_ops_{digest(mmcv_ops.text())}"
    assert modules == ({stand_in: mmcv_ops.text()} if mmcv_ops.install() else {})
    (tmp_path / "config.py").write_text(text)
    assert Config.fromfile(str(tmp_path / "config.py")).to_dict() == config.to_dict()


def test_without_its_modules_it_has_stock_losses_and_nothing_to_train_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    stock = load("configs/detectors/tiny_fcos.py")
    config = Config(stock.to_dict())
    put_losses(config, PAIR, "iou")
    config.custom_hooks = [{"type": "PortableConfig"}, {"type": "EMAHook"}]
    text, _ = portable(config, str(tmp_path))
    (tmp_path / "config.py").write_text(text)
    monkeypatch.setitem(sys.modules, "detectors.losses.expression", None)
    with pytest.warns(UserWarning, match="a config for inference alone: to train, lay .*detectors.losses.expression"):
        found = Config.fromfile(str(tmp_path / "config.py"))
    head = found.model.bbox_head
    assert (head.type, head.loss_bbox, head.loss_cls) == (
        "FCOSHead",
        {"type": "GIoULoss"},
        {"type": "CrossEntropyLoss", "use_sigmoid": True},
    )
    own = stock.model.bbox_head
    changed = ("loss_bbox", "loss_cls")
    assert {**head, **dict.fromkeys(changed)} == {**own, **dict.fromkeys(changed)}
    assert found.custom_hooks == [{"type": "EMAHook"}]
    assert all(found[part] is None for part in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"))
