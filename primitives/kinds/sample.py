"""Sample: the raw input of a loss, as a head hands it over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """What a loss gets.

    Args:
        pred: predictions, a row per sample: boxes (N, 4), logits (N, C), ...
        target: targets, a row per sample: boxes (N, 4), labels (N,), ...
        given: what is handed over beside, by keyword: (N,); (C,) or (N, C) of classes; () of the training.
    """

    pred: Tensor
    target: Tensor
    given: Mapping[str, Tensor] = field(default_factory=dict)
