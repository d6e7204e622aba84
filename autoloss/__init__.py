"""The engine: gates, variation, search, ladder, run store and the command line.

In Python: `autoloss.loss("1 - i/u")` and `autoloss.open_run("runs/digits_fcos")`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # at run time they come when they are asked for, with PyTorch
    from autoloss.notebook.formula import loss
    from autoloss.notebook.runs import open_run

__version__ = "0.1.0"
__all__ = ["__version__", "loss", "open_run"]

_HOMES = {"loss": "autoloss.notebook.formula", "open_run": "autoloss.notebook.runs"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
