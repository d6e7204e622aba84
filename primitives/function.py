"""Function: a loss as the text of a plain function of boxes, or of logits and labels, in PyTorch, NumPy or JAX."""

from __future__ import annotations

import re
import textwrap

from primitives import algebra, picked
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.operators import Operator
from primitives.source import folded, source, wide

IMPORTS = {
    "torch": {"math": "import math", "torch": "import torch", "functional": "from torch.nn import functional"},
    "numpy": {"math": "import math", "np": "import numpy as np", "special": "from scipy import special"},
    "jax": {"math": "import math", "jax": "import jax", "jnp": "import jax.numpy as jnp"},
}
"""Import lines of a backend by the name they give; a file needs those whose name it mentions."""
_ARRAY = {"torch": "torch.Tensor", "numpy": "np.ndarray", "jax": "jax.Array"}
_EPS = "1e-7"

# Lines by the input they make, each after those it needs; {np} is numpy or jax.numpy.
_TORCH_BOX = {
    "wh_t": "target[:, 2:] - target[:, :2]",
    "wh_p": "pred[:, 2:] - pred[:, :2]",
    "wh_i": "(torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)",
    "wh_e": "(torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])).clamp(min=0)",
    "area": "wh_t[:, 0] * wh_t[:, 1]",
    "i": "wh_i[:, 0] * wh_i[:, 1]",
    "u": f"wh_p[:, 0] * wh_p[:, 1] + area - i + {_EPS}",
    "e": f"wh_e[:, 0] * wh_e[:, 1] + {_EPS}",
    "unit": f"area.clamp(min={_EPS})",
    "offset": "(pred[:, :2] + pred[:, 2:] - target[:, :2] - target[:, 2:]) / 2",
    "d": f"offset.square().sum(-1) / (wh_e.square().sum(-1) + {_EPS})",
    "aspect_t": f"torch.atan(wh_t[:, 0] / (wh_t[:, 1] + {_EPS}))",
    "aspect_p": f"torch.atan(wh_p[:, 0] / (wh_p[:, 1] + {_EPS}))",
    "v": "(4 / math.pi**2) * (aspect_t - aspect_p).square()",
}
_ARRAY_BOX = {
    **_TORCH_BOX,
    "wh_i": "({np}.minimum(pred[:, 2:], target[:, 2:]) - {np}.maximum(pred[:, :2], target[:, :2])).clip(0)",
    "wh_e": "({np}.maximum(pred[:, 2:], target[:, 2:]) - {np}.minimum(pred[:, :2], target[:, :2])).clip(0)",
    "unit": f"area.clip({_EPS})",
    "d": f"(offset**2).sum(-1) / ((wh_e**2).sum(-1) + {_EPS})",
    "aspect_t": f"{{np}}.arctan(wh_t[:, 0] / (wh_t[:, 1] + {_EPS}))",
    "aspect_p": f"{{np}}.arctan(wh_p[:, 0] / (wh_p[:, 1] + {_EPS}))",
    "v": "(4 / math.pi**2) * (aspect_t - aspect_p) ** 2",
}
_NEEDS = {
    "area": ("wh_t",),
    "i": ("wh_i",),
    "u": ("wh_p", "area", "i"),
    "e": ("wh_e",),
    "unit": ("area",),
    "d": ("wh_e", "offset"),
    "v": ("aspect_t", "aspect_p"),
    "aspect_t": ("wh_t",),
    "aspect_p": ("wh_p",),
    "x_at": ("index",),
    "w_at": ("index", "w"),
    "p_at": ("index",),
    "log_p_at": ("index",),
}


