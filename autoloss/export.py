"""Export: losses as one Python file that needs torch alone, and that mmdetection finds in its registry."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from autoloss.candidate import Loss
from primitives import algebra
from primitives.catalog import GRAMMARS
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.source import source

_HEAD = '''"""{title}

{about}

Exported by autoloss {version}. Apache License 2.0.
"""

from __future__ import annotations

{imports}import torch
from torch import Tensor, nn
{functional}
try:
    from mmdet.registry import MODELS
except ImportError:  # without mmdetection the classes are plain modules
    MODELS = None

EPS = 1e-7
_REDUCTIONS = ("none", "mean", "sum")


class _Loss(nn.Module):
    """mmdetection's contract: weight, avg_factor, reduction_override."""

    def __init__(self, reduction: str, loss_weight: float) -> None:
        super().__init__()
        if reduction not in _REDUCTIONS:
            raise ValueError(f"unknown reduction {{reduction!r}}; known: {{', '.join(_REDUCTIONS)}}")
        self.reduction, self.loss_weight = reduction, loss_weight

    def _how(self, avg_factor: float | Tensor | None, override: str | None) -> str:
        how = override or self.reduction
        if how not in _REDUCTIONS:
            raise ValueError(f"unknown reduction {{how!r}}; known: {{', '.join(_REDUCTIONS)}}")
        if avg_factor is not None and how == "sum":
            raise ValueError('avg_factor can not be used with reduction="sum"')
        return how

    def _reduce(self, loss: Tensor, weight: Tensor | None, avg_factor: float | Tensor | None, how: str) -> Tensor:
        if weight is not None:  # a row of weight 0 counts as 0, whatever its value
            loss = torch.where(weight == 0, 0.0, loss * weight)
        if how == "none":
            return loss * self.loss_weight
        total = loss.sum() * self.loss_weight
        if how == "sum":
            return total
        if avg_factor is None:
            return total / max(loss.numel(), 1)
        return total / (avg_factor + torch.finfo(torch.float32).eps)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _alive(pred: Tensor, weight: Tensor | None) -> Tensor:
    """Cuts the gradient of rows with weight 0, so that 0 * inf cannot reach them."""
    return pred if weight is None else torch.where((weight == 0)[:, None], pred.detach(), pred)
'''

_BOX = '''

def {function}(pred: Tensor, target: Tensor) -> Tensor:
    """Losses (N,) of aligned boxes, (N, 4) xyxy in pixels.

{doc}
    """
{features}{body}


class {name}(_Loss):
    """{function} as a `loss_bbox`, on decoded boxes.

    Args:
        reduction: none, mean or sum.
        loss_weight: factor of the whole loss.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = {weight!r}) -> None:
        super().__init__(reduction, loss_weight)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: object,
    ) -> Tensor:
        """Loss of boxes (N, 4) xyxy; weight (N,) or (N, 4)."""
        how = self._how(avg_factor, reduction_override)
        pred, target = _at_least_float32(pred), _at_least_float32(target)
        if weight is not None and weight.dim() == 2:
            weight = weight.mean(-1)
        pred = _alive(pred, weight)
        if len(pred) == 0:
            return self._reduce(pred.sum(-1), None, avg_factor, how)
        with torch.autocast(pred.device.type, enabled=False):
            return self._reduce({function}(pred, target), weight, avg_factor, how)
'''

_CLASS = '''

def {function}(x: Tensor, labels: Tensor{iou}) -> Tensor:
    """Losses (N,) of logits x, {shape}, and labels (N,); C is background.

