"""Measure: what trainings, features and heads cost, from a few real iterations and images at two sizes.

What is timed is what a search calls: `train` and `trained`, and `write`, `read` and `evaluate` of frozen features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from detectors.data.cache import cache_folder
from detectors.data.coco import CocoSource
from detectors.frozen import rung as frozen
from detectors.frozen.extraction import Scenes, plain
from detectors.training.short import clock, train_briefly, trained

_MOST_IMAGES = 128
"""Images whose features are computed to be measured."""


@dataclass(frozen=True)
class _Timed:
    """A training and its evaluation: seconds before and after, of all iterations, and of all images."""

    iterations: int
    images: int
    fixed: float
    trained: float
    evaluated: float

    @property
    def iteration(self) -> float:
        return self.trained / self.iterations

    @property
    def image(self) -> float:
        return self.evaluated / self.images


def training(configured: Callable[[int], Config], iterations: int, images: int, seconds: float) -> dict[str, float]:
    """A training by mmengine's Runner.

    Args:
        configured: config of a training of so many iterations.
        iterations: of the training that is asked about.
        images: of its evaluation.
        seconds: to spend; three short trainings take place however long they take.

    Returns:
        `iterations`, and seconds: `fixed`, of an `iteration`, and to `evaluate`.
    """
    small = _small(configured, images)
    count = _fitting(0.6 * seconds, small.iteration, 3, iterations)
    large = _run(configured(count), count, _fitting(0.3 * seconds, small.image, 4, images))
    between = (large.evaluated - small.evaluated) / max(1, large.images - small.images)
    each = min(max(between, 0.0), large.image)
    return {
        "iterations": iterations,
        "fixed": (small.fixed + large.fixed) / 2,
        "iteration": large.iteration,
        "evaluate": large.evaluated + each * (images - large.images),
    }


def features(
    configured: Callable[[int], Config],
    iterations: int,
    wanted: tuple[int, int],
    seconds: float,
    file: Path,
    device: str = "cpu",
) -> dict[str, float]:
    """Frozen features: pretraining, extraction, and what is kept; those of a few images are left in a file.

    Args:
        configured: config of a pretraining of so many iterations.
        iterations: of the pretraining that is asked about.
        wanted: images to train on and to evaluate that it takes.
        seconds: to spend, as of `training`.
        file: to write.
        device: where heads are to train.

    Returns:
        As of `training`, with extraction as `evaluate`; seconds to `load` them, `bytes` kept, and `memory_more`:
        bytes that they need beside what was held here.
    """
    small = _small(configured, wanted[1])
    count = _fitting(0.5 * seconds, small.iteration, 3, iterations)
    config = configured(count)
    begin = clock()
    model = trained(config)
    iteration = max(clock() - begin - small.fixed, 0.0) / count

    def write(train_images: int, evaluated: int) -> float:
        begin = clock()
        frozen.write(file, model, config, (train_images, evaluated), 0)
        return clock() - begin

    few = min(8, wanted[0])
    write(few, 1)
    first = write(few, 1)
    many = _fitting(0.2 * seconds, first / (few + 1), few, min(wanted[0], _MOST_IMAGES))
    scenes = min(many, wanted[1])
    second, whole = write(many, 1), write(many, scenes)
    train_image = max(second - first, 0.0) / max(1, many - few)
    scene = max(whole - second, 0.0) / max(1, scenes - 1)
    begin = clock()
    found = frozen.read(file, config, "", device)
    load = clock() - begin
    samples = _nbytes(plain(found.training).values())
    maps = sum(_nbytes(plain(group).values()) for group in found.scenes)
    more = samples * (wanted[0] / many - 1) + maps * (wanted[1] / scenes - 1)
    return {
        "iterations": iterations,
        "fixed": small.fixed,
        "iteration": iteration,
        "evaluate": whole + train_image * (wanted[0] - many) + scene * (wanted[1] - scenes),
        "load": load + more * _seconds_per_byte(found.training.x, file.with_suffix(".rate")),
        "bytes": file.stat().st_size + more,
        "memory_more": more if "cuda" in device else 2 * more,  # they are put together in the machine's memory
    }


def heads(
    found: frozen.Frozen,
    evaluate: Callable[[frozen.Frozen, int], object],
    iterations: int,
    images: int,
    seconds: float,
) -> dict[str, float]:
    """Heads on frozen features, side by side.

    Args:
        found: features of a few images.
        evaluate: trains the heads for so many iterations, and scores them.
        iterations: that are asked about.
        images: that they are scored on.
        seconds: to spend, as of `training`.

    Returns:
        As of `training`.
    """
    several = sum(len(group.image) for group in found.scenes)
    few = replace(found, scenes=_first(found.scenes, 2))

    def timed(on: frozen.Frozen, count: int) -> float:
        begin = clock()
        evaluate(on, count)
        return clock() - begin

    timed(found, 1)
    least = min(2, iterations)
    small, more = timed(few, least), timed(few, least + 4)
    count = max(least + 1, _fitting(0.4 * seconds, max(more - small, 0.0) / 4, 3, iterations))
    long, whole = timed(few, count), timed(found, count)
    iteration = max(long - small, 0.0) / (count - least)
    image = max(whole - long, 0.0) / max(1, several - 2)
    return {
        "iterations": iterations,
        "fixed": max(small - least * iteration - 2 * image, 0.0),
        "iteration": iteration,
        "evaluate": image * images,
    }


def prepared_bytes(sources: Mapping[str, CocoSource]) -> int:
    """Bytes of the prepared data in the cache, without what lies elsewhere."""
    cache = cache_folder().absolute()
    places = {path.absolute() for source in sources.values() for path in (source.annotations, source.images)}
    inside = {cache / path.relative_to(cache).parts[0] for path in places if path.is_relative_to(cache)}
    return sum(file.stat().st_size for folder in inside for file in folder.rglob("*") if file.is_file())


def _small(configured: Callable[[int], Config], images: int) -> _Timed:
    """A training of two iterations, after one that takes what a process does once."""
    _run(configured(1), 1, 1)
    return _run(configured(2), 2, min(2, images))


def _run(config: Config, iterations: int, images: int) -> _Timed:
    """Trains, and evaluates the first images."""
    config.val_dataloader.dataset.indices = images
    begin = clock()
    metrics = train_briefly(config)
    whole = clock() - begin
    spent = metrics["seconds_train"] + metrics["seconds_eval"]
    return _Timed(iterations, images, whole - spent, metrics["seconds_train"], metrics["seconds_eval"])


def _fitting(seconds: float, each: float, least: int, most: int) -> int:
    """How many fit into a time, within bounds."""
    return min(most, max(least, int(seconds / max(each, 1e-6))))


def _first(scenes: Sequence[Scenes], count: int) -> list[Scenes]:
    """The first images of all."""
    found: list[Scenes] = []
    for group in scenes:
        size = min(count - sum(len(one.image) for one in found), len(group.image))
        if size > 0:
            priors = [prior[:size] if prior.dim() == 3 else prior for prior in group.priors]
            parts = (group.image[:size], group.shape[:size], group.scale[:size], group.there[:size])
            found.append(Scenes([level[:size] for level in group.maps], priors, *parts))
    return found


def _nbytes(values: Iterable[Any]) -> int:
    """Of all tensors among the values, and in lists among them."""
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return sum(one.nbytes for one in flat if torch.is_tensor(one))


def _seconds_per_byte(rows: torch.Tensor, file: Path) -> float:
    """Of reading a large file of such rows."""
    many = rows.cpu().repeat(max(1, 2**26 // max(1, rows.nbytes)), 1)
    torch.save(many, file)
    begin = clock()
    torch.load(file, weights_only=True)
    spent = clock() - begin
    file.unlink()
    return spent / many.nbytes
