"""A small search that is audited, with the fast evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoloss.audit.measure import measure
from autoloss.audit.plan import Plan, planned
from autoloss.audit.verdict import Audit, analysed
from autoloss.config import from_mapping
from autoloss.search.loop import discover
from autoloss.search.progress import Watcher
from autoloss.settings import Settings
from autoloss.store.run import Run
from tests.helpers.small import section

IMAGES: dict[str, Any] = {"type": "tests.helpers.fast_evaluator:ImagesEvaluator", "noise": 0.01}
HERE = {"workers": 1, "isolate": False}


def searched(directory: Path, **changes: Any) -> Path:
    """The directory of a search that is done: one generation of two."""
    settings = from_mapping(section(**{"evaluator": IMAGES, "generations": 1, "births": 2, **changes}))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run)
    return directory


def plan_of(directory: Path, **options: Any) -> Plan:
    with Run.open(directory) as run:
        return planned(run, **{"seeds": 5, "workers": HERE, **options})


@contextmanager
def unseen(_: Settings) -> Iterator[Watcher]:
    yield lambda _: None


def audited(directory: Path, out: Path, **options: Any) -> Audit:
    measure(plan_of(directory, **options), out, unseen)
    return analysed(out)
