"""Pair: what the inputs of aligned box pairs have in common, and the inputs, a row each."""

from __future__ import annotations

import math
from functools import cached_property
from operator import attrgetter

import torch
from torch import Tensor

from primitives.kinds.box.code import by_backend
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import PROGRESS, Terminal, frequency, score, size

AREA_EPS = 1e-7
_INF = math.inf


class Pair:
    """Aligned boxes, (N, 4) xyxy in pixels twice: areas in square pixels, and in units of the target's area.

    Formula:
        i = |P n T|, u = |P| + |T| - i + 1e-7, e = |smallest box around P and T| + 1e-7;
        d = squared distance of the centres / squared diagonal of the enclosing box (range 0..1);
        v = 4 / pi^2 (atan(w_t / h_t) - atan(w_p / h_p))^2 (range 0..1);
        dw = |w_p - w_t| / w_e, dh = |h_p - h_t| / h_e (range 0..1);
        g = (w_e^2 + h_e^2) / |T|, k = half the squared distances of both corners / |T|.

    Gradients are added in the order in which values came to be, so the areas are computed at once, in this order.

    Raises:
        ValueError: the shapes are not (N, 4) twice.

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.1; Zheng et al. 2020, arXiv 1911.08287, eq. 6, 7 and 9;
    Zhang et al. 2021, arXiv 2101.08158, eq. 6 (dw, dh); Wang et al. 2021, arXiv 2110.13389, eq. 6 (k).
    """

    def __init__(self, sample: Sample) -> None:
        pred, target = sample.pred, sample.target
        if pred.shape != target.shape or pred.dim() != 2 or pred.shape[-1] != 4:
            raise ValueError(f"boxes must be two (N, 4) xyxy tensors, got {tuple(pred.shape)} {tuple(target.shape)}")
        self.pred, self.target = pred, target
        wh_i = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
        self.wh_e = (torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])).clamp(min=0)
        self.wh_p, self.wh_t = pred[:, 2:] - pred[:, :2], target[:, 2:] - target[:, :2]
        self.area_t = self.wh_t[:, 0] * self.wh_t[:, 1]
        self.intersection = wh_i[:, 0] * wh_i[:, 1]
        self.union = self.wh_p[:, 0] * self.wh_p[:, 1] + self.area_t - self.intersection + AREA_EPS
        self.enclosing = self.wh_e[:, 0] * self.wh_e[:, 1] + AREA_EPS

    @cached_property
    def unit(self) -> Tensor:
        """The target's area."""
        return self.area_t.clamp(min=AREA_EPS)

    @property
    def i(self) -> Tensor:
        """Intersection in units of the target's area."""
        return self.intersection / self.unit

    @property
    def u(self) -> Tensor:
        """Union in units of the target's area."""
        return self.union / self.unit

    @property
    def e(self) -> Tensor:
        """Enclosing area in units of the target's area."""
        return self.enclosing / self.unit

    @property
    def d(self) -> Tensor:
        """Squared distance of the centres in units of the enclosing box's squared diagonal."""
        pred, target = self.pred, self.target
        offset = (pred[:, :2] + pred[:, 2:] - target[:, :2] - target[:, 2:]) / 2
        return offset.square().sum(-1) / (self.wh_e.square().sum(-1) + AREA_EPS)

    @property
    def v(self) -> Tensor:
        """Squared difference of the aspect angles."""
        aspect_t = torch.atan(self.wh_t[:, 0] / (self.wh_t[:, 1] + AREA_EPS))
        aspect_p = torch.atan(self.wh_p[:, 0] / (self.wh_p[:, 1] + AREA_EPS))
        return (4 / math.pi**2) * (aspect_t - aspect_p).square()

    @property
    def w(self) -> Tensor:
        """IoU, detached."""
        return (self.intersection / self.union).detach()

    @property
    def dw(self) -> Tensor:
        """Difference of the widths in units of the enclosing box's."""
        return (self.wh_p[:, 0] - self.wh_t[:, 0]).abs() / (self.wh_e[:, 0] + AREA_EPS)

    @property
    def dh(self) -> Tensor:
        """Difference of the heights in units of the enclosing box's."""
        return (self.wh_p[:, 1] - self.wh_t[:, 1]).abs() / (self.wh_e[:, 1] + AREA_EPS)

    @property
    def g(self) -> Tensor:
        """Squared diagonal of the enclosing box in units of the target's area."""
        return (self.wh_e.square().sum(-1) + AREA_EPS) / self.unit

    @property
    def k(self) -> Tensor:
        """Half the sum of the squared distances of both corners in units of the target's area."""
        return (self.pred - self.target).square().sum(-1) / 2 / self.unit


