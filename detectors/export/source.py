"""Source: exported losses as the text of one Python file that needs PyTorch, and mmdetection's registry if any.

The modules carry the contract and the heads' mechanism of the toolkit with them, word for word.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectors.losses import weighted_loss
from primitives.catalog import grammar as find_grammar
from primitives.codegen.function import function, function_name, imports, module_name
from primitives.kinds.box.pair import aligned_iou
from primitives.kinds.classification.kind import SIGMOID
from primitives.text.markup import digest, docstring

_USE = (
    "In an mmdetection config: custom_imports = dict(imports=['{module}']) with this folder on PYTHONPATH, and "
    "{classes} as the type of loss_cls or loss_bbox. config.py beside this file does it."
)
_CONTRACT = (
    weighted_loss.Loss,
    weighted_loss.BoxLoss,
    weighted_loss.ClassLoss,
    weighted_loss.at_least_float32,
    weighted_loss.alive,
)
_BOX = '''class {name}(BoxLoss):
    """`{function}` as a `loss_bbox`, on decoded boxes.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """{reads}

    def __init__(self, reduction: str = "mean", loss_weight: float = {weight!r}) -> None:
        super().__init__(reduction, loss_weight)

    def formula(self, pred: Tensor, target: Tensor{takes}) -> Tensor:
        """See {function}."""
        return {function}(pred, target{passes})
'''
_CLASS = '''class {name}(ClassLoss):
    """`{function}` as a `loss_cls`.

    Not for torch.jit.script, which knows a part of Python only; torch.compile takes it whole.

    Args:
        use_sigmoid: heads read it; it is {use_sigmoid} for this loss.
        reduction: `none`, `mean` or `sum`.
        loss_weight: factor of the whole loss.
    """

    use_sigmoid = {use_sigmoid}{reads}

    def __init__(
        self, use_sigmoid: bool = {use_sigmoid}, reduction: str = "mean", loss_weight: float = {weight!r}
    ) -> None:
        super().__init__(reduction, loss_weight)
        if use_sigmoid is not self.use_sigmoid:
            raise ValueError(f"use_sigmoid must be {use_sigmoid} for this loss, got {{use_sigmoid}}")

    def formula(self, x: Tensor, labels: Tensor{takes}) -> Tensor:
        """See {function}."""
        return {function}(x, labels{passes})
'''
# Remarks for the tools that look at our own code.
_REWRITTEN = (("torch.Tensor", "Tensor"), ("  # noqa: ARG002  for", "  # for"), ("  # type: ignore[misc]", ""))
_REGISTRY = """if importlib.util.find_spec("mmdet") is None:  # without mmdetection the classes are plain modules
    MODELS = None
else:
    from mmdet.registry import MODELS
"""
_HEADS = """if MODELS is not None:
    try:
{imports}
    except ModuleNotFoundError as error:
        if error.name == "mmcv._ext":
            raise ImportError("this mmcv has no compiled ops: import a stand-in first, as config.py does") from error
        raise
"""
_HEAD = '''
    @MODELS.register_module(force=True)
    class {name}({mechanism}, {head}):
        """{head} that hands over what losses read beside prediction and target."""

        stands_for = "{head}"
'''
_LOSSES = """LOSSES = {{{by_slot}}}

if MODELS is not None:
    for _loss in LOSSES.values():
        MODELS.register_module(module=_loss, force=True)  # the same, if this file is imported under two names
"""


_KINDS = {"loss_cls": "ClassLoss", "loss_bbox": "BoxLoss"}


@dataclass(frozen=True)
class LossesFile:
    """A file of exported losses.

    Its names end in a digest of its code, so in one process none stands for two things.

    Args:
        name: what the classes' names begin with.
        tag: the digest.
        module: name of the file without its ending.
        text: of the file.
    """

    name: str
    tag: str
    module: str
    text: str

    def class_name(self, slot_or_head: str) -> str:
        """Name of the class of a slot's loss, or of one that does what a stock head does and knows the IoU."""
        return _class_name(self.name, slot_or_head, self.tag)


def losses_file(
    losses: Mapping[str, Mapping[str, Any]],
    name: str,
    about: Sequence[str],
    head: str | None = None,
    roi_head: str | None = None,
) -> LossesFile:
    """A file with a function and a module per loss; it imports torch, and mmdetection's registry if any.

    Args:
        losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`.
        name: what the classes' names begin with.
        about: where the losses come from, paragraphs.
        head: stock head whose kind needs classes that hand over more, None for none.
        roi_head: stock RoI head whose kind needs classes that tell of the images, None for none.
    """
    heads = (head, roi_head)
    untagged = _code(losses, name, "", heads)
    tag, module = digest(untagged), module_name(name, "losses", untagged)
    classes = [_class_name(name, slot, tag) for slot in losses]
    use = _USE.format(module=module, classes=" and ".join(classes))
    says = "\n\n".join(textwrap.fill(part, 118) for part in (*about, use))
    title = docstring(f"{' and '.join(classes)}.\n\n{says}\n")
    text = f'"""{title}"""\n\nfrom __future__ import annotations\n\n{_code(losses, name, tag, heads)}'
    return LossesFile(name, tag, module, text)


