"""Cost model: what a whole search costs, from the measured cost of its parts; pure functions."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from autoloss.rungs.rung import Rung
from autoloss.search.selection.visits import Visit, kept, reaching
from autoloss.settings import Settings

BEGIN, PROPOSE = "start", "proposing"
"""Stages beside the rungs."""
DEVICES = (1, 8, 32)
_DIVISORS = range(2, 9)


@dataclass(frozen=True)
class Parts:
    """Seconds of something that iterates.

    Args:
        fixed: whatever its length, such as building the model and the data set.
        iteration: of each.
        evaluate: to evaluate at the end; of what candidates share, to extract features.
    """

    fixed: float = 0.0
    iteration: float = 0.0
    evaluate: float = 0.0

    def seconds(self, iterations: int) -> float:
        """Of so many iterations."""
        return self.fixed + iterations * self.iteration + self.evaluate


@dataclass(frozen=True)
class Cost:
    """What a rung costs.

    Args:
        one: of a candidate alone.
        group: of as many as the rung's batch, side by side.
        iterations: of an evaluation.
        shared: what the candidates of a seed share, made once; None where there is nothing.
        shared_iterations: of that.
        load: seconds of a worker to load it.
        memory: most bytes that a worker holds: of a GPU's memory where there is one.
        disk: bytes that are kept of what a seed shares.
    """

    one: Parts
    group: Parts
    iterations: int = 0
    shared: Parts | None = None
    shared_iterations: int = 0
    load: float = 0.0
    memory: float = 0.0
    disk: float = 0.0

    def seconds(self, count: int, batch: int) -> float:
        """Of a group of candidates, between those of one and of a whole batch."""
        one, group = self.one.seconds(self.iterations), self.group.seconds(self.iterations)
        return one if batch == 1 else one + max(group - one, 0.0) * (count - 1) / (batch - 1)

    @property
    def sharing(self) -> float:
        """Seconds to make what a seed shares."""
        return self.shared.seconds(self.shared_iterations) if self.shared else 0.0


@dataclass(frozen=True)
class MachineCosts:
    """What was measured of a search on a machine.

    Args:
        device: `cpu`, or the name of the GPU.
        devices: cores or GPUs that the workers of the config would use here.
        side_by_side: workers on a device.
        begin: seconds to check or make the data and to begin, once.
        start: seconds of a worker to start.
        births: seconds to find a candidate, of the first generation and of later ones.
        costs: of every rung by its name.
        bytes_birth: of the run file, for a candidate and the proposals refused on the way to it.
        bytes_evaluation: of the run file.
        bytes_data: of prepared data.
    """

    device: str
    devices: int
    side_by_side: int
    begin: float
    start: float
    births: tuple[float, float]
    costs: Mapping[str, Cost]
    bytes_birth: float = 0.0
    bytes_evaluation: float = 0.0
    bytes_data: float = 0.0


@dataclass(frozen=True)
class Stage:
    """A part of a search.

    Args:
        name: of the rung, or `BEGIN` or `PROPOSE`.
        candidates: that take part.
        evaluations: trainings, one for each seed of each.
        work: seconds of one device that does it all.
        wall: seconds by the number of devices.
        memory: bytes, as of `Cost`.
        disk: bytes.
        share: of the whole wall-clock on the devices that the config would use here.
    """

    name: str
    candidates: int
    evaluations: int
    work: float
    wall: Mapping[int, float]
    memory: float = 0.0
    disk: float = 0.0
    share: float = 0.0


@dataclass(frozen=True)
class Projection:
    """A whole search.

    Args:
        stages: in order.
        here: devices that the config would use here.
    """

    stages: Sequence[Stage]
    here: int

    @property
    def wall(self) -> dict[int, float]:
        """Seconds by the number of devices."""
        return {devices: sum(stage.wall[devices] for stage in self.stages) for devices in self.stages[0].wall}

    @property
    def work(self) -> float:
        """Seconds of one device that does it all."""
        return sum(stage.work for stage in self.stages)

    @property
    def disk(self) -> float:
        """Bytes."""
        return sum(stage.disk for stage in self.stages)


@dataclass(frozen=True)
class Change:
    """What would make a search shorter.

    Args:
        what: is changed, for people.
        but: what else that changes.
        wall: seconds on the devices that the config would use here.
        share: of the time before.
    """

    what: str
    but: str
    wall: float
    share: float


def project(
    settings: Settings,
    measured: MachineCosts,
    visits: Mapping[str, Sequence[Visit]] | None = None,
    devices: Iterable[int] = DEVICES,
) -> Projection:
    """What a search costs.

    Args:
        settings: of the search.
        measured: on this machine.
        visits: to every rung, as `reaching` gives them; None for the most.
        devices: numbers of devices to tell the wall-clock of; the number here is added.
    """
    numbers = sorted({*devices, measured.devices})
    first, later = measured.births
    proposing = settings.births * (first + (settings.generations - 1) * later)
    births = settings.generations * settings.births
    alone = {BEGIN: measured.begin + measured.start, PROPOSE: proposing}
    disks = {BEGIN: measured.bytes_data, PROPOSE: births * measured.bytes_birth}
    stages = [
        Stage(name, births if name == PROPOSE else 0, 0, spent, dict.fromkeys(numbers, spent), 0.0, disks[name])
        for name, spent in alone.items()
    ]
    visits = visits or reaching(settings)
    sharing = sum(len(rung.every_seed) for rung in settings.rungs if measured.costs[rung.name].shared)
    for rung in settings.rungs:
        cost, here = measured.costs[rung.name], visits[rung.name]
        evaluations = sum(visit.losses * visit.seeds for visit in here)
        works = [_works(rung, cost, visit) for visit in here]
        loads = [cost.load * visit.seeds if not index or sharing > 1 else 0.0 for index, visit in enumerate(here)]
        once = cost.sharing * len(rung.every_seed)
        wall = {}
        for number in numbers:
            slots = number * measured.side_by_side
            # The first worker is asked for what is shared; the others start when there is more to do.
            late = measured.start if rung is settings.ladder[0] and not rung.descends else 0.0
            spans = [makespan(each, slots, late if not index else 0.0) for index, each in enumerate(works)]
            # A worker that shares loads once more for the seeds that it comes to.
            mine = [
                load * min(1, math.ceil(len(each) / slots) / visit.seeds)
                for load, each, visit in zip(loads, works, here, strict=True)
            ]
            wall[number] = once + sum(loads) + sum(mine) + sum(spans)
        work = (sum(map(sum, works)) + once + 2 * sum(loads)) / measured.side_by_side
        disk = cost.disk * len(rung.every_seed) + evaluations * measured.bytes_evaluation
        losses = sum(visit.losses for visit in here if not visit.again)
        stages.append(Stage(rung.name, losses, evaluations, work, wall, cost.memory, disk))
    whole = sum(stage.wall[measured.devices] for stage in stages)
    shared = [replace(stage, share=stage.wall[measured.devices] / whole if whole else 0.0) for stage in stages]
    return Projection(shared, measured.devices)


def makespan(works: Sequence[float], slots: int, late: float = 0.0) -> float:
    """Seconds until all is done, each work by the worker that is free first.

    Args:
        works: seconds of each, in order.
        slots: number of workers.
        late: seconds after which those beside the first begin.
    """
    free = [0.0] + [late] * (min(slots, len(works)) - 1)
    end = 0.0
    for seconds in works:
        end = max(end, heapq.heapreplace(free, free[0] + seconds) + seconds)
    return end


def _works(rung: Rung, cost: Cost, visit: Visit) -> list[float]:
    """Seconds of every group of a rung's candidates with every seed, in the order they are done."""
    sizes = [min(rung.batch, visit.losses - begin) for begin in range(0, visit.losses, rung.batch)]
    return [cost.seconds(size, rung.batch) for size in sizes] * visit.seeds


