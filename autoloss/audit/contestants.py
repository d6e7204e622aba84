"""Contestants: the finalists of a search, and the losses that a gain must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoloss.candidate import OWN, Candidate, How, Kind, Loss, Origin
from autoloss.gates.calibration import calibrated
from autoloss.gates.equivalence import recognised
from autoloss.search.headroom.verdict import analysed
from autoloss.search.results import Results, mean_scores, rung_noise
from autoloss.search.selection.noise import by_seed
from autoloss.search.selection.objective import relative
from autoloss.search.selection.places import Places
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.kinds.classification.kind import SOFTMAX

MOST_FINALISTS = 3
OWN_LOSS = "own loss"
OWN_TUNED = "own loss with tuned weights"
BALANCED = "self-balanced own loss"
PUBLISHED = "published pair"
BEST_KNOWN = "tuned best known loss"
RANDOM = "best of random search"
CONTROLS = (OWN_LOSS, OWN_TUNED, BALANCED, PUBLISHED, BEST_KNOWN, RANDOM)
"""Names of what finalists meet, in their order."""


@dataclass(frozen=True)
class Contestant:
    """A loss that takes part.

    Args:
        control: one of `CONTROLS`, empty for a finalist.
        what: the loss, for people.
        losses: per slot, their weights not tuned; a slot left out keeps the detector's own loss.
        origin: of its candidate.
        candidate: number in the run that it comes from; None for none.
        factors: of the weight of each slot.
    """

    control: str
    what: str
    losses: Mapping[str, Loss]
    origin: Origin
    candidate: int | None = None
    factors: Mapping[str, float] = field(default_factory=dict)

    def at(self, settings: Settings, of: Settings) -> dict[str, Loss]:
        """Its losses in a set-up.

        Args:
            settings: of it.
            of: of that in which its losses have the weights they have.
        """
        losses = self.losses if settings is of else moved(self.losses, of, settings)
        return scaled(settings, losses, self.factors)


def finalists(search: Run) -> list[Contestant]:
    """What a search recommends, and the best besides, by its finale where that was held, else by its last rung.

    Raises:
        InputError: nothing that it found has finished.
    """
    found = {one.number: one for one in search.candidates() if one.kind is Kind.FOUND and not _known_titles(one)}
    places = Places(search.settings, search.candidates(), relative(search.evaluations(), search.settings.objective))
    order = places.furthest(found)
    if not order:
        raise InputError(
            f"{search.directory} has no candidate that it found and that finished: there is nothing to audit; the same "
            "autoloss search goes on with it"
        )
    picked = places.choice()
    if picked is not None and picked.candidate in order:  # what is recommended comes first
        order = [picked.candidate, *(number for number in order if number != picked.candidate)]
    return [_finalist(found[number]) for number in order[:MOST_FINALISTS]]


def _finalist(one: Candidate) -> Contestant:
    origin = replace(one.origin, numbers=(one.number, *one.origin.numbers))
    return Contestant("", f"#{one.number}", one.losses, origin, one.number)


def own() -> Contestant:
    """The detector's own loss."""
    return Contestant(OWN_LOSS, "the detector's own loss", {}, Origin(How.OWN), OWN)


def published(settings: Settings) -> Contestant:
    """The pair of CSE-Autoloss for the kind of the class loss, at the gradient norms of the losses it replaces."""
    rules = settings.slots.get("loss_cls")
    letter = "a" if rules is not None and GRAMMARS[rules.grammar].kind is SOFTMAX else "b"
    names = {slot: name for slot, name in _PAIR.items() if slot in settings.slots}
    known = {slot: known_loss(name.format(letter)) for slot, name in names.items()}
    losses = {
        slot: calibrated(
            one.expression, GRAMMARS[one.grammar], one.alpha, settings.slots[slot].like, settings.slots[slot].weight
        )
        for slot, one in known.items()
    }
    titles = tuple(one.title for one in known.values())
    return Contestant(PUBLISHED, " + ".join(titles), losses, Origin(How.KNOWN, titles=titles))


EQUAL = (
    *("evaluator", "evaluators", "objective", "slots", "ladder", "finale"),
    *("gates", "thresholds", "calibrate", "variation"),
)
"""Of a search's settings, what a random search of the same budget has alike."""
_PAIR = {"loss_cls": "cse_{}_cls", "loss_bbox": "cse_{}_reg"}


def best_known(search: Run, headroom: Run | None) -> Contestant | None:
    """The best known loss on this data, by a measurement of headroom, else by the search; None where there is none.

    A search may have been given known losses to begin with, too.

    Raises:
        InputError: the measurement is of another set-up.
    """
    run, number = search, None
    if headroom is not None:
        _same_setup(search, headroom, "--headroom", ("evaluator", "evaluators", "slots"))
        run, number = headroom, analysed(headroom).best.number
    candidates = {one.number: one for one in run.candidates()}
    if number is None:
        number = _best_of(search, [one.number for one in candidates.values() if _known_titles(one)])
    if number is None:
        return None
    titles = _known_titles(candidates[number])
    return Contestant(BEST_KNOWN, " + ".join(titles), candidates[number].losses, Origin(How.KNOWN, titles=titles))


