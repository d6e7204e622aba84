"""Plan: what an audit trains, with which seeds, fixed before anything of it is seen."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoloss.audit import contestants, tuning
from autoloss.audit.contestants import Contestant
from autoloss.audit.intervals import seeds_for
from autoloss.candidate import OWN
from autoloss.evaluator import BESIDE, Auditable
from autoloss.rungs.finale import Finale
from autoloss.rungs.rung import Rung
from autoloss.search.results import Results, rung_noise
from autoloss.search.selection.noise import by_seed
from autoloss.settings import Budget, Settings
from autoloss.store.run import Run
from autoloss.store.same import check_same
from autoloss.workers.executors import check_room
from autoloss.workers.simulation_rung import Evaluators
from primitives.catalog import GRAMMARS
from primitives.errors import InputError

LEAST_SEEDS, MOST_SEEDS = 5, 10
"""That a plan has; a person may ask for more."""
_FIRST = 101
"""Seeds count up from here."""
_POINT = 0.01
"""The least lead worth showing."""
RUNG, BALANCED_RUNG, WEIGHTS_RUNG = "audit", "audit, self-balanced", "audit, weights"


@dataclass(frozen=True)
class Ready:
    """A detector and data that an audit is held on, tried out before anything is written.

    Args:
        name: of it.
        settings: of the audit there: the ladder is the search's, the finale's rung the audit's.
        balanced: the rung of the self-balanced control; None where the evaluator cannot balance.
        description: what is trained on what.
        seen: whether what is scored here is what the search's last rung was scored on, which chose the finalists.
        home: whether it is a set-up of the search itself, at which the weights of the controls are tuned.
        weights: the race of the search's finale, for tuned weights, at a rung of its own; None where it has none.
    """

    name: str
    settings: Settings
    balanced: Rung | None
    description: Mapping[str, Any]
    seen: bool = False
    home: bool = True
    weights: Finale | None = None

    @property
    def rung(self) -> Rung:
        """Of the audit."""
        assert self.settings.finale is not None
        return self.settings.finale.rung


@dataclass(frozen=True)
class Plan:
    """An audit.

    Args:
        search: name of the run.
        finalists: its best.
        controls: what they meet, without those that are tuned yet.
        known: the best known loss, to be tuned; None where there is none.
        trials: evaluations of each slot when weights are tuned.
        seeds: of the audit.
        why: so many, in a sentence.
        places: where it is held; the search's own comes first.
    """

    search: str
    finalists: tuple[Contestant, ...]
    controls: tuple[Contestant, ...]
    known: Contestant | None
    trials: Mapping[str, int]
    seeds: tuple[int, ...]
    why: str
    places: tuple[Ready, ...]


def planned(
    search: Run,
    *,
    seeds: int | Sequence[int] | None = None,
    on: Mapping[str, Settings] | None = None,
    random: Run | None = None,
    headroom: Run | None = None,
    trials: int | None = None,
    workers: Mapping[str, Any] | None = None,
) -> Plan:
    """The audit of a search; nothing is trained or written.

    Args:
        search: the run.
        seeds: how many, or which; None for what a power calculation says.
        on: other searches, by name, on whose detectors and data the pairs are compared besides.
        random: a random search of the same budget.
        headroom: a measurement that says which known loss is the best.
        trials: evaluations of each slot when weights are tuned, None for as many as a finalist had.
        workers: settings of who evaluates: `workers`, `isolate`, `limits`, `ray`.

    Raises:
        InputError: there is nothing to audit; seeds that took part; a data set, config or run that does not fit.
    """
    finalists = contestants.finalists(search)
    settings = search.settings.beside(search.description.get(BESIDE, ()))
    chosen, why = _seeds(search, seeds, [run for run in (search, random, headroom) if run is not None], finalists)
    controls = [contestants.own(), contestants.published(settings)]
    controls += [contestants.of_random(search, random)] if random is not None else []
    had = tuning.evaluations(search, finalists)
    name = search.directory.resolve().name
    alone = apart(settings)
    names = [name, *(f"{name}-{place}" for place in range(2, len(alone) + 1))]
    places = [_ready(one, there, chosen, workers or {}) for one, there in zip(names, alone, strict=True)]
    for place, trained in zip(places, search.description.get("evaluators", [search.description]), strict=False):
        check_same(search.directory, trained, place.description)
    for other, there in (on or {}).items():
        if other in [place.name for place in places]:
            raise InputError(f"--on {other}: its name is that of another set-up of this audit; give the config another")
        ready = _ready(other, same_slots(other, settings, there), chosen, workers or {})
        places.append(replace(ready, home=False, seen=False))
    return Plan(
        name,
        tuple(finalists),
        tuple(controls),
        contestants.best_known(search, headroom),
        had if trials is None else dict.fromkeys(had, trials),
        tuple(chosen),
        why,
        tuple(places),
    )


def _settled(rung: Rung) -> Rung:
    """The rung, with all the seeds from the first that those near its cut have: weights that are tuned have no less."""
    keep = rung.keep.model_copy(update={"more_seeds": []})
    return rung.with_seeds([*rung.seeds, *rung.keep.more_seeds]).model_copy(update={"keep": keep})


def apart(settings: Settings) -> list[Settings]:
    """The set-ups of a search, each alone: an audit is held at every one."""
    alone: list[dict[str, Any]] = [
        {"evaluator": spec, "evaluators": [], "objective": None} for spec in settings.evaluators
    ]
    return [settings.model_copy(update=one) for one in alone] or [settings]


def _ready(name: str, settings: Settings, seeds: Sequence[int], workers: Mapping[str, Any]) -> Ready:
    """Tries the evaluator, its data and every task."""
    settings = settings.model_copy(update=dict(workers))
    check_room(settings)
    evaluators = Evaluators(settings.evaluator_spec, settings.stand_ins)
    last = settings.rungs[-1]
    task, balanced = last.task, None
    if isinstance(evaluators.trained, Auditable):
        task = dict(evaluators.trained.audit_task(last.task, False))
        balanced = Rung(name=BALANCED_RUNG, task=dict(evaluators.trained.audit_task(last.task, True)), seeds=[*seeds])
    rung = Rung(name=RUNG, task=task, seeds=[*seeds])
    weights = settings.finale and settings.finale.model_copy(
        update={"rung": Rung(name=WEIGHTS_RUNG, task=last.task, seeds=[*last.seeds]), "check": None, "known": []}
    )
    grammars = {slot: rules.grammar for slot, rules in settings.slots.items()}
    rungs = [*settings.ladder, *filter(None, (rung, balanced, weights.rung if weights else None))]
    evaluators.prepare(grammars, [one.task for one in rungs])
    most = contestants.MOST_FINALISTS + len(contestants.CONTROLS)
    changes = {
        "generations": 1,
        "births": 1,
        "ladder": [_settled(rung) for rung in settings.ladder],
        "finale": Finale(rung=rung, count=most),
        "budget": Budget(),  # it is for searches
    }
    return Ready(
        name,
        settings.model_copy(update=changes),
        balanced,
        dict(evaluators.trained.describe()),
        all(task.get(key) == value for key, value in last.task.items()),
        weights=weights,
    )


def same_slots(name: str, ours: Settings, theirs: Settings) -> Settings:
    """The other set-up, whose slots take what the search found.

    Raises:
        InputError: it is several, or fills other slots, or with losses of another kind.
    """
    if theirs.evaluators:
        raise InputError(f"--on {name}: it names several evaluators; give a config of each")
    kinds = [{slot: GRAMMARS[rules.grammar].kind.name for slot, rules in one.slots.items()} for one in (ours, theirs)]
    if kinds[0] != kinds[1]:
        shown = [", ".join(f"{slot} ({kind})" for slot, kind in one.items()) for one in kinds]
        raise InputError(f"--on {name}: its slots are {shown[1]}, those of the search {shown[0]}; losses fit one alone")
    slots = {
        slot: rules.model_copy(update={"grammar": ours.slots[slot].grammar}) for slot, rules in theirs.slots.items()
    }
    return theirs.model_copy(update={"slots": slots})


def _seeds(
    search: Run, asked: int | Sequence[int] | None, runs: Iterable[Run], finalists: Sequence[Contestant]
) -> tuple[list[int], str]:
    """The seeds, and why there are so many."""
    used = {
        seed: f"rung {rung.name!r} of {run.directory}"
        for run in runs
        for rung in _all_rungs(run)[::-1]
        for seed in rung.every_seed
    }
    why = "as asked for"
    if asked is None:
        asked, why = _enough(search, finalists)
    if isinstance(asked, int):
        free = (seed for seed in itertools.count(_FIRST) if seed not in used)
        asked = list(itertools.islice(free, asked))
    if len(set(asked)) < len(asked):
        raise InputError(f"--seeds names a seed twice: {', '.join(map(str, asked))}")
    if len(asked) < LEAST_SEEDS:
        raise InputError(f"an audit needs {LEAST_SEEDS} seeds at least, got {len(asked)}")
    for seed in asked:
        if seed in used:
            raise InputError(f"seed {seed} took part in {used[seed]}: an audit is of seeds that did not")
    return list(asked), why


def _all_rungs(run: Run) -> list[Rung]:
    """Those of its settings, and those whose seeds were changed since."""
    rungs = run.settings.rungs
    more = {e.rung: {one.seed for one in run.evaluations(e.rung)} for e in run.evaluations()}
    return [*rungs, *(Rung(name=name, task={}, seeds=sorted(seeds)) for name, seeds in more.items())]


def _enough(search: Run, finalists: Sequence[Contestant]) -> tuple[int, str]:
    """Seeds that show half of the lead of the best finalist, or a point: of a lead that was picked half is luck."""
    rung, settings = search.settings.rungs[-1], search.settings
    ended = Results(search, settings).scored(rung)
    known, scores = rung_noise(ended), by_seed(ended)
    if known is None:
        return LEAST_SEEDS, f"rung {rung.name!r} of the search does not tell what seeds differ by"
    spread = math.sqrt(2) * known.deviation  # a paired difference has it twice
    best, own = scores.get(finalists[0].candidate or OWN, {}), scores.get(OWN, {})
    lead = statistics.fmean(best[seed] - own[seed] for seed in best if seed in own) if best.keys() & own.keys() else 0.0
    gain = max(lead / 2, _POINT)
    count = seeds_for(gain, spread, known.freedom, LEAST_SEEDS, MOST_SEEDS)
    unit = "points" if settings.objective is None else "hundredths of the own loss's score"
    return count, (
        f"paired differences spread by {100 * spread:.1f} {unit} over the seeds of {rung.name!r}; as many seeds as "
        f"show {100 * gain:.1f} {unit}, {LEAST_SEEDS} at least and {MOST_SEEDS} at most"
    )
