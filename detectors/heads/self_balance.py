"""Self-balance: the hook that gives the box loss of every head the value of its class loss.

Formula: loss_bbox * stop(loss_cls / loss_bbox)

Source: Oksuz et al. 2021, arXiv 2107.11669, section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from torch import Tensor

_CLS, _BOX = "loss_cls", "loss_bbox"


class SelfBalance(Hook):
    """Balances the losses of the heads that a search fills, `loss_cls` and `loss_bbox` of every stage; of no others."""

    def before_train(self, runner: Any) -> None:
        """See mmengine's Hook."""
        model = getattr(runner.model, "module", runner.model)
        parse: Callable[[Mapping[str, Any]], Any] = model.parse_losses
        model.parse_losses = lambda losses: parse(balanced(losses))


def balanced(losses: Mapping[str, Any]) -> dict[str, Any]:
    """The losses of an iteration, box losses at the value of the class losses beside them.

    Args:
        losses: by name, a tensor each, or one a level; those of the stages of a cascade begin with `s0.` and so on.

    Raises:
        ValueError: no head has both.
    """
    found = dict(losses)
    heads = [name.removesuffix(_BOX) for name in losses if name.removesuffix(_BOX) in ("", *_stages(losses))]
    heads = [head for head in heads if head + _CLS in losses]
    if not heads:
        raise ValueError(f"no head has {_CLS} and {_BOX} to balance, got {', '.join(losses)}")
    for head in heads:
        of_classes, of_boxes = (_total(losses[head + slot]).detach() for slot in (_CLS, _BOX))
        ratio = of_classes / of_boxes if of_boxes > 0 else of_boxes.new_ones(())
        parts = losses[head + _BOX]
        found[head + _BOX] = parts * ratio if isinstance(parts, Tensor) else [part * ratio for part in parts]
    return found


def _stages(losses: Mapping[str, Any]) -> set[str]:
    """What the names of a cascade's stages begin with."""
    return {f"{name.partition('.')[0]}." for name in losses if "." in name}


def _total(parts: Tensor | Sequence[Tensor]) -> Tensor:
    """As mmengine adds them up."""
    return parts.mean() if isinstance(parts, Tensor) else sum((part.mean() for part in parts), parts[0].new_zeros(()))