_INTERSECTION = "intersection of the predicted box and its target"
_UNION = "union of the predicted box and its target"
_ENCLOSING = "smallest box around both"
TARGET_AREA, PIXEL_AREA = "target area", "square pixel"

_I = by_backend("i = w_i * h_i")
_U = by_backend("u = w_p * h_p + area - i + 1e-7")
_E = by_backend("e = w_e * h_e + 1e-7")
_D = by_backend(
    "d_x, d_y = (x1_p + x2_p - x1_t - x2_t) / 2, (y1_p + y2_p - y1_t - y2_t) / 2",
    "d = (d_x * d_x + d_y * d_y) / (w_e * w_e + h_e * h_e + 1e-7)",
)
_V = by_backend(
    "angle_t = torch.atan(w_t / (h_t + 1e-7))",
    "angle_p = torch.atan(w_p / (h_p + 1e-7))",
    "v = (4 / math.pi**2) * (angle_t - angle_p) ** 2",
)

# Generated code divides by the target's area once, for all areas, and where the unit does not cancel.
AREAS = (
    Terminal("i", (0, _INF), TARGET_AREA, _INTERSECTION, attrgetter("i"), _I, positive=True),
    Terminal("u", (0, _INF), TARGET_AREA, _UNION, attrgetter("u"), _U, positive=True),
    Terminal("e", (0, _INF), TARGET_AREA, _ENCLOSING, attrgetter("e"), _E, positive=True),
)
"""Areas in units of the target's: a formula cannot depend on image resolution."""
PIXELS = (
    Terminal("i", (0, _INF), PIXEL_AREA, _INTERSECTION, attrgetter("intersection"), _I, positive=True),
    Terminal("u", (0, _INF), PIXEL_AREA, _UNION, attrgetter("union"), _U, positive=True),
    Terminal("e", (0, _INF), PIXEL_AREA, _ENCLOSING, attrgetter("enclosing"), _E, positive=True),
)
"""Areas in square pixels, as the published formulas count them."""
SHAPES = (
    Terminal("d", (0, 1), "squared diagonal", "squared distance of the centres", attrgetter("d"), _D),
    Terminal("v", (0, 1), "1", "squared difference of the aspect angles", attrgetter("v"), _V),
)
"""What DIoU and CIoU add."""
_W = {"torch": "w = (i / u).detach()", "numpy": "w = i / u", "jax": "w = jax.lax.stop_gradient(i / u)"}
_DW = by_backend("dw = torch.abs(w_p - w_t) / (w_e + 1e-7)")
_DH = by_backend("dh = torch.abs(h_p - h_t) / (h_e + 1e-7)")
_G = by_backend("g = w_e * w_e + h_e * h_e + 1e-7")
_K = by_backend(
    "k_1 = (x1_p - x1_t) ** 2 + (y1_p - y1_t) ** 2",
    "k_2 = (x2_p - x2_t) ** 2 + (y2_p - y2_t) ** 2",
    "k = (k_1 + k_2) / 2",
)
SIZES = (
    Terminal("dw", (0, 1), "enclosing width", "difference of the widths", attrgetter("dw"), _DW),
    Terminal("dh", (0, 1), "enclosing height", "difference of the heights", attrgetter("dh"), _DH),
    Terminal("g", (0, _INF), TARGET_AREA, "squared diagonal of the smallest box around both", attrgetter("g"), _G),
    Terminal("k", (0, _INF), TARGET_AREA, "half the squared distances of both corners", attrgetter("k"), _K),
)
"""What EIoU, Wise-IoU, NWD and MPDIoU add."""
OVERLAP = Terminal(
    "w", (0, 1), "IoU", "IoU of the predicted box, detached", attrgetter("w"), _W, predicted=False, moves=True
)
KNOWN_IN_TRAINING = (
    OVERLAP,
    score("predicted probability of the target's class, detached"),
    frequency("frequency of the target's class in training, relative to the most frequent one", per="sample"),
    PROGRESS,
    size("size of the target relative to the image: square root of its share"),
)
"""What training knows beside the boxes."""


# Exported files carry it, so it needs PyTorch alone.
def aligned_iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU of aligned boxes, (N, 4) xyxy twice -> (N,) in 0..1."""
    wh_i = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
    wh_p, wh_t = pred[:, 2:] - pred[:, :2], target[:, 2:] - target[:, :2]
    i = wh_i[:, 0] * wh_i[:, 1]
    u = wh_p[:, 0] * wh_p[:, 1] + wh_t[:, 0] * wh_t[:, 1] - i + 1e-7
    return (i / u.clamp(min=1e-7)).clamp(0, 1)
