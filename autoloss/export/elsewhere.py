"""Elsewhere: losses of a search on another detector, at the scale of that one's own losses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from autoloss.audit.contestants import moved
from autoloss.evaluator import BESIDE, EVALUATORS
from autoloss.export.selection import Export
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.errors import InputError
from primitives.system import places
from primitives.system.names import reached
from primitives.text.markup import plain

SCALES = "detectors.foreseen:scales"
"""What says the weights of a detector's own losses, as 'module:function'."""


def at(settings: Settings, detector: str, cfg_options: Mapping[str, object] | None = None) -> Settings:
    """A search whose slots are at the scale of a detector's own losses; where it is of that detector, the search as is.

    Args:
        settings: of the search.
        detector: config, a path or 'mmdet::...'.
        cfg_options: dotted keys and values that change it.

    Raises:
        InputError: no such config, or no detector.
    """
    if _is_own(settings, detector):
        return settings
    scales = reached(SCALES)(detector, cfg_options)
    slots = {slot: rules.model_copy(update={"weight": scales[slot]}) for slot, rules in settings.slots.items()}
    return settings.model_copy(update={"slots": slots})


def taken(
    export: Export,
    run: Run,
    detector: str,
    cfg_options: Mapping[str, object] | None = None,
    weighted: Collection[str] = (),
) -> tuple[Export, list[str]]:
    """Losses of a run with the weights that they have on a detector, and which of these are others, for people.

    Args:
        export: of the run.
        run: of a search.
        detector, cfg_options: as of `at`.
        weighted: slots whose weight a person gives.

    Raises:
        InputError: as of `at`.
    """
    settings = run.settings.beside(run.description.get(BESIDE, ()))
    there = at(settings, detector, cfg_options)
    if there is settings:
        return export, []
    left = {slot: loss for slot, loss in export.losses.items() if slot in weighted}
    losses = {**moved(export.losses, settings, there), **left}
    said = [
        f"The loss_weight of {slot} is {loss.loss_weight:g} for {plain(detector)}, whose own loss weighs "
        f"{there.slots[slot].weight:g}: it was {export.losses[slot].loss_weight:g} in the search, for an own loss of "
        f"{settings.slots[slot].weight:g}."
        for slot, loss in losses.items()
        if loss.loss_weight != export.losses[slot].loss_weight
    ]
    return replace(export, losses=losses, about=[*export.about, *said]), said


def _is_own(settings: Settings, detector: str) -> bool:
    """Whether a search is of a detector."""
    spec = settings.first_evaluator
    written = spec.get("detector")
    if spec.get("type") != EVALUATORS["detector"] or not isinstance(written, str):
        return False
    return _found(written, settings.evaluator_spec[BESIDE]) == _found(detector, ())


def _found(written: str, beside: Sequence[str]) -> str:
    """A config where it lies, or the name of a stock one."""
    if "::" in written and not written.startswith(places.TOOLKIT):
        return written
    try:
        return str(Path(places.find(written, "detector config", beside, "detectors")).resolve())
    except InputError:  # whoever loads it says so
        return written
