"""Table: every kind of step by the name of its command."""

from __future__ import annotations

from collections.abc import Mapping

from autoloss.pipeline.kinds import audit, export, headroom, report, search, train
from autoloss.pipeline.kinds.kind import Kind

KINDS: Mapping[str, Kind] = {
    "headroom": headroom.KIND,
    "search": search.KIND,
    "audit": audit.KIND,
    "train": train.KIND,
    "export": export.KIND,
    "report": report.KIND,
}
FIGURES = {name: tuple(kind.figures) for name, kind in KINDS.items()}
"""Names of the figures that a step of each kind tells."""
