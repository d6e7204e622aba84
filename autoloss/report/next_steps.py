"""Next steps: commands for a shell, with which a person goes on from a search that ended."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autoloss.config import parsed
from autoloss.evaluator import BESIDE, EVALUATORS
from autoloss.report.leaderboard import Leaderboard
from primitives.errors import InputError
from primitives.system import places
from primitives.text.markup import slug

_SPLITS = {"val": "val-", "test": "test-"}
_OF_DIGITS = {"type", "train", "val", "test", "seed", "long_tail", "label_noise", "box_noise", "missing"}
_OF_COCO = {"type", "train", "val", "test", "group_by"}
"""What of a description commands have options for; of data with more, no command would train on the same."""


def commands(found: Leaderboard) -> list[str]:
    """Exporting, auditing, showing and training what is recommended; where nothing is, showing the run."""
    run = shlex.quote(found.run)
    show = [f"autoloss show {run}", f"autoloss show {run} --json > leaderboard.json"]
    picked = found.picks()
    if not picked:
        return show
    if "test" not in found.trained:  # else the evaluator says what it takes for the test split that the data lacks
        show = [f"autoloss audit {run}", *show]
    number = picked[0].candidate.number
    chosen = f"--candidate {number}"
    detector = _detector(found)
    fitted = found.settings.first_evaluator.get("size")
    if detector and fitted:  # the export has the detector as it was fitted, and the data
        folder = f"exports/{slug(Path(found.run).name)}_{number}"
        export = f"autoloss export {run} {chosen} --out {folder}"
        return [export, *show, f"autoloss train {folder}/config.py"]
    command = found.settings.first_evaluator.get("type") == EVALUATORS["command"]
    to = "" if detector else " --to command" if command else " --to torch"
    return [f"autoloss export {run} {chosen}{to}", *show, *_training(found, detector, f"--run {run} {chosen}")]


def detections(found: Leaderboard) -> str:
    """Showing what the detectors of the best found and the own loss see."""
    return f"autoloss report {shlex.quote(found.run)} --detections"


def _detector(found: Leaderboard) -> str:
    """The config of the run's detector, where this folder finds it; empty where the evaluator trains none."""
    spec = found.settings.first_evaluator
    written = spec.get("detector")
    if spec.get("type") != EVALUATORS["detector"] or not isinstance(written, str):
        return ""
    if "::" in written and not written.startswith(places.TOOLKIT):
        return written
    try:
        return str(places.find(written, "detector config", found.trained.get(BESIDE, ()), "detectors"))
    except InputError:
        return written


def _training(found: Leaderboard, detector: str, losses: str) -> list[str]:
    """The commands that train the detector of a run on its data; none where they cannot be said."""
    spec = found.settings.first_evaluator
    data, options = spec.get("data"), _changes(spec.get("cfg_options") or {})
    if not detector or options is None:
        return []
    centerness = " --centerness-iou" if spec.get("centerness_target") == "iou" else ""
    train = f"autoloss train {shlex.quote(detector)} {losses}{centerness}{options}"
    if isinstance(data, str):
        return [f"{train} --data {shlex.quote(data)}"]
    if isinstance(data, Mapping) and data.get("type") == "digits" and data.keys() <= _OF_DIGITS:
        size = "".join(
            f" --{key.replace('_', '-')} {shlex.quote(str(value))}" for key, value in data.items() if key != "type"
        )
        parts = {one: {"annotations": f"digits/{one}.json", "images": f"digits/{one}"} for one in ("train", "val")}
        return [f"autoloss data digits --out digits{size}", f"{train}{_options(parts)}"]
    if isinstance(data, Mapping) and data.get("type") == "coco" and data.keys() <= _OF_COCO:
        groups = data.get("group_by")
        return [f"{train}{_options(data)}{'' if groups is None else f' --group-by {shlex.quote(str(groups))}'}"]
    return []


def _changes(options: Mapping[str, Any]) -> str | None:
    """What changes the detector's config as options of a command; None where no text says one of the values."""
    flat = dict(_flat(options))
    words = [f"{key}={value}" for key, value in flat.items()]
    if parsed(words, "") != flat:
        return None
    return "".join(f" --cfg-options {shlex.quote(word)}" for word in words)


def _flat(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted keys."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _options(data: Mapping[str, Any]) -> str:
    """Data as options of a command."""
    words = []
    for split, option in {"train": "", **_SPLITS}.items():
        part = data.get(split) or {}
        for key, name in (("annotations", "data"), ("images", "images")):
            if part.get(key):
                words.append(f" --{option}{name} {shlex.quote(str(part[key]))}")
    return "".join(words)
