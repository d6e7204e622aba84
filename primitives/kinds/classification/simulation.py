"""Free logits: samples that are simulated, as they stand when a detector begins to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from primitives.kinds import draws
from primitives.kinds.classification.samples import COUNT, width
from primitives.kinds.field import Field, Outcome
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal

POSITIVES = 64
OUTCOMES = (
    Outcome("accuracy", "accuracy", 0.85),
    Outcome("rank", "rank correlation with IoU", -0.41, low=-1.0),
    Outcome("ap", "AP", 0.3),
)
"""Of the classes; of the score of positives with their IoU; of the ranking of all samples by score."""
_SEED = 1911_08287


@cache
def sampled(background: bool, positives: int = POSITIVES, negatives: int = 7 * POSITIVES) -> Sample:
    """Few positives with IoU 0.05 to 1, which come first, among many negatives, at the logits of an untrained detector.

    Negatives have IoU 1.
    """
    generator = torch.Generator().manual_seed(_SEED)
    count = positives + negatives
    x = torch.randn(count, width(background), generator=generator)
    labels = torch.where(torch.arange(count) < positives, torch.arange(count) % COUNT, COUNT)
    iou = torch.ones(count)
    iou[:positives] = torch.linspace(0.05, 1, positives)[torch.randperm(positives, generator=generator)]
    return Sample(x if background else x - 2, labels, {"iou": iou})


class LogitField(Field):
    """Logits on their way: places (M, N, C) of M formulas.

    Args:
        kind: of the formulas.
        terminals: their inputs.
        background: whether the last column is the background's.
    """

    chief, first_step = "accuracy", 1.5

    def __init__(self, kind: Kind, terminals: Sequence[Terminal], background: bool) -> None:
        self.kind, self.terminals, self.background = kind, terminals, background
        sample = sampled(background)
        self.labels, self.iou, self.start = sample.target, sample.given["iou"], sample.pred
        given = {**draws.given(terminals, *sample.pred.shape), **sample.given}
        self.fixed = kind.inputs(Sample(sample.pred, sample.target, given), terminals)

    def time(self, share: float) -> None:
        """See Field."""
        clock = draws.at_time(self.terminals, len(self.start), share)
        if clock:
            told = [one for one in self.terminals if one.given in clock]
            self.fixed |= self.kind.inputs(Sample(self.start, self.labels, clock), told)

    def inputs(self, place: Tensor) -> dict[str, Tensor]:
        """See Field."""
        return {**{name: value.expand(place.shape) for name, value in self.fixed.items()}, "x": place}

    def losses(self, values: Sequence[Tensor], seen: Mapping[str, Tensor], alpha: float | None) -> Sequence[Tensor]:
        """See Field."""
        rows = ({name: value[k] for name, value in seen.items()} for k in range(len(values)))
        return [self.kind.losses(value, row, alpha) for value, row in zip(values, rows, strict=True)]

    def progress(self, place: Tensor, seen: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Probability of the target class of every positive, (M, K)."""
        rows = torch.arange(POSITIVES)
        return self._scores(place.detach())[:, rows, self.labels[rows]]

    def numbers(self, place: Tensor, which: Sequence[int]) -> list[dict[str, float]]:
        """See Field."""
        return [self._numbers(place[index]) for index in which]

    def _numbers(self, place: Tensor) -> dict[str, float]:
        scores, labels, iou = self._scores(place), self.labels[:POSITIVES], self.iou[:POSITIVES]
        chosen = place[:POSITIVES].argmax(-1) == labels
        good = torch.zeros(len(scores), dtype=torch.bool)
        good[:POSITIVES] = (iou >= 0.5) & chosen
        quiet = (scores[POSITIVES:].amax(-1) < 0.5).float()
        return {
            "accuracy": (float(chosen.float().mean()) + float(quiet.mean())) / 2,
            "rank": spearman(scores[torch.arange(POSITIVES), labels], iou),
            "ap": average_precision(scores.amax(-1), good, int((iou >= 0.5).sum())),
        }

    def outcome(self, place: Tensor, index: int) -> Tensor:
        """The logits."""
        return place[index].detach()

    def _scores(self, x: Tensor) -> Tensor:
        """Probabilities (..., classes), the background left out."""
        return x.softmax(-1)[..., :-1] if self.background else x.sigmoid()


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation of two (N,) tensors, equal values sharing their mean rank; 0 where one is constant."""
    ranks = torch.stack([_ranks(a), _ranks(b)])
    ranks = ranks - ranks.mean(-1, keepdim=True)
    scale = ranks.norm(dim=-1).prod()
    return float((ranks[0] * ranks[1]).sum() / scale) if scale > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    middle: Tensor = counts.cumsum(0) - (counts.double() - 1) / 2
    return middle[inverse]


def average_precision(scores: Tensor, good: Tensor, total: int) -> float:
    """Area under precision over recall, (N,) scores and whether each is right; `total` right ones exist."""
    right = good[scores.argsort(descending=True, stable=True)].double()
    precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
    return float((precision * right).sum() / max(total, 1))
