"""candidate173_class_loss, candidate173_box_loss: plain functions.

Candidate 173 of run search (seed 0): refinement of 140: loss_bbox (weight x 1.3). Score at final: 0.498 ± 0.026, the
detector's own loss 0.409 ± 0.032 (COCO mAP on the images of that rung).

Found with configs/detectors/tiny_fcos.py on 1000 train, 200 val, 300 test, 10 verify images with 10 classes, by
autoloss 0.1.0.
"""

import torch

CANDIDATE173_CLASS_LOSS_WEIGHT = 2.21339  # the gradient norm of the loss that detectors train with


def candidate173_class_loss(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Losses (N,) of logits x, (N, C), and labels (N,); C is background.

    Formula: square(sub(y, sin(sigmoid(x))))
    LaTeX: \\left(y - \\sin{\\left(\\frac{1}{1 + e^{- x}} \\right)}\\right)^{2}
    Inputs:
        x: predicted logits (logit)
        y: target (one-hot)
    """
    x = x if x.dtype == torch.float64 else x.float()
    index = labels.clamp(0, x.shape[1] - 1)[:, None]
    hit = (labels < x.shape[1])[:, None]
    x_at = x.gather(1, index)
    at_label = torch.square(1.0 - torch.sin(torch.sigmoid(x_at)))
    off_label = torch.square(-torch.sin(torch.sigmoid(x)))
    others = torch.full_like(x, 1.0).scatter(1, index, torch.where(hit, 0.0, 1.0).to(x.dtype))
    return (off_label * others).sum(-1) + torch.where(hit, at_label, 0.0)[:, 0]


CANDIDATE173_BOX_LOSS_WEIGHT = 1.61712  # the gradient norm of the loss that detectors train with


def candidate173_box_loss(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Losses (N,) of aligned boxes, (N, 4) xyxy in pixels.

    Formula: sub(1, sub(div(i, u), div(sub(e, u), 15)))
    LaTeX: \\frac{e}{15} - \\frac{i}{u} - \\frac{u}{15} + 1
    Inputs:
        i: intersection of the predicted box and its target (target area)
        u: union of the predicted box and its target (target area)
        e: smallest box around both (target area)
    """
    pred = pred if pred.dtype == torch.float64 else pred.float()
    target = target if target.dtype == torch.float64 else target.float()
    x1_p, y1_p, x2_p, y2_p = pred.t().contiguous().unbind()
    x1_t, y1_t, x2_t, y2_t = target.t().contiguous().unbind()
    w_t, h_t = x2_t - x1_t, y2_t - y1_t
    w_p, h_p = x2_p - x1_p, y2_p - y1_p
    w_i = (torch.min(x2_p, x2_t) - torch.max(x1_p, x1_t)).clamp(min=0)
    h_i = (torch.min(y2_p, y2_t) - torch.max(y1_p, y1_t)).clamp(min=0)
    w_e = (torch.max(x2_p, x2_t) - torch.min(x1_p, x1_t)).clamp(min=0)
    h_e = (torch.max(y2_p, y2_t) - torch.min(y1_p, y1_t)).clamp(min=0)
    area = w_t * h_t
    i = w_i * h_i
    u = w_p * h_p + area - i + 1e-7
    e = w_e * h_e + 1e-7
    unit = area.clamp(min=1e-7)
    i, u, e = i / unit, u / unit, e / unit
    return 1.0 - (i / u - (e - u) / 15.0)
