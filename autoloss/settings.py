"""Settings: a search config file becomes frozen objects, and an unknown key an error.

mmengine reads the file (its configs are Python, as in mmdetection); nothing past this module knows of it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator, model_validator

from primitives.catalog import KNOWN, grammar, kinds, known_loss, slots
from primitives.errors import InputError

FREE = ("generations",)
"""Settings that may change when a search goes on, beside those that a run does not keep."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Slot(_Frozen):
    """A slot that the search fills.

    Args:
        grammar: of the formulas to try.
        like: known loss that stands for the detector's own in calibration, and as first parent.
        weight: loss_weight of that loss at the scale of the detector's own.
        alpha: weight of the target column of new sigmoid losses, None for none.
    """

    grammar: str
    like: str
    weight: float = Field(default=1.0, gt=0)
    alpha: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _belong_together(self) -> Slot:
        if known_loss(self.like).grammar != grammar(self.grammar).name:
            choices = ", ".join(name for name, known in KNOWN.items() if known.grammar == self.grammar)
            raise ValueError(f"like={self.like!r} is not a formula of grammar {self.grammar!r}; choices: {choices}")
        return self


class Keep(_Frozen):
    """Which candidates of a rung go on; all given rules must hold.

    Args:
        of_own: at least this share of the score of the detector's own loss.
        share: the best share of them.
        count: the best so many.
    """

    of_own: float | None = Field(default=None, ge=0)
    share: float | None = Field(default=None, gt=0, le=1)
    count: int | None = Field(default=None, gt=0)


class Rung(_Frozen):
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

    name: str
    task: dict[str, Any]
    seeds: list[int] = Field(default=[0], min_length=1)
    keep: Keep = Keep()
    ranks: bool = True
    batch: int = Field(default=1, gt=0)

    @property
    def descends(self) -> bool:
        """Whether no evaluator is asked."""
        return self.task.get("kind") == "descend"

    @model_validator(mode="after")
    def _descent_has_no_options(self) -> Rung:
        if self.descends and len(self.task) > 1:
            raise ValueError(f"a task of kind 'descend' has no other keys, got {', '.join(self.task)}")
        return self


class Variation(_Frozen):
    """How children come about.

    Args:
        parents: size of the pool that parents are drawn from: the best candidates so far.
        tournament: candidates drawn for each parent, the best of them wins.
        crossover: share of children with two parents; the rest are mutations.
        both: share of children whose two slots change; the rest change one.
        draws: proposals for one slot before a candidate gives up.
        constants: numbers that formulas are drawn with.
        extended: draw the extended operators too.
    """

    parents: int = Field(default=8, gt=0)
    tournament: int = Field(default=3, gt=0)
    crossover: float = Field(default=0.4, ge=0, le=1)
    both: float = Field(default=0.3, ge=0, le=1)
    draws: int = Field(default=50_000, gt=0)
    constants: list[float] = Field(default=[1.0, 2.0, 3.0], min_length=1)
    extended: bool = False


_ASKED = {one.name: one for kind in kinds() for one in kind.outcomes if one.least is not None}


class Thresholds(
    create_model(  # type: ignore[misc]
        "_Thresholds",
        __base__=_Frozen,
        **{name: (float, Field(default=one.least, ge=one.low, le=1)) for name, one in _ASKED.items()},
    )
):
    """Least numbers of the simulation, those that the kinds of losses ask for; `autoloss thresholds` derives them."""


class Finale(_Frozen):
    """After the last generation: the best found against the detector's own loss and the known losses.

    Args:
        rung: what they are trained for; its score is the mean over its seeds.
        count: how many of the best found take part.
        known: rows of `known` (by position) that take part beside the detector's own loss.
    """

    rung: Rung
    count: int = Field(default=3, gt=0)
    known: list[int] = []


class LimitsOf(_Frozen):
    """What the evaluation of one candidate may take before its worker is killed.

    Args:
        time: seconds; None: 10 times the median of the rung, at least 120, a week before one has finished, 600 more
            for the first of a fresh worker.
        memory: gigabytes; None: 4 times the median of the rung, once 5 have finished, at least 4, and at most a fair
            share of 80 % of the machine's memory.
    """

    time: float | None = Field(default=None, gt=0)
    memory: float | None = Field(default=None, gt=0)


class Budget(_Frozen):
    """What a whole run may take, all its sessions together; a larger budget goes on where a smaller one ended.

    Args:
        time: seconds of wall-clock time, None for no end.
        evaluations: how many, those of the finale included, None for no end.
    """

    time: float | None = Field(default=None, gt=0)
    evaluations: int | None = Field(default=None, gt=0)


