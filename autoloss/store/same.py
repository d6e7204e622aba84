"""Same: whether what is trained now is what a run was begun with."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primitives.errors import InputError
from primitives.text.printable import printable

_WHAT = ("own losses", "classes", "images")
"""What of a description scores are comparable by, where an evaluator tells it."""


def check_same(directory: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses to go on where a path leads to another detector or other data than before.

    Args:
        directory: of the run.
        before: what it says it trains.
        now: what the evaluator says.

    Raises:
        InputError: the first difference.
    """
    now = json.loads(json.dumps(now))  # that is how a run has it
    each = enumerate(zip(before.get("evaluators", ()), now.get("evaluators", ()), strict=False))
    setups = [("", before, now), *((f" for search.evaluators.{place}", *pair) for place, pair in each)]
    for (where, old, new), key in itertools.product(setups, _WHAT):
        if key in old and key in new and old[key] != new[key]:
            raise InputError(
                f"{directory} was begun with other {key}{where}: {_shown(old[key])} there, {_shown(new[key])} now; put "
                "back what was trained, or name another directory"
            )


def _shown(value: object) -> str:
    return printable(json.dumps(value, ensure_ascii=False), 200)
