"""Flow: a pipeline in its folder: what is done stays, what is not is done, in order, until a condition ends it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from autoloss.pipeline import budget, tables
from autoloss.pipeline.index import FILE, Entry, Index
from autoloss.pipeline.kinds.kind import Work
from autoloss.pipeline.kinds.table import KINDS
from autoloss.pipeline.plan import Pipeline, Step, placed
from autoloss.report.live import Steps
from autoloss.store.lock import FILE as LOCK
from autoloss.store.lock import Lock
from primitives.errors import InputError
from primitives.text.printable import printable


@dataclass(frozen=True)
class Asked:
    """What a person asks for.

    Args:
        first: step to begin with; None for the first one.
        only: step to do and no other.
        anew: whether steps whose inputs changed are done anew.
        time: seconds of the whole, all sessions together; infinite for no end, None for what was said before.
        seconds: about so many for each thing that is measured.
    """

    first: str | None = None
    only: str | None = None
    anew: bool = False
    time: float | None = None
    seconds: float = 8.0


@dataclass
class Flow:
    """A pipeline in a folder.

    Args:
        pipeline: what is to be done.
        folder: of it.
        asked: how.
        console: for progress.
    """

    pipeline: Pipeline
    folder: Path
    asked: Asked
    console: Console
    index: Index = field(init=False)

    def __post_init__(self) -> None:
        kinds = {step.name: step.kind for step in self.pipeline.steps}
        there = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if FILE not in there and (there - {f"{FILE}.new", LOCK} or (self.folder.exists() and not self.folder.is_dir())):
            raise InputError(f"{printable(self.folder)} is not empty and holds no pipeline; name a new folder")
        self.index = Index(self.folder, self.pipeline.name, kinds)

    def chosen(self) -> list[Step]:
        """The steps that are to be done, whether or not they are done already.

        Raises:
            InputError: there is no such step, or one before it is not done.
        """
        steps = list(self.pipeline.steps)
        if self.asked.first is not None and self.asked.only is not None:
            raise InputError("--from STEP goes on to the end, --only STEP does one; give one of the two")
        name = self.asked.only or self.asked.first
        if name is None:
            return steps
        begin = steps.index(self.pipeline.step(name))
        found = [steps[begin]] if self.asked.only else steps[begin:]
        missing = [step.name for step in self.left(steps[:begin])]
        for step in found:
            if lacks := next((one for one in missing if one in _needs(step)), None):
                option = f"{'--only' if self.asked.only else '--from'} {name}"
                who = "it" if step.name == name else step.name
                raise InputError(
                    f"{option}: {who} needs {lacks}, which is not done; without the option that is done first"
                )
        return found

    def check(self) -> list[Step]:
        """The steps that are asked for, done or not; whatever can be known to be wrong with them shows here.

        Raises:
            InputError: see `chosen`; a config that cannot be; inputs of a step that is there that have changed.
        """
        chosen = self.chosen()
        for step in self.pipeline.steps:
            inputs = self._inputs(step)
            entry = self.index.steps[step.name]
            if entry.begun and entry.state != "failed" and not self.asked.anew:
                self._check_same(step, inputs, entry.inputs)
        for step in self.left(chosen):
            with placed(step.name):
                KINDS[step.kind].check(self.pipeline, step)
        return chosen

    def left(self, steps: Sequence[Step]) -> list[Step]:
        """Those that are not done."""
        return [step for step in steps if self.index.steps[step.name].state != "done" or self._lost(step)]

    def _after(self, step: Step) -> list[Step]:
        """A step and all after it that are not done."""
        return self.left(self.pipeline.steps[self.pipeline.steps.index(step) :])

    def _lost(self, step: Step) -> bool:
        """Whether what a step left is no longer there."""
        return not all((self.folder / name).exists() for name in KINDS[step.kind].files(step))

    def _inputs(self, step: Step) -> dict[str, Any]:
        with placed(step.name):
            return KINDS[step.kind].inputs(self.pipeline, step)

    def _check_same(self, step: Step, now: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        changed = _difference(_plain(before), _plain(now), "")
        if changed:
            raise InputError(
                f"{step.name} has changed since it was begun in {printable(self.folder)}: {changed}; --anew does it "
                "anew, and keeps what is there beside it; or name another folder"
            )

    def projected(self, steps: Sequence[Step]) -> dict[str, dict[int, float]]:
        """What steps cost here; measured once while they and their workers stay, and kept in the index."""
        entries, digests = self.index.steps, {}
        for step in steps:
            with placed(step.name):
                digests[step.name] = budget.digest(self.pipeline, step)
        unknown = [step for step in steps if entries[step.name].measured != digests[step.name]]
        if unknown:
            with Steps(self.console) as bar:
                found = budget.projected(self.pipeline, unknown, self.asked.seconds, bar)
            for step in unknown:
                changes = {"projected": dict(found[step.name]), "measured": digests[step.name]}
                entries[step.name] = entries[step.name].model_copy(update=changes)
        return {step.name: entries[step.name].projected for step in steps}

    @property
    def whole(self) -> float | None:
        """Seconds of all steps: that are asked for, else those of the sessions before; None for no end."""
        given = self.index.budget if self.asked.time is None else self.asked.time
        return None if given == math.inf else given

    def shares(self, todo: Sequence[Step]) -> RenderableType | None:
        """How the budget is shared out among all that follow, whichever are asked for; None where there is nothing to.

        One that was found to be enough is not looked at again, however long it took since.

        Raises:
            InputError: it is less than the cheapest plan takes.
        """
        if self.whole is None or not self.left(todo):
            return None
        costs = self._costs(self._after(todo[0]))
        if self.whole != self.index.budget or not any(entry.begun for entry in self.index.steps.values()):
            budget.check(self.whole, costs, self.index.spent(but=costs))
        return tables.shares(self.index, costs, self.whole)

    def _costs(self, steps: Sequence[Step]) -> dict[str, dict[int, float]]:
        """Of whole steps, of which one that is begun takes no less than it has taken."""
        costs = self.projected(steps)
        budget.check_known(costs)
        taken = {name: self.index.steps[name].seconds for name in costs}
        return {name: {count: max(one, taken[name]) for count, one in each.items()} for name, each in costs.items()}

    def run(self) -> bool:
        """Does what is left; false where a condition ended it.

        Raises:
            InputError: see `check`; a step cannot work.
            KeyboardInterrupt: someone stopped it.
        """
        todo = self.check()
        if (shares := self.shares(todo)) is not None:
            self.console.print(shares)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.folder)
        except OSError as error:
            raise InputError(f"cannot write to {printable(self.folder)}: {error.strerror}") from None
        try:
            if not self.index.is_current():
                raise InputError(f"{printable(self.folder)} was changed while this began; the same command goes on")
            self.index.budget = self.whole
            self.index.keep()
            return self._run(todo)
        finally:
            lock.release()

    def _run(self, todo: Sequence[Step]) -> bool:
        for number, step in enumerate(todo):
            work = Work(self.pipeline, step, self.index, self.folder, self.console)
            with placed(step.name):
                if step.condition is not None and not step.condition.holds(self.index.figures):
                    return self._ends(todo[number:], step)
                inputs, took = self._inputs(step), KINDS[step.kind].took(work)
            if self._is_done(step, inputs, took):
                continue
            self._say(step, "begins")
            self._do(step, inputs, took)
        return True

    def _is_done(self, step: Step, inputs: Mapping[str, Any], took: Mapping[str, Any]) -> bool:
        """Whether it was done with the same; what was done with other things is put aside.

        Raises:
            InputError: it changed, it did not fail, and nobody asked to have it anew.
        """
        entry = self.index.steps[step.name]
        if not entry.begun:
            return False
        if entry.state == "done" and self._lost(step):
            self._say(step, "what it left is no longer there; it is done anew")
            self.index.put(step.name, **dict(entry.anew()))
            return False
        before, now = {**entry.inputs, "took": entry.took}, {**inputs, "took": took}
        changed = _difference(_plain(before), _plain(now), "")
        if not changed:
            return entry.state == "done"
        if entry.state != "failed" and not self.asked.anew:  # of one that failed, what was wrong may be mended now
            self._check_same(step, now, before)
        kept = self._put_aside(step)
        self._say(step, f"changed: {changed}; it is done anew, what was there is kept in {kept}")
        self.index.put(step.name, **dict(entry.anew()))
        return False

    def _put_aside(self, step: Step) -> str:
        """Renames what a step left; gives the names."""
        kept = []
        for name in KINDS[step.kind].files(step):
            place = self.folder / name
            if place.exists():
                free = next(free for count in range(1, 10_000) if not (free := Path(f"{place}.{count}")).exists())
                place.rename(free)
                kept.append(str(free.relative_to(self.folder)))
        return ", ".join(kept) or "nothing"

    def _do(self, step: Step, inputs: dict[str, Any], took: dict[str, Any]) -> None:
        entry, amount, seconds = self.index.steps[step.name], self.index.steps[step.name].amount, None
        if self.whole is not None:
            costs = self._costs(self._after(step))
            seconds = budget.share(self.whole, self.index.spent(but=costs), step.name, costs)
            if KINDS[step.kind].amount and not entry.begun:
                amount = budget.fitting(costs[step.name], seconds)
                amount = None if amount == max(costs[step.name]) else amount
            self._say(step, tables.given(step, amount, seconds))
        self.index.put(step.name, inputs=_plain(inputs), took=_plain(took), amount=amount)
        work = Work(self.pipeline, step, self.index, self.folder, self.console, amount, seconds)
        with self._told(step), placed(step.name):
            with self.index.running(step.name):
                outcome = KINDS[step.kind].run(work)
            self.index.put(
                step.name,
                state="done",
                ended=time.time(),
                figures=dict(outcome.figures),
                told=outcome.told,
                gave=_plain(outcome.gave),
                why="its budget ended it before its end" if outcome.short else "",
            )
        self._say(step, f"done: {outcome.told}")

    @contextlib.contextmanager
    def _told(self, step: Step) -> Iterator[None]:
        """Keeps why a step failed."""
        try:
            yield
        except InputError as error:
            self.index.put(step.name, state="failed", why=str(error))
            raise

    def _ends(self, left: Sequence[Step], step: Step) -> bool:
        """Ends before a step whose condition does not hold."""
        assert step.condition is not None
        why = f"{step.name}.proceed_if is not so: {step.condition.told(self.index.figures)}"
        for one in left:
            if not self.index.steps[one.name].begun:
                self.index.put(one.name, state="not reached", why=why)
        self._say(step, f"the pipeline ends before it: {why}")
        return False

    def _say(self, step: Step, what: str) -> None:
        place = self.pipeline.steps.index(step) + 1
        self.console.print(f"[{place}/{len(self.pipeline.steps)}] {step.name}: {what}", highlight=False, soft_wrap=True)


def _needs(step: Step) -> set[str]:
    """Steps before one that it reads."""
    read = [name for name, _ in step.condition.names] if step.condition else []
    return {*read, *(name for kind in KINDS[step.kind].needs for name in step.before[kind])}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON brings it back."""
    found: dict[str, Any] = Entry(kind="", inputs=dict(values)).model_dump(mode="json")["inputs"]
    return found


def _difference(before: Any, now: Any, place: str) -> str:
    """The first place at which plain values differ, with both; empty where they are alike."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            if found := _difference(before.get(key), now.get(key), f"{place}.{key}" if place else key):
                return found
        return ""
    if before == now:
        return ""
    return f"{place} is {printable(repr(now), 80)}, it was {printable(repr(before), 80)}"
