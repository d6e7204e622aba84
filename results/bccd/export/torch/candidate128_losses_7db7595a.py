"""candidate128_class_loss, candidate128_box_loss: plain functions.

Candidate 128 of run search (seed 0): tuning of 116: loss_bbox (weight x 2). Score at final: 0.385 ± 0.004, the
detector's own loss 0.344 ± 0.006 (COCO mAP on the images of that rung).

Found with configs/detectors/tiny_fcos.py on 205 train, 87 val, 72 test, 3 verify images with 3 classes, by autoloss
0.1.0.
"""

import torch
from torch.nn import functional

CANDIDATE128_CLASS_LOSS_WEIGHT = 0.566919  # the gradient norm of the loss that detectors train with


def candidate128_class_loss(x: torch.Tensor, labels: torch.Tensor, iou: torch.Tensor) -> torch.Tensor:
    """Losses (N,) of logits x, (N, C), and labels (N,); C is background.

    Formula: mul(add(w, mul(sigmoid(x), mul(sub(1.3999999999999999, y), mul(sigmoid(x), sigmoid(x))))),
        sub(softplus(x), mul(x, w)))
    LaTeX: \\left(w + \\frac{\\frac{7}{5} - y}{\\left(1 + e^{- x}\\right)^{3}}\\right) \\left(- w x + \\log{\\left(e^{x} + 1
        \\right)}\\right)
    Inputs:
        x: predicted logits (logit)
        y: target (one-hot)
        w: IoU of the predicted box, detached (IoU), as iou (N,)
    """
    x = x if x.dtype == torch.float64 else x.float()
    index = labels.clamp(0, x.shape[1] - 1)[:, None]
    hit = (labels < x.shape[1])[:, None]
    x_at = x.gather(1, index)
    w_at = iou.detach().to(x.dtype)[:, None]
    at1 = torch.sigmoid(x_at)
    at_label = (w_at + at1 * (0.3999999999999999 * (at1 * at1))) * (functional.softplus(x_at) - x_at * w_at)
    t1 = torch.sigmoid(x)
    off_label = t1 * (1.4 * (t1 * t1)) * functional.softplus(x)
    others = torch.full_like(x, 1.0).scatter(1, index, torch.where(hit, 0.0, 1.0).to(x.dtype))
    return (off_label * others).sum(-1) + torch.where(hit, at_label, 0.0)[:, 0]


CANDIDATE128_BOX_LOSS_WEIGHT = 3.21178  # the gradient norm of the loss that detectors train with


def candidate128_box_loss(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Losses (N,) of aligned boxes, (N, 4) xyxy in pixels.

    Formula: sub(1.2, pow(div(i, u), 3))
    LaTeX: - \\frac{i^{3}}{u^{3}} + \\frac{6}{5}
    Inputs:
        i: intersection of the predicted box and its target (target area)
        u: union of the predicted box and its target (target area)
    """
    pred = pred if pred.dtype == torch.float64 else pred.float()
    target = target if target.dtype == torch.float64 else target.float()
    x1_p, y1_p, x2_p, y2_p = pred.t().contiguous().unbind()
    x1_t, y1_t, x2_t, y2_t = target.t().contiguous().unbind()
    w_t, h_t = x2_t - x1_t, y2_t - y1_t
    w_p, h_p = x2_p - x1_p, y2_p - y1_p
    w_i = (torch.min(x2_p, x2_t) - torch.max(x1_p, x1_t)).clamp(min=0)
    h_i = (torch.min(y2_p, y2_t) - torch.max(y1_p, y1_t)).clamp(min=0)
    area = w_t * h_t
    i = w_i * h_i
    u = w_p * h_p + area - i + 1e-7
    t1 = torch.exp(torch.clamp(3.0 * torch.log(torch.clamp(i / u, min=1e-08)), max=60.0))
    return 1.2 - t1
