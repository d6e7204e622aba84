"""Full: a detector trained by mmengine's Runner as long as its config says, with losses and data of one's own."""

from __future__ import annotations

import copy
import logging
import os
import traceback
from collections.abc import Callable, Collection, Mapping
from multiprocessing import util
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from detectors.data.coco import CocoSource
from detectors.data.splits import say, splits
from detectors.training import checkpoints, portable
from detectors.training.backbone import SCRATCH, begin_with, forget_pretrained, pretrained
from detectors.training.config import box_heads, is_stock, load, put_losses, scaled
from detectors.training.data_config import (
    check_outlines,
    classes_of,
    files_of,
    leaves,
    look_beside,
    metric_on,
    placed,
    set_classes,
)
from detectors.training.short import TrainingFailedError, Watch
from primitives.errors import InputError, one_line
from primitives.system import places
from primitives.text.printable import printable

_log = logging.getLogger(__name__)
_WRONG = (KeyError, TypeError, ValueError, AttributeError, AssertionError, ImportError, OSError)
_LAUNCHERS = {
    "none": ("", ""),
    "pytorch": ("torchrun", "LOCAL_RANK"),
    "slurm": ("srun", "SLURM_PROCID"),
    "mpi": ("mpirun", "OMPI_COMM_WORLD_RANK"),
}
"""Who starts the processes, and what tells them their place."""
_LONGEST = 107 - len("/listener-01234567")
"""Characters of the folder of a socket: the path of one has 107 at most."""
_MEMORY = "out of memory: lower train_dataloader.batch_size or the images' scale by --cfg-options, or train with --amp"


def train_detector(
    detector: str,
    *,
    losses: Mapping[str, Mapping[str, Any]],
    scale: Collection[str] = (),
    centerness_target: str | None = None,
    data: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    work_dir: str | None = None,
    resume: bool = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    seed: int | None = None,
    launcher: str = "none",
    cfg_options: Mapping[str, object] | None = None,
) -> dict[str, Any] | None:
    """Trains a detector by its own schedule and hooks, and evaluates it as the config says.

    Args:
        detector: config, a path or 'mmdet::...'.
        losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`; a slot left out keeps its loss.
        scale: slots whose weights are those of the loss of weight 1 and take on the scale of the detector's own.
        centerness_target: None for the head's own, `iou` for the IoU of the predicted box.
        data: description as of `detectors.data.splits.sources`, None for the data of the config.
        backbone: a file of weights, 'scratch', or None for what the config says.
        work_dir: None for that of the config, or work_dirs/ and the config's name.
        resume: go on from the latest checkpoint of the work dir.
        amp: automatic mixed precision.
        auto_scale_lr: scale the learning rate from the config's base batch size to the one of this training.
        seed: of weights and data order, None for the config's, or a random one.
        launcher: none, pytorch, slurm or mpi.
        cfg_options: dotted keys and values that override the config.

    Returns:
        mAP (0..1), the metrics of the last evaluation (and of `test` where the data has it), the work dir and the
        checkpoint; None in every process but the first.

    Raises:
        InputError: something that was given cannot be used.
        TrainingFailedError: a loss, a weight or a predicted box is not finite.
    """
    config = prepared(detector, losses, scale, centerness_target, data, backbone, cfg_options)
    keep = {"type": portable.PortableConfig.__name__}
    config.custom_hooks = [*(hook for hook in config.get("custom_hooks") or [] if hook != keep), keep]
    config.work_dir = work_dir or config.get("work_dir") or str(Path("work_dirs") / Path(detector).stem)
    _begin(config, resume)
    _set_machine(config, launcher, amp, auto_scale_lr)
    _check_sockets(config)
    if seed is not None:
        config.randomness = {**config.get("randomness", {}), "seed": seed}
    watch = Watch(strict=config.optim_wrapper.get("type") != "AmpOptimWrapper")
    try:
        with checkpoints.weights_only():
            runner = _runner(config, detector)
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            check_weights(config, model, backbone)
            runner.register_hook(watch)
            _run(runner.train)
            if resume and not watch.metrics:  # killed between its last checkpoint and its scores
                _run(runner.val)
            found = {"detector": detector, **_scores(watch.metrics), "loss": watch.loss, "work_dir": config.work_dir}
            saved = (Path(config.work_dir) / "last_checkpoint").is_file()
            found["checkpoint"] = checkpoints.latest(config.work_dir) if saved else None
            if data is not None and _has_test(config):
                found["test"] = _scores(_run(runner.test))
        return found if runner.rank == 0 else None
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def prepared(
    detector: str,
    losses: Mapping[str, Mapping[str, Any]],
    scale: Collection[str] = (),
    centerness_target: str | None = None,
    data: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    cfg_options: Mapping[str, object] | None = None,
) -> Config:
    """The config of a training, but for where and how it runs; arguments and errors as of `train`."""
    found = None if data is None else splits(data)  # before a detector is built, which takes long
    if found is not None and _is_first():
        say(found, data)
    config = load(detector, cfg_options)
    if found is None and not is_stock(detector):
        look_beside(config, places.around(config.filename))
    before = [head.get("num_classes") for head in box_heads(config)]
    classes = _own_data(config, detector) if found is None else _put_data(config, found)
    if classes:
        set_classes(config.model, len(classes))
    if classes and any(count not in (None, len(classes)) for count in before):
        _say(f"classes: {len(classes)}, those of the data, in place of {before[0]} in {detector}")
    if backbone is not None:
        _say(begin_with(config, backbone))
    put_losses(config, scaled(config, losses, scale), centerness_target)
    return config


