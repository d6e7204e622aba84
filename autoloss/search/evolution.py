"""Search: which candidates are born; ask for a generation, tell what became of it.

A candidate's birth is a function of the run's seed, its number, the candidates before it and the finished
evaluations of earlier generations; nothing else, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autoloss.candidate import OWN, Candidate, Kind, Loss, Refusal
from autoloss.gates import equivalence, pipeline
from autoloss.gates.calibration import calibrated
from autoloss.gates.certificates import certify
from autoloss.gates.distinct import Distinct, from_parent
from autoloss.search import variation
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
            candidate = self._bear(_Log(len(self.candidates), self.settings.variation.draws, birth, watch), generation)
            self._add(candidate)
            birth.candidates.append(candidate)
            watch(len(birth.candidates), len(birth.refusals))
        return birth

    def _add(self, candidate: Candidate) -> None:
        self.candidates[candidate.number] = candidate
        self._distinct.add(candidate.identity)

    def _given(self) -> list[Candidate]:
        """The detector's own loss, and a row per known loss of the config."""
        breeds = self.settings.init == "known"
        own = {name: slot.like for name, slot in self.settings.slots.items()}
        given = [Candidate(OWN, Kind.OWN, 0, {}, "the detector's own loss", (), breeds, self._identity({}))]
        for number, row in enumerate(self.settings.known, start=1):
            losses = {slot: self._known(slot, name) for slot, name in row.items()}
            titles = " + ".join(known_loss(name).title for name in row.values())
            native = all(loss.grammar == self.settings.slots[slot].grammar for slot, loss in losses.items())
            origin = f"known: {titles}"
            if all(own[slot] == name for slot, name in row.items()):
                origin += ", as a formula"
            given.append(
                Candidate(number, Kind.KNOWN, 0, losses, origin, (), breeds and native, self._identity(losses))
            )
        for control in self.settings.controls:
            losses = {slot: self._known(slot, own[slot], factor) for slot, factor in control.items()}
            scaled = [f"{known_loss(own[slot]).title} x {factor:g}" for slot, factor in control.items()]
            origin = f"control: {' + '.join(scaled)}"
            given.append(Candidate(len(given), Kind.CONTROL, 0, losses, origin, (), False, self._identity(losses)))
        return given

    def _known(self, slot: str, name: str, factor: float = 1.0) -> Loss:
        known = known_loss(name)
        return self._loss(slot, known.expression, known.grammar, known.alpha, factor)

    def _loss(self, slot: str, expression: Expression, grammar: str, alpha: float | None, factor: float = 1.0) -> Loss:
        """The formula at the gradient norm of the loss it replaces, times a factor."""
        replaced = self.settings.slots[slot]
        return calibrated(expression, GRAMMARS[grammar], alpha, replaced.like, factor * replaced.weight)

    def _identity(self, losses: Mapping[str, Loss]) -> str:
        parts = []
        for name, slot in self.settings.slots.items():
            loss = losses.get(name)
            if loss is None:
                known = known_loss(slot.like)
                loss = Loss(str(known.expression), known.grammar, 1.0, known.alpha)
            grammar = GRAMMARS[loss.grammar]
            parts.append(equivalence.identity(grammar.parse(loss.expression), grammar, loss.alpha)[0])
        return "+".join(parts)

    def _bear(self, log: _Log, generation: int) -> Candidate:
        """Proposes until a candidate passes every gate and is new to the run."""
        pool = self._pool() if generation > 0 else []
        with variation.seeded(self.settings.seed, log.number) as rng:
            while True:
                losses, origin, parents = self._draft(rng, pool, log)
                identity = self._identity(losses)
                verdict = self._distinct.verdict(identity)
                if verdict.passed:
                    return Candidate(
                        log.number,
                        Kind.FOUND,
                        generation,
                        losses,
                        origin,
                        parents,
                        True,
                        identity,
                        log.draws + 1,
                        _certificates(losses),
                    )
                slot = origin.split(": ")[1].split(" and ")[0]
                log.refuse(slot, losses[slot].expression, verdict)

    def _draft(
        self, rng: random.Random, pool: list[Candidate], log: _Log
    ) -> tuple[dict[str, Loss], str, tuple[int, ...]]:
        """Losses that passed the gates, where they come from, and the parents."""
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
        losses.update({slot: self._vary(rng, slot, parents, log) for slot in slots})
        how = ("random", "mutation of {}", "crossover of {} and {}")[len(parents)]
        origin = f"{how.format(*(parent.number for parent in parents))}: {' and '.join(slots)}"
        return losses, origin, tuple(parent.number for parent in parents)

    def _vary(self, rng: random.Random, slot: str, parents: list[Candidate], log: _Log) -> Loss:
        """A new formula for one slot that passes the gates."""
        rules = self.settings.slots[slot]
        extended = self.settings.variation.extended
        grammar = replace(GRAMMARS[rules.grammar], constants=tuple(self.settings.variation.constants))
        trees = [self._tree(slot, parent) for parent in parents]
        alpha = trees[0][1] if trees else rules.alpha
        while True:
            if not trees:
                proposal = variation.random_formula(grammar, extended=extended)
            elif len(trees) == 2 and rng.random() < 0.8:
                proposal = variation.crossed(trees[0][0], trees[1][0], grammar, extended=extended)
            else:
                # A crossover of near relatives often gives the parent back; a mutation gets it off the spot.
                proposal = variation.mutated(trees[0][0], grammar, extended=extended)
            if trees and not (verdict := from_parent(proposal, trees[0][0])).passed:
                log.refuse(slot, str(proposal), verdict)
                continue
            least = {**grammar.kind.thresholds, **self._thresholds}
            judgement = pipeline.judge(proposal, grammar, alpha, least)
            if judgement.passed:
                return self._loss(slot, judgement.expression, grammar.name, alpha)
            log.refuse(slot, str(proposal), judgement.verdicts[-1])

    def _tree(self, slot: str, candidate: Candidate) -> tuple[Expression, float | None]:
        """The formula of a slot and its alpha; of a slot left out, the known loss that stands for it."""
        loss = candidate.losses.get(slot)
        if loss is None:
            known = known_loss(self.settings.slots[slot].like)
            return known.expression, known.alpha
        return GRAMMARS[loss.grammar].parse(loss.expression), loss.alpha

    def _pool(self) -> list[Candidate]:
        """The best candidates so far that may have children: parents stay until better ones come."""
        breeding = [self.candidates[number] for number in self._standing if self.candidates[number].breeds]
        return breeding[: self.settings.variation.parents]


class _Log:
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


def _certificates(losses: Mapping[str, Loss]) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for slot, loss in losses.items():
        grammar = GRAMMARS[loss.grammar]
        found[slot] = [asdict(one) for one in certify(grammar.parse(loss.expression), grammar, loss.alpha)]
    return found


def _tournament(rng: random.Random, pool: list[Candidate], size: int) -> Candidate:
    """The best of some drawn from a pool that is sorted, best first."""
    return pool[min(rng.randrange(len(pool)) for _ in range(size))]
