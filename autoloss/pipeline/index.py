"""Index: what became of every step of a pipeline, one JSON file of its folder, written whole or not at all."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoloss import __version__
from autoloss.pipeline.condition import Figures
from autoloss.report.live import Beat
from primitives.errors import InputError
from primitives.system.files import write_whole
from primitives.text.printable import printable

FILE = "pipeline.json"
EVERY = 10.0
"""Seconds of a step that a kill can make the index forget, at most."""
State = Literal["waiting", "running", "done", "failed", "not reached"]


class Entry(BaseModel):
    """What became of a step.

    Args:
        kind: what it does.
        state: how far it is; `not reached` where the pipeline ended before it.
        why: it failed, or was not reached.
        began, ended: Unix times; 0 before.
        seconds: of all sessions.
        before: seconds of what was put aside or lost, and is done anew.
        amount: seeds or generations that it was given, as `projected` counts them; None for what its section says.
        projected: seconds for each amount that it may have; empty where nothing was measured.
        measured: digest of what these were measured of.
        inputs: what must be the same when it goes on.
        took: what steps before it gave.
        figures: that it tells.
        told: what came of it, in a line.
        gave: what it found, and where that lies in the folder.
    """

    model_config = ConfigDict(extra="forbid")
    kind: str
    state: State = "waiting"
    why: str = ""
    began: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    before: float = 0.0
    amount: int | None = None
    projected: dict[int, float] = Field(default={})
    measured: str = ""
    inputs: dict[str, Any] = Field(default={})
    took: dict[str, Any] = Field(default={})
    figures: dict[str, float | None] = Field(default={})
    told: str = ""
    gave: dict[str, Any] = Field(default={})

    @property
    def begun(self) -> bool:
        """Whether something of it is there."""
        return self.state in ("running", "done", "failed")

    def anew(self) -> Entry:
        """Of the same step before it begins once more: its time was spent, and what it costs is known."""
        spent = self.before + self.seconds
        return Entry(kind=self.kind, before=spent, projected=self.projected, measured=self.measured)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")
    autoloss: str = __version__
    pipeline: str
    budget: float | None = None
    steps: dict[str, Entry]


class Index:
    """The entries of a pipeline.

    Args:
        folder: of the pipeline.
        pipeline: its name.
        kinds: of its steps, by name, in order.

    Raises:
        InputError: the file is no index, or one of another pipeline, or a step in it did something else.
    """

    def __init__(self, folder: Path, pipeline: str, kinds: Mapping[str, str]) -> None:
        self._file = folder / FILE
        self._found = found = _read(self._file)
        if found is not None and found.pipeline != pipeline:
            raise InputError(f"{folder} holds pipeline {printable(found.pipeline, 80)!r}; name another folder")
        there = {} if found is None else found.steps
        for name, kind in kinds.items():
            if name in there and there[name].begun and there[name].kind != kind:
                was = there[name].kind
                raise InputError(f"step {name!r} is {kind} here, and was {was} in {printable(folder)}; rename it")
        kept = {name: entry for name, entry in there.items() if kinds.get(name, entry.kind) == entry.kind}
        self.steps = {name: kept.pop(name, Entry(kind=kind)) for name, kind in kinds.items()}
        """By name, in order."""
        self._left_out = kept  # of the pipeline's config; they may come back to it
        self.budget = found.budget if found else None
        """Seconds of the whole; None for no end."""
        self._pipeline = pipeline

    def spent(self, but: Iterable[str] = ()) -> float:
        """Seconds of all that was done, but what there is of some steps."""
        mine = set(but)
        entries = {**self.steps, **self._left_out}
        return sum(entry.before + (0.0 if name in mine else entry.seconds) for name, entry in entries.items())

    @property
    def figures(self) -> Figures:
        """Of the steps that are done."""
        return {name: entry.figures for name, entry in self.steps.items() if entry.state == "done"}

    def is_current(self) -> bool:
        """Whether the file is what was read, so that no other process has gone on with the pipeline since."""
        return _read(self._file) == self._found

    def put(self, name: str, **changes: Any) -> None:
        """Changes an entry, and keeps the index.

        Raises:
            InputError: a figure is not finite, so that nothing could be compared with it.
        """
        if wrong := _not_finite(changes.get("figures", {})):
            raise InputError(f"its figure {wrong} is no finite number, so nothing can be compared with it")
        self.steps[name] = self.steps[name].model_copy(update=changes)
        self.keep()

    def keep(self) -> None:
        """Writes the file.

        Raises:
            InputError: it cannot be written.
        """
        document = _Document(pipeline=self._pipeline, budget=self.budget, steps={**self.steps, **self._left_out})
        write_whole(self._file, json.dumps(document.model_dump(mode="json"), indent=2) + "\n")

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """While a step runs: its time is kept now and then, also where it ends by a kill."""
        before, begin = self.steps[name].seconds, time.monotonic()
        self.put(name, state="running", why="", began=self.steps[name].began or time.time(), ended=0.0)

        def tick() -> None:
            self.put(name, seconds=before + time.monotonic() - begin)

        try:
            with Beat(tick, EVERY):
                yield
        finally:
            tick()


def _read(file: Path) -> _Document | None:
    if not file.exists():
        return None
    try:
        found = _Document.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, ValidationError) as error:
        said = printable(" ".join(str(error).split()), 200)
        raise InputError(f"{printable(file)} is no index that autoloss wrote: {said}") from None
    found.steps = {name: _healed(entry) for name, entry in found.steps.items()}
    return found


def _healed(entry: Entry) -> Entry:
    """One whose figures are not finite, which versions before kept as done, as the failed one that it is."""
    wrong = _not_finite(entry.figures)
    return entry.model_copy(update={"state": "failed", "why": f"it told {wrong}", "figures": {}}) if wrong else entry


def _not_finite(figures: Mapping[str, float | None]) -> str:
    """The first figure that is no finite number; empty where all are."""
    found = ((name, value) for name, value in figures.items() if value is not None and not math.isfinite(value))
    return next((f"{name} {value}" for name, value in found), "")
