"""Data config: what a config says of data and classes, and other data in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors.data.coco import CocoSource
from primitives.errors import InputError

_USUAL_SAMPLERS = ("None", "DefaultSampler", "InfiniteSampler", "AspectRatioBatchSampler")


def leaves(dataset: Any) -> Iterator[Any]:
    """The data sets that read files; others may wrap or join them."""
    return (one for one, _ in times(dataset))


def times(dataset: Any) -> Iterator[tuple[Any, int]]:
    """The same, with how often an epoch goes through each."""
    if "dataset" in dataset:
        yield from ((one, often * int(dataset.get("times", 1))) for one, often in times(dataset["dataset"]))
    elif "datasets" in dataset:
        for part in dataset["datasets"]:
            yield from times(part)
    else:
        yield dataset, 1


def left_out(config: Any) -> dict[str, list[str]]:
    """What a search trains without: the hooks of a detector's config, and samplers that are not usual."""
    loader = config.train_dataloader
    found = {
        "custom_hooks": [str(hook.get("type")) for hook in config.get("custom_hooks") or []],
        "samplers": [str((loader.get(key) or {}).get("type")) for key in ("sampler", "batch_sampler")],
    }
    found["samplers"] = [kind for kind in found["samplers"] if kind not in _USUAL_SAMPLERS]
    return {what: kinds for what, kinds in found.items() if kinds}


def files_of(dataset: Any) -> Iterator[str]:
    """The annotations and the folder of the images that a data set of a config names."""
    root = str(dataset.get("data_root") or "")
    for name in (dataset.get("ann_file"), (dataset.get("data_prefix") or {}).get("img")):
        if name:
            yield str(name) if "://" in str(name) else str(Path(root) / name)


def look_beside(config: Any, folders: Sequence[str | Path]) -> None:
    """Lets data sets and metrics whose relative paths stand in one of the folders read them there.

    Args:
        config: of a detector; it is changed.
        folders: those around its file, which come before the working directory.
    """
    for part in ("train", "val", "test"):
        loader, metrics = config.get(f"{part}_dataloader"), config.get(f"{part}_evaluator") or []
        for dataset in leaves(loader["dataset"]) if loader else ():
            for folder in _holding(list(files_of(dataset)), folders):
                dataset["data_root"] = str(folder / str(dataset.get("data_root") or ""))
        several: list[Any] = [metrics] if isinstance(metrics, dict) else list(metrics)
        for metric in several:
            for folder in _holding([str(metric.get("ann_file") or "")], folders):
                metric["ann_file"] = str(folder / metric["ann_file"])


def _holding(files: Sequence[str], folders: Sequence[str | Path]) -> list[Path]:
    """The first folder that has the first of some relative paths, in a list; empty where none has."""
    first = next(iter(files), "")
    if not first or "://" in first or Path(first).is_absolute():
        return []
    return [Path(folder) for folder in folders if (Path(folder) / first).exists()][:1]


def placed(dataset: Any, source: CocoSource, **changes: Any) -> dict[str, Any]:
    """A data set with its wrappers and transforms, on other data.

    Args:
        dataset: of a config.
        source: takes the place of its files; of several that are joined, of all.
        changes: of its other arguments.
    """
    if "dataset" in dataset:
        return {**dataset, "dataset": placed(dataset["dataset"], source, **changes)}
    if "datasets" in dataset:
        return placed(dataset["datasets"][0], source, **changes)
    return {
        "type": "CocoDataset",
        "ann_file": str(source.annotations if has_masks(dataset) else source.boxes),
        "data_prefix": {"img": str(source.images)},
        "metainfo": {"classes": source.classes},
        "pipeline": dataset["pipeline"],
        "test_mode": dataset.get("test_mode", False),
        "filter_cfg": dataset.get("filter_cfg"),
        **changes,
    }


def has_masks(part: Any) -> bool:
    """Whether a transform anywhere in a data set reads outlines."""
    if isinstance(part, dict):
        return bool(part.get("with_mask")) or any(map(has_masks, part.values()))
    return isinstance(part, (list, tuple)) and any(map(has_masks, part))


def check_outlines(dataset: Any, source: CocoSource) -> None:
    """Refuses boxes alone where a detector learns outlines too.

    Raises:
        InputError: an object has none.
    """
    if not has_masks(dataset):
        return
    for entry in json.loads(source.annotations.read_text())["annotations"]:
        if not entry.get("segmentation"):
            raise InputError(
                f"the detector trains on outlines (masks): annotation {entry['id']} of {source.name} has no "
                "'segmentation'; give data with outlines, or a detector without masks"
            )


def classes_of(dataset: Any) -> tuple[str, ...]:
    """The classes that the data set of a config has: those it names, or those of its kind; none where neither is."""
    from mmdet.registry import DATASETS

    dataset = next(leaves(dataset))
    named = (dataset.get("metainfo") or {}).get("classes")
    kind = DATASETS.get(dataset["type"]) if isinstance(dataset.get("type"), str) else dataset.get("type")
    found = named or getattr(kind, "METAINFO", {}).get("classes") or ()
    return (found,) if isinstance(found, str) else tuple(found)


def set_classes(part: Any, count: int) -> None:
    """Sets `num_classes` in every head but the RPN, which tells objects from background."""
    if isinstance(part, dict):
        if "num_classes" in part and part.get("type") != "RPNHead":
            part["num_classes"] = count
        for value in part.values():
            set_classes(value, count)
    elif isinstance(part, (list, tuple)):
        for value in part:
            set_classes(value, count)


_OF_METRIC = ("classwise", "proposal_nums", "iou_thrs", "metric_items")
"""What a config says of the metric that is of any data."""


def metric_on(evaluator: Any, source: CocoSource) -> dict[str, Any]:
    """mmdetection's COCO metric on other data, of boxes, and of outlines where the config asks for them."""
    every = [evaluator] if isinstance(evaluator, Mapping) else evaluator or []
    metric = next((one for one in every if one.get("type") == "CocoMetric"), {})
    asked = metric.get("metric", "bbox")
    outlines = "segm" in ([asked] if isinstance(asked, str) else asked)
    return {
        "type": "CocoMetric",
        "ann_file": str(source.annotations if outlines else source.boxes),
        "metric": ["bbox", "segm"] if outlines else "bbox",
        **{key: metric[key] for key in _OF_METRIC if key in metric},
    }
