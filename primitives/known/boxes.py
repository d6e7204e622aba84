"""Losses of boxes: name, and title, grammar, text as published, source and maybe the weight of the target."""

from __future__ import annotations

_IOU = "div(i, u)"
_GIOU = "sub(1, sub(div(i, u), div(sub(e, u), e)))"
_PAPER = "Liu et al. 2021, arXiv 2102.04700, appendix; text from the authors' repository"

USUAL = {
    "iou": ("IoU (linear)", "box", f"sub(1, {_IOU})", "Rahman and Wang 2016, ISVC"),
    "log_iou": ("IoU (log)", "box", f"neg(log({_IOU}))", "Yu et al. 2016, arXiv 1608.01471"),
    "squared_iou": (
        "IoU (squared)",
        "box",
        f"sub(1, mul({_IOU}, {_IOU}))",
        "mmdetection, IoULoss mode 'square'; the alpha = 2 case of He et al. 2021, arXiv 2110.13675",
    ),
    "giou": ("GIoU", "box", _GIOU, "Rezatofighi et al. 2019, arXiv 1902.09630, algorithm 1"),
    "diou": ("DIoU", "box_extended", f"add(sub(1, {_IOU}), d)", "Zheng et al. 2020, arXiv 1911.08287, eq. 7"),
}
PUBLISHED = {
    "a": (
        "CSE-Autoloss-A box",
        "box_pixels",
        "Add(1,Neg(Add(Div(I,U),Neg(Div(Add(E,Neg(Add(I,2))),E)))))",
        _PAPER,
    ),
    "b": (
        "CSE-Autoloss-B box",
        "box_pixels",
        "Neg(Div(Add(Div(Neg(Add(Neg(E),Add(1,I))),Neg(Add(3,Add(2,U)))),Add(Div(E,E),Div(Neg(E),Neg(1)))),"
        "Neg(Add(Div(Neg(Add(U,Div(I,1))),Neg(3)),Neg(E)))))",
        _PAPER,
    ),
}
LATER = {
    "alpha_iou": ("alpha-IoU (alpha 3)", "box_wide", "1 - pow(i/u, 3)", "He et al. 2021, arXiv 2110.13675, eq. 4"),
    "ciou": (
        "CIoU",
        "box_wide",
        "1 - i/u + d + v*stop(max(i/u - 0.5, 0)/(i/u - 0.5)*v/(1 - i/u + v))",
        "Zheng et al. 2020, arXiv 1911.08287, eq. 10; the aspect counts from IoU 0.5 on and its weight is detached, as "
        "in mmdetection",
    ),
    "eiou": ("EIoU", "box_wide", "1 - i/u + d + dw**2 + dh**2", "Zhang et al. 2021, arXiv 2101.08158, eq. 6"),
    "mpdiou": (
        "MPDIoU",
        "box_wide",
        "1 - i/u + k*a**2",
        "Ma and Xu 2023, arXiv 2307.07662, algorithm 1; for square images",
    ),
    "nwd": (
        "normalised Wasserstein distance",
        "box_wide",
        "1 - exp(-pow(k, 0.5))",
        "Wang et al. 2021, arXiv 2110.13389, eq. 8; its constant C the square root of the target's area",
    ),
    "wiou": ("Wise-IoU v1", "box_wide", "exp(d*g/stop(g))*(1 - i/u)", "Tong et al. 2023, arXiv 2301.10051, eq. 6"),
}