def _known_titles(one: Candidate) -> tuple[str, ...]:
    """Of the known losses that a candidate is, as the config names it or begins with it; none of any other."""
    if one.kind is not Kind.FOUND:
        return one.origin.titles if one.kind is Kind.KNOWN else ()
    if one.origin.how is not How.INITIAL:
        return ()
    known = [recognised(loss) for loss in one.losses.values()]
    return tuple(loss.title for loss in known if loss) if all(known) else ()


def _best_of(search: Run, known: Sequence[int]) -> int | None:
    """The known loss that the finale puts first, unless one that was not in it stands before that beyond the noise.

    One that failed in the finale is out, and those that a race left early are compared by the seeds that all have;
    where one seed leaves the noise of the last rung unknown, or its first failed there, the finale decides.
    """
    results, settings = Results(search, search.settings), search.settings
    order = [number for number in results.standing() if number in known]
    if not order or settings.finale is None:
        return next(iter(order), None)
    ended = [one for one in results.scored(settings.finale.rung) if one.candidate in known]
    common = set(settings.finale.rung.seeds).intersection(*by_seed(ended).values())
    final = mean_scores(ended, [*common])
    first = max(by_seed(ended), key=lambda number: final[number], default=None)
    began = {one.candidate for one in ended}
    other = next((number for number in order if number not in began), None)
    if first is None or other is None:
        return first if other is None else other
    last = settings.ladder[-1]
    means, noise = results.scores(last), rung_noise(results.scored(last))
    if not noise or first not in means:
        return first
    return other if means[other] > means[first] + noise.margin(len(last.seeds)) else first


def of_random(search: Run, random: Run) -> Contestant:
    """The best that a random search of the same budget found.

    Raises:
        InputError: it had another budget or set-up, or is none.
    """
    _same_setup(search, random, "--random", EQUAL)
    found = {run: [one for one in run.candidates() if one.kind is Kind.FOUND] for run in (search, random)}
    bred = next((one for one in found[random] if one.origin.how is not How.RANDOM), None)
    if bred is not None:
        raise InputError(
            f"--random {random.directory}: no random search, its candidate {bred.number} is: {bred.origin}"
        )
    if len(found[search]) != len(found[random]):
        raise InputError(
            f"--random {random.directory}: another budget: it has {len(found[random])} candidates, "
            f"{search.directory} has {len(found[search])}"
        )
    _check_done(random)
    best = finalists(random)[0]
    return replace(best, control=RANDOM, what=f"{best.what} of {random.directory.name}")


def _check_done(random: Run) -> None:
    """Refuses a run that was stopped before it had trained all it drew, or what it recommends with every seed."""
    ended = [one for one in random.evaluations() if one.ended]
    first, last = random.settings.rungs[0], random.settings.rungs[-1]
    begun = {one.candidate for one in ended if one.rung == first.name}
    drawn = {one.number for one in random.candidates() if one.kind is Kind.FOUND}
    choice = Places(random.settings, random.candidates(), relative(ended, random.settings.objective)).choice()
    whole = choice is not None and {*last.seeds} <= {
        one.seed for one in ended if (one.rung, one.candidate) == (last.name, choice.candidate)
    }
    if random.ended or not whole or not drawn <= begun:
        raise InputError(
            f"--random {random.directory}: it is not done, so it had a smaller budget; the same autoloss search "
            "goes on, with a larger budget where one ended it"
        )


def _same_setup(search: Run, other: Run, option: str, keys: Sequence[str]) -> None:
    """Refuses a run that was not made as the search was."""
    ours, theirs = (run.settings.identity() for run in (search, other))
    for key in keys:
        if ours[key] != theirs[key]:
            raise InputError(
                f"{option} {other.directory}: made with another search.{key} than {search.directory}, so its losses "
                "cannot be compared"
            )


def scaled(settings: Settings, losses: Mapping[str, Loss], factors: Mapping[str, float]) -> dict[str, Loss]:
    """Losses whose weights are multiplied.

    Args:
        settings: say which known loss stands for the detector's own in slots that are left out; with factor 1 they
            stay left out.
        losses: per slot.
        factors: per slot, 1 for those that have none.
    """
    found = dict(losses)
    for slot, factor in factors.items():
        if slot in losses:
            found[slot] = replace(losses[slot], loss_weight=float(f"{losses[slot].loss_weight * factor:.6g}"))
        elif factor != 1:
            rules = settings.slots[slot]
            known = known_loss(rules.like)
            found[slot] = calibrated(
                known.expression, GRAMMARS[known.grammar], known.alpha, rules.like, factor * rules.weight
            )
    return found


def moved(losses: Mapping[str, Loss], of: Settings, to: Settings) -> dict[str, Loss]:
    """Losses of one set-up at the scale of another: at the same share of the gradient norm of what they replace."""
    found = {}
    for slot, loss in losses.items():
        scales = [
            calibrated(loss.expression, loss.grammar, loss.alpha, rules.like, rules.weight).loss_weight
            for rules in (to.slots[slot], of.slots[slot])
        ]
        found[slot] = replace(loss, loss_weight=float(f"{loss.loss_weight * scales[0] / scales[1]:.6g}"))
    return found
