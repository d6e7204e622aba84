"""The kinds of class losses: one value per sample and class, summed over the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from primitives.expression import Expression
from primitives.kinds.classification.code import ClassCode
from primitives.kinds.classification.scores import Scores, classes
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal


class ClassKind(Kind):
    """Losses of logits and labels (N,).

    Args:
        name: `softmax` or `sigmoid`.
        background: whether the last of the (N, C + 1) logits is the background's; else there are C.
    """

    word = "class"
    slot = "loss_cls"
    shorthands = (("ny", "sub(1, y)"),)
    arguments = ("x", "labels")
    floating = ("x",)

    def __init__(self, name: str, *, background: bool) -> None:
        self.name, self.background, self.weighs_target = name, background, not background
        self.terminals = classes(background)
        shape = "(N, C + 1) with the background last" if background else "(N, C)"
        self.says = f"Losses (N,) of logits x, {shape}, and labels (N,); C is background."

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

    def spread_code(self, given: str, backend: str) -> str:
        """See Kind."""
        column = f"{super().spread_code(given, backend)}[:, None]"
        if backend == "torch":
            return f"{column}.expand_as(x)"
        return f"{'np' if backend == 'numpy' else 'jnp'}.broadcast_to({column}, x.shape)"

    def body(
        self, expression: Expression, terminals: Sequence[Terminal], alpha: float | None, backend: str
    ) -> list[str]:
        """See Kind."""
        inputs = {one.name: self.written(one, backend) for one in terminals}
        at_label = {
            one.name: one.code.get("at label", f"{super(ClassKind, self).spread_code(one.given, 'torch')}{{column}}")
            for one in terminals
            if one.given
        }
        return ClassCode(self.background, backend, inputs, at_label).body(expression, alpha)


SOFTMAX = ClassKind("softmax", background=True)
SIGMOID = ClassKind("sigmoid", background=False)
