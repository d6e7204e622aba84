"""Scores: what the inputs of logits and labels have in common, and the inputs, a row each."""

from __future__ import annotations

import math
from operator import attrgetter

import torch
from torch import Tensor

from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal


class Scores:
    """Logits (N, C) with labels (N,); C, or the last column of a softmax, is background.

    Args:
        sample: `pred` logits, `target` labels, `given` maybe the IoU of every sample's predicted box in 0..1.
        background: whether the last column is the background's, as in softmax heads.

    Raises:
        ValueError: shapes that do not belong together.

    Source: Liu et al. 2021, arXiv 2102.04700, section 3.1.
    """

    def __init__(self, sample: Sample, background: bool) -> None:
        logits, labels = sample.pred, sample.target
        if logits.dim() != 2 or labels.shape != logits.shape[:1]:
            raise ValueError(f"expected (N, C) logits, (N,) labels, got {tuple(logits.shape)} {tuple(labels.shape)}")
        self.x, self.labels, self.given, self.background = logits, labels, sample.given, background
        columns = torch.arange(logits.shape[1], device=logits.device)
        self.y = (labels[:, None] == columns).to(logits.dtype)

    @property
    def w(self) -> Tensor:
        """The IoU, read at positives only: 0 off the target with sigmoid, 1 for background with softmax; detached."""
        iou = self.given["iou"]
        if iou.shape != self.labels.shape:
            raise ValueError(f"expected an IoU per sample, {tuple(self.labels.shape)}, got {tuple(iou.shape)}")
        column = iou.detach().to(self.x.dtype)[:, None]
        if not self.background:
            return self.y * column
        positive = ((self.labels >= 0) & (self.labels < self.x.shape[1] - 1))[:, None]
        return torch.where(positive, column, torch.ones_like(column)).expand_as(self.x)


_POSITIVE = "positive = ((labels >= 0) & (labels < x.shape[1] - 1))[:, None]"
X = Terminal("x", (-math.inf, math.inf), "logit", "predicted logits", attrgetter("x"))
Y = Terminal(
    "y",
    (0, 1),
    "one-hot",
    "target",
    attrgetter("y"),
    {
        "torch": "y = target.to(x.dtype)",
        "numpy": "y = (labels[:, None] == np.arange(x.shape[1])).astype(x.dtype)",
        "jax": "y = (labels[:, None] == jnp.arange(x.shape[1])).astype(x.dtype)",
    },
    aliases=("py",),
    predicted=False,
)
W = Terminal(
    "w",
    (0, 1),
    "IoU",
    "IoU of the predicted box, detached",
    attrgetter("w"),
    {
        "torch": "w = torch.where(target, iou.detach().to(x.dtype)[:, None], 0.0)",
        "numpy": "w = y * iou[:, None]",
        "jax": "w = y * jax.lax.stop_gradient(iou)[:, None]",
        "at label": "iou.detach().to(x.dtype){column}",
        "torch, background": f"{_POSITIVE}\n"
        "w = torch.where(positive, iou.detach().to(x.dtype)[:, None], 1.0).expand_as(x)",
        "numpy, background": f"{_POSITIVE}\n"
        "w = np.broadcast_to(np.where(positive, iou[:, None], 1.0), x.shape).astype(x.dtype)",
        "jax, background": f"{_POSITIVE}\n"
        "w = jnp.broadcast_to(jnp.where(positive, jax.lax.stop_gradient(iou)[:, None], 1.0), x.shape).astype(x.dtype)",
        "at label, background": "torch.where(labels < x.shape[1] - 1, iou.detach().to(x.dtype), 1.0){column}",
    },
    aliases=("z", "q", "iou"),
    predicted=False,
    given="iou",
)
CLASSES = (X, Y, W)
"""Logits, one-hot target, and IoU of the predicted box."""
