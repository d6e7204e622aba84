"""Scores: what the inputs of logits and labels have in common, and the inputs, a row each."""

from __future__ import annotations

import math
from operator import attrgetter

import torch
from torch import Tensor
from torch.nn import functional

from primitives.kinds.sample import Sample
from primitives.kinds.terminal import PROGRESS, Terminal, frequency, size


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

    @property
    def f(self) -> Tensor:
        """The frequency of every column's class, 1 of the background; detached."""
        value = self.given["frequency"].detach().to(self.x)
        lacks = self.x.shape[1] - value.shape[-1] if value.dim() else -1
        if not 0 <= lacks <= self.background or value.shape[:-1] not in ((), self.x.shape[:1]):
            wanted = f"({self.x.shape[1]},) or {tuple(self.x.shape)}"
            raise ValueError(f"expected the frequency of every class, {wanted}, got {tuple(value.shape)}")
        return functional.pad(value, (0, lacks), value=1.0).expand_as(self.x)

    @property
    def a(self) -> Tensor:
        """The size of the target, in all columns of a softmax and at the target of sigmoids; else 1; detached."""
        size = self.given["size"]
        if size.shape != self.labels.shape:
            raise ValueError(f"expected a size per sample, {tuple(self.labels.shape)}, got {tuple(size.shape)}")
        there = self.y > 0
        if self.background:
            there = ((self.labels >= 0) & (self.labels < self.x.shape[1] - 1))[:, None]
        column = size.detach().to(self.x.dtype)[:, None]
        return torch.where(there, column, torch.ones_like(column)).expand_as(self.x)


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

_COLUMNS = (
    "functional.pad(frequency.detach().to(x.dtype), (0, x.shape[1] - frequency.shape[-1]), value=1.0).expand_as(x)"
)
_ONES = "rest = {np}.ones((*frequency.shape[:-1], x.shape[1] - frequency.shape[-1]))"
F = frequency(
    "frequency of the class in training, relative to the most frequent one; 1 of the background",
    per="class",
    compute=attrgetter("f"),
    code={
        "torch": "f = frequency.detach().to(x.dtype).expand_as(x)",
        "numpy": "f = np.broadcast_to(frequency, x.shape).astype(x.dtype)",
        "jax": "f = jnp.broadcast_to(jax.lax.stop_gradient(frequency), x.shape).astype(x.dtype)",
        "at label": "frequency.detach().to(x.dtype).expand_as(x).gather(1, index){flat}",
        "torch, background": f"f = {_COLUMNS}",
        "numpy, background": f"{_ONES.format(np='np')}\n"
        "f = np.broadcast_to(np.concatenate((frequency, rest), -1), x.shape).astype(x.dtype)",
        "jax, background": f"{_ONES.format(np='jnp')}\n"
        "f = jnp.broadcast_to(jnp.concatenate((jax.lax.stop_gradient(frequency), rest), -1), x.shape).astype(x.dtype)",
        "at label, background": f"{_COLUMNS}.gather(1, index){{flat}}",
    },
)
A = size(
    "size of the target relative to the image, square root of its share; 1 off the target",
    compute=attrgetter("a"),
    code={
        "torch": "a = torch.where(target, size.detach().to(x.dtype)[:, None], 1.0)",
        "numpy": "a = np.where(y > 0, size[:, None], 1.0).astype(x.dtype)",
        "jax": "a = jnp.where(y > 0, jax.lax.stop_gradient(size)[:, None], 1.0).astype(x.dtype)",
        "at label": "size.detach().to(x.dtype){column}",
        "torch, background": f"{_POSITIVE}\n"
        "a = torch.where(positive, size.detach().to(x.dtype)[:, None], 1.0).expand_as(x)",
        "numpy, background": f"{_POSITIVE}\n"
        "a = np.broadcast_to(np.where(positive, size[:, None], 1.0), x.shape).astype(x.dtype)",
        "jax, background": f"{_POSITIVE}\n"
        "a = jnp.broadcast_to(jnp.where(positive, jax.lax.stop_gradient(size)[:, None], 1.0), x.shape).astype(x.dtype)",
        "at label, background": "torch.where(labels < x.shape[1] - 1, size.detach().to(x.dtype), 1.0){column}",
    },
)
KNOWN_IN_TRAINING = (F, PROGRESS, A)
"""What training knows beside."""