def function(
    expression: Expression,
    grammar: Grammar,
    name: str,
    alpha: float | None = None,
    backend: str = "torch",
    upcast: bool = False,
) -> str:
    """The text of a function that computes losses (N,).

    Args:
        expression: the formula.
        grammar: of it.
        name: of the function. Its arguments are `pred` and `target` for a box loss; `x`, `labels` and, where the
            formula reads w, `iou` for a class loss.
        alpha: weight of the target column of a sigmoid loss.
        backend: `torch`, `numpy` or `jax`.
        upcast: compute half precision in float32; PyTorch only.

    Raises:
        ValueError: no such backend, or a constant of the formula is not finite.
    """
    body = _box_body if grammar.slot == "loss_bbox" else _class_body
    lines = body(expression, grammar, alpha, backend)
    array = _ARRAY[backend]
    if upcast:
        floating = ("pred", "target") if grammar.slot == "loss_bbox" else ("x",)
        lines = [*(f"{one} = {one} if {one}.dtype == torch.float64 else {one}.float()" for one in floating), *lines]
    if grammar.slot == "loss_bbox":
        arguments = f"pred: {array}, target: {array}"
        says = "Losses (N,) of aligned boxes, (N, 4) xyxy in pixels."
    else:
        shape = "(N, C)" if grammar.name == "sigmoid" else "(N, C + 1) with the background last"
        iou = f", iou: {array}" if reads_iou(expression) else ""
        arguments = f"x: {array}, labels: {array}{iou}"
        says = f"Losses (N,) of logits x, {shape}, and labels (N,); C is background."
    text = [f"def {name}({arguments}) -> {array}:", f'    """{says}', "", *_doc(expression, grammar), '    """']
    return "\n".join([*text, *(f"    {line}" for line in lines)]) + "\n"


def imports(text: str, backend: str) -> str:
    """The import lines that a text of functions needs."""
    plain: list[str] = []
    other: list[str] = []
    for name, line in IMPORTS[backend].items():
        if f"{name}." in text:
            (plain if name == "math" else other).append(line)
    return "\n".join([*plain, *([""] if plain and other else []), *other])


