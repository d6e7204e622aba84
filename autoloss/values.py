"""Values: what a section of a config, and a single setting, may be: a name, a seed, a count, a factor, plain values."""

from __future__ import annotations

import math
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from primitives.text.printable import printable

MOST_SEED = 2**32 - 1
"""What NumPy takes; PyTorch and SQLite take more."""
MOST = 2**31 - 1
"""Of anything that is counted."""
MOST_SECONDS = 1e9
"""32 years."""
LEAST_FACTOR, MOST_FACTOR = 1e-9, 1e9
"""Of a loss_weight: with them losses and gradients stay far from the ends of float32."""
LONGEST_NAME = 60
"""Characters of the name of a rung."""
LEVEL, POWER = 0.05, 0.8
"""Chance to take noise for a difference, and to see a difference that is there."""


class Section(BaseModel):
    """A section of a config: frozen, of known keys, each of its very type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _name(text: str) -> str:
    """A name that looks the same wherever it lands: tables, logs, TensorBoard's tags, file names of plots."""
    if not (0 < len(text) <= LONGEST_NAME and text == text.strip() and text.isprintable()):
        raise ValueError(
            f"a name has 1 to {LONGEST_NAME} characters that can be seen, none of them at its ends a space, "
            f"got {printable(repr(text))}"
        )
    return text


def _plain(value: Any) -> Any:
    """Refuses what a run file cannot keep, and numbers that are none."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise ValueError(f"keys are text, got {printable(repr(key))}")
            _plain(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _plain(part)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"numbers are finite, got {value}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"whole numbers have 64 bits, got {printable(value, 40)}")
    elif isinstance(value, str) and not _encodes(value):
        raise ValueError(f"text must be Unicode without lone surrogates, got {printable(repr(value))}")
    elif not isinstance(value, (str, int, float, type(None))):
        raise ValueError(f"values are numbers, text, None, and lists and dicts of them, got {printable(repr(value))}")
    return value


def _encodes(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Count = Annotated[int, Field(gt=0, le=MOST)]
Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=LEAST_FACTOR, le=MOST_FACTOR)]
Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS)]
Name = Annotated[str, AfterValidator(_name)]
Names = Annotated[list[str], Field(min_length=1)]
Plain = Annotated[dict[str, Any], AfterValidator(_plain)]


def alike(name: str) -> str:
    """What names have in common that look the same: letters of other widths, capitals, spaces."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