{doc}
    """
{features}{body}


class {name}(_Loss):
    """{function} as a `loss_cls`.

    Args:
        use_sigmoid: heads read it; {use_sigmoid} for this loss.
        reduction: none, mean or sum.
        loss_weight: factor of the whole loss.
    """

    reads_iou = {reads_iou}

    def __init__(
        self, use_sigmoid: bool = {use_sigmoid}, reduction: str = "mean", loss_weight: float = {weight!r}
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid is not {use_sigmoid}:
            raise ValueError(f"use_sigmoid must be {use_sigmoid} for this loss, got {{use_sigmoid}}")
        self.use_sigmoid = use_sigmoid

    def forward(
        self,
        pred: Tensor,
        target: Tensor | tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        iou: Tensor | None = None,
        **kwargs: object,
    ) -> Tensor:
        """Loss of logits; target labels (N,), or (labels, IoU); weight (N,) or (N, 1); iou (N,) at positives."""
        how = self._how(avg_factor, reduction_override)
        labels, iou = target if isinstance(target, tuple) else (target, iou)
{asks}        pred = _at_least_float32(pred)
        if weight is not None:
            weight = weight.reshape(labels.shape)
        pred = _alive(pred, weight)
        if len(pred) == 0:
            return self._reduce(pred.sum(-1), None, avg_factor, how)
        with torch.autocast(pred.device.type, enabled=False):
            return self._reduce({function}(pred, labels{passes}), weight, avg_factor, how)
'''

_ASKS = """        if iou is None:
            raise ValueError("this loss reads the IoU of the predicted boxes, and this head gives none")
"""

_REGISTER = """

if MODELS is not None:
    for _loss in [{listed}]:
        MODELS.register_module(module=_loss)
