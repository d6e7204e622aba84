"""The kinds of class losses: one value per sample and class, summed over the classes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from primitives.kinds.classification.scores import CLASSES, Scores
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample


class ClassKind(Kind):
    """Losses of logits and labels (N,).

    Args:
        name: `softmax` or `sigmoid`.
        background: whether the last of the (N, C + 1) logits is the background's; else there are C.
    """

    word = "class"
    slot = "loss_cls"
    terminals = CLASSES
    shorthands = (("ny", "sub(1, y)"),)

    def __init__(self, name: str, *, background: bool) -> None:
        self.name, self.background, self.weighs_target = name, background, not background

    def derived(self, sample: Sample) -> Scores:
        """See Kind."""
        return Scores(sample, self.background)

    def spread(self, sample: Sample, given: str) -> Tensor:
        """See Kind; the same in every column."""
        return super().spread(sample, given)[:, None].expand_as(sample.pred)

    def losses(self, value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:
        """See Kind; summed over the classes, `alpha` weighting the target column and 1 - alpha the others.

        A formula that ends in one column per sample has no class axis left to weight.

        Source: alpha: Lin et al. 2017, arXiv 1708.02002, eq. 3.
        """
        rows, columns = inputs["x"].shape
        if value.dim() == 2 and value.shape[1] == 1 and columns > 1:
            return value[:, 0].expand(rows)
        value = value.expand(rows, columns)
        if alpha is not None:
            value = value * (alpha * inputs["y"] + (1 - alpha) * (1 - inputs["y"]))
        return value.sum(-1)


SOFTMAX = ClassKind("softmax", background=True)
SIGMOID = ClassKind("sigmoid", background=False)
