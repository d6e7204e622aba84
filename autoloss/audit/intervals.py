"""Intervals: what paired scores of two losses say of their difference: pure functions of them.

Seeds and images are crossed: every seed is scored on the same images. So the difference of two losses, averaged over S
seeds and I images, varies with the seeds, with the images, and with how the two fall together:

    Var(difference) = seeds / S + images / I + together / (S I)

The spread of the seeds' differences holds the first and the third part; how alike the differences of two seeds move
when images are drawn anew, the second. A bootstrap of both at once, read by its percentiles, counts the third twice and
is too narrow where there are five seeds: it knows nothing of Student's distribution, and its seeds vary by
(S - 1) / S of what they should. Here each part is estimated once, and the quantiles are Student's with the degrees of
freedom of the sum.

Source: Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1(2); Sellam et al. 2022, The MultiBERTs,
arXiv 2106.16163, section 4 (paired draws of seeds and of examples); Efron and Tibshirani 1993, An Introduction to the
Bootstrap, sections 12.5 and 13.7; Satterthwaite 1946, Biometrics Bulletin 2(6); Welch 1947, Biometrika 34.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from autoloss.audit.rescoring import Numbers
from autoloss.values import LEVEL, POWER

DRAWS = 1000
"""Choices of images."""


@dataclass(frozen=True)
class Scores:
    """Of a loss.

    Args:
        seeds: with each seed on all images, (seeds,).
        draws: for each choice of images, (choices, seeds); None where nobody knows what each image contributes.
        images: how many there are; 0 where that is not known.
    """

    seeds: Numbers
    draws: Numbers | None = None
    images: int = 0


@dataclass(frozen=True)
class Difference:
    """Of two losses.

    Args:
        mean: of the first less the second.
        error: standard error of it.
        freedom: degrees of freedom of the error.
    """

    mean: float
    error: float
    freedom: float

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return float(stats.t.ppf(1 - LEVEL / 2, self.freedom)) * self.error

    @property
    def low(self) -> float:
        """Of the 95 % interval."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Of the 95 % interval."""
        return self.mean + self.half

    @property
    def p_better(self) -> float:
        """Probability that the first is better, its mean over all seeds and images."""
        if not self.error:
            return 0.5 + 0.5 * float(np.sign(self.mean))
        return float(stats.t.cdf(self.mean / self.error, self.freedom))

    @property
    def p_value(self) -> float:
        """Chance of so large a difference, either way, where there is none."""
        return 2 * min(self.p_better, 1 - self.p_better)

    @property
    def smallest(self) -> float:
        """The least true difference that is shown with the chance `POWER`."""
        return float(stats.t.ppf([1 - LEVEL / 2, POWER], self.freedom).sum()) * self.error


def choices(images: int, count: int = DRAWS) -> Numbers:
    """How often each choice of as many images holds each: (count, images), the same at every call.

    Source: Efron 1979, Annals of Statistics 7(1).
    """
    rng = np.random.default_rng(0)
    return rng.multinomial(images, np.full(images, 1 / images), size=count).astype(np.uint16)


def difference(first: Scores, second: Scores) -> Difference:
    """What the scores of two losses with the same seeds and images, two seeds at least, say of their difference."""
    apart = first.seeds - second.seeds
    count = len(apart)
    parts = [(float(apart.var(ddof=1)) / count, count - 1)]
    if first.draws is not None and second.draws is not None and first.images > 1:
        parts.append((_alike(first.draws - second.draws), first.images - 1))
    total = sum(variance for variance, _ in parts)
    # Welch and Satterthwaite: of a sum of independent variances.
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return Difference(float(apart.mean()), math.sqrt(total), total**2 / below if below else count - 1)


def _alike(draws: Numbers) -> float:
    """How the differences of two seeds move together when images are drawn anew: mean covariance of the columns."""
    count = draws.shape[1]
    whole, each = float(draws.sum(1).var(ddof=1)), float(draws.var(0, ddof=1).sum())
    return max(float((whole - each) / (count * (count - 1))), 0.0)


def holm(chances: Sequence[float]) -> list[float]:
    """Chances of several comparisons so that the chance of any false one stays at the level.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    found, least = [0.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(chances) - rank) * chances[place]))
        found[place] = least
    return found


def seeds_for(gain: float, spread: float, freedom: int, least: int, most: int) -> int:
    """Seeds that show a difference with the chance `POWER`, as far as seeds are what it hides behind.

    Formula: the least n with (t(1 - LEVEL / 2) + t(POWER)) spread / sqrt(n) <= gain, t of n - 1 degrees of freedom, or
    of those of the spread where these are fewer

    Args:
        gain: the difference.
        spread: standard deviation over seeds of paired differences.
        freedom: degrees of freedom of the spread.
        least, most: bounds of what is given.

    Source: Bloom 1995, Evaluation Review 19(5), minimum detectable effects.
    """
    for count in range(least, most):
        factor = float(stats.t.ppf([1 - LEVEL / 2, POWER], min(freedom, count - 1)).sum())
        if factor * spread / math.sqrt(count) <= gain:
            return count
    return most
