"""Records the small seeded search in tests/golden/search.json: run it when a change is meant to change searches."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from autoloss.config import from_mapping
from autoloss.search.loop import discover
from autoloss.store.run import Run
from tests.helpers.small import section


def record() -> list[dict[str, Any]]:
    """Candidates and scores of the small search."""
    settings = from_mapping(section())
    with tempfile.TemporaryDirectory() as folder, Run.create(Path(folder) / "run", settings.identity()) as run:
        discover(settings, run)
        evaluations = run.evaluations()
        return [
            {
                "origin": str(candidate.origin),
                "losses": {slot: str(loss.expression) for slot, loss in candidate.losses.items()},
                "weights": {slot: round(loss.loss_weight, 4) for slot, loss in candidate.losses.items()},
                "scores": {
                    f"{e.rung} {e.seed}": round(e.score, 3)
                    for e in evaluations
                    if e.candidate == candidate.number and e.score is not None
                },
            }
            for candidate in run.candidates()
        ]


if __name__ == "__main__":
    golden = Path(__file__).parents[1] / "golden"
    (golden / "search.json").write_text(json.dumps(record(), indent=1) + "\n")
