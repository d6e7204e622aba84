"""A small pipeline with fast evaluators, which takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from autoloss.pipeline import plan
from autoloss.pipeline.flow import Asked, Flow
from autoloss.pipeline.index import FILE
from autoloss.pipeline.kinds.table import FIGURES
from tests.helpers.searches import INITIAL, facts
from tests.helpers.small import section

HERE = "tests.helpers.fast_evaluator"
STEPS = ["search_bbox", "search_cls", "audit", "train", "export", "report"]
SECTIONS: dict[str, Any] = {
    "search_bbox": {"config": "search.py", "slots": ["loss_bbox"]},
    "search_cls": {"ref": "search_bbox", "slots": ["loss_cls"], "proceed_if": "search_bbox.gain > -1"},
    "audit": {"seeds": 5, "trials": 1},
    "train": {"seeds": 2},
    "export": {"to": ["latex"]},
}


def written(folder: Path, evaluator: str = "ImagesEvaluator", steps: Any = STEPS, **sections: Any) -> Path:
    """The file of a pipeline beside that of its search; sections take the place of those above, None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    search = section(
        evaluator={"type": f"{HERE}:{evaluator}"},
        generations=2,
        births=2,
        init=INITIAL[:1],
        known=[{"loss_cls": "quality_focal"}],
        controls=[{"loss_cls": 2.0}],
        finale={"rung": {"name": "full", "task": {"steps": 8}, "seeds": [2, 3]}, "count": 2},
        variation={"crossover": 0.0},
    )
    (folder / "search.py").write_text(f"search = {search!r}\n")
    given = {name: value for name, value in {**SECTIONS, **sections}.items() if value is not None}
    named = {name: value for name, value in given.items() if name in steps or name in sections}
    lines = [f"pipeline = {steps!r}", *(f"{name} = {value!r}" for name, value in named.items())]
    file = folder / "toy.py"
    file.write_text("\n".join(lines) + "\n")
    return file


def flow(file: Path, folder: Path, **asked: Any) -> Flow:
    """A pipeline in a folder, which tells nobody."""
    pipeline = plan.load(file, figures=FIGURES)
    return Flow(pipeline, folder, Asked(**asked), Console(quiet=True))


def index(folder: Path) -> dict[str, Any]:
    """What the index says, without times."""
    found: dict[str, Any] = json.loads((folder / FILE).read_text())
    for entry in found["steps"].values():
        for name in ("began", "ended", "seconds", "before", "projected"):
            entry.pop(name)
    return found


def left(folder: Path) -> dict[str, Any]:
    """Everything that a pipeline left but for times: its index, its runs, its tables and exports."""
    runs = {str(file.parent.relative_to(folder)): facts(file.parent) for file in folder.rglob("*.sqlite")}
    texts = {str(file.relative_to(folder)): file.read_text() for file in [*folder.glob("train/train.json")]}
    texts |= {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*.tex")}
    texts |= {str(file.relative_to(folder)): file.read_text() for file in folder.glob("*/audit/table.txt")}
    pages = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.html"))
    return {"index": index(folder), "runs": runs, "texts": texts, "pages": pages}


def digits(folder: Path) -> Path:
    """The file of a pipeline like that of digits with wrong labels, of real trainings of a few iterations."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "search.generations": 1,
        "search.births": 3,
        "search.init": INITIAL[:1],
        "search.ladder.0.task": {**_FEW, "kind": "frozen", "pretrain": 10, "images": 30, "evaluate_on": "val"},
        "search.ladder.1.task": {**_FEW, "kind": "frozen", "pretrain": 10, "images": 30, "evaluate_on": "val"},
        "search.finale.rung.task.iterations": 4,
        "search.finale.count": 1,
        "search.evaluator.data": {"type": "digits", "train": 40, "val": 10, "test": 10, "label_noise": 0.3},
    }
    sections: dict[str, Any] = {
        "headroom": {"config": "configs/search/digits_noisy.py", "cfg_options": options, "seeds": 2},
        "search_bbox": {"ref": "headroom", "slots": ["loss_bbox"], "proceed_if": "headroom.spread >= 0"},
        "search_cls": {"ref": "headroom", "slots": ["loss_cls"]},
        "search_both": {"ref": "headroom"},
        "audit": {"seeds": 5, "trials": 1},
        "train": {"iterations": 6, "seeds": 2},
        "export": {"to": ["mmdet", "torch"]},
    }
    lines = [f"pipeline = {[*sections, 'report']!r}", *(f"{name} = {value!r}" for name, value in sections.items())]
    file = folder / "digits.py"
    file.write_text("\n".join(lines) + "\n")
    return file


_FEW = {"iterations": 4}