def _own_data(config: Config, detector: str) -> tuple[str, ...]:
    """Refuses data of the config that is not there; gives its classes."""
    for loader in ("train_dataloader", "val_dataloader"):
        for dataset in leaves(config[loader]["dataset"]):
            for path in files_of(dataset):
                if "://" not in path and not Path(path).exists():
                    looked = "" if is_stock(detector) or Path(path).is_absolute() else _looked(config.filename)
                    raise InputError(
                        f"no {path}, which {loader} of {detector} names{looked}; put it there, or give --data"
                    )
    return classes_of(config.train_dataloader.dataset)


def _looked(file: str) -> str:
    return f", neither beside the config in {Path(file).absolute().parent} nor in the working directory {Path.cwd()}"


def _put_data(config: Config, found: Mapping[str, CocoSource]) -> tuple[str, ...]:
    """Puts other data in place of the config's; gives its classes."""
    check_outlines(config.train_dataloader.dataset, found["train"])
    for part, split in (("train", "train"), ("val", "val"), ("test", "test" if "test" in found else "val")):
        loader, evaluator = f"{part}_dataloader", f"{part}_evaluator"
        if part == split == "test" and not config.get(loader):  # then as val
            config[loader], config[evaluator] = copy.deepcopy((config.val_dataloader, config.get("val_evaluator")))
            config.test_cfg = config.get("test_cfg") or {"type": "TestLoop"}
        if config.get(loader):
            config[loader]["dataset"] = placed(config[loader]["dataset"], found[split])
            if config.get(evaluator):
                config[evaluator] = metric_on(config[evaluator], found[split])
    return found["train"].classes


def _has_test(config: Config) -> bool:
    """Whether there are images to test on beside those of val."""
    val, test = (config.get(f"{part}_dataloader") for part in ("val", "test"))
    return bool(test) and next(leaves(test["dataset"]))["ann_file"] != next(leaves(val["dataset"]))["ann_file"]


def _begin(config: Config, resume: bool) -> None:
    last = Path(config.work_dir) / "last_checkpoint"
    if resume:
        config.resume, config.load_from = True, checkpoints.latest(config.work_dir)
        forget_pretrained(config.model)  # the checkpoint has every weight
    elif last.is_file():
        name = Path(last.read_text(errors="backslashreplace").strip()).name
        raise InputError(
            f"{config.work_dir} holds a training ({name}); go on with it by --resume, or name another folder by "
            "--work-dir"
        )


def _set_machine(config: Config, launcher: str, amp: bool, auto_scale_lr: bool) -> None:
    cpu = get_device() == "cpu"
    if amp and cpu:
        raise InputError("--amp needs a GPU, and this machine has none that PyTorch can use")
    if amp:
        config.optim_wrapper.type, config.optim_wrapper.loss_scale = "AmpOptimWrapper", "dynamic"
    if auto_scale_lr:
        if "base_batch_size" not in (config.get("auto_scale_lr") or {}):
            raise InputError("--auto-scale-lr needs auto_scale_lr.base_batch_size in the detector's config")
        config.auto_scale_lr.enable = True
    if launcher not in _LAUNCHERS:
        raise InputError(f"unknown --launcher {launcher!r}; choices: {', '.join(_LAUNCHERS)}")
    config.launcher = launcher
    started_by, variable = _LAUNCHERS[launcher]
    if variable and variable not in os.environ:
        raise InputError(f"--launcher {launcher} is for processes that {started_by} starts: {variable} is not set")
    if launcher != "none" and cpu:
        _join_on_cpu(config, launcher)


