"""Population: the candidates of a run; ask for a generation, tell what became of it.

A candidate's birth is a function of the run's seed, its number, the candidates before it and the finished
evaluations of earlier generations; nothing else, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autoloss.candidate import OWN, Candidate, How, Kind, Loss, Origin, Refusal
from autoloss.gates import pipeline
from autoloss.gates.calibration import calibrated
from autoloss.gates.certificates import certify
from autoloss.gates.distinct import GATE as DISTINCT
from autoloss.gates.distinct import Distinct, from_parent
from autoloss.gates.identities import Identities
from autoloss.proposals.initial import Weighted
from autoloss.search.strategies import strategy
from autoloss.search.strategies.standing import Scores, Standing
from autoloss.search.strategies.strategy import Draft
from autoloss.search.strategies.variation import seeded
from autoloss.settings import Settings
from primitives.catalog import GRAMMARS, find_known, known_loss
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.kinds.verdict import Verdict
from primitives.text.printable import printable


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

    Raises:
        InputError: the strategy, or a formula of one's own, cannot be.
    """

    def __init__(self, settings: Settings, candidates: Iterable[Candidate] = ()) -> None:
        self.settings = settings
        self.candidates: dict[int, Candidate] = {}
        self._distinct = Distinct(earlier="an earlier candidate or of the detector's own loss")
        self._strategy = strategy.build(settings)
        self._identities = Identities(settings.slots, settings.stand_ins, settings.calibrate)
        self._proved: dict[Loss, list[dict[str, Any]]] = {}
        for candidate in candidates:
            self._add(candidate)
        self._held = {slot: self._own_formula(slot, one, "search.fixed") for slot, one in settings.held.items()}
        self._rows = {} if self.candidates else self._initial()

    def tell(self, standing: Sequence[int], rungs: Sequence[Scores] = ()) -> None:
        """Takes the candidates that climbed the ladder so far, best first, and the scores at the rungs that rank."""
        self._strategy.tell(Standing((self.candidates[number] for number in standing), rungs))

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
                row = self._rows.pop(candidate.identity, None) if self._native(candidate.losses) else None
                self._bring(replace(candidate, breeds=candidate.breeds or row is not None), birth)
            for draft in self._rows.values():
                self._bring(self._born(len(self.candidates), generation, draft), birth)
        while sum(one.kind is Kind.FOUND for one in birth.candidates) < self.settings.births:
            attempts = _Attempts(len(self.candidates), self.settings, birth, watch, self._identities, self._distinct)
            self._bring(self._bear(attempts, generation), birth)
            watch(len(birth.candidates), len(birth.refusals))
        return birth

    def _bring(self, candidate: Candidate, birth: Birth) -> None:
        self._add(candidate)
        birth.candidates.append(candidate)

    def _add(self, candidate: Candidate) -> None:
        self.candidates[candidate.number] = candidate
        self._distinct.add(candidate.identity)
        for slot, certificates in candidate.certificates.items():
            if slot in candidate.losses:
                self._proved[candidate.losses[slot].plain] = certificates

    def _initial(self) -> dict[str, Draft]:
        """What the rows of the config stand for, by its gradients.

        Raises:
            InputError: one is no formula, a gate refuses it, or two are the same.
        """
        found: dict[str, Draft] = {}
        for place, row in enumerate([] if isinstance(self.settings.init, str) else self.settings.init):
            free = {slot: text for slot, text in row.items() if slot not in self.settings.fixed}
            losses = {slot: self._own_formula(slot, text, f"search.init.{place}") for slot, text in free.items()}
            losses |= self._held
            if not losses:
                continue  # what it names is fixed
            identity = self._identities.of(losses)
            if identity in found:
                raise InputError(f"search.init.{place}: its gradients are those of a row before it")
            found[identity] = Draft(losses, Origin(How.INITIAL, (), tuple(losses)))
        return found

    def _own_formula(self, slot: str, given: str | Weighted, place: str) -> Loss:
        rules, text = self.settings.slots[slot], str(given)
        known = find_known(text)
        fits = known is not None and GRAMMARS[rules.grammar].holds(GRAMMARS[known.grammar])
        if known is not None and not fits:
            raise InputError(f"{place}.{slot}: {text.strip()} is of grammar {known.grammar}, not of {rules.grammar}")
        try:
            formula = known.expression if known else GRAMMARS[rules.grammar].parse(text)
        except InputError as error:
            raise InputError(f"{place}.{slot}: {error}") from None
        alpha, times = known.alpha if known else rules.alpha, 1.0
        if isinstance(given, Weighted):
            alpha, times = given.alpha if "alpha" in given.model_fields_set else alpha, given.times
        birth = Birth()
        attempts = _Attempts(0, self.settings, birth, lambda *_: None, self._identities, self._distinct)
        loss = attempts.loss(slot, formula, alpha, factor=times)
        if loss is None:
            (refusal,) = birth.refusals
            raise InputError(f"{place}.{slot}: {printable(text)} is refused by gate {refusal.gate}: {refusal.reason}")
        return loss

    def given(self) -> list[Candidate]:
        """The detector's own loss, and a row per known loss and control of the config."""
        breeds = self.settings.init == "known" and not self._held
        own = {name: slot.like for name, slot in self.settings.slots.items()}
        given = [Candidate(OWN, Kind.OWN, 0, {}, Origin(How.OWN), (), breeds, self._identities.of({}))]
        for number, row in enumerate(self.settings.known, start=1):
            losses = {slot: self._known(slot, name) for slot, name in row.items()}
            titles = tuple(known_loss(name).title for name in row.values())
            native = self._native(losses) and not row.keys() & self.settings.fixed.keys()
            as_formula = all(own[slot] == name for slot, name in row.items())
            origin = Origin(How.KNOWN, titles=titles, as_formula=as_formula)
            given.append(
                Candidate(number, Kind.KNOWN, 0, losses, origin, (), breeds and native, self._identities.of(losses))
            )
        for control in self.settings.controls:
            losses = {slot: self._known(slot, own[slot], factor) for slot, factor in control.items()}
            scaled = tuple(f"{known_loss(own[slot]).title} x {factor:g}" for slot, factor in control.items())
            origin = Origin(How.CONTROL, titles=scaled)
            identity = self._identities.of(losses)
            given.append(Candidate(len(given), Kind.CONTROL, 0, losses, origin, (), False, identity))
        return given

    def _native(self, losses: Mapping[str, Loss]) -> bool:
        """Whether these are formulas of the grammars that are searched, so that they can have children."""
        slots = self.settings.slots
        return all(GRAMMARS[slots[slot].grammar].holds(loss.grammar) for slot, loss in losses.items())

    def _known(self, slot: str, name: str, factor: float = 1.0) -> Loss:
        """A known loss at the gradient norm of the loss it replaces, times a factor."""
        known, replaced = known_loss(name), self.settings.slots[slot]
        grammar = GRAMMARS[known.grammar]
        return calibrated(known.expression, grammar, known.alpha, replaced.like, factor * replaced.weight)

    def _bear(self, attempts: _Attempts, generation: int) -> Candidate:
        """A candidate that passes every gate and is new to the run."""
        with seeded(self.settings.seed, attempts.number) as rng:
            draft = self._draft(rng, attempts)
        return self._born(attempts.number, generation, draft, attempts.draws + 1)

    def _draft(self, rng: random.Random, attempts: _Attempts) -> Draft:
        """Asks until what is proposed is new to the run."""
        while True:
            draft = strategy.checked(self._strategy.ask(rng, attempts), self.settings)
            free = {slot: loss for slot, loss in draft.losses.items() if slot not in self.settings.fixed}
            draft = replace(draft, losses={**free, **self._held})
            verdict = self._distinct.verdict(self._identities.of(draft.losses))
            if verdict.passed or not self.settings.judges(verdict.gate):
                return draft
            slot = draft.origin.slots[0]
            attempts.refuse(slot, draft.losses[slot].expression, verdict)

    def _born(self, number: int, generation: int, draft: Draft, draws: int = 1) -> Candidate:
        losses, origin, identity = draft.losses, draft.origin, self._identities.of(draft.losses)
        certificates = self._certificates(losses)
        return Candidate(
            number, Kind.FOUND, generation, losses, origin, origin.parents, True, identity, draws, certificates
        )

    def _certificates(self, losses: Mapping[str, Loss]) -> dict[str, list[dict[str, Any]]]:
        """What is known of each formula; of one that a candidate has already, what was proved then."""
        for loss in losses.values():
            if loss.plain not in self._proved:
                found = certify(loss.expression, loss.grammar, loss.alpha, self._identities.direction(loss))
                self._proved[loss.plain] = [asdict(one) for one in found]
        return {slot: self._proved[loss.plain] for slot, loss in losses.items()}


