"""Stands in for mmcv's compiled ops with torchvision's, where `mmcv._ext` is missing.

The mmcv that pip installs carries no compiled ops. Faster R-CNN, Cascade R-CNN, FCOS and ATSS need nms, roi_align
and the sigmoid focal loss of them; any other op raises when it is called. An mmcv with compiled ops is left alone.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torchvision
from torch import Tensor

_NAME = "mmcv._ext"
_AT_IMPORT = "\n\ninstall()\n"


class MissingOpError(NotImplementedError):
    """An op that only an mmcv with compiled ops has."""


def install() -> bool:
    """Puts the stand-in where `mmcv._ext` would be, unless it is there.

    Returns:
        Whether the stand-in is in use.
    """
    present = sys.modules.get(_NAME)
    if present is None and importlib.util.find_spec(_NAME) is None:
        sys.modules[_NAME] = _StandIn()
    # Another copy of this file may have put its own there.
    return hasattr(sys.modules.get(_NAME), "__stand_in__")


def text() -> str:
    """The text of this file as one that installs the stand-in when it is imported."""
    own = Path(__file__).read_text(encoding="utf-8")
    return own if own.endswith(_AT_IMPORT) else own + _AT_IMPORT


class _StandIn(ModuleType):
    """A module that has every name; the ops of this file work, the rest raise when called."""

    def __init__(self) -> None:
        super().__init__(_NAME, __doc__)
        self.__spec__ = ModuleSpec(_NAME, loader=None, origin=__file__)  # mmengine looks for it
        self.__file__ = __file__
        self.__stand_in__ = text
        for op in (
            nms,
            roi_align_forward,
            roi_align_backward,
            sigmoid_focal_loss_forward,
            sigmoid_focal_loss_backward,
            get_compiler_version,
            get_compiling_cuda_version,
        ):
            setattr(self, op.__name__, op)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise MissingOpError(
                f"mmcv's op {name!r} needs an mmcv with compiled ops; this one has none. Build mmcv from source "
                "with MMCV_WITH_OPS=1 for your PyTorch, or choose a detector that does without it"
            )

        return missing


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Indices (K,) of the kept boxes (N, 4) xyxy, best score first; widths are x2 - x1 + offset."""
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes.float(), scores.float(), float(iou_threshold))


def roi_align_forward(
    input: Tensor,  # noqa: A002  mmcv's name
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,  # noqa: ARG001  of max pooling
    argmax_x: Tensor,  # noqa: ARG001
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills `output` (K, C, H, W) with features of the rois (K, 5), batch index first."""
    if pool_mode != 1:
        raise MissingOpError("mmcv's roi_align with pool_mode='max' needs an mmcv with compiled ops; use 'avg'")
    size = (aligned_height, aligned_width)
    features = _wide(input)
    rois = rois.to(features.dtype)
    output.copy_(torchvision.ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,  # noqa: ARG001
    argmax_x: Tensor,  # noqa: ARG001
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,  # noqa: ARG001  checked on the way forward
    aligned: bool,
) -> None:
    """Fills `grad_input` (N, C, H, W) from the gradient of the output."""
    upstream = _wide(grad_output)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            upstream,
            rois.to(upstream.dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def _wide(values: Tensor) -> Tensor:
    """Half precision as float32: not every kernel of torchvision's has it, and the sums lose less."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _focal(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    columns = torch.arange(logits.shape[1], device=logits.device)
    hot = (target[:, None] == columns).to(logits.dtype)
    loss = torchvision.ops.sigmoid_focal_loss(logits, hot, alpha, gamma, reduction="none")
    return loss * weight[target][:, None] if weight.numel() else loss


def sigmoid_focal_loss_forward(
    input: Tensor,  # noqa: A002
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Fills `output` (N, C) with focal losses; target (N,) holds class indices, C is background."""
    output.copy_(_focal(_wide(input), target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor,  # noqa: A002
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Fills `grad_input` (N, C) with the derivative of every loss."""
    with torch.enable_grad():
        logits = _wide(input.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(_focal(logits, target, weight, gamma, alpha).sum(), logits)
    grad_input.copy_(gradient)


def get_compiler_version() -> str:
    """For mmengine's list of the environment."""
    return "none: torchvision's ops stand in"


def get_compiling_cuda_version() -> str:
    """For mmengine's list of the environment."""
    return "none: torchvision's ops stand in"


install()
