"""Preselection: more proposals than trainings."""

from __future__ import annotations

from autoloss.values import Count, Section, Share


class Preselection(Section):
    """A model of the scores so far picks which of several proposals is trained.

    Args:
        proposals: that pass the gates for every candidate; one of them is trained.
        random: share of candidates for which it is the first, whatever the model says.
        least: candidates that were trained before the model picks.
    """

    proposals: Count = 4
    random: Share = 0.25
    least: Count = 40

    @property
    def mean(self) -> float:
        """Proposals for a candidate once the model picks, in the mean."""
        return 1 + (self.proposals - 1) * (1 - self.random)
