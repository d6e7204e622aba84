"""Code: a class loss as statements of PyTorch, NumPy or JAX; in PyTorch only what the target leaves is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from primitives.codegen.lines import needed
from primitives.codegen.source import folded, source, wide
from primitives.expression import Expression
from primitives.kinds.classification import picked
from primitives.operators import Operator

_TARGET = "target = labels[:, None] == torch.arange(x.shape[1], device=x.device)"
_X_AT = "x_at = x.gather(1, index){flat}"
# What `picked` puts in, by whether the background has a column.
_AT_LABEL = {
    True: (
        "index = labels[:, None]",
        _X_AT,
        'p_at = torch.exp(-functional.cross_entropy(x, labels, reduction="none")){column}',  # with an exact slope
    ),
    False: (
        "index = labels.clamp(0, x.shape[1] - 1)[:, None]",
        "hit = (labels < x.shape[1]){column}.to(x.dtype)",  # label C is background and has no column
        _X_AT,
        "p_at = torch.softmax(x, dim=-1).gather(1, index){flat}",
    ),
}


_BACKGROUND = ", background"


def of_kind(code: Mapping[str, str], background: bool) -> dict[str, str]:
    """A row's code where the background has a column or not; what differs there stands under names of its own."""
    own = {name.removesuffix(_BACKGROUND): text for name, text in code.items() if name.endswith(_BACKGROUND)}
    return {**code, **(own if background else {})}


@dataclass(frozen=True)
class ClassCode:
    """How the inputs of a class formula are written.

    Args:
        background: whether the last column is the background's; every label has a column then.
        backend: `torch`, `numpy` or `jax`.
        inputs: lines by input, one value per sample and class each.
        at_label: PyTorch by input that a head gives, what it is at the label: a column (N, 1) where `{column}` is
            "[:, None]", or flat (N,) where it is "".
    """

    background: bool
    backend: str
    inputs: Mapping[str, str]
    at_label: Mapping[str, str]

    @property
    def zero_off_label(self) -> frozenset[str]:
        """Inputs that are 0 in every column but the label's."""
        return frozenset("y") if self.background else frozenset("yw")

    def body(self, expression: Expression, alpha: float | None) -> list[str]:
        """Statements from `x` and `labels` to `return`; arguments as of `Kind.body`."""
        if self.backend != "torch":
            return self._arrays(expression, alpha)
        formula = picked.picked(folded(expression), hit=not self.background)
        if not wide(expression):
            return self._split(None, formula)
        if alpha is None:
            whole, column = picked.split(formula, self.zero_off_label, not self.background)
            if whole is None or self.background or not whole.names & self.zero_off_label:
                return self._split(whole, column)
        parts = picked.apart(formula) if formula.names & self.zero_off_label else None
        if parts is not None:
            return self._apart(*parts, alpha)
        if alpha is None:
            return self._split(whole, column)
        lines = [*self._lines(formula.names | {"hit", "index"}), *_assigned("loss", formula, wide_value=True)]
        at = f"{2 * alpha - 1!r} * (hit * loss.gather(1, index))[:, 0]"
        return [*lines, f"return {1 - alpha!r} * loss.sum(-1) + {at}"]

    def _split(self, whole: Expression | None, column: Expression | None) -> list[str]:
        """A sum over all classes, and a column at the label."""
        names = frozenset().union(*(part.names for part in (whole, column) if part is not None))
        flat = whole is None and not any(wide(Expression(name)) for name in names) and not _along_classes(column)
        lines, sums = self._lines(names, flat), []
        if whole is not None:
            lines += _assigned("loss", whole, wide_value=True)
            sums.append("loss.sum(-1)")
        if column is not None:
            lines += _assigned("at_label", column, prefix="at" if whole is not None else "t")
            sums.append("at_label" if flat and column.names else "at_label[:, 0]")
        return [*lines, f"return {' + '.join(sums)}"]

    def _apart(self, off: Expression, at: Expression, alpha: float | None) -> list[str]:
        """Two formulas, one for the classes off the label and one for the label."""
        names = at.names | {"hit"} | (off.names | {"index"} if off.head != 0.0 else set())
        lines = [line.replace(".to(x.dtype)", "") if line.startswith("hit = ") else line for line in self._lines(names)]
        lines += _assigned("at_label", at, prefix="at")
        weighted = "" if alpha is None else f"{alpha!r} * "
        label = f"{weighted}torch.where(hit, at_label, 0.0)[:, 0]"
        if off.head == 0.0:
            return [*lines, f"return {label}"]
        lines += _assigned("off_label", off)
        lines.append("others = torch.ones_like(x).scatter(1, index, (~hit).to(x.dtype))")
        share = "" if alpha is None else f"{1 - alpha!r} * "
        return [*lines, f"return {share}(off_label * others).sum(-1) + {label}"]

    def _lines(self, names: Iterable[str], flat: bool = False) -> list[str]:
        """Statements of the inputs that a formula reads, those that `picked` puts in among them."""
        shape = {"column": "", "flat": "[:, 0]"} if flat else {"column": "[:, None]", "flat": ""}
        at_label = [f"{name}_at = {text}" for name, text in self.at_label.items()]
        picking = [line.format(**shape) for line in (*_AT_LABEL[self.background], *at_label)]
        return needed([_TARGET, *"\n".join(self.inputs.values()).split("\n"), *picking], names)

    def _arrays(self, expression: Expression, alpha: float | None) -> list[str]:
        np = "np" if self.backend == "numpy" else "jnp"
        found = source(expression, self.backend)
        lines = "\n".join(self.inputs.values()).split("\n")
        lines = [*needed(lines, [*found.inputs, *(["y"] if alpha is not None else [])]), *found.statements]
        if not wide(expression):
            return [*lines, f"loss = {found.result}", "return loss[:, 0]"]
        columns = found.result if wide(expression, constants=False) else f"{np}.broadcast_to({found.result}, x.shape)"
        weight = f" * ({alpha!r} * y + {1 - alpha!r} * (1 - y))" if alpha is not None else ""
        return [*lines, f"loss = {columns}", f"return (loss{weight}).sum(-1)"]


def _along_classes(formula: Expression | None) -> bool:
    """Whether an operator in it needs the axis of the classes."""
    if formula is None or not isinstance(formula.head, Operator):
        return False
    return formula.head.class_axis or any(map(_along_classes, formula.arguments))


def _assigned(name: str, formula: Expression, wide_value: bool = False, prefix: str = "t") -> list[str]:
    """Statements that end in an assignment."""
    found = source(formula, prefix=prefix, like="x")
    result = found.result
    if not formula.names and not wide_value:
        result = f"x.new_full((len(x), 1), {result})"
    elif wide_value and not wide(formula, constants=False):
        result = f"({result}).expand_as(x)" if formula.names else f"torch.full_like(x, {result})"
    return [*found.statements, f"{name} = {result}"]
