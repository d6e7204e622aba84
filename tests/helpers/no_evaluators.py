"""What a config may name and is no evaluator."""

from __future__ import annotations

from typing import Any

CALLED: list[str] = []


def function(**_: Any) -> None:
    CALLED.append("function")


class Half:
    """A class without the methods of an evaluator."""

    def __init__(self, **_: Any) -> None:
        CALLED.append("Half")

    def prepare(self) -> None:
        """See Evaluator."""
