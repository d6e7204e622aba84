"""Flow: a pipeline in its folder: what is done stays, what is not is done, in order, until a condition ends it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

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
        time: seconds of the whole, all sessions together.
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
        self._check_before(found[0])
        return found

    def _check_before(self, step: Step) -> None:
        """Refuses to begin with a step that needs what is not there yet."""
        option = f"{'--only' if self.asked.only else '--from'} {step.name}"
        read = [name for name, _ in step.condition.names] if step.condition else []
        wanted = {*read, *(name for kind in KINDS[step.kind].needs for name in step.before[kind])}
        for name in (one.name for one in self.pipeline.steps if one.name in wanted):
            if self.index.steps[name].state != "done":
                raise InputError(f"{option}: it needs {name}, which is not done; without the option that is done first")

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
        return chosen

    def left(self, steps: Sequence[Step]) -> list[Step]:
        """Those that are not done."""
        return [step for step in steps if self.index.steps[step.name].state != "done" or self._lost(step)]

    def _after(self, step: Step) -> list[Step]:
        """A step and all after it that are not done: among them a budget is shared out, whichever are asked for."""
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
        """What steps cost here; measured once, and kept in the index."""
        unknown = [step for step in steps if not self.index.steps[step.name].projected]
        if unknown:
            with Steps(self.console) as bar:
                found = budget.projected(self.pipeline, unknown, self.asked.seconds, bar)
            for name, costs in found.items():
                self.index.steps[name] = self.index.steps[name].model_copy(update={"projected": dict(costs)})
        return {step.name: self.index.steps[step.name].projected for step in steps}

    def run(self) -> bool:
        """Does what is left; false where a condition ended it.

        Raises:
            InputError: see `check`; a step cannot work.
            KeyboardInterrupt: someone stopped it.
        """
        todo = self.check()
        whole = self.index.budget if self.asked.time is None else self.asked.time
        if whole is not None:
            self._check_time(whole, todo)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.folder)
        except OSError as error:
            raise InputError(f"cannot write to {printable(self.folder)}: {error.strerror}") from None
        try:
            if not self.index.is_current():
                raise InputError(f"{printable(self.folder)} was changed while this began; the same command goes on")
            self.index.budget = whole
            self.index.keep()
            return self._run(todo, whole)
        finally:
            lock.release()

    def _check_time(self, whole: float, todo: Sequence[Step]) -> None:
        left = self._after(todo[0])
        costs = self.projected(left)
        budget.check(whole, costs, self.index.seconds)
        if left:
            self.console.print(tables.shares(self.index, left, whole))

    def _run(self, todo: Sequence[Step], whole: float | None) -> bool:
        for number, step in enumerate(todo):
            work = Work(self.pipeline, step, self.index, self.folder, self.console)
            with placed(step.name):
                if step.condition is not None and not step.condition.holds(self.index.figures):
                    return self._ends(todo[number:], step)
                inputs, took = self._inputs(step), KINDS[step.kind].took(work)
            if self._is_done(step, inputs, took):
                continue
            self._say(step, "begins")
            self._do(step, whole, inputs, took)
        return True

    def _is_done(self, step: Step, inputs: Mapping[str, Any], took: Mapping[str, Any]) -> bool:
        """Whether it was done with the same; what was done with other things is put aside, if a person asks for it."""
        entry = self.index.steps[step.name]
        if not entry.begun:
            return False
        if entry.state == "done" and self._lost(step):
            self._say(step, "what it left is no longer there; it is done anew")
            self.index.put(step.name, **Entry(kind=step.kind).model_dump())
            return False
        changed = _difference(_plain({**entry.inputs, "took": entry.took}), _plain({**inputs, "took": took}), "")
        if entry.state == "failed" and not self.asked.anew:
            return False  # what was wrong may be mended now
        if changed and not self.asked.anew:
            self._check_same(step, {**inputs, "took": took}, {**entry.inputs, "took": entry.took})
        if changed:
            kept = self._put_aside(step)
            self._say(step, f"changed: {changed}; it is done anew, what was there is kept in {kept}")
            self.index.put(step.name, **Entry(kind=step.kind).model_dump())
            return False
        return entry.state == "done"

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

    def _do(self, step: Step, whole: float | None, inputs: dict[str, Any], took: dict[str, Any]) -> None:
        entry, amount, seconds = self.index.steps[step.name], self.index.steps[step.name].amount, None
        if whole is not None:
            costs = {one.name: self.index.steps[one.name].projected for one in self._after(step)}
            seconds = budget.share(whole, self.index.seconds - entry.seconds, step.name, costs)
            if KINDS[step.kind].amount and not entry.begun:
                amount = budget.fitting(entry.projected, seconds)
                amount = None if amount == max(entry.projected) else amount
            self._say(step, tables.given(step, amount, seconds))
        self.index.put(step.name, inputs=_plain(inputs), took=_plain(took), amount=amount)
        work = Work(self.pipeline, step, self.index, self.folder, self.console, amount, seconds)
        with self._told(step), placed(step.name), self.index.running(step.name):
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
            if self.index.steps[one.name].state != "done":
                self.index.put(one.name, state="not reached", why=why)
        self._say(step, f"the pipeline ends before it: {why}")
        return False

    def _say(self, step: Step, what: str) -> None:
        place = self.pipeline.steps.index(step) + 1
        self.console.print(f"[{place}/{len(self.pipeline.steps)}] {step.name}: {what}", highlight=False, soft_wrap=True)


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
