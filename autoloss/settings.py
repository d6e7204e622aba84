"""Settings: a search config file becomes frozen objects, and an unknown key an error.

mmengine reads the file (its configs are Python, as in mmdetection); nothing past this module knows of it.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from autoloss.candidate import SLOTS, Loss
from autoloss.evaluator import named
from autoloss.gates.simulation import THRESHOLDS
from primitives.catalog import GRAMMARS, KNOWN, grammar, known_loss
from primitives.errors import InputError, reading
from primitives.grammar import RANGE, in_range
from primitives.text.printable import printable

FREE = ("generations",)
"""Settings that may change when a search goes on, beside those that a run does not keep."""


MOST_SEED = 2**32 - 1
"""What NumPy takes; PyTorch and SQLite take more."""
MOST = 2**31 - 1
"""Of anything that is counted."""
MOST_SECONDS = 1e9
"""32 years."""
LEAST_FACTOR, MOST_FACTOR = 1e-9, 1e9
"""Of a loss_weight: with them losses and gradients stay far from the ends of float32."""
LONGEST_NAME = 60
"""Characters of the name of a rung."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _name(text: str) -> str:
    """A name that looks the same wherever it lands: tables, logs, TensorBoard's tags, file names of plots."""
    if not (0 < len(text) <= LONGEST_NAME and text == text.strip() and text.isprintable()):
        raise ValueError(
            f"a name has 1 to {LONGEST_NAME} characters that can be seen, none of them at its ends a space, "
            f"got {printable(repr(text))}"
        )
    return text


def _plain(value: Any) -> Any:
    """Refuses what a run file cannot keep, and numbers that are none."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise ValueError(f"keys are text, got {printable(repr(key))}")
            _plain(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _plain(part)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"numbers are finite, got {value}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"whole numbers have 64 bits, got {printable(value, 40)}")
    elif isinstance(value, str) and not _encodes(value):
        raise ValueError(f"text must be Unicode without lone surrogates, got {printable(repr(value))}")
    elif not isinstance(value, (str, int, float, type(None))):
        raise ValueError(f"values are numbers, text, None, and lists and dicts of them, got {printable(repr(value))}")
    return value


def _encodes(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Count = Annotated[int, Field(gt=0, le=MOST)]
Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=LEAST_FACTOR, le=MOST_FACTOR)]
Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS)]
Name = Annotated[str, AfterValidator(_name)]
Plain = Annotated[dict[str, Any], AfterValidator(_plain)]


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
    weight: Factor = 1.0
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

    of_own: float | None = Field(default=None, ge=0, le=MOST_FACTOR)
    share: float | None = Field(default=None, gt=0, le=1)
    count: Count | None = None


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

    name: Name
    task: Plain
    seeds: list[Seed] = Field(default=[0], min_length=1)
    keep: Keep = Keep()
    ranks: bool = True
    batch: Count = 1

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
        constants: numbers that formulas are drawn with; what `primitives.grammar.RANGE` says.
        extended: draw the extended operators too.
    """

    parents: Count = 8
    tournament: Count = 3
    crossover: Share = 0.4
    both: Share = 0.3
    draws: Count = 50_000
    constants: list[float] = Field(default=[1.0, 2.0, 3.0], min_length=1)
    extended: bool = False


class Thresholds(_Frozen):
    """Least numbers of the descent of free boxes and logits; `autoloss thresholds` derives the defaults.

    Args:
        iou: mean IoU at the end, of pairs that overlapped at the start.
        arrived: share of these that ever reached IoU 0.9.
        accuracy: of the classes, at the end.
        rank: correlation of the score of positives with their IoU.
        ap: of the ranking of all samples by score.
    """

    iou: Share = THRESHOLDS["iou"]
    arrived: Share = THRESHOLDS["arrived"]
    accuracy: Share = THRESHOLDS["accuracy"]
    rank: float = Field(default=THRESHOLDS["rank"], ge=-1, le=1)
    ap: Share = THRESHOLDS["ap"]


class Finale(_Frozen):
    """After the last generation: the best found against the detector's own loss and the known losses.

    Args:
        rung: what they are trained for; its score is the mean over its seeds.
        count: how many of the best found take part.
        known: rows of `known` (by position) that take part beside the detector's own loss.
    """

    rung: Rung
    count: Count = 3
    known: list[int] = []


class LimitsOf(_Frozen):
    """What the evaluation of one candidate may take before its worker is killed.

    Args:
        time: seconds; None: 10 times the median of the rung, at least 120, a week before one has finished, 600 more
            for the first of a fresh worker.
        memory: gigabytes; None: 4 times the median of the rung, once 5 have finished, at least 4, and at most a fair
            share of 80 % of the machine's memory.
    """

    time: Seconds | None = None
    memory: float | None = Field(default=None, gt=0, le=1e6)


class Budget(_Frozen):
    """What a whole run may take, all its sessions together; a larger budget goes on where a smaller one ended.

    Args:
        time: seconds of wall-clock time, None for no end.
        evaluations: how many, those of the finale included, None for no end.
    """

    time: Seconds | None = None
    evaluations: Count | None = None


