"""Population: the candidates of a run; ask for a generation, tell what became of it.

A candidate's birth is a function of the run's seed, its number, the candidates before it and the finished
evaluations of earlier generations; nothing else, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from autoloss.candidate import OWN, Candidate, How, Kind, Loss, Origin, Refusal
from autoloss.gates import equivalence, pipeline
from autoloss.gates.calibration import calibrated, weighted
from autoloss.gates.certificates import certify
from autoloss.gates.distinct import Distinct, from_parent
from autoloss.search.strategies import strategy
from autoloss.search.strategies.variation import seeded
from autoloss.settings import Settings
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.kinds.verdict import Verdict


@dataclass
class Birth:
    """What `ask` gives: the candidates of a generation and the proposals refused on the way."""

    candidates: list[Candidate] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


class Population:
    """Generations of candidates: what a config gives, then what its strategy proposes and the gates let pass.

    Args:
        settings: of the search.
        candidates: those of earlier generations.
    """

    def __init__(self, settings: Settings, candidates: Iterable[Candidate] = ()) -> None:
        self.settings = settings
        self.candidates: dict[int, Candidate] = {}
        self._distinct = Distinct(earlier="an earlier candidate or of the detector's own loss")
        self._strategy = strategy.build(settings)
        self._own = settings.stand_ins
        self._identities: dict[Loss, str] = {}
        self._proved: dict[Loss, list[dict[str, Any]]] = {}
        for candidate in candidates:
            self._add(candidate)

    def tell(self, standing: Sequence[int]) -> None:
        """Takes the candidates that climbed the ladder so far, best first."""
        self._strategy.tell([self.candidates[number] for number in standing])

    def ask(self, generation: int, watch: Callable[[int, int], None] = lambda *_: None) -> Birth:
        """A new generation; the first one holds the detector's own loss and the known losses besides.

        Args:
            generation: its number.
            watch: called with the numbers of candidates and refusals so far.

        Raises:
            InputError: no formula passed the gates within `variation.draws` proposals.
        """
        birth = Birth()
        if generation == 0:
            for candidate in self.given():
                self._add(candidate)
                birth.candidates.append(candidate)
        for _ in range(self.settings.births):
            candidate = self._bear(_Attempts(len(self.candidates), self.settings, birth, watch), generation)
            self._add(candidate)
            birth.candidates.append(candidate)
            watch(len(birth.candidates), len(birth.refusals))
        return birth

    def _add(self, candidate: Candidate) -> None:
        self.candidates[candidate.number] = candidate
        self._distinct.add(candidate.identity)
        for slot, certificates in candidate.certificates.items():
            if slot in candidate.losses:
                self._proved[candidate.losses[slot]] = certificates

    def given(self) -> list[Candidate]:
        """The detector's own loss, and a row per known loss and control of the config."""
        breeds = self.settings.init == "known"
        own = {name: slot.like for name, slot in self.settings.slots.items()}
        given = [Candidate(OWN, Kind.OWN, 0, {}, Origin(How.OWN), (), breeds, self._identity({}))]
        for number, row in enumerate(self.settings.known, start=1):
            losses = {slot: self._known(slot, name) for slot, name in row.items()}
            titles = tuple(known_loss(name).title for name in row.values())
            wanted = {slot: GRAMMARS[rules.grammar] for slot, rules in self.settings.slots.items()}
            native = all(wanted[slot].holds(loss.grammar) for slot, loss in losses.items())
            as_formula = all(own[slot] == name for slot, name in row.items())
            origin = Origin(How.KNOWN, titles=titles, as_formula=as_formula)
            given.append(
                Candidate(number, Kind.KNOWN, 0, losses, origin, (), breeds and native, self._identity(losses))
            )
        for control in self.settings.controls:
            losses = {slot: self._known(slot, own[slot], factor) for slot, factor in control.items()}
            scaled = tuple(f"{known_loss(own[slot]).title} x {factor:g}" for slot, factor in control.items())
            origin = Origin(How.CONTROL, titles=scaled)
            given.append(Candidate(len(given), Kind.CONTROL, 0, losses, origin, (), False, self._identity(losses)))
        return given

    def _known(self, slot: str, name: str, factor: float = 1.0) -> Loss:
        """A known loss at the gradient norm of the loss it replaces, times a factor."""
        known, replaced = known_loss(name), self.settings.slots[slot]
        grammar = GRAMMARS[known.grammar]
        return calibrated(known.expression, grammar, known.alpha, replaced.like, factor * replaced.weight)

    def _identity(self, losses: Mapping[str, Loss]) -> str:
        """The gradient directions of all slots; the known loss stands for a slot left out."""
        return "+".join(self._direction(losses.get(slot, own)) for slot, own in self._own.items())

    def _direction(self, loss: Loss) -> str:
        """The gradient direction of a loss; that of a new formula came with the gates' judgement."""
        if loss not in self._identities:
            self._identities[loss] = equivalence.identity(loss.expression, loss.grammar, loss.alpha)[0]
        return self._identities[loss]

    def _bear(self, attempts: _Attempts, generation: int) -> Candidate:
        """Asks until a candidate passes every gate and is new to the run."""
        with seeded(self.settings.seed, attempts.number) as rng:
            while True:
                draft = strategy.checked(self._strategy.ask(rng, attempts), self.settings)
                self._identities |= attempts.identities
                identity = self._identity(draft.losses)
                verdict = self._distinct.verdict(identity)
                if verdict.passed or verdict.gate not in self.settings.gates:
                    return Candidate(
                        attempts.number,
                        Kind.FOUND,
                        generation,
                        draft.losses,
                        draft.origin,
                        draft.origin.parents,
                        True,
                        identity,
                        attempts.draws + 1,
                        self._certificates(draft.losses),
                    )
                slot = draft.origin.slots[0]
                attempts.refuse(slot, draft.losses[slot].expression, verdict)

    def _certificates(self, losses: Mapping[str, Loss]) -> dict[str, list[dict[str, Any]]]:
        """What is known of each formula; of one that a candidate has already, what was proved then."""
        for loss in losses.values():
            if loss not in self._proved:
                found = certify(loss.expression, loss.grammar, loss.alpha, self._direction(loss))
                self._proved[loss] = [asdict(one) for one in found]
        return {slot: self._proved[loss] for slot, loss in losses.items()}


