"""candidate137_class_loss, candidate137_box_loss: plain functions.

Candidate 137 of run search (seed 0): tuning of 90: loss_cls (alpha 0.25 to 0.14). Score at final: 0.670 ± 0.012, the
detector's own loss 0.656 ± 0.015 (COCO mAP on the images of that rung).

Found with configs/detectors/tiny_fcos.py on 1000 train, 200 val, 300 test, 10 verify images with 10 classes, by
autoloss 0.1.0.
"""

import torch
from torch.nn import functional

CANDIDATE137_CLASS_LOSS_WEIGHT = 0.899766  # the gradient norm of the loss that detectors train with


def candidate137_class_loss(x: torch.Tensor, labels: torch.Tensor, frequency: torch.Tensor) -> torch.Tensor:
    """Losses (N,) of logits x, (N, C), and labels (N,); C is background.

    Formula: div(mul(square(sub(y, sigmoid(x))), sub(softplus(x), mul(x, y))), pow(f, 0.5))
    LaTeX: \\frac{\\left(y - \\frac{1}{1 + e^{- x}}\\right)^{2} \\left(- x y + \\log{\\left(e^{x} + 1
        \\right)}\\right)}{\\sqrt{f}}
    Inputs:
        x: predicted logits (logit)
        y: target (one-hot)
        f: frequency of the class in training, relative to the most frequent one; 1 of the background (share of the
            most frequent), as frequency (C,) or (N, C)
    """
    x = x if x.dtype == torch.float64 else x.float()
    f = frequency.detach().to(x.dtype).expand_as(x)
    index = labels.clamp(0, x.shape[1] - 1)[:, None]
    hit = (labels < x.shape[1])[:, None]
    x_at = x.gather(1, index)
    f_at = frequency.detach().to(x.dtype).expand_as(x).gather(1, index)
    at1 = torch.square(1.0 - torch.sigmoid(x_at)) * (functional.softplus(x_at) - x_at)
    at2 = torch.exp(torch.clamp(0.5 * torch.log(torch.clamp(f_at, min=1e-08)), max=60.0))
    at_label = at1 / (at2 + 1e-20)
    t1 = torch.exp(torch.clamp(0.5 * torch.log(torch.clamp(f, min=1e-08)), max=60.0))
    off_label = torch.square(-torch.sigmoid(x)) * functional.softplus(x) / (t1 + 1e-20)
    others = torch.ones_like(x).scatter(1, index, (~hit).to(x.dtype))
    return 0.86 * (off_label * others).sum(-1) + 0.14 * torch.where(hit, at_label, 0.0)[:, 0]


CANDIDATE137_BOX_LOSS_WEIGHT = 1.28721  # the gradient norm of the loss that detectors train with


def candidate137_box_loss(pred: torch.Tensor, target: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """Losses (N,) of aligned boxes, (N, 4) xyxy in pixels.

    Formula: add(sub(1, div(i, u)), mul(square(a), square(a)))
    LaTeX: a^{4} - \\frac{i}{u} + 1
    Inputs:
        i: intersection of the predicted box and its target (target area)
        u: union of the predicted box and its target (target area)
        a: size of the target relative to the image: square root of its share (side of the image), as size (N,)
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
    a = size.detach().to(pred.dtype)
    t1 = torch.square(a)
    return 1.0 - i / u + t1 * t1
