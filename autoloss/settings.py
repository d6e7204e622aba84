"""Settings: a search as frozen objects; see `config` for the files they are read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, create_model, field_validator, model_validator

from autoloss.candidate import GATES, Loss
from autoloss.evaluator import BESIDE, Spec, named
from autoloss.proposals.initial import OWN as KEPT
from autoloss.proposals.initial import Initial, Weighted
from autoloss.proposals.strategy import Named
from autoloss.proposals.variation import Variation
from autoloss.rungs.finale import Finale
from autoloss.rungs.rung import DESCEND, Rung
from autoloss.values import MOST, Count, Factor, Names, Seconds, Section, Seed, alike
from primitives.catalog import GRAMMARS, KNOWN, grammar, kinds, known_loss, paper, slots
from primitives.errors import InputError
from primitives.grammar import Grammar
from primitives.text.printable import printable

SEVERAL = "autoloss.workers.several:SeveralEvaluators"
FREE = ("generations",)
"""Settings that may change when a search goes on, beside those that a run does not keep."""


class Slot(Section):
    """A slot that the search fills.

    Args:
        grammar: of the formulas to try.
        like: known loss that stands for the detector's own in calibration, and as first parent.
        weight: loss_weight of that loss at the scale of the detector's own.
        alpha: weight of the target column of new sigmoid losses, None for none.
        language: `paper` draws the paper's inputs and operators, whatever else the grammar has.
        inputs: that are drawn, None for all.
        operators: that are drawn, None for those that the grammar and `variation.extended` say.
    """

    grammar: str
    like: str
    weight: Factor = 1.0
    alpha: float | None = Field(default=None, gt=0, lt=1)
    language: Literal["paper"] | None = None
    inputs: Names | None = None
    operators: Names | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> Slot:
        rules = grammar(self.grammar)
        if not rules.holds(grammar(known_loss(self.like).grammar)):
            fit = ", ".join(name for name, known in KNOWN.items() if rules.holds(GRAMMARS[known.grammar]))
            raise ValueError(f"like={self.like!r} is not a formula of grammar {self.grammar!r}; choices: {fit}")
        if self.language and (self.inputs or self.operators):
            raise ValueError("language names inputs and operators; leave these out")
        rules.drawing(self.inputs, self.operators)
        if self.alpha is not None and not rules.kind.weighs_target:
            raise ValueError(f"alpha weighs the target's column of sigmoid losses; grammar {self.grammar!r} has none")
        return self

    def rules(self, variation: Variation) -> Grammar:
        """Its grammar with what a search draws of it."""
        rules = grammar(self.grammar)
        rules = rules.drawing(*(paper(rules) if self.language else (self.inputs, self.operators)))
        return replace(rules, constants=() if variation.numbers == "any" else tuple(variation.constants))


_ASKED = {one.name: one for kind in kinds() for one in kind.outcomes if one.least is not None}


class Thresholds(
    create_model(  # type: ignore[misc]
        "_Thresholds",
        __base__=Section,
        **{name: (float, Field(default=one.least, ge=one.low, le=1)) for name, one in _ASKED.items()},
    )
):
    """Least numbers of the simulation, those that the kinds of losses ask for; `autoloss thresholds` derives them."""


class EvaluationLimits(Section):
    """What the evaluation of one candidate may take before its worker is killed.

    Args:
        time: seconds; None: 10 times the median of the rung, at least 120, a week before one has finished, 600 more
            for the first of a fresh worker.
        memory: gigabytes; None: 4 times the median of the rung, once 5 have finished, at least 4, and at most a fair
            share of 80 % of the machine's memory.
    """

    time: Seconds | None = None
    memory: float | None = Field(default=None, gt=0, le=1e6)


class Budget(Section):
    """What a whole run may take, all its sessions together; a larger budget goes on where a smaller one ended.

    Args:
        time: seconds of wall-clock time, None for no end.
        evaluations: how many, those of the finale included, None for no end.
    """

    time: Seconds | None = None
    evaluations: Count | None = None


class Ray(Section):
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


class Settings(Section):
    """A whole search.

    Args:
        seed: of every random choice of the search.
        generations: how many, the first included.
        births: candidates of each generation; the first also holds the detector's own and the known losses.
        init: `known` lets the detector's own and the known losses have children, `random` does not; of rows of one's
            own (per slot a formula, or the name of a known loss) these are born first and have children.
        known: known losses to train in generation 0, a name per slot.
        controls: the loss that stands for the detector's own with its weight times a factor per slot: a gain must
            be more than a better weight. The best of them takes part in the finale.
        slots: what is searched.
        fixed: slots among them whose loss stays in whatever is found: `own`, the detector's, or a formula, as in a row
            of `init`; then only what is found, and `init`, has children.
        ladder: rungs in the order they are climbed; the last one chooses parents and finalists.
        finale: the comparison after the last generation, None for none.
        evaluator: `type`, a name such as 'command' or 'module:Class', and its arguments.
        evaluators: several of them in its place; each trains every candidate.
        objective: what candidates are then ranked by: the mean, or the worst, of their scores over the own loss's, or
            their mean rank.
        strategy: who proposes candidates: `type`, a name such as 'evolution' or 'module:Class', and its arguments.
        variation: how children come about.
        gates: that judge formulas, None for all; fewer measure what the others are worth.
        calibrate: False leaves losses at their slot's weight, whatever their gradient norm.
        thresholds: of the gate `converges`.
        workers: evaluations at a time, 0 for one per GPU, else per core, or for all that a Ray cluster has room
            for.
        isolate: False evaluates in this process when there is one worker, to look closely: nothing then saves the
            search from a candidate that hangs or crashes.
        limits: of time and memory of an evaluation.
        budget: of the whole run.
        ray: a cluster that evaluates, in place of processes on this machine.
    """

    seed: Seed = 0
    generations: Count = 4
    births: Count = 12
    init: Initial = "known"
    known: list[dict[str, str]] = Field(default=[])
    controls: list[dict[str, Factor]] = Field(default=[])
    slots: dict[str, Slot] = Field(min_length=1)
    fixed: dict[str, str | Weighted] = Field(default={})
    ladder: list[Rung] = Field(min_length=1)
    finale: Finale | None = None
    evaluator: Spec = Field(default={})
    evaluators: list[Spec] = Field(default=[])
    objective: Literal["mean", "worst", "rank"] | None = None
    strategy: Named = Field(default={"type": "evolution"})
    variation: Variation = Variation()
    gates: list[Literal[GATES]] | None = Field(default=None, min_length=1)  # type: ignore[valid-type]
    calibrate: bool = True
    thresholds: Thresholds = Thresholds()
    workers: int = Field(default=0, ge=0, le=MOST)
    isolate: bool = True
    limits: EvaluationLimits = EvaluationLimits()
    budget: Budget = Budget()
    ray: Ray | None = None
    _beside: tuple[str, ...] = PrivateAttr(())

    def beside(self, folders: Iterable[str]) -> Settings:
        """The same search, whose evaluator looks for the paths of its config in these folders first."""
        found = self.model_copy()
        found._beside = tuple(folders)
        return found

    @property
    def evaluator_spec(self) -> dict[str, Any]:
        """What the evaluator is built of: as the config has it, and where it looks for paths."""
        several = {"type": SEVERAL, "evaluators": self.evaluators, "objective": self.objective}
        return {BESIDE: list(self._beside), **(several if self.evaluators else self.evaluator)}

    @property
    def first_evaluator(self) -> dict[str, Any]:
        """The evaluator, or the first of several, as the config has it: what a loss is taken home to."""
        return self.evaluators[0] if self.evaluators else self.evaluator

    @property
    def rungs(self) -> list[Rung]:
        """Those of the ladder, and those of the finale, in the order they are climbed."""
        return [*self.ladder, *(self.finale.rungs if self.finale else [])]

    @property
    def given(self) -> int:
        """How many candidates the config gives, those with the first numbers: own, known, controls."""
        return 1 + len(self.known) + len(self.controls)

    @field_validator("slots")
    @classmethod
    def _known_slots(cls, given: dict[str, Slot]) -> dict[str, Slot]:
        for name, slot in given.items():
            if name not in slots():
                raise ValueError(f"unknown slot {name!r}; choices: {', '.join(slots())}")
            if grammar(slot.grammar).slot != name:
                raise ValueError(f"grammar {slot.grammar!r} is not for {name}")
        return given

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_gone(cls, given: Any) -> Any:
        """Runs of older versions name a preselection, which is gone; those that had none go on."""
        gone = isinstance(given, Mapping) and given.get("preselection", "") is None
        return {key: value for key, value in given.items() if key != "preselection"} if gone else given

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        names = [rung.name for rung in self.rungs]
        if len({alike(name) for name in names}) != len(names):
            raise ValueError(f"rungs need names of their own, got {', '.join(names)}")
        owner: dict[int, str] = {}
        for rung in self.rungs:
            if len(set(rung.every_seed)) != len(rung.every_seed):
                raise ValueError(f"rung {rung.name} names a seed twice: {', '.join(map(str, rung.every_seed))}")
            for seed in () if rung.descends else rung.every_seed:
                if owner.setdefault(seed, rung.name) != rung.name:
                    raise ValueError(
                        f"rungs {owner[seed]} and {rung.name} share seed {seed}: the same luck counts twice"
                    )
        if self.ladder[-1].descends:
            raise ValueError(f"the last rung of the ladder ranks, so it must train; {DESCEND!r} finds what is broken")
        for what, rows in (("known loss", self.known), ("control", self.controls)):
            for slot in (slot for row in rows for slot in row if slot not in self.slots):
                raise ValueError(f"{what} for slot {slot!r}; choices: {', '.join(self.slots)}")
        for slot, name in (pair for row in self.known for pair in row.items()):
            if grammar(known_loss(name).grammar).slot != slot:
                raise ValueError(f"known loss {name!r} is not for {slot}")
        for index in self.finale.known if self.finale else []:
            if not 0 <= index < len(self.known):
                raise ValueError(f"finale.known names row {index}, known has {len(self.known)}")
        self._check_evaluators()
        self._check_fixed()
        named_ = [] if isinstance(self.init, str) else self.init
        if len(named_) > self.births:
            raise ValueError(f"init has {len(named_)} rows for the {self.births} births of the first generation")
        for slot in (slot for row in named_ for slot in row):
            if slot not in self.slots:
                raise ValueError(f"init has a loss for slot {printable(slot)!r}; choices: {', '.join(self.slots)}")
        return self

    def _check_fixed(self) -> None:
        for slot in self.fixed:
            if slot not in self.slots:
                raise ValueError(f"fixed has a loss for slot {printable(slot)!r}; choices: {', '.join(self.slots)}")
        if set(self.fixed) == set(self.slots):
            raise ValueError(f"fixed holds every slot, {', '.join(self.slots)}, so there is nothing to search")

    @property
    def held(self) -> dict[str, str | Weighted]:
        """Losses that everything found has, by slot; where a slot keeps the detector's own there is none."""
        return {slot: loss for slot, loss in self.fixed.items() if loss != KEPT}

    def _check_evaluators(self) -> None:
        if self.evaluator and self.evaluators:
            raise ValueError("evaluator and evaluators: name one set-up, or several, not both")
        if bool(self.evaluators) != bool(self.objective):
            raise ValueError("several evaluators need an objective, 'mean', 'worst' or 'rank', and one needs none")
        for spec in self.evaluators or [self.evaluator]:
            named(spec.get("type"))

    @field_validator("gates")
    @classmethod
    def _structure_always(cls, gates: list[str] | None) -> list[str] | None:
        if gates is not None and "structure" not in gates:
            raise ValueError(f"without gate 'structure' there are formulas of nothing; add it to {', '.join(gates)}")
        return gates

    def judges(self, gate: str) -> bool:
        """Whether a gate judges formulas."""
        return self.gates is None or gate in self.gates

    @property
    def stand_ins(self) -> dict[str, Loss]:
        """The known losses that stand for the detector's own, by slot."""
        found = {slot: known_loss(rules.like) for slot, rules in self.slots.items()}
        return {
            slot: Loss(known.expression, GRAMMARS[known.grammar], self.slots[slot].weight, known.alpha)
            for slot, known in found.items()
        }

    def on(self, data: Mapping[str, Any]) -> Settings:
        """The same search on other data.

        Args:
            data: a description, as the evaluator takes it.

        Raises:
            InputError: there are several evaluators.
        """
        if self.evaluators:
            raise InputError("search.evaluators names the data of each; --data is for a config of one evaluator")
        changed = self.model_copy(update={"evaluator": {**self.evaluator, "data": dict(data)}})
        return changed.beside([str(Path.cwd()), *self._beside])  # these paths are of who types, not of the config

    def identity(self) -> dict[str, Any]:
        """What a run keeps: everything but who evaluates, and how much of it may be done; see also `FREE`."""
        return self.model_dump(mode="json", exclude={"workers", "isolate", "limits", "budget", "ray"})