class Ray(_Frozen):
    """A Ray cluster that evaluates.

    Args:
        address: of the cluster, `auto` for the one of this machine, `local` to start one here.
        cpus: cores that an evaluation reserves.
        gpus: GPUs that an evaluation reserves, 0.25 for four on one; None for one where the cluster has any.
    """

    address: str
    cpus: float = Field(default=1.0, gt=0)
    gpus: float | None = Field(default=None, ge=0)


class Settings(_Frozen):
    """A whole search.

    Args:
        seed: of every random choice of the search.
        generations: how many, the first included.
        births: candidates of each generation; the first also holds the detector's own and the known losses.
        init: `known` lets the detector's own and the known losses have children, `random` does not.
        known: known losses to train in generation 0, a name per slot.
        controls: the loss that stands for the detector's own with its weight times a factor per slot: a gain must
            be more than a better weight. The best of them takes part in the finale.
        slots: what is searched.
        ladder: rungs in the order they are climbed; the last one chooses parents and finalists.
        finale: the comparison after the last generation, None for none.
        evaluator: `type` as 'module:Class' and its arguments.
        variation: how children come about.
        thresholds: of the gate `converges`.
        workers: evaluations at a time, 0 for one per core, or for all that a Ray cluster has room for.
        isolate: False evaluates in this process when there is one worker, to look closely: nothing then saves the
            search from a candidate that hangs or crashes.
        limits: of time and memory of an evaluation.
        budget: of the whole run.
        ray: a cluster that evaluates, in place of processes on this machine.
    """

    seed: int = 0
    generations: int = Field(default=4, gt=0)
    births: int = Field(default=12, gt=0)
    init: Literal["known", "random"] = "known"
    known: list[dict[str, str]] = []
    controls: list[dict[str, float]] = []
    slots: dict[str, Slot] = Field(min_length=1)
    ladder: list[Rung] = Field(min_length=1)
    finale: Finale | None = None
    evaluator: dict[str, Any]
    variation: Variation = Variation()
    thresholds: Thresholds = Thresholds()
    workers: int = Field(default=0, ge=0)
    isolate: bool = True
    limits: LimitsOf = LimitsOf()
    budget: Budget = Budget()
    ray: Ray | None = None

    @property
    def rungs(self) -> list[Rung]:
        """Those of the ladder, and that of the finale."""
        return [*self.ladder, *([self.finale.rung] if self.finale else [])]

    @field_validator("variation")
    @classmethod
    def _plain_constants(cls, variation: Variation) -> Variation:
        for constant in variation.constants:
            if not (math.isfinite(constant) and constant >= 0):
                raise ValueError(f"constants are finite and not negative (neg is an operator), got {constant:g}")
        return variation

    @field_validator("slots")
    @classmethod
    def _known_slots(cls, given: dict[str, Slot]) -> dict[str, Slot]:
        for name, slot in given.items():
            if name not in slots():
                raise ValueError(f"unknown slot {name!r}; choices: {', '.join(slots())}")
            if grammar(slot.grammar).slot != name:
                raise ValueError(f"grammar {slot.grammar!r} is not for {name}")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        names = [rung.name for rung in self.rungs]
        if len(set(names)) != len(names):
            raise ValueError(f"rungs need names of their own, got {', '.join(names)}")
        owner: dict[int, str] = {}
        for rung in self.rungs:
            if len(set(rung.seeds)) != len(rung.seeds):
                raise ValueError(f"rung {rung.name} names a seed twice: {', '.join(map(str, rung.seeds))}")
            for seed in () if rung.descends else rung.seeds:
                if owner.setdefault(seed, rung.name) != rung.name:
                    raise ValueError(
                        f"rungs {owner[seed]} and {rung.name} share seed {seed}: the same luck counts twice"
                    )
        if self.ladder[-1].descends:
            raise ValueError("the last rung of the ladder ranks, so it must train; 'descend' finds what is broken")
        if self.finale and self.finale.rung.descends:
            raise ValueError("the finale compares trained detectors; 'descend' trains none")
        if self.finale and len(set(self.finale.known)) != len(self.finale.known):
            raise ValueError(f"finale.known names a row twice: {', '.join(map(str, self.finale.known))}")
        for row in self.known:
            for slot, name in row.items():
                if slot not in self.slots:
                    raise ValueError(f"known loss for slot {slot!r}; choices: {', '.join(self.slots)}")
                if grammar(known_loss(name).grammar).slot != slot:
                    raise ValueError(f"known loss {name!r} is not for {slot}")
        for control in self.controls:
            for slot, factor in control.items():
                if slot not in self.slots:
                    raise ValueError(f"control for slot {slot!r}; choices: {', '.join(self.slots)}")
                if factor <= 0:
                    raise ValueError(f"a control's factor must be above 0, got {factor:g} for {slot}")
        for index in self.finale.known if self.finale else []:
            if not 0 <= index < len(self.known):
                raise ValueError(f"finale.known names row {index}, known has {len(self.known)}")
        if ":" not in str(self.evaluator.get("type", "")):
            raise ValueError("evaluator needs a type such as 'detectors.evaluator:DetectorEvaluator'")
        return self

    def on(self, data: Mapping[str, Any]) -> Settings:
        """The same search on other data.

        Args:
            data: a description, as the evaluator takes it.
        """
        return self.model_copy(update={"evaluator": {**self.evaluator, "data": dict(data)}})

    def identity(self) -> dict[str, Any]:
        """What a run keeps: everything but who evaluates, and how much of it may be done; see also `FREE`."""
        return self.model_dump(mode="json", exclude={"workers", "isolate", "limits", "budget", "ray"})


