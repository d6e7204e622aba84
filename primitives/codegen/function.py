"""Function: a loss as the text of a plain function of boxes, or of logits and labels, in PyTorch, NumPy or JAX."""

from __future__ import annotations

import re
import textwrap

from primitives import algebra
from primitives.codegen import picked
from primitives.codegen.source import folded, source, wide
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.operators import Operator

IMPORTS = {
    "torch": {"math": "import math", "torch": "import torch", "functional": "from torch.nn import functional"},
    "numpy": {"math": "import math", "np": "import numpy as np", "special": "from scipy import special"},
    "jax": {"math": "import math", "jax": "import jax", "jnp": "import jax.numpy as jnp"},
}
"""Import lines of a backend by the name they give; a file needs those whose name it mentions."""
_ARRAY = {"torch": "torch.Tensor", "numpy": "np.ndarray", "jax": "jax.Array"}
_EPS = "1e-7"

# Lines by the input they make, each after those it needs; {np} is numpy or jax.numpy.
# Coordinates apart: in PyTorch slices of boxes cost more than the arithmetic, backward above all.
_P, _T = "x1_p, y1_p, x2_p, y2_p", "x1_t, y1_t, x2_t, y2_t"
_TORCH_BOX = {
    _P: "pred.t().contiguous().unbind()",
    _T: "target.t().contiguous().unbind()",
    "w_t, h_t": "x2_t - x1_t, y2_t - y1_t",
    "w_p, h_p": "x2_p - x1_p, y2_p - y1_p",
    "w_i": "(torch.min(x2_p, x2_t) - torch.max(x1_p, x1_t)).clamp(min=0)",
    "h_i": "(torch.min(y2_p, y2_t) - torch.max(y1_p, y1_t)).clamp(min=0)",
    "w_e": "(torch.max(x2_p, x2_t) - torch.min(x1_p, x1_t)).clamp(min=0)",
    "h_e": "(torch.max(y2_p, y2_t) - torch.min(y1_p, y1_t)).clamp(min=0)",
    "area": "w_t * h_t",
    "i": "w_i * h_i",
    "u": f"w_p * h_p + area - i + {_EPS}",
    "e": f"w_e * h_e + {_EPS}",
    "unit": f"area.clamp(min={_EPS})",
    "d_x, d_y": "(x1_p + x2_p - x1_t - x2_t) / 2, (y1_p + y2_p - y1_t - y2_t) / 2",
    "d": f"(d_x * d_x + d_y * d_y) / (w_e * w_e + h_e * h_e + {_EPS})",
    "angle_t": f"torch.atan(w_t / (h_t + {_EPS}))",
    "angle_p": f"torch.atan(w_p / (h_p + {_EPS}))",
    "v": "(4 / math.pi**2) * (angle_t - angle_p) ** 2",
}
_ARRAY_BOX = {
    name: text.replace(".t().contiguous().unbind()", ".T")
    .replace("torch.min", "{np}.minimum")
    .replace("torch.max", "{np}.maximum")
    .replace("torch.atan", "{np}.arctan")
    .replace(".clamp(min=", ".clip(")
    for name, text in _TORCH_BOX.items()
}
_NEEDS = {
    **dict.fromkeys(("w_i", "h_i", "w_e", "h_e", "d_x, d_y"), (_P, _T)),
    "w_t, h_t": (_T,),
    "w_p, h_p": (_P,),
    "area": ("w_t, h_t",),
    "i": ("w_i", "h_i"),
    "u": ("w_p, h_p", "area", "i"),
    "e": ("w_e", "h_e"),
    "unit": ("area",),
    "d": ("w_e", "h_e", "d_x, d_y"),
    "v": ("angle_t", "angle_p"),
    "angle_t": ("w_t, h_t",),
    "angle_p": ("w_p, h_p",),
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
    if formula.head.guarded and formula.arguments[-1].head not in ("u", "e"):
        return None
    return formula.head.degree(first, last)


def _class_body(expression: Expression, grammar: Grammar, alpha: float | None, backend: str) -> list[str]:
    if backend != "torch":
        return _array_class_body(expression, grammar, alpha, backend)
    sigmoid = grammar.name == "sigmoid"
    formula = picked.picked(folded(expression), hit=sigmoid)
    if not wide(expression):
        return _split_body(None, formula, sigmoid)
    if alpha is None:
        whole, column = picked.split(formula, frozenset("yw") if sigmoid else frozenset("y"), sigmoid)
        if whole is None or not sigmoid or not whole.names & {"y", "w"}:
            return _split_body(whole, column, sigmoid)
    parts = picked.apart(formula) if formula.names & {"y", "w"} else None
    if parts is not None:
        return _apart_body(*parts, alpha)
    if alpha is None:
        return _split_body(whole, column, sigmoid)
    lines = [*_picked_lines(formula.names | {"hit", "index"}, sigmoid), *_assigned("loss", formula, wide_value=True)]
    at = f"{2 * alpha - 1!r} * (hit * loss.gather(1, index))[:, 0]"
    return [*lines, f"return {1 - alpha!r} * loss.sum(-1) + {at}"]


def _split_body(whole: Expression | None, column: Expression | None, sigmoid: bool) -> list[str]:
    """A sum over all classes, and a column at the label."""
    names = frozenset().union(*(part.names for part in (whole, column) if part is not None))
    flat = not names & {"x", "y", "w"}
    lines, sums = _picked_lines(names, sigmoid, flat), []
    if whole is not None:
        lines += _assigned("loss", whole, wide_value=True)
        sums.append("loss.sum(-1)")
    if column is not None:
        lines += _assigned("at_label", column, prefix="at" if whole is not None else "t")
        sums.append("at_label" if flat and column.names else "at_label[:, 0]")
    return [*lines, f"return {' + '.join(sums)}"]


def _apart_body(off: Expression, at: Expression, alpha: float | None) -> list[str]:
    """Two formulas without y and w, one for the classes off the label and one for the label."""
    lines = _picked_lines(at.names | {"hit"}, sigmoid=True)
    lines = [line.replace(".to(x.dtype)", "") if line.startswith("hit = ") else line for line in lines]
    lines += _assigned("at_label", at, prefix="at")
    weighted = "" if alpha is None else f"{alpha!r} * "
    label = f"{weighted}torch.where(hit, at_label, 0.0)[:, 0]"
    if off.head == 0.0:
        return [*lines, f"return {label}"]
    share = 1.0 if alpha is None else 1 - alpha
    if "index = " not in "".join(lines):
        lines.insert(0, f"index = {picked.SIGMOID['index']}")
    lines += _assigned("off_label", off)
    lines.append(
        f"others = torch.full_like(x, {share!r}).scatter(1, index, torch.where(hit, 0.0, {share!r}).to(x.dtype))"
    )
    return [*lines, f"return (off_label * others).sum(-1) + {label}"]


def _assigned(name: str, formula: Expression, wide_value: bool = False, prefix: str = "t") -> list[str]:
    """Statements that end in an assignment."""
    found = source(formula, prefix=prefix)
    result = found.result
    if isinstance(formula.head, float) and not wide_value:
        result = f"x.new_full((len(x), 1), {result})"
    elif wide_value and not wide(formula, constants=False):
        result = f"({result}).expand_as(x)" if formula.names else f"torch.full_like(x, {result})"
    return [*found.statements, f"{name} = {result}"]


def _picked_lines(names: frozenset[str] | set[str], sigmoid: bool, flat: bool = False) -> list[str]:
    """Statements of the inputs that a formula reads, those that `picked` puts in among them."""
    statements = picked.SIGMOID if sigmoid else picked.SOFTMAX
    read = {*names, *(["ce"] if "nll_at" in names and not sigmoid else [])}
    if any("index" in statements[name] for name in read & statements.keys()):
        read.add("index")
    shape = {"column": "", "flat": "[:, 0]"} if flat else {"column": "[:, None]", "flat": ""}
    texts = {name: text.format(**shape) for name, text in statements.items() if name in read}
    return [*_class_inputs(read, sigmoid), *(f"{name} = {text}" for name, text in texts.items())]


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
    lines = [f"Formula: {expression}", f"LaTeX: {algebra.latex(expression, grammar.terminals)}", "Inputs:"]
    used = [terminal for terminal in grammar.terminals if terminal.name in expression.names]
    lines += [f"    {terminal.name}: {terminal.text} ({terminal.unit})" for terminal in used]
    wrapped = []
    for line in lines:
        hanging = " " * (8 if line.startswith(" ") else 4)
        wrapped += textwrap.wrap(line, 112, subsequent_indent=hanging, break_long_words=False)
    return [f"    {line}".replace("\\", "\\\\") for line in wrapped]