"""

# Lines by the input they make, each after those it needs.
_BOX_LINES = {
    "wh_t": "wh_t = target[:, 2:] - target[:, :2]",
    "wh_p": "wh_p = pred[:, 2:] - pred[:, :2]",
    "wh_i": "wh_i = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)",
    "wh_e": "wh_e = (torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])).clamp(min=0)",
    "area": "area = wh_t[:, 0] * wh_t[:, 1]",
    "i": "i = wh_i[:, 0] * wh_i[:, 1]",
    "u": "u = wh_p[:, 0] * wh_p[:, 1] + area - i + EPS",
    "e": "e = wh_e[:, 0] * wh_e[:, 1] + EPS",
    "unit": "unit = area.clamp(min=EPS)",
    "offset": "offset = (pred[:, :2] + pred[:, 2:] - target[:, :2] - target[:, 2:]) / 2",
    "d": "d = offset.square().sum(-1) / (wh_e.square().sum(-1) + EPS)",
    "aspect_t": "aspect_t = torch.atan(wh_t[:, 0] / (wh_t[:, 1] + EPS))",
    "aspect_p": "aspect_p = torch.atan(wh_p[:, 0] / (wh_p[:, 1] + EPS))",
    "v": "v = (4 / math.pi**2) * (aspect_t - aspect_p).square()",
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
}


def losses_file(losses: Mapping[str, Loss], names: Mapping[str, str], about: str, version: str) -> str:
    """The text of a file with a function and a module per loss; it imports torch, and mmdetection's registry if any.

    Args:
        losses: per slot.
        names: class name per slot.
        about: where the losses come from, for the docstring.
        version: of the toolkit.
    """
    parts = []
    for slot, loss in losses.items():
        grammar = GRAMMARS[loss.grammar]
        write = _box_part if grammar.slot == "loss_bbox" else _class_part
        parts.append(write(grammar.parse(loss.expression), grammar, loss, names[slot]))
    used = "".join(parts)
    head = _HEAD.format(
        title=f"{' and '.join(names.values())}: discovered losses for object detectors.",
        about=textwrap.fill(about, 115),
        version=version,
        imports="import math\n\n" if "math." in used else "",
        functional="from torch.nn import functional\n" if "functional." in used else "",
    )
    listed = ", ".join(names[slot] for slot in losses)
    register = (
        f"\n\nif MODELS is not None:\n    for _loss in [{listed}]:\n        MODELS.register_module(module=_loss)\n"
    )
    return head + used + register


def _box_part(expression: Expression, grammar: Grammar, loss: Loss, name: str) -> str:
    found = source(expression, "torch", _above_zero(grammar))
    scaled = [key for key in ("i", "u", "e") if key in found.inputs] if grammar.name != "box_pixels" else []
    needed = _closure([*found.inputs, *(["unit"] if scaled else [])])
    lines = [line for key, line in _BOX_LINES.items() if key in needed]
    if scaled:
        lines.append(f"{', '.join(scaled)} = {', '.join(f'{key} / unit' for key in scaled)}")
    return _BOX.format(
        function=_function(name),
        name=name,
        doc=_doc(expression, grammar),
        features=_indented(lines),
        body=_indented([*found.statements, f"return {found.result}"]).rstrip("\n"),
        weight=loss.loss_weight,
    )


def _class_part(expression: Expression, grammar: Grammar, loss: Loss, name: str) -> str:
    found = source(expression)
    sigmoid, reads_iou = grammar.name == "sigmoid", "w" in found.inputs
    lines = ["y = (labels[:, None] == torch.arange(x.shape[1], device=x.device)).to(x.dtype)"]
    if reads_iou and sigmoid:
        lines.append("w = y * iou.detach().to(x.dtype)[:, None]")
    elif reads_iou:
        lines.append("positive = ((labels >= 0) & (labels < x.shape[1] - 1))[:, None]")
        lines.append("w = torch.where(positive, iou.detach().to(x.dtype)[:, None], 1.0).expand_as(x)")
    lines = lines if {"y", "w"} & set(found.inputs) or loss.alpha is not None else []
    last = [f"loss = {found.result}"]
    if _thin(expression):
        last.append("return loss[:, 0].expand(len(x))")
    elif loss.alpha is not None:
        last.append(f"return (loss.expand_as(x) * ({loss.alpha!r} * y + {1 - loss.alpha!r} * (1 - y))).sum(-1)")
    else:
        last.append("return loss.expand_as(x).sum(-1)")
    return _CLASS.format(
        function=_function(name),
        name=name,
        iou=", iou: Tensor" if reads_iou else "",
        shape="(N, C)" if sigmoid else "(N, C + 1) with the background last",
        doc=_doc(expression, grammar),
        features=_indented(lines),
        body=_indented([*found.statements, *last]).rstrip("\n"),
        use_sigmoid=sigmoid,
        reads_iou=reads_iou,
        weight=loss.loss_weight,
        asks=_ASKS if reads_iou else "",
        passes=", iou" if reads_iou else "",
    )


def _thin(expression: Expression) -> bool:
    """Whether the formula ends in one column for all classes."""
    import torch

    inputs = {name: torch.ones(2, 3) for name in ("x", "y", "w")}
    return tuple(expression(inputs).shape) == (2, 1)


def _above_zero(grammar: Grammar) -> frozenset[str]:
    """In units of the target's area union and enclosing area are at least 1."""
    return frozenset() if grammar.name == "box_pixels" else frozenset("ue")


def _closure(names: list[str]) -> set[str]:
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        names.extend(_NEEDS.get(name, ()))
    return found


def _indented(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)


def _function(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _doc(expression: Expression, grammar: Grammar) -> str:
    """The formula in plain text and in LaTeX, and what its inputs mean."""
    lines = [f"Formula: {expression}", f"LaTeX: {algebra.latex(expression)}", "Inputs:"]
    used = [terminal for terminal in grammar.terminals if terminal.name in expression.names]
    lines += [f"    {terminal.name}: {terminal.text} ({terminal.unit})" for terminal in used]
    wrapped = []
    for line in lines:
        hanging = " " * (8 if line.startswith(" ") else 4)
        wrapped += textwrap.wrap(line, 112, subsequent_indent=hanging, break_long_words=False)
    return "\n".join(f"    {line}" for line in wrapped).replace("\\", "\\\\")