class _Attempts:
    """Formulas tried on the way to one candidate; the `Gates` of strategies."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        birth: Birth,
        watch: Callable[[int, int], None],
        identities: Identities,
        distinct: Distinct,
    ) -> None:
        self.number, self.draws, self.own = number, 0, settings.stand_ins
        self.grammars = {name: slot.rules(settings.variation) for name, slot in settings.slots.items()}
        self._settings, self._birth, self._watch = settings, birth, watch
        self._identities, self._distinct = identities, distinct

    @property
    def before(self) -> int:
        """Candidates that were proposed before this one."""
        return self.number - self._settings.given

    def new(self, losses: Mapping[str, Loss]) -> bool:
        """Whether no candidate has these gradients and weights."""
        return self._distinct.verdict(self._identities.of(losses)).passed

    def factor(self, slot: str, loss: Loss) -> float:
        """How many times its usual weight a loss has."""
        return self._identities.factor(slot, loss)

    def loss(
        self,
        slot: str,
        formula: Expression,
        alpha: float | None = None,
        parent: Expression | None = None,
        factor: float = 1.0,
    ) -> Loss | None:
        """The loss of a formula that passes every gate; see `strategy.Gates`."""
        if (
            parent is not None
            and self._settings.judges(DISTINCT)
            and not (verdict := from_parent(formula, parent)).passed
        ):
            self.refuse(slot, formula, verdict)
            return None
        rules, grammar = self._settings.slots[slot], self.grammars[slot]
        least = {**grammar.kind.thresholds, **self._settings.thresholds.model_dump()}
        judgement = pipeline.judge(formula, grammar, alpha, least, names=self._settings.gates)
        if not judgement.passed:
            self.refuse(slot, formula, judgement.verdicts[-1])
            return None
        found, norm = judgement.expression, judgement.norm
        loss = Loss(found, GRAMMARS[rules.grammar], alpha=alpha)
        self._identities.know(loss, judgement.identity, norm)
        return self._identities.usual(slot, loss, factor)

    def refuse(self, slot: str, formula: Expression, verdict: Verdict) -> None:
        """Keeps a refusal; gives up past the limit."""
        self._keep(slot, formula, verdict)
        refusals, most = self._birth.refusals, self._settings.variation.draws
        if self.draws % 200 == 0:
            self._watch(len(self._birth.candidates), len(refusals))
        if self.draws >= most:
            raise InputError(
                f"candidate {self.number}: no formula for {slot} passed the gates in {most} proposals "
                f"(last: {verdict.gate}: {verdict.reason}); raise search.variation.draws or widen the grammar"
            )

    def _keep(self, slot: str, formula: Expression, verdict: Verdict) -> None:
        refusal = Refusal(self.number, self.draws, slot, formula.text, verdict.gate, verdict.reason)
        self._birth.refusals.append(refusal)
        self.draws += 1
