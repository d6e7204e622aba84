"""Checkpoints: read without running code that they may hold, and compared with the detector before they are used.

PyTorch's own switch, TORCH_FORCE_WEIGHTS_ONLY_LOAD, makes every torch.load of the process refuse a file with more than
weights and plain values, those of mmengine and of its downloads too, which otherwise fall back to running it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader, find_latest_checkpoint

from detectors.data.cache import cache_folder, once
from primitives.errors import InputError

_COPY = "weights.pth"
_SWITCH = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


@contextlib.contextmanager
def weights_only() -> Iterator[None]:
    """While it lasts, no checkpoint runs code."""
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before


OF_TRAIN = "give a local file of these weights by --backbone FILE, or train without them by --backbone scratch"
OF_SEARCH = (
    "name a local file of these weights: --cfg-options "
    "search.evaluator.cfg_options.model.backbone.init_cfg.checkpoint=FILE"
)


def read(name: str, remedy: str = OF_TRAIN) -> Mapping[str, Any]:
    """A checkpoint on the CPU.

    Args:
        name: path, URL, or a name that mmengine knows, such as torchvision://resnet50, which is downloaded once.
        remedy: what to do where it cannot be downloaded.

    Raises:
        InputError: no such file, it cannot be downloaded, it is damaged, or it holds more than weights.
    """
    remote = "://" in name
    if not remote:
        _check_whole(Path(name))
    try:
        with weights_only():
            found = CheckpointLoader.load_checkpoint(name, map_location="cpu")
    except UnpicklingError as error:
        raise InputError(f"{name}: no checkpoint of weights and plain values alone: {_line(error)}") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file makes of the reader
        if remote:
            raise InputError(f"cannot download {name} ({_line(error)}); {remedy}") from None
        what = "no checkpoint at" if not Path(name).is_file() else "cannot read the checkpoint"
        raise InputError(f"{what} {name!r}: {_line(error)}") from None
    if not isinstance(found, Mapping):
        raise InputError(f"{name}: a checkpoint holds weights by name, this holds a {type(found).__name__}")
    return found


def _check_whole(file: Path) -> None:
    """Refuses a file whose parts are not what was written: PyTorch does not compare their checksums."""
    if not zipfile.is_zipfile(file):
        return  # of an older PyTorch, without checksums
    try:
        with zipfile.ZipFile(file) as parts:
            wrong = parts.testzip()
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        wrong = _line(error)
    if wrong:
        raise InputError(f"{file} is damaged ({wrong}); put back a copy of it, or name another checkpoint")


def weights(found: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint by name; they may lie under `state_dict` or `model`."""
    inside = next((found[key] for key in ("state_dict", "model") if isinstance(found.get(key), Mapping)), found)
    named = {name.removeprefix("module."): value for name, value in inside.items()}
    return {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}


def loadable(name: str, found: Mapping[str, Any]) -> str:
    """A file with the weights of a checkpoint where mmengine looks for them: not under `model`, without `module.`.

    Args:
        name: of the checkpoint.
        found: what it holds.

    Returns:
        The checkpoint, or a copy in the cache; of one that is no file here the checkpoint.
    """
    if not Path(name).is_file() or _is_loadable(found):
        return name
    named, about = weights(found), Path(name).stat()
    facts = f"{Path(name).absolute()} {about.st_size} {about.st_mtime_ns}"
    place = cache_folder() / f"weights-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    return str(once(place, lambda fresh: torch.save({"state_dict": named}, fresh / _COPY)) / _COPY)


def _is_loadable(found: Mapping[str, Any]) -> bool:
    inside = found["state_dict"] if isinstance(found.get("state_dict"), Mapping) else found
    return weights(found).keys() <= inside.keys()


def latest(work_dir: str) -> str:
    """The checkpoint that a training in a folder goes on from.

    Raises:
        InputError: there is none.
    """
    try:
        found = find_latest_checkpoint(work_dir) if (Path(work_dir) / "last_checkpoint").is_file() else None
    except (OSError, UnicodeError) as error:
        raise InputError(f"--resume: cannot read {work_dir}/last_checkpoint: {_line(error)}") from None
    if found is None:
        raise InputError(
            f"--resume: nothing to resume in {work_dir}: it has no checkpoint; leave out --resume to begin"
        )
    if not Path(found).is_file():  # the folder may have been moved
        here = Path(work_dir) / Path(found).name
        if not here.is_file():
            raise InputError(f"--resume: {work_dir}/last_checkpoint names {found}, which is not there")
        return str(here)
    return found


def check_detector(name: str, model: torch.nn.Module, classes: int) -> None:
    """Refuses a checkpoint of a detector with heads of another size, which mmengine would leave out in silence.

    Args:
        name: as of `read`.
        model: that it will be loaded into.
        classes: that the data has.

    Raises:
        InputError: the number of classes or the shape of a weight is another.
    """
    found = read(name)
    if not isinstance(found.get("state_dict"), Mapping) and isinstance(found.get("model"), Mapping):
        raise InputError(f"{name}: its weights lie under `model`, where mmengine does not look, not under `state_dict`")
    ours, theirs = model.state_dict(), weights(found)
    others = [key for key in ours if key in theirs and ours[key].shape != theirs[key].shape]
    if not others:
        if not ours.keys() & theirs.keys():
            raise InputError(f"{name}: none of its weights belongs to this detector, first {next(iter(theirs), '')!r}")
        return
    trained = (((found.get("meta") or {}).get("dataset_meta") or {}).get("classes")) or ()
    first = others[0]
    counts = f"has {len(trained)} classes, the data {classes}" if trained else f"is not for {classes} classes"
    raise InputError(
        f"{name} {counts}: {first} is {_shape(theirs[first])} there and {_shape(ours[first])} here; give data with its "
        f"classes, or take its backbone alone by --backbone {name}"
    )


def check_backbone(name: str, backbone: torch.nn.Module) -> None:
    """Refuses a file that does not hold every weight of a backbone.

    Args:
        name: as of `read`; of a backbone, a classifier, or a detector, whose backbone is meant.
        backbone: that it will be loaded into.

    Raises:
        InputError: weights are missing or have another shape.
    """
    theirs = weights(read(name))
    begin = prefix(theirs)
    wanted = {key: value for key, value in backbone.state_dict().items() if not key.endswith("num_batches_tracked")}
    missing = [key for key in wanted if begin + key not in theirs]
    if missing:
        raise InputError(
            f"--backbone {name} lacks {len(missing)} of the {len(wanted)} weights of the config's "
            f"{type(backbone).__name__}, first {missing[0]!r}; give a file of that backbone, or scratch"
        )
    for key, value in wanted.items():
        if value.shape != theirs[begin + key].shape:
            shapes = (
                f"{_shape(theirs[begin + key])} there and {_shape(value)} in the config's {type(backbone).__name__}"
            )
            raise InputError(f"--backbone {name}: {key} is {shapes}; give a file of that backbone, or scratch")


def prefix(names: Mapping[str, Any]) -> str:
    """What the names of a backbone's weights begin with in a checkpoint."""
    return "backbone." if any(name.startswith("backbone.") for name in names) else ""


def _shape(value: torch.Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one number"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