def _check_sockets(config: Config) -> None:
    """Loaders with workers send images by sockets; where these have too long paths nothing ever comes, in silence."""
    loaders = [config.get(f"{name}_dataloader") or {} for name in ("train", "val", "test")]
    if any(loader.get("num_workers") for loader in loaders) and len(folder := util.get_temp_dir()) > _LONGEST:
        raise InputError(
            f"data loaders with workers need sockets in {printable(folder)}, a longer path than they can have: set "
            "TMPDIR to a shorter one, or num_workers of the dataloaders to 0"
        )


def _join_on_cpu(config: Config, launcher: str) -> None:
    """mmengine joins processes by their GPUs; on the CPU gloo joins them before it tries."""
    if launcher != "pytorch":
        raise InputError(f"--launcher {launcher} needs a GPU for every process; on the CPU take torchrun and pytorch")
    torch.distributed.init_process_group("gloo")
    config.model_wrapper_cfg = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": config.get("find_unused_parameters", False),
        **(config.get("model_wrapper_cfg") or {}),
        "device_ids": None,
    }


def _runner(config: Config, detector: str) -> Runner:
    """The Runner with its data, which are built before the first weight is asked for.

    Raises:
        InputError: the model or the data cannot be built.
    """
    _forget_visualizer(config)
    try:
        runner = Runner.from_cfg(config)
    except _WRONG as error:
        raise InputError(f"{detector}: mmengine cannot build it: {one_line(error)}") from None
    try:
        loops = runner.train_loop, runner.val_loop
    except _WRONG as error:
        if "at least one array" in str(error):  # what joins the images finds none
            raise _no_image(detector) from None
        raise InputError(
            f"{detector}: its data cannot be used: {one_line(error)}; "
            "autoloss data check FILE --images FOLDER says more"
        ) from None
    if not all(len(loop.dataloader) for loop in loops):
        raise _no_image(detector)
    return runner


def _forget_visualizer(config: Config) -> None:
    """mmengine keeps the first visualizer of a name for ever, and with it the folder of another training."""
    from mmdet.registry import VISUALIZERS

    visualizer = config.get("visualizer") or {}
    kind = VISUALIZERS.get(str(visualizer.get("type")))
    if kind is not None:
        kind._instance_dict.pop(visualizer.get("name"), None)


def _no_image(detector: str) -> InputError:
    return InputError(
        f"{detector}: its data has no image with a box of its classes; metainfo.classes must be names of the categories"
    )


def check_weights(config: Config, model: Any, backbone: str | None) -> None:
    """Refuses weights that cannot be had or do not fit, before anything is trained.

    Args:
        config: of the training.
        model: that it trains.
        backbone: as of `train_detector`.
    """
    for part in pretrained(config.model):
        checkpoints.read(part["checkpoint"])
    if backbone is not None and backbone != SCRATCH:
        checkpoints.check_backbone(backbone, model.backbone)
    if config.get("load_from"):
        checkpoints.check_detector(config.load_from, model, len(classes_of(config.train_dataloader.dataset)))


def _run(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except InputError:
        raise
    except (torch.OutOfMemoryError, MemoryError):
        raise InputError(_MEMORY) from None
    except TrainingFailedError as error:
        raise InputError(f"the training ended: {error}; what was saved before stays in the work dir") from None
    except RuntimeError as error:
        if "DefaultCPUAllocator" in str(error):
            raise InputError(_MEMORY) from None
        raise
    except OSError as error:
        raise InputError(f"the training ended: {one_line(error)}") from None
    except _WRONG as error:  # of what the config builds and sets: it is any Python
        _log.debug("the training ended", exc_info=True)
        raise InputError(f"the training ended: {type(error).__name__} at {_place(error)}: {one_line(error)}") from None


def _scores(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """mAP of boxes, and all metrics as plain numbers."""
    plain = {
        name.rpartition("/")[2]: float(value) for name, value in metrics.items() if isinstance(value, (int, float))
    }
    return {"mAP": plain.get("bbox_mAP", plain.get("mAP")), "metrics": plain}


def _is_first() -> bool:
    """Whether this is the first of the processes that a launcher started, or the only one."""
    ranks = (os.environ.get(name, "0") for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"))
    return all(rank == "0" for rank in ranks)


def _say(text: str) -> None:
    if _is_first():
        _log.warning("%s", text)


def _place(error: BaseException) -> str:
    """File and line that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"