class _Attempts:
    """Formulas tried on the way to one candidate; the `Gates` of strategies."""

    def __init__(self, number: int, settings: Settings, birth: Birth, watch: Callable[[int, int], None]) -> None:
        self.number, self.draws, self.own = number, 0, settings.stand_ins
        self.grammars = {name: slot.rules(settings.variation) for name, slot in settings.slots.items()}
        self.identities: dict[Loss, str] = {}
        self._settings, self._birth, self._watch = settings, birth, watch

    def loss(
        self, slot: str, formula: Expression, alpha: float | None = None, parent: Expression | None = None
    ) -> Loss | None:
        """The loss of a formula that passes every gate; see `strategy.Gates`."""
        names = self._settings.gates
        if parent is not None and "distinct" in names and not (verdict := from_parent(formula, parent)).passed:
            self.refuse(slot, formula, verdict)
            return None
        rules, grammar = self._settings.slots[slot], self.grammars[slot]
        least = {**grammar.kind.thresholds, **self._settings.thresholds.model_dump()}
        judgement = pipeline.judge(formula, grammar, alpha, least, names=names)
        if not judgement.passed:
            self.refuse(slot, formula, judgement.verdicts[-1])
            return None
        found, norm = judgement.expression, judgement.norm
        whole = GRAMMARS[rules.grammar]
        if self._settings.calibrate and norm:
            loss = weighted(found, whole, alpha, norm, rules.like, rules.weight)
        else:
            loss = Loss(found, whole, rules.weight, alpha)
        self.identities[loss] = judgement.identity
        return loss

    def refuse(self, slot: str, formula: Expression, verdict: Verdict) -> None:
        """Keeps a refusal; gives up past the limit."""
        refusals, most = self._birth.refusals, self._settings.variation.draws
        refusals.append(Refusal(self.number, self.draws, slot, formula.text, verdict.gate, verdict.reason))
        self.draws += 1
        if self.draws % 200 == 0:
            self._watch(len(self._birth.candidates), len(refusals))
        if self.draws >= most:
            raise InputError(
                f"candidate {self.number}: no formula for {slot} passed the gates in {most} proposals "
                f"(last: {verdict.gate}: {verdict.reason}); raise search.variation.draws or widen the grammar"
            )
