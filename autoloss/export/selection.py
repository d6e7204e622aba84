"""Export: what is taken out of the toolkit: losses of a run, or formulas given as text, with where they come from."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoloss import __version__
from autoloss.audit import document
from autoloss.candidate import Loss
from autoloss.evaluator import BESIDE
from autoloss.gates.calibration import calibrated
from autoloss.report.leaderboard import Evidence, Leaderboard, Row, titled
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, KNOWN, check_alpha, find_grammar, find_known, grammar, kinds, slots
from primitives.errors import InputError
from primitives.grammar import Grammar
from primitives.parser import GrammarError
from primitives.text.markup import digest, plain

_HEAVIEST = 1e30  # float32 holds eight orders of magnitude more, for the loss that it multiplies
_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,59}")


@dataclass(frozen=True)
class Export:
    """What is exported.

    Args:
        name: what the classes' names begin with.
        losses: per slot.
        about: where they come from, paragraphs.
        setup: what the writer of a target needs to know: the run's evaluator, task and seed, or a detector.
        evidence: what its run says of it; None without a run.
        audit: what an audit of its run says of it; None without one.
    """

    name: str
    losses: Mapping[str, Loss]
    about: Sequence[str]
    setup: Mapping[str, Any] = field(default_factory=dict)
    evidence: Evidence | None = None
    audit: document.Of | None = None

    def spec(self) -> dict[str, dict[str, Any]]:
        """The losses as plain values."""
        return {slot: self.losses[slot].spec() for slot in slots() if slot in self.losses}


def folder_name(export: Export) -> str:
    """Where an export without a run goes: its name, and what tells it from others where that does not say it all."""
    named = "Formula" not in export.name
    return export.name.lower() if named else f"{export.name.lower()}_{digest(json.dumps(export.spec()))}"


def of_run(run: Run, number: int | None = None, top: int = 1, name: str | None = None) -> list[Export]:
    """Candidates of a run.

    Args:
        run: of a search.
        number: of the candidate; None for what is recommended, and then the best found.
        top: how many of these.
        name: what the classes' names begin with; None for one with the candidate's number.

    Raises:
        InputError: no such candidate, or none that was found has finished a training.
    """
    found = Leaderboard.of(run)
    if number is not None:
        chosen = [row for row in found.rows if row.candidate.number == number]
        if not chosen:
            raise InputError(f"no candidate {number} in {run.directory}; it has 0 to {len(found.rows) - 1}")
        if not chosen[0].candidate.losses:
            raise InputError(f"candidate {number} is the detector's own loss: there is nothing to export")
    else:
        chosen = found.picks(top)
        if not chosen:
            raise InputError(
                f"no candidate that the search found has finished a training in {run.directory}; the same "
                "autoloss search goes on with it"
            )
    return [_of_row(found, row, name or f"Candidate{row.candidate.number}") for row in chosen]


def _of_row(found: Leaderboard, row: Row, name: str) -> Export:
    settings, one = found.settings, row.candidate
    rung = settings.rungs[-1]
    last = next((name for name in reversed(found.rungs) if name in row.scores), None)
    best = ""
    if last is not None:
        best = f" Score at {plain(last)}: {row.scores[last]}"
        if found.own and last in found.own.scores:
            best += f", the detector's own loss {found.own.scores[last]}"
        best += f" ({plain(titled(found.metric))} on the images of that rung)."
    about = [
        f"Candidate {one.number} of run {plain(Path(found.run).name)} (seed {settings.seed}): "
        f"{plain(str(one.origin))}.{best}",
        f"Found with {plain(str(found.trained.get('detector', 'an evaluator of its own')))} on "
        f"{_images(found.trained)}, by autoloss {__version__}.",
    ]
    looked = {BESIDE: found.trained[BESIDE]} if BESIDE in found.trained else {}
    evaluator = {**settings.first_evaluator, **looked}
    setup = {"evaluator": evaluator, "task": rung.task, "seed": rung.seeds[0]}
    audit = document.of_candidate(Path(found.run), one.number, one.spec())
    return Export(_checked_name(name), one.losses, about, setup, found.evidence(row), audit)


def _images(trained: Mapping[str, Any]) -> str:
    if several := trained.get("evaluators"):
        return " and ".join(_images(one) for one in several)
    images = ", ".join(f"{count} {plain(str(split))}" for split, count in trained.get("images", {}).items())
    classes = len(trained.get("classes", ()))
    return f"{images} images with {classes} classes" if images else "data of its own"


def of_text(
    texts: Mapping[str, str],
    name: str | None = None,
    class_grammar: str | None = None,
    alpha: float | None = None,
    weights: Mapping[str, float] | None = None,
    setup: Mapping[str, Any] | None = None,
) -> Export:
    """Formulas, or names of known losses.

    Args:
        texts: per slot.
        name: what the classes' names begin with; None for the names of the known losses, with Formula for others.
        class_grammar: of the class formula, where its inputs leave a doubt.
        alpha: weight of the target outside a class formula; a known loss brings its own.
        weights: loss_weight per slot; without one the formula gets the gradient norm of the loss detectors train with.
        setup: see Export.

    Raises:
        InputError: not a formula, one for the other slot, or one without a gradient.
    """
    if alpha is not None and not 0 <= alpha <= 1:
        raise InputError(f"--alpha {alpha:g}: the weight of the target column lies in 0 to 1")
    weights = _checked_weights(weights or {}, texts)
    texts = {slot: known.name if (known := find_known(text)) else text for slot, text in texts.items()}
    losses, named = {}, []
    for slot, text in texts.items():
        known = find_known(text)
        rules = _rules(slot, text, class_grammar)
        expression = rules.parse(known.text if known else text)
        named.append(known.title if known else f"a formula given as text for {slot}")
        own_alpha = (known.alpha if known and alpha is None else alpha) if rules.kind.weighs_target else None
        if _in_doubt(slot):
            check_alpha(alpha, rules)
        loss = calibrated(expression, rules, own_alpha, rules.kind.stand_in)
        given = weights.get(slot)
        losses[slot] = loss if given is None else replace(loss, loss_weight=given)
    if name is None:
        name = _name_of(list(texts.values()))
    sources = [known.source for known in KNOWN.values() if known.name in texts.values()]
    what = " and ".join(named)
    source = f" Source: {'; '.join(dict.fromkeys(sources))}." if sources else ""
    about = [f"{what}.{source}", f"Written by autoloss {__version__}; not trained for this export."]
    scales = {slot for slot in losses if slot not in weights}
    return Export(_checked_name(name), losses, about, {**(setup or {}), "scale": sorted(scales)})


def _name_of(texts: Sequence[str]) -> str:
    """Known losses by their names, the halves of a published pair by that of the pair; all others are Formula."""
    names = [_title(text) if text in KNOWN else "Formula" for text in texts]
    pair = {text.rpartition("_")[0] for text in texts}
    if len(texts) == 2 and pair <= PAIRS.keys() and len(pair) == 1:
        return _title(pair.pop())
    return "".join(dict.fromkeys(names))


def _title(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))


PAIRS: Mapping[str, Mapping[str, Any]] = {"cse_a": {}, "cse_b": {"centerness_target": "iou"}}
"""The published pairs, and what they need; the losses of one are named like it."""


def catalog(setup: Mapping[str, Any] | None = None) -> dict[str, Export]:
    """Losses of stock heads by name; the published ones as the pairs they are, FCOS's with the IoU as centerness.

    Args:
        setup: see Export.
    """
    found = {}
    for name, more in PAIRS.items():
        texts = {GRAMMARS[one.grammar].slot: one.name for one in KNOWN.values() if one.name.rpartition("_")[0] == name}
        found[name] = of_text(texts, setup={**(setup or {}), **more})
    for known in KNOWN.values():
        if known.name.rpartition("_")[0] not in PAIRS:
            found[known.name] = of_text({GRAMMARS[known.grammar].slot: known.name}, setup=setup)
    return found


def changed(export: Export, setup: Mapping[str, Any], weights: Mapping[str, float]) -> Export:
    """The same with what a person asked for: a detector, a weight."""
    given = {key: value for key, value in setup.items() if value is not None}
    weights = _checked_weights(weights, export.losses)
    losses = {
        slot: replace(loss, loss_weight=weights.get(slot, loss.loss_weight)) for slot, loss in export.losses.items()
    }
    about = list(export.about)
    for slot, loss in losses.items():
        before = export.losses[slot].loss_weight
        if loss.loss_weight != before:
            about.append(
                f"The loss_weight of {slot} was changed for this export: {before:g} there, {loss.loss_weight:g} here."
            )
    return replace(export, setup={**export.setup, **given}, losses=losses, about=about)


def _in_doubt(slot: str) -> bool:
    """Whether losses of several kinds sit in a slot."""
    return sum(kind.slot == slot for kind in kinds()) > 1


def _rules(slot: str, text: str, class_grammar: str | None) -> Grammar:
    known = find_known(text)
    if known:
        rules = GRAMMARS[known.grammar]
    elif class_grammar and _in_doubt(slot):
        rules = grammar(class_grammar)
    else:
        try:
            rules = find_grammar(text)
        except GrammarError:
            if not text.isidentifier():
                raise
            names = ", ".join(name for name, loss in KNOWN.items() if GRAMMARS[loss.grammar].slot == slot)
            raise InputError(
                f"--{slot.replace('_', '-')} {text!r} is neither a formula nor a known loss; known: {names}"
            ) from None
    if rules.slot != slot:
        raise InputError(f"--{slot.replace('_', '-')} {text}: a formula of grammar {rules.name} is for {rules.slot}")
    return rules


def _checked_weights(weights: Mapping[str, float], slots: Collection[str]) -> Mapping[str, float]:
    for slot, weight in weights.items():
        option = f"--weight-{slot.removeprefix('loss_')}"
        if slot not in slots:
            raise InputError(f"{option} is for a loss that is put in; {slot} stays as it is")
        if not 0 <= weight <= _HEAVIEST:
            raise InputError(f"{option} {weight:g}: a loss_weight is a number from 0 to {_HEAVIEST:g}")
    return weights


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {plain(name)!r}: a class's name begins with a capital and holds letters and digits, 60 at most"
        )
    return name
