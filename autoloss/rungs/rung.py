"""Rung: one level of cost on the way to a trained detector, and who goes on from it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, model_validator

from autoloss.values import MOST_FACTOR, Count, Name, Plain, Section, Seed

DESCEND = "descend"
"""Kind of the tasks that ask no evaluator: free predictions descend under the formulas alone."""


class Keep(Section):
    """Which candidates of a rung go on; all given rules must hold.

    Args:
        of_own: at least this share of the score of the detector's own loss.
        share: the best share of them.
        count: the best so many.
        more_seeds: for candidates that noise alone may have put on their side of a cut: one seed more after the other,
            until it is settled or there are no more; only then the cut falls.
    """

    of_own: float | None = Field(default=None, ge=0, le=MOST_FACTOR)
    share: float | None = Field(default=None, gt=0, le=1)
    count: Count | None = None
    more_seeds: list[Seed] = Field(default=[])

    @property
    def cuts(self) -> bool:
        """Whether there is a rule."""
        return (self.of_own, self.share, self.count) != (None, None, None)

    @model_validator(mode="after")
    def _more_seeds_settle_a_cut(self) -> Keep:
        if self.more_seeds and not self.cuts:
            raise ValueError("more_seeds settle who is on which side of a cut: give of_own, share or count, too")
        return self


class Rung(Section):
    """One level of cost: what the evaluator is asked for, with which seeds, and who goes on.

    Args:
        name: as reports show it.
        task: what the evaluator is to do; the evaluator checks it. `kind` 'descend' asks no evaluator: free boxes and
            logits descend under the formulas alone.
        seeds: one training each; the score is their mean. Rungs have seeds of their own, so that luck does not climb.
        keep: who goes on to the next rung.
        ranks: whether the score counts when candidates are ranked; False for a rung that only finds what is broken.
        batch: candidates that are evaluated side by side, where the evaluator can.
    """

    name: Name
    task: Plain
    seeds: list[Seed] = Field(default=[0], min_length=1)
    keep: Keep = Keep()
    ranks: bool = True
    batch: Count = 1

    @property
    def descends(self) -> bool:
        """Whether no evaluator is asked."""
        return self.task.get("kind") == DESCEND

    @property
    def every_seed(self) -> list[int]:
        """Those that all candidates have, and those that only some get."""
        return [*self.seeds, *self.keep.more_seeds]

    def with_seeds(self, seeds: Sequence[int]) -> Rung:
        """The same with these seeds alone."""
        return self.model_copy(update={"seeds": list(seeds)})

    @model_validator(mode="after")
    def _descent_has_no_options(self) -> Rung:
        if self.descends and len(self.task) > 1:
            raise ValueError(f"a task of kind {DESCEND!r} has no other keys, got {', '.join(self.task)}")
        return self