def _class_name(name: str, slot_or_head: str, tag: str) -> str:
    return f"{name}{_KINDS.get(slot_or_head, slot_or_head)}_{tag}"


def _code(losses: Mapping[str, Mapping[str, Any]], name: str, tag: str, heads: tuple[str | None, str | None]) -> str:
    """The file without what it says of itself."""
    head, roi_head = heads
    parts = [_REGISTRY, f"REDUCTIONS = {weighted_loss.REDUCTIONS!r}".replace("'", '"') + "\n"]
    unused = (
        weighted_loss.ClassLoss
        if "loss_cls" not in losses
        else weighted_loss.BoxLoss
        if "loss_bbox" not in losses
        else None
    )
    parts += [inspect.getsource(part) for part in _CONTRACT if part is not unused]
    for slot, loss in losses.items():
        rules = find_grammar(loss["grammar"])
        formula = rules.parse(loss["expression"])
        called, reads = function_name(name, rules.kind), rules.given(formula)
        parts.append(function(formula, rules, called, loss.get("alpha")))
        parts.append(
            (_BOX if slot == "loss_bbox" else _CLASS).format(
                name=_class_name(name, slot, tag),
                function=called,
                weight=loss["loss_weight"],
                use_sigmoid=rules.kind is SIGMOID,
                reads="\n    reads = ({})".format("".join(f'"{one}",' for one in reads)) if reads else "",
                takes=", **given: Tensor" if reads else "",
                passes=", **given" if reads else "",
            )
        )
    by_slot = ", ".join(f'"{slot}": {_class_name(name, slot, tag)}' for slot in losses)
    parts.append(_LOSSES.format(by_slot=by_slot))
    if head is not None:
        parts += _head_parts(head, roi_head is not None, name, tag)
    body = "\n\n".join(part.rstrip("\n") + "\n" for part in parts)
    for ours, theirs in _REWRITTEN:
        body = body.replace(ours, theirs)
    lines = ["import importlib.util"]
    lines += [*(["from collections.abc import Callable, Sequence"] if head else []), "from typing import Any"]
    needs = imports(body, "torch").replace("import torch\n", "import torch\nfrom torch import Tensor, nn\n", 1)
    if needs.endswith("import torch"):
        needs += "\nfrom torch import Tensor, nn"
    if needs.startswith("import math"):
        lines.insert(1, "import math")
        needs = needs.removeprefix("import math\n\n")
    return f"{chr(10).join(lines)}\n\n{needs}\n\n{body}"


def _head_parts(head: str, images: bool, name: str, tag: str) -> list[str]:
    """The mechanism of the heads that hand over more, and the heads of the same kind; RoI heads too for `images`."""
    from detectors.heads import handover, iou_aware
    from detectors.heads.registry import MECHANISMS, ROI_HEADS

    mechanism = next(how for one, how in MECHANISMS.items() if one.__name__ == head)
    # One-stage losses fit every one-stage head, two-stage losses every two-stage one.
    two_stage = mechanism is iou_aware.RoIIoUAware
    kin: dict[type, type] = {one: how for one, how in MECHANISMS.items() if (how is iou_aware.RoIIoUAware) == two_stage}
    kin |= dict.fromkeys(ROI_HEADS, iou_aware.ImageAware) if images else {}
    used = {base for how in kin.values() for base in how.__mro__}
    ours = (handover.__name__, iou_aware.__name__, aligned_iou.__module__)
    variants = (handover.IoUAware, iou_aware.ImageAware)
    parts = dict.fromkeys(
        part
        for module in (handover, iou_aware)
        for part in vars(module).values()
        if getattr(part, "__module__", None) in ours
        and (part in used or not (inspect.isclass(part) and issubclass(part, variants)))
    )
    packages: dict[str, list[str]] = {}
    for one in sorted(kin, key=lambda one: one.__name__):
        packages.setdefault(one.__module__.rpartition(".")[0], []).append(one.__name__)
    lines = [f"from {package} import {', '.join(names)}" for package, names in packages.items()]
    lines.append("from mmdet.structures.bbox import get_box_tensor")
    block = _HEADS.format(imports="\n".join(f"        {line}" for line in sorted(lines)))
    for one, how in kin.items():
        block += _HEAD.format(name=_class_name(name, one.__name__, tag), head=one.__name__, mechanism=how.__name__)
    return [*map(inspect.getsource, parts), block]