class Ray(_Frozen):
    """A Ray cluster that evaluates.

    Args:
        address: of the cluster, `auto` for the one of this machine, `local` to start one here.
        cpus: cores that an evaluation reserves; Ray counts in ten-thousandths.
        gpus: GPUs that an evaluation reserves, 0.25 for four on one; None for one where the cluster has any.
    """

    address: str = Field(min_length=1, max_length=300)
    cpus: float = Field(default=1.0, ge=1e-4, le=1e5)
    gpus: float | None = Field(default=None, ge=0, le=1e5)

    @field_validator("gpus")
    @classmethod
    def _whole_gpus(cls, gpus: float | None) -> float | None:
        if gpus is not None and (0 < gpus < 1e-4 or (gpus > 1 and gpus % 1)):
            raise ValueError(f"GPUs are a share of one from 0.0001, or a whole number, got {gpus:g}")
        return gpus


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

    seed: Seed = 0
    generations: Count = 4
    births: Count = 12
    init: Literal["known", "random"] = "known"
    known: list[dict[str, str]] = []
    controls: list[dict[str, Factor]] = []
    slots: dict[str, Slot] = Field(min_length=1)
    ladder: list[Rung] = Field(min_length=1)
    finale: Finale | None = None
    evaluator: Plain
    variation: Variation = Variation()
    thresholds: Thresholds = Thresholds()
    workers: int = Field(default=0, ge=0, le=MOST)
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
            if not in_range(constant):
                raise ValueError(f"constants are {RANGE} (neg is an operator), got {constant:g}")
        return variation

    @field_validator("slots")
    @classmethod
    def _known_slots(cls, slots: dict[str, Slot]) -> dict[str, Slot]:
        for name in slots:
            if name not in SLOTS:
                raise ValueError(f"unknown slot {name!r}; choices: {', '.join(SLOTS)}")
            if grammar(slots[name].grammar).slot != name:
                raise ValueError(f"grammar {slots[name].grammar!r} is not for {name}")
        return slots

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        names = [rung.name for rung in self.rungs]
        if len({_alike(name) for name in names}) != len(names):
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
            for slot in control:
                if slot not in self.slots:
                    raise ValueError(f"control for slot {slot!r}; choices: {', '.join(self.slots)}")
        for index in self.finale.known if self.finale else []:
            if not 0 <= index < len(self.known):
                raise ValueError(f"finale.known names row {index}, known has {len(self.known)}")
        named(self.evaluator.get("type"))
        return self

    @property
    def stand_ins(self) -> dict[str, Loss]:
        """The known losses that stand for the detector's own, by slot."""
        found = {slot: known_loss(rules.like) for slot, rules in self.slots.items()}
        return {
            slot: Loss(known.expression, GRAMMARS[known.grammar], alpha=known.alpha) for slot, known in found.items()
        }

    def on(self, data: Mapping[str, Any]) -> Settings:
        """The same search on other data.

        Args:
            data: a description, as the evaluator takes it.
        """
        return self.model_copy(update={"evaluator": {**self.evaluator, "data": dict(data)}})

    def identity(self) -> dict[str, Any]:
        """What a run keeps: everything but who evaluates, and how much of it may be done; see also `FREE`."""
        return self.model_dump(mode="json", exclude={"workers", "isolate", "limits", "budget", "ray"})


def _alike(name: str) -> str:
    """What names have in common that look the same: letters of other widths, capitals, spaces."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


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
    with reading(f"{path}: not a config that mmengine can read"):
        config = Config.fromfile(str(path))
        config.merge_from_dict(parsed(options, "search.generations=2"))
        sections = config.to_dict()
    if "search" not in sections:
        raise InputError(f"{path}: a search config needs a section 'search'; found: {', '.join(sections) or 'nothing'}")
    unknown = sorted(set(sections) - {"search"})
    if unknown:
        raise InputError(f"{path}: unknown key {unknown[0]!r} beside 'search'; choices: search")
    if not isinstance(sections["search"], Mapping):
        raise InputError(f"{path}: 'search' is a section, search = dict(...), got {printable(sections['search'])}")
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
        raise InputError(f"a time is such as 2h, 1h30m, 45m or 90s, got {printable(repr(text))}")
    if found > MOST_SECONDS:
        raise InputError(f"a time is {MOST_SECONDS / 86400:,.0f} days at most, got {printable(repr(text))}")
    return found


def kept(section: Mapping[str, Any]) -> Settings:
    """Settings that a run file holds, as they are: what an older version let pass, this one shows.

    Raises:
        ValueError: what every version asks for is missing, or of another type.
    """
    try:
        return Settings.model_validate(section)
    except ValidationError:
        found: Settings = _unchecked(Settings, section)
        return found


def _unchecked(kind: Any, value: Any) -> Any:
    """A value as a field of some type holds it, but for the bounds; keys that no field has are left out."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not isinstance(value, Mapping):
            raise ValueError(f"{kind.__name__.lower()} is an object, got {printable(repr(value))}")
        fields = {name: field for name, field in kind.model_fields.items() if name in value or field.is_required()}
        missing = [name for name in fields if name not in value]
        if missing:
            raise ValueError(f"{kind.__name__.lower()} lacks {missing[0]!r}")
        return kind.model_construct(**{name: _unchecked(one.annotation, value[name]) for name, one in fields.items()})
    origin = get_origin(kind)
    if origin in (list, dict):
        if not isinstance(value, origin):
            raise ValueError(f"a {origin.__name__} is asked for, got {printable(repr(value))}")
        inner = get_args(kind)[-1]
        if origin is dict:
            return {key: _unchecked(inner, part) for key, part in value.items()}
        return [_unchecked(inner, part) for part in value]
    models = [one for one in get_args(kind) if isinstance(one, type) and issubclass(one, BaseModel)]
    return _unchecked(models[0], value) if models and value is not None else value


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
            raise InputError(f"--cfg-options takes key=value, got {printable(repr(text))}; for example {example}")
        with reading(f"--cfg-options {printable(text)}: a value that mmengine cannot read"):
            found[key.strip()] = DictAction._parse_iterable(value)
    return found


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
    return f"{place}: {message}, got {_shown(first['input'])}"


def _shown(value: object) -> str:
    try:
        return printable(repr(value))
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return f"a {type(value).__name__} too long to write"


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
