"""Code: a box loss as statements of PyTorch, NumPy or JAX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from primitives.codegen.lines import needed
from primitives.codegen.source import folded, source
from primitives.expression import Expression
from primitives.operators import Operator

_AT_LEAST_1 = frozenset("ue")  # in units of the target's area union and enclosing area are


def by_backend(*lines: str) -> Mapping[str, str]:
    """Lines of PyTorch as those of every backend."""
    torch = "\n".join(lines)
    array = (
        torch.replace(".t().contiguous().unbind()", ".T")
        .replace("torch.min", "np.minimum")
        .replace("torch.max", "np.maximum")
        .replace("torch.atan", "np.arctan")
        .replace("torch.abs", "np.abs")
        .replace(".clamp(min=", ".clip(")
    )
    return {"torch": torch, "numpy": array, "jax": array.replace("np.", "jnp.")}


# Coordinates apart: in PyTorch slices of boxes cost more than the arithmetic, backward above all.
_SIDES = by_backend(
    "x1_p, y1_p, x2_p, y2_p = pred.t().contiguous().unbind()",
    "x1_t, y1_t, x2_t, y2_t = target.t().contiguous().unbind()",
    "w_t, h_t = x2_t - x1_t, y2_t - y1_t",
    "w_p, h_p = x2_p - x1_p, y2_p - y1_p",
    "w_i = (torch.min(x2_p, x2_t) - torch.max(x1_p, x1_t)).clamp(min=0)",
    "h_i = (torch.min(y2_p, y2_t) - torch.max(y1_p, y1_t)).clamp(min=0)",
    "w_e = (torch.max(x2_p, x2_t) - torch.min(x1_p, x1_t)).clamp(min=0)",
    "h_e = (torch.max(y2_p, y2_t) - torch.min(y1_p, y1_t)).clamp(min=0)",
    "area = w_t * h_t",
)
_UNIT = by_backend("unit = area.clamp(min=1e-7)")


def body(
    expression: Expression, backend: str, areas: Mapping[str, str], others: Sequence[str], scaled: bool
) -> list[str]:
    """Statements from `pred` and `target` to `return`.

    Args:
        expression: the formula.
        backend: `torch`, `numpy` or `jax`.
        areas: lines of the inputs that are areas, in square pixels, by name.
        others: lines of the other inputs.
        scaled: whether the formula reads areas in units of the target's, not square pixels.
    """
    found = source(expression, backend, _AT_LEAST_1 if scaled else frozenset())
    read = [name for name in areas if name in found.inputs]
    if not scaled or degree(folded(expression), frozenset(areas)) == 0:  # the unit cancels
        read = []
    lines = "\n".join([_SIDES[backend], *areas.values(), _UNIT[backend], *others]).split("\n")
    statements = needed(lines, [*found.inputs, *(["unit"] if read else [])])
    if read:
        statements.append(f"{', '.join(read)} = {', '.join(f'{name} / unit' for name in read)}")
    return [*statements, *found.statements, f"return {found.result}"]


def degree(formula: Expression, areas: frozenset[str]) -> float | None:
    """The power of length^2 with which a formula grows when boxes are enlarged; None where there is none.

    With degree 0 the unit of the areas cancels. Divisors other than a bare union or enclosing area are protected by
    a constant that has no unit, so they have none.
    """
    if not isinstance(formula.head, Operator):
        return 1 if formula.head in areas else 0
    degrees = [degree(part, areas) for part in formula.arguments]
    first, last = degrees[0], degrees[-1]
    if first is None or last is None or (formula.head.guarded and formula.arguments[-1].head not in _AT_LEAST_1):
        return None
    return formula.head.degree(first, last)