def load(path: str | Path, options: Sequence[str] = ()) -> Settings:
    """Reads a config file.

    Args:
        path: an mmengine config with a `search` section.
        options: `key=value` as mmdetection's --cfg-options, keys from the top of the file.

    Raises:
        InputError: no such file, not a config, an unknown key, a wrong type or value.
    """
    from mmengine.config import Config

    if not Path(path).is_file():
        raise InputError(f"no config file at {str(path)!r}; the ones that come with the toolkit are in configs/search/")
    try:
        config = Config.fromfile(str(path))
        config.merge_from_dict(parsed(options, "search.generations=2"))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: not a config that mmengine can read: {_line(error)}") from None
    sections = config.to_dict()
    if "search" not in sections:
        raise InputError(f"{path}: a search config needs a section 'search'; found: {', '.join(sections) or 'nothing'}")
    unknown = sorted(set(sections) - {"search"})
    if unknown:
        raise InputError(f"{path}: unknown key {unknown[0]!r} beside 'search'; choices: search")
    return from_mapping(sections["search"], str(path))


def from_mapping(section: Mapping[str, Any], place: str = "search") -> Settings:
    """Settings from plain values.

    Raises:
        InputError: an unknown key, a wrong type or value, with the place and the choices.
    """
    try:
        return Settings.model_validate(section)
    except ValidationError as error:
        raise InputError(f"{place}: {_explain(error)}") from None


def seconds(text: str) -> float:
    """A time such as 90, 90s, 15m, 2h, 1h30m or 2d.

    Raises:
        InputError: it is none, or not above 0.
    """
    parts = re.fullmatch(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        given = parts.groups() if parts else ()
        found = sum(float(part or 0) * unit for part, unit in zip(given, (86400, 3600, 60, 1), strict=False))
    except ValueError:
        found = 0.0
    if found <= 0:
        raise InputError(f"a time is such as 2h, 1h30m, 45m or 90s, got {text!r}")
    return found


def completed(section: Mapping[str, Any]) -> dict[str, Any]:
    """What an older version kept of its settings, with the keys that came later at their defaults."""
    try:
        return Settings.model_validate(section).identity()
    except ValidationError:
        return dict(section)  # no settings of this version; whoever compares names the key


def parsed(options: Sequence[str], example: str) -> dict[str, object]:
    """What --cfg-options says, as mmdetection reads it.

    Args:
        options: `key=value` each.
        example: of one, for the message.

    Raises:
        InputError: one is not key=value.
    """
    from mmengine.config import DictAction

    found: dict[str, object] = {}
    for text in options:
        key, mark, value = text.partition("=")
        if not mark or not key.strip():
            raise InputError(f"--cfg-options takes key=value, got {text!r}; for example {example}")
        found[key.strip()] = DictAction._parse_iterable(value)
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _explain(error: ValidationError) -> str:
    """The first mistake in one line: where, what, and the choices."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in ("search", *first["loc"]))
    if first["type"] == "extra_forbidden":
        fields = _fields(first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), fields, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"unknown key {place!r}{hint}; choices: {', '.join(fields)}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("missing", "value_error"):
        return f"{place}: {message}"
    return f"{place}: {message}, got {first['input']!r}"


def _fields(location: tuple[int | str, ...]) -> list[str]:
    """Keys that the section at a location may hold."""
    model: Any = Settings
    sections = {
        "slots": Slot,
        "ladder": Rung,
        "rung": Rung,
        "finale": Finale,
        "keep": Keep,
        "variation": Variation,
        "thresholds": Thresholds,
        "limits": LimitsOf,
        "budget": Budget,
        "ray": Ray,
    }
    for part in location:
        model = sections.get(str(part), model)
    return list(model.model_fields)