def halving(settings: Settings, measured: MachineCosts) -> Change:
    """The mildest single change that halves the wall-clock here; where none does, the one that saves most."""
    before = project(settings, measured, devices=()).wall[measured.devices]
    best: Change | None = None
    for divisor in _DIVISORS:
        for what, but, other, costs in _changes(settings, measured, divisor):
            wall = project(other, replace(measured, costs=costs), devices=()).wall[measured.devices]
            if best is None or wall < best.wall:
                best = Change(what, but, wall, wall / before if before else 1.0)
        if best is not None and best.share <= 0.5:
            return best
    return best or Change("nothing", "there is one of everything", before, 1.0)


def _changes(
    settings: Settings, measured: MachineCosts, divisor: int
) -> Iterator[tuple[str, str, Settings, Mapping[str, Cost]]]:
    """Changes of one number: what, what else that changes, and the search after it."""
    costs = measured.costs
    for rung in settings.rungs:
        cost = costs[rung.name]
        for name, its, but in (
            ("iterations", "iterations", "and ranks losses by a shorter training"),
            ("shared_iterations", "iterations of what candidates share", "and ranks losses on features learnt shorter"),
        ):
            now = getattr(cost, name)
            if now >= divisor:
                fewer = replace(cost, **{name: now // divisor})
                yield (
                    f"{now // divisor:,} {its} at {rung.name!r} ({now:,} now)",
                    but,
                    settings,
                    {**costs, rung.name: fewer},
                )
    visits = reaching(settings)
    for index, (rung, above) in enumerate(itertools.pairwise(settings.ladder)):
        last = next(visit for visit in reversed(visits[above.name]) if not visit.again)
        now = last.losses if settings.generations > 1 else kept(rung, settings.births, True)
        if now >= divisor:
            keep = rung.keep.model_copy(update={"count": now // divisor})
            rungs = list(settings.ladder)
            rungs[index] = rung.model_copy(update={"keep": keep})
            what = f"keep.count={now // divisor} at {rung.name!r} ({now} of a generation go on now)"
            yield (
                what,
                f"and fewer losses are seen at {above.name!r}",
                settings.model_copy(update={"ladder": rungs}),
                costs,
            )
    for name in ("births", "generations"):
        now = getattr(settings, name)
        if now >= divisor:
            other = settings.model_copy(update={name: now // divisor})
            yield f"{name}={now // divisor} ({now} now)", "and fewer losses are tried", other, costs
    finale = settings.finale
    if finale and finale.count >= divisor:
        other = settings.model_copy(update={"finale": finale.shrunk(divisor)})
        what = f"finale.count={finale.count // divisor} ({finale.count} now)"
        yield what, "and fewer of the best are compared", other, costs
