"""Features: from boxes, logits and labels to the named inputs of a formula, and from its value to losses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

AREA_EPS = 1e-7


def box_features(pred: Tensor, target: Tensor, *, pixels: bool = False, extended: bool = False) -> dict[str, Tensor]:
    """Intersection, union and enclosing area of aligned box pairs; also d and v if `extended`.

    Formula:
        i = |P n T|, u = |P| + |T| - i + 1e-7, e = |smallest box around P and T| + 1e-7,
        each divided by the target's area unless `pixels`;
        d = squared distance of the centres / squared diagonal of the enclosing box (range 0..1);
        v = 4 / pi^2 (atan(w_t / h_t) - atan(w_p / h_p))^2 (range 0..1).

    Args:
        pred: predicted boxes, (N, 4) xyxy in pixels.
        target: target boxes, (N, 4) xyxy in pixels.
        pixels: areas in square pixels, as the published formulas count them, not in target areas.
        extended: add the DIoU and CIoU inputs.

    Returns:
        A tensor (N,) per input name.

    Raises:
        ValueError: the shapes are not (N, 4) twice.

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.1; Zheng et al. 2020, arXiv 1911.08287, eq. 6, 7 and 9.
    """
    if pred.shape != target.shape or pred.dim() != 2 or pred.shape[-1] != 4:
        raise ValueError(f"boxes must be two (N, 4) xyxy tensors, got {tuple(pred.shape)} {tuple(target.shape)}")
    wh_i = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
    wh_e = (torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])).clamp(min=0)
    wh_p, wh_t = pred[:, 2:] - pred[:, :2], target[:, 2:] - target[:, :2]
    area_t = wh_t[:, 0] * wh_t[:, 1]
    i = wh_i[:, 0] * wh_i[:, 1]
    u = wh_p[:, 0] * wh_p[:, 1] + area_t - i + AREA_EPS
    e = wh_e[:, 0] * wh_e[:, 1] + AREA_EPS
    inputs = {"i": i, "u": u, "e": e}
    if not pixels:
        unit = area_t.clamp(min=AREA_EPS)
        inputs = {name: area / unit for name, area in inputs.items()}
    if extended:
        offset = (pred[:, :2] + pred[:, 2:] - target[:, :2] - target[:, 2:]) / 2
        inputs["d"] = offset.square().sum(-1) / (wh_e.square().sum(-1) + AREA_EPS)
        aspect_t = torch.atan(wh_t[:, 0] / (wh_t[:, 1] + AREA_EPS))
        aspect_p = torch.atan(wh_p[:, 0] / (wh_p[:, 1] + AREA_EPS))
        inputs["v"] = (4 / math.pi**2) * (aspect_t - aspect_p).square()
    return inputs


def pairwise_iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU of aligned boxes, (N, 4) xyxy twice -> (N,) in 0..1."""
    areas = box_features(pred, target, pixels=True)
    return (areas["i"] / areas["u"].clamp(min=AREA_EPS)).clamp(0, 1)


def class_features(
    logits: Tensor, labels: Tensor, iou: Tensor | None = None, *, use_sigmoid: bool
) -> dict[str, Tensor]:
    """Logits x, one-hot target y and IoU w of the predicted box with its target.

    Args:
        logits: (N, C) if `use_sigmoid`, else (N, C + 1) with the background last.
        labels: (N,) class index; C is background.
        iou: (N,) IoU of each sample's predicted box in 0..1, read at positives only; None leaves `w` out.
        use_sigmoid: sigmoid heads (w is 0 off the target) or softmax heads (w is 1 for background).

    Returns:
        A tensor of the logits' shape per input name; `w` carries no gradient.

    Raises:
        ValueError: shapes that do not belong together.

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.1.
    """
    if logits.dim() != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"expected (N, C) logits, (N,) labels, got {tuple(logits.shape)} {tuple(labels.shape)}")
    background = logits.shape[1] if use_sigmoid else logits.shape[1] - 1
    columns = torch.arange(logits.shape[1], device=logits.device)
    y = (labels[:, None] == columns).to(logits.dtype)
    inputs = {"x": logits, "y": y}
    if iou is not None:
        if iou.shape != labels.shape:
            raise ValueError(f"expected an IoU per sample, {tuple(labels.shape)}, got {tuple(iou.shape)}")
        column = iou.detach().to(logits.dtype)[:, None]
        if use_sigmoid:
            inputs["w"] = y * column
        else:
            positive = ((labels >= 0) & (labels < background))[:, None]
            inputs["w"] = torch.where(positive, column, torch.ones_like(column)).expand_as(logits)
    return inputs


def per_sample(value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:
    """One loss per sample: a class formula's value summed over the class axis, a box formula's as it is.

    Args:
        value: what the formula gave; broadcasts to the inputs' shape.
        inputs: what the formula was given.
        alpha: weight of the target column, 1 - alpha elsewhere; None weights nothing. A formula that ends in
            one column per sample has no class axis left to weight.

    Returns:
        Losses (N,).

    Source: alpha: Lin et al. 2017, arXiv 1708.02002, eq. 3.
    """
    if "x" not in inputs:
        return value.expand(inputs["i"].shape)
    rows, columns = inputs["x"].shape
    if value.dim() == 2 and value.shape[1] == 1 and columns > 1:
        return value[:, 0].expand(rows)
    value = value.expand(rows, columns)
    if alpha is not None:
        value = value * (alpha * inputs["y"] + (1 - alpha) * (1 - inputs["y"]))
    return value.sum(-1)
