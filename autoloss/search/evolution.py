"""Search: which candidates are born; ask for a generation, tell what became of it.

A candidate's birth is a function of the run's seed, its number, the candidates before it and the finished
evaluations of earlier generations; nothing else, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autoloss.candidate import OWN, Candidate, How, Kind, Loss, Origin, Refusal
from autoloss.gates import equivalence, pipeline
from autoloss.gates.calibration import calibrated, weighted
from autoloss.gates.certificates import certify
from autoloss.gates.distinct import Distinct, from_parent
from autoloss.search import variation
from autoloss.settings import Settings
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.kinds.verdict import Verdict


@dataclass
class Birth:
    """What `ask` gives: the candidates of a generation and the proposals refused on the way."""

    candidates: list[Candidate] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


class Search:
    """Generations of candidates by tournament selection, crossover and mutation, with elitism.

    Args:
        settings: of the search.
        candidates: those of earlier generations.
    """

    def __init__(self, settings: Settings, candidates: Iterable[Candidate] = ()) -> None:
        self.settings = settings
        self.candidates: dict[int, Candidate] = {}
        self._distinct = Distinct(earlier="an earlier candidate or of the detector's own loss")
        self._standing: list[int] = []
        self._thresholds = settings.thresholds.model_dump()
        self._own = settings.stand_ins
        self._grammars = {
            name: replace(GRAMMARS[slot.grammar], constants=tuple(settings.variation.constants))
            for name, slot in settings.slots.items()
        }
        self._identities: dict[Loss, str] = {}
        self._proved: dict[Loss, list[dict[str, Any]]] = {}
        for candidate in candidates:
            self._add(candidate)

    def tell(self, standing: Sequence[int]) -> None:
        """Takes the candidates that climbed the ladder so far, best first."""
        self._standing = list(standing)

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
            for candidate in self._given():
                self._add(candidate)
                birth.candidates.append(candidate)
        for _ in range(self.settings.births):
            candidate = self._bear(
                _Attempts(len(self.candidates), self.settings.variation.draws, birth, watch), generation
            )
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

    def _given(self) -> list[Candidate]:
        """The detector's own loss, and a row per known loss of the config."""
        breeds = self.settings.init == "known"
        own = {name: slot.like for name, slot in self.settings.slots.items()}
        given = [Candidate(OWN, Kind.OWN, 0, {}, Origin(How.OWN), (), breeds, self._identity({}))]
        for number, row in enumerate(self.settings.known, start=1):
            losses = {slot: self._known(slot, name) for slot, name in row.items()}
            titles = tuple(known_loss(name).title for name in row.values())
            native = all(loss.grammar.name == self.settings.slots[slot].grammar for slot, loss in losses.items())
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
        """Proposes until a candidate passes every gate and is new to the run."""
        pool = self._pool() if generation > 0 else []
        with variation.seeded(self.settings.seed, attempts.number) as rng:
            while True:
                losses, origin = self._draft(rng, pool, attempts)
                identity = self._identity(losses)
                verdict = self._distinct.verdict(identity)
                if verdict.passed:
                    return Candidate(
                        attempts.number,
                        Kind.FOUND,
                        generation,
                        losses,
                        origin,
                        origin.parents,
                        True,
                        identity,
                        attempts.draws + 1,
                        self._certificates(losses),
                    )
                slot = origin.slots[0]
                attempts.refuse(slot, losses[slot].expression.text, verdict)

    def _certificates(self, losses: Mapping[str, Loss]) -> dict[str, list[dict[str, Any]]]:
        """What is known of each formula; of one that a candidate has already, what was proved then."""
        for loss in losses.values():
            if loss not in self._proved:
                self._proved[loss] = [asdict(one) for one in certify(loss.expression, loss.grammar, loss.alpha)]
        return {slot: self._proved[loss] for slot, loss in losses.items()}

    def _draft(self, rng: random.Random, pool: list[Candidate], attempts: _Attempts) -> tuple[dict[str, Loss], Origin]:
        """Losses that passed the gates, and where they come from."""
        rules = self.settings.variation
        slots = list(self.settings.slots)
        if len(slots) > 1 and rng.random() >= rules.both:
            slots = [rng.choice(slots)]
        parents: list[Candidate] = []
        if pool:
            parents.append(_tournament(rng, pool, rules.tournament))
            others = [candidate for candidate in pool if candidate is not parents[0]]
            if others and rng.random() < rules.crossover:
                parents.append(_tournament(rng, others, rules.tournament))
        losses = dict(parents[0].losses) if parents else {}
        losses.update({slot: self._vary(rng, slot, parents, attempts) for slot in slots})
        how = (How.RANDOM, How.MUTATION, How.CROSSOVER)[len(parents)]
        return losses, Origin(how, tuple(parent.number for parent in parents), tuple(slots))

    def _vary(self, rng: random.Random, slot: str, parents: list[Candidate], attempts: _Attempts) -> Loss:
        """A new formula for one slot that passes the gates."""
        rules, grammar = self.settings.slots[slot], self._grammars[slot]
        extended = self.settings.variation.extended
        theirs = [parent.losses.get(slot, self._own[slot]) for parent in parents]
        trees = [loss.expression for loss in theirs]
        alpha = theirs[0].alpha if theirs else rules.alpha
        while True:
            if not trees:
                proposal = variation.random_formula(grammar, extended=extended)
            elif len(trees) == 2 and rng.random() < 0.8:
                proposal = variation.crossed(trees[0], trees[1], grammar, extended=extended)
            else:
                # A crossover of near relatives often gives the parent back; a mutation gets it off the spot.
                proposal = variation.mutated(trees[0], grammar, extended=extended)
            if trees and not (verdict := from_parent(proposal, trees[0])).passed:
                attempts.refuse(slot, str(proposal), verdict)
                continue
            least = {**grammar.kind.thresholds, **self._thresholds}
            judgement = pipeline.judge(proposal, grammar, alpha, least)
            if judgement.passed:
                found, norm = judgement.expression, judgement.norm
                loss = weighted(found, GRAMMARS[rules.grammar], alpha, norm, rules.like, rules.weight)
                self._identities[loss] = judgement.identity
                return loss
            attempts.refuse(slot, str(proposal), judgement.verdicts[-1])

    def _pool(self) -> list[Candidate]:
        """The best candidates so far that may have children: parents stay until better ones come."""
        breeding = [self.candidates[number] for number in self._standing if self.candidates[number].breeds]
        return breeding[: self.settings.variation.parents]


class _Attempts:
    """Refused proposals on the way to one candidate."""

    def __init__(self, number: int, limit: int, birth: Birth, watch: Callable[[int, int], None]) -> None:
        self.number, self.limit, self.draws = number, limit, 0
        self.birth, self.watch = birth, watch

    def refuse(self, slot: str, expression: str, verdict: Verdict) -> None:
        """Keeps a refusal; gives up past the limit."""
        self.birth.refusals.append(Refusal(self.number, self.draws, slot, expression, verdict.gate, verdict.reason))
        self.draws += 1
        if self.draws % 200 == 0:
            self.watch(len(self.birth.candidates), len(self.birth.refusals))
        if self.draws >= self.limit:
            raise InputError(
                f"candidate {self.number}: no formula for {slot} passed the gates in {self.limit} proposals "
                f"(last: {verdict.gate}: {verdict.reason}); raise search.variation.draws or widen the grammar"
            )


def _tournament(rng: random.Random, pool: list[Candidate], size: int) -> Candidate:
    """The best of some drawn from a pool that is sorted, best first."""
    return pool[min(rng.randrange(len(pool)) for _ in range(size))]
