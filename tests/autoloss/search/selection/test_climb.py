from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from autoloss.candidate import Evaluation
from autoloss.config import from_mapping
from autoloss.rungs.rung import Rung
from autoloss.search.selection.climb import climb
from autoloss.settings import Settings
from tests.helpers.made_up import MadeUp
from tests.helpers.small import section

MORE = [11, 12, 13]


def search(keep: dict[str, Any], **changes: Any) -> Settings:
    """Own, two known losses, and generations of 8; two rungs."""
    ladder = [{"name": "first", "task": {}, "seeds": [1], "keep": keep}, {"name": "second", "task": {}, "seeds": [2]}]
    return from_mapping(section(**{"ladder": ladder, "births": 8, "generations": 2, "finale": None, **changes}))


def quality(number: int) -> float:
    """The higher its number, the better a candidate, by a step of 0.01."""
    return 0.3 + 0.01 * number


def noisy(number: int, rung: Rung, seed: int) -> float:
    """With a noise of a step, and luck of the seed."""
    return quality(number) + 0.2 * random.Random(seed).random() + random.Random(f"{number} {seed}").gauss(0, 0.01)


def exact(number: int, rung: Rung, seed: int) -> float:
    """Of no noise but the luck of the seed."""
    return quality(number) + 0.2 * random.Random(seed).random()


def generations(made: MadeUp) -> None:
    settings = made.settings
    for generation in range(settings.generations):
        climb(made.runner, generation, [n for n, one in made.candidates.items() if one.generation == generation])


def kept(made: MadeUp) -> list[int]:
    return sorted(n for n in made.candidates if n >= made.settings.given and made.seeds(n, "second"))


def test_without_more_seeds_every_candidate_is_trained_once() -> None:
    made = MadeUp(search({"count": 3}), noisy)
    generations(made)
    assert {tuple(made.seeds(number, "first")) for number in made.candidates} == {(1,)}


def test_what_was_given_has_every_seed_and_candidates_near_the_cut_have_more() -> None:
    made = MadeUp(search({"count": 3, "more_seeds": MORE}), noisy)
    generations(made)
    assert [made.seeds(number, "first") for number in range(3)] == [[1, *MORE]] * 3
    counts = [len(made.seeds(number, "first")) for number in range(3, 11)]
    assert counts[0] == 1  # far below the cut
    assert max(counts) > 1
    assert len(kept(made)) == 3 + 3


def test_where_nothing_is_noise_nobody_is_asked_again() -> None:
    made = MadeUp(search({"count": 3, "more_seeds": MORE}), exact)
    generations(made)
    assert kept(made) == [8, 9, 10, 16, 17, 18]
    # The given ones tell the noise before any other is asked again.
    assert {len(made.seeds(number, "first")) for number in range(3, 19)} == {1}


def test_with_the_own_loss_alone_the_first_seed_more_is_for_all_who_compete() -> None:
    made = MadeUp(search({"count": 3, "more_seeds": MORE}, known=[]), exact)
    generations(made)
    assert {len(made.seeds(number, "first")) for number in range(1, 9)} == {2}
    assert {len(made.seeds(number, "first")) for number in range(9, 17)} == {1}  # by then noise is known


def test_more_seeds_find_more_of_the_best() -> None:
    hits = {0: 0, 3: 0}
    for luck in range(60):

        def lucky(number: int, rung: Rung, seed: int, luck: int = luck) -> float:
            return quality(number) + random.Random(f"{number} {seed} {luck}").gauss(0, 0.02)

        for more in hits:
            made = MadeUp(search({"count": 3, "more_seeds": MORE[:more]}, generations=1), lucky)
            generations(made)
            hits[more] += len({8, 9, 10} & set(kept(made)))
    assert hits[3] > 1.15 * hits[0]


def test_whoever_fails_with_a_seed_more_does_not_go_on() -> None:
    def fails(number: int, rung: Rung, seed: int) -> float | None:
        return None if number == 10 and seed in MORE else noisy(number, rung, seed)

    made = MadeUp(search({"count": 8, "of_own": 0.5, "more_seeds": MORE}, generations=1), fails)
    generations(made)
    assert 10 in kept(made)  # far from any cut: it was not asked
    made = MadeUp(search({"count": 1, "more_seeds": MORE}, generations=1), fails)
    generations(made)
    assert made.seeds(10, "first")[1:]
    assert 10 not in kept(made)


def test_candidates_near_the_share_of_the_own_loss_have_more_seeds_too() -> None:
    def around(number: int, rung: Rung, seed: int) -> float:
        base = 0.5 if number < 3 else 0.1 * (number - 2)
        return base + random.Random(f"{number} {seed}").gauss(0, 0.005)

    made = MadeUp(search({"of_own": 0.6, "more_seeds": MORE}, generations=1), around)
    generations(made)
    assert len(made.seeds(5, "first")) == 1 + len(MORE)  # 0.3, and the cut is there
    assert {len(made.seeds(number, "first")) for number in (3, 8, 9, 10)} == {1}


def facts(done: Sequence[Evaluation]) -> set[tuple[object, ...]]:
    return {(e.candidate, e.rung, e.seed, e.state, e.score) for e in done}


def test_a_climb_that_ended_anywhere_and_goes_on_is_the_uninterrupted_one() -> None:
    settings = search({"count": 3, "of_own": 0.9, "more_seeds": MORE})
    whole = MadeUp(settings, noisy)
    generations(whole)
    for count in range(len(whole.done)):
        again = MadeUp(settings, noisy, whole.done[:count])
        generations(again)
        assert facts(again.done) == facts(whole.done), count