def function_name(name: str, slot: str) -> str:
    """Name of an exported function: CseA for `loss_bbox` as cse_a_box_loss."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return f"{snake}_{'box' if slot == 'loss_bbox' else 'class'}_loss"


def reads_iou(expression: Expression) -> bool:
    """Whether the formula reads w, the IoU of the predicted box."""
    return "w" in expression.names


def _box_body(expression: Expression, grammar: Grammar, _: float | None, backend: str) -> list[str]:
    pixels = grammar.name == "box_pixels"
    # In units of the target's area union and enclosing area are at least 1.
    found = source(expression, backend, frozenset() if pixels else frozenset("ue"))
    areas = [name for name in ("i", "u", "e") if name in found.inputs]
    scaled = [] if pixels or _degree(folded(expression)) == 0 else areas
    needed = _closure([*found.inputs, *(["unit"] if scaled else [])])
    table = _TORCH_BOX if backend == "torch" else _ARRAY_BOX
    prefix = {"numpy": "np", "jax": "jnp"}.get(backend, "")
    lines = [f"{name} = {text.replace('{np}', prefix)}" for name, text in table.items() if name in needed]
    if scaled:
        lines.append(f"{', '.join(scaled)} = {', '.join(f'{name} / unit' for name in scaled)}")
    return [*lines, *found.statements, f"return {found.result}"]


def _degree(formula: Expression) -> float | None:
    """The power of length^2 with which a formula grows when boxes are enlarged; None where there is none.

    With degree 0 the unit of the areas cancels. Divisors other than a bare union or enclosing area are protected by
    a constant that has no unit, so they have none.
    """
    if not isinstance(formula.head, Operator):
        return 1 if formula.head in ("i", "u", "e") else 0
    degrees = [_degree(part) for part in formula.arguments]
    if None in degrees:
        return None
    first, last = degrees[0], degrees[-1]
    assert first is not None
    assert last is not None
    name = formula.head.name
    if name in ("add", "sub", "neg", "abs", "min", "max", "relu"):
        return first if first == last else None
    if name == "mul":
        return first + last
    if name == "div":
        return first - last if formula.arguments[1].head in ("u", "e") else None
    if name == "square":
        return 2 * first
    return 0 if first == last == 0 else None


def _class_body(expression: Expression, grammar: Grammar, alpha: float | None, backend: str) -> list[str]:
    if backend != "torch":
        return _array_class_body(expression, grammar, alpha, backend)
    sigmoid = grammar.name == "sigmoid"
    formula = picked.picked(folded(expression))
    whole: Expression | None = formula
    column: Expression | None = None
    if wide(expression) and alpha is None:
        whole, column = picked.split(formula, frozenset("yw") if sigmoid else frozenset("y"))
    parts = [part for part in (whole, column) if part is not None]
    names = frozenset().union(*(part.names for part in parts))
    read = _closure([*names, *(["hit", "index"] if alpha is not None and wide(expression) else [])])
    lines = _class_inputs(read, sigmoid)
    lines += [f"{name} = {text}" for name, text in picked.STATEMENTS.items() if name in read]
    results = []
    for part in parts:
        found = source(part)
        lines += [statement for statement in found.statements if statement not in lines]
        results.append(found.result)
    if alpha is not None and wide(expression):
        lines.append(f"loss = {_for_all_classes(formula, results[0])}")
        at = f"{2 * alpha - 1!r} * (hit * loss.gather(1, index))[:, 0]"
        return [*lines, f"return {1 - alpha!r} * loss.sum(-1) + {at}"]
    if not wide(expression):
        return [*lines, f"loss = {results[0]}", "return loss[:, 0]"]
    sums = []
    if whole is not None:
        lines.append(f"loss = {_for_all_classes(whole, results[0])}")
        sums.append("loss.sum(-1)")
    if column is not None:
        lines.append(f"at_label = {results[-1]}")
        sums.append("at_label[:, 0]")
    return [*lines, f"return {' + '.join(sums)}"]


def _for_all_classes(formula: Expression, text: str) -> str:
    return text if wide(formula, constants=False) else f"({text}).expand_as(x)"


def _class_inputs(read: set[str], sigmoid: bool) -> list[str]:
    lines = []
    if "y" in read or ("w" in read and sigmoid):
        lines.append("target = labels[:, None] == torch.arange(x.shape[1], device=x.device)")
    if "y" in read:
        lines.append("y = target.to(x.dtype)")
    if "w" in read and sigmoid:
        lines.append("w = torch.where(target, iou.detach().to(x.dtype)[:, None], 0.0)")
    elif "w" in read:
        lines.append("positive = ((labels >= 0) & (labels < x.shape[1] - 1))[:, None]")
        lines.append("w = torch.where(positive, iou.detach().to(x.dtype)[:, None], 1.0).expand_as(x)")
    return lines


def _array_class_body(expression: Expression, grammar: Grammar, alpha: float | None, backend: str) -> list[str]:
    np = "np" if backend == "numpy" else "jnp"
    sigmoid = grammar.name == "sigmoid"
    found = source(expression, backend)
    iou = "iou[:, None]" if backend == "numpy" else "jax.lax.stop_gradient(iou)[:, None]"
    lines = []
    if "y" in found.inputs or ("w" in found.inputs and sigmoid) or alpha is not None:
        lines.append(f"y = (labels[:, None] == {np}.arange(x.shape[1])).astype(x.dtype)")
    if "w" in found.inputs and sigmoid:
        lines.append(f"w = y * {iou}")
    elif "w" in found.inputs:
        lines.append("positive = ((labels >= 0) & (labels < x.shape[1] - 1))[:, None]")
        lines.append(f"w = {np}.broadcast_to({np}.where(positive, {iou}, 1.0), x.shape).astype(x.dtype)")
    lines += found.statements
    if not wide(expression):
        return [*lines, f"loss = {found.result}", "return loss[:, 0]"]
    all_classes = found.result if wide(expression, constants=False) else f"{np}.broadcast_to({found.result}, x.shape)"
    lines.append(f"loss = {all_classes}")
    weight = f" * ({alpha!r} * y + {1 - alpha!r} * (1 - y))" if alpha is not None else ""
    return [*lines, f"return (loss{weight}).sum(-1)"]


def _closure(names: list[str]) -> set[str]:
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        names.extend(_NEEDS.get(name, ()))
    return found


def _doc(expression: Expression, grammar: Grammar) -> list[str]:
    """The formula in plain text and in LaTeX, and what its inputs mean."""
    lines = [f"Formula: {expression}", f"LaTeX: {algebra.latex(expression)}", "Inputs:"]
    used = [terminal for terminal in grammar.terminals if terminal.name in expression.names]
    lines += [f"    {terminal.name}: {terminal.text} ({terminal.unit})" for terminal in used]
    wrapped = []
    for line in lines:
        hanging = " " * (8 if line.startswith(" ") else 4)
        wrapped += textwrap.wrap(line, 112, subsequent_indent=hanging, break_long_words=False)
    return [f"    {line}".replace("\\", "\\\\") for line in wrapped]
