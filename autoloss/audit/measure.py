"""Measure: trains what a plan has, as far as it is not done; every place is a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoloss.audit import contestants, tuning
from autoloss.audit.contestants import Contestant
from autoloss.audit.plan import Plan, Ready
from autoloss.candidate import Candidate, Kind, Loss
from autoloss.search.progress import Watcher
from autoloss.search.runner import Runner, running
from autoloss.settings import Settings
from autoloss.store.run import Run
from autoloss.store.same import check_same
from primitives.errors import InputError
from primitives.text.printable import printable

AUDIT = "audit"
"""Key of a run's description: the plan, and who takes part."""
ELSEWHERE = "on-"
"""What the names of the folders of other places begin with."""
Screens = Callable[[Settings], AbstractContextManager[Watcher]]


def measure(plan: Plan, directory: Path, screen: Screens) -> None:
    """Holds an audit.

    Args:
        plan: of it.
        directory: of the audit; one that is there goes on, also at more places.
        screen: shows the progress at a place.

    Raises:
        InputError: the directory holds another audit, or the set-up cannot work.
    """
    folders = {place.name: folder(directory, plan, place) for place in plan.places}
    for place in plan.places:
        if folders[place.name].exists():
            _check(plan, place, folders[place.name])
    taking_part: Sequence[Contestant] = ()
    for place in plan.places:
        with Run.create(folders[place.name], place.settings.identity()) as run:
            if any(run.evaluations()):
                check_same(run.directory, run.description, place.description)
            homes = [one.name for one in plan.places[1:] if one.home and place is plan.places[0]]
            told = {"elsewhere": homes, **run.description.get(AUDIT, {}), **_told(plan, place)}
            run.describe({**place.description, AUDIT: told})
            run.forget_running()
            if not run.candidates():
                _born(run, [*plan.controls[:1], *plan.finalists, *plan.controls[1:]], plan, place)
            with screen(place.settings) as watch, running(place.settings, run, watch) as runner:
                here = _complete(plan, place, runner) if place.home else taking_part
                taking_part = taking_part or here
                _train(plan, place, runner, here)
        if place is not plan.places[0]:
            _add(folder(directory, plan, plan.places[0]), plan.places[0], place.name)


def _add(directory: Path, first: Ready, name: str) -> None:
    """Tells the run of the first place of another one that is done."""
    with Run.create(directory, first.settings.identity()) as run:
        told = run.description[AUDIT]
        if name not in told["elsewhere"]:
            run.describe({**run.description, AUDIT: {**told, "elsewhere": [*told["elsewhere"], name]}})


def folder(directory: Path, plan: Plan, place: Ready) -> Path:
    """Of the run of a place."""
    return directory if place is plan.places[0] else directory / f"{ELSEWHERE}{place.name}"


def _check(plan: Plan, place: Ready, directory: Path) -> None:
    """Refuses an audit of something else before anything is trained."""
    with Run.create(directory, place.settings.identity()) as run:
        held = run.description.get(AUDIT)
        if held is not None and held["search"] != plan.search:
            raise InputError(
                f"{directory} holds an audit of a run that was named {printable(held['search'])} and is now "
                f"{printable(plan.search)}: give its folder that name again, or name another audit with --out"
            )
        if run.candidates() and (held is None or {**held, **_told(plan, place), "planned": held["planned"]} != held):
            raise InputError(
                f"{directory} holds an audit of other finalists, or with other controls; name another with --out"
            )


def _told(plan: Plan, place: Ready) -> dict[str, Any]:
    """What a run keeps of its plan."""
    return {
        "search": plan.search,
        "on": place.name,
        "seen": place.seen,
        "planned": plan.why,
        "trials": dict(plan.trials),
        "finalists": [
            {"candidate": one.candidate, "losses": {slot: loss.spec() for slot, loss in one.losses.items()}}
            for one in plan.finalists
        ],
        "controls": [one.what for one in plan.controls],
        "known": None if plan.known is None else plan.known.what,
    }


def _born(run: Run, given: Sequence[Contestant], plan: Plan, place: Ready) -> None:
    born: list[Candidate] = []
    for one in given:
        losses = one.at(place.settings, plan.places[0].settings)
        if all(losses != other.losses for other in born):
            kind = Kind.FOUND if not one.control else Kind.CONTROL if losses else Kind.OWN
            born.append(Candidate(len(born), kind, 0, losses, one.origin, (), False))
    run.born(born, [])


def _complete(plan: Plan, place: Ready, runner: Runner) -> list[Contestant]:
    """Everyone who takes part, once weights are tuned at a set-up of the search."""
    own, *others = plan.controls
    tuned = tuning.tuned(runner, own, contestants.OWN_TUNED, plan.trials, place.weights)
    controls = [own, tuned]
    if place.balanced is not None:
        controls.append(replace(tuned, control=contestants.BALANCED))
    controls += [one for one in others if one.control == contestants.PUBLISHED]
    if plan.known is not None:
        controls.append(tuning.tuned(runner, plan.known, contestants.BEST_KNOWN, plan.trials, place.weights))
    controls += [one for one in others if one.control == contestants.RANDOM]
    return [*plan.finalists, *controls]


def _train(plan: Plan, place: Ready, runner: Runner, taking_part: Sequence[Contestant]) -> None:
    """Everyone with every seed; whoever takes part is kept first, for those who read."""
    rows: list[dict[str, Any]] = []
    numbers: Mapping[str, list[int]] = {place.rung.name: [], **({place.balanced.name: []} if place.balanced else {})}
    for one in taking_part:
        rung = place.rung
        if one.control == contestants.BALANCED:
            if place.balanced is None:
                continue
            rung = place.balanced
        number = _number(runner, one, one.at(place.settings, plan.places[0].settings))
        numbers[rung.name].append(number)
        facts = {name: getattr(one, name) for name in ("control", "what", "candidate")}
        rows.append({**facts, "factors": dict(one.factors), "number": number, "rung": rung.name})
    held = runner.store.description
    runner.store.describe({**held, AUDIT: {**held[AUDIT], "contestants": rows, "home": place.home}})
    runner.evaluate(sorted({*numbers[place.rung.name]}), place.rung)
    if place.balanced is not None:
        runner.evaluate(sorted({*numbers[place.balanced.name]}), place.balanced)


def _number(runner: Runner, one: Contestant, losses: Mapping[str, Loss]) -> int:
    """Of the candidate with the losses of a contestant, born where there is none."""
    there = tuning.number_of(runner, losses)
    return tuning.born(runner, losses, one.origin) if there is None else there
