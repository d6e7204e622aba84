from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

from rich.console import Console

from autoloss.config import from_mapping
from autoloss.export import card, selection
from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard
from autoloss.rungs.rung import Rung
from autoloss.search.loop import discover
from autoloss.search.selection.final import compare
from autoloss.settings import Settings
from autoloss.store.run import Run
from tests.helpers.made_up import MadeUp
from tests.helpers.small import section

CHECK = {"name": "whole", "task": {}, "seeds": [9], "keep": {"of_own": 0.5}}


def search(seeds: list[int], **finale: Any) -> Settings:
    """Own, two known losses, two controls and 8 found; the ladder is one rung."""
    ladder = [{"name": "only", "task": {}, "seeds": [1]}]
    given = {"rung": {"name": "final", "task": {}, "seeds": seeds}, "known": [1], **finale}
    controls = [{"loss_cls": 2.0}, {"loss_bbox": 2.0}]
    return from_mapping(section(ladder=ladder, finale=given, births=8, generations=1, controls=controls))


def noisy(number: int, rung: Rung, seed: int) -> float:
    return 0.3 + 0.01 * number + random.Random(f"{number} {seed}").gauss(0, 0.01)


def finished(settings: Settings, score: Any = noisy, done: Any = ()) -> MadeUp:
    made = MadeUp(settings, score, done)
    made.evaluate(sorted(made.candidates), settings.ladder[0])
    assert settings.finale is not None
    compare(made.runner, settings.finale)
    return made


def line(made: MadeUp) -> list[int]:
    """Who was found, best on the ladder first."""
    return [number for number in made.standing() if number >= made.settings.given]


def test_the_best_meet_the_own_loss_the_known_ones_named_and_the_best_control() -> None:
    made = finished(search([2, 3], count=3))
    control = next(number for number in made.standing() if number in (3, 4))
    assert made.visits[1:] == [("final", [0, 2, control, *line(made)[:3]], [2, 3])]


def test_in_a_race_the_best_by_the_seeds_so_far_get_the_next_and_what_was_given_gets_all() -> None:
    made = finished(search([2, 3, 4, 5, 6], count=6, race=[6, 6, 3, 3, 1]))
    first, second, last = (numbers[3:] for name, numbers, _ in made.visits if name == "final")
    assert [seeds for name, _, seeds in made.visits if name == "final"] == [[2, 3], [4, 5], [6]]
    assert first == line(made)[:6]

    def mean(number: int, seeds: list[int]) -> float:
        return sum(noisy(number, made.settings.rungs[-1], seed) for seed in seeds) / len(seeds)

    assert second == sorted(first, key=lambda number: -mean(number, [2, 3]))[:3]
    assert last == sorted(second, key=lambda number: -mean(number, [2, 3, 4, 5]))[:1]
    assert made.seeds(0, "final") == made.seeds(2, "final") == [2, 3, 4, 5, 6]


def test_whoever_fails_leaves_the_race() -> None:
    def fails(number: int, rung: Rung, seed: int) -> float | None:
        return None if number == 12 and seed == 3 else noisy(number, rung, seed)

    made = finished(search([2, 3, 4], count=3, race=[3, 3, 3]), fails)
    assert made.seeds(12, "final") == [2, 3, 4]  # one round: all seeds at once
    made = finished(search([2, 3, 4], count=3, race=[3, 3, 2]), fails)
    assert made.seeds(12, "final") == [2, 3]


def collapses(number: int, rung: Rung, seed: int) -> float | None:
    """Whole detectors collapse under 12, 10 and 9; under 8 they fail."""
    if rung.name == "only":
        return 0.3 + 0.01 * number
    return None if number == 8 else 0.02 if number in (12, 10, 9) else noisy(number, rung, seed)


def test_whoever_collapses_at_the_check_gives_its_place_to_the_next_in_line() -> None:
    made = finished(search([2, 3], count=3, check=CHECK), collapses)
    assert [numbers for name, numbers, _ in made.visits if name == "whole"] == [[0, 12, 11, 10], [0, 9, 8], [0, 7, 6]]
    assert [numbers[3:] for name, numbers, _ in made.visits if name == "final"] == [[11, 7, 6]]


def test_where_the_line_ends_fewer_take_part() -> None:
    def all_collapse(number: int, rung: Rung, seed: int) -> float:
        return 0.3 if number < 5 or rung.name == "only" else 0.0

    made = finished(search([2, 3], count=3, check=CHECK), all_collapse)
    assert {number for number in made.candidates if made.seeds(number, "whole")} == {0, *range(5, 13)}
    assert [numbers[3:] for name, numbers, _ in made.visits if name == "final"] == [[]]


def test_a_finale_that_ended_anywhere_and_goes_on_is_the_uninterrupted_one() -> None:
    settings = search([2, 3, 4, 5], count=4, race=[4, 3, 2, 2], check=CHECK)
    whole = finished(settings, collapses)
    for count in range(len(whole.done)):
        again = finished(settings, collapses, whole.done[:count])
        assert {(e.candidate, e.rung, e.seed, e.score) for e in again.done} == {
            (e.candidate, e.rung, e.seed, e.score) for e in whole.done
        }


RACING: dict[str, Any] = {
    "generations": 2,
    "ladder": [
        {
            "name": "first",
            "task": {"steps": 2},
            "seeds": [1],
            "keep": {"of_own": 0.5, "count": 2, "more_seeds": [11, 12]},
        },
        {"name": "second", "task": {"steps": 8}, "seeds": [2]},
    ],
    "finale": {
        "rung": {"name": "full", "task": {"steps": 8}, "seeds": [3, 4, 5]},
        "count": 3,
        "race": [3, 3, 1],
        "check": {"name": "whole", "task": {"steps": 4}, "seeds": [9], "keep": {"of_own": 0.9}},
    },
}


def whole(directory: Path, **changes: Any) -> list[tuple[Any, ...]]:
    """The evaluations of a search."""
    settings = from_mapping(section(**RACING, **changes))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run)
        return [(e.candidate, e.rung, e.seed, e.state, e.score, e.error) for e in run.evaluations()]


def test_a_search_that_races_is_the_same_with_two_processes_and_after_any_budget(tmp_path: Path) -> None:
    first = whole(tmp_path / "one")
    assert {rung for _, rung, *_ in first} == {"first", "second", "whole", "full"}
    assert {seed for number, rung, seed, *_ in first if (number, rung) == (0, "first")} == {1, 11, 12}
    assert whole(tmp_path / "two", workers=2) == first
    for most in (4, len(first) // 2, len(first) - 3):
        assert len(whole(tmp_path / "budget", budget={"evaluations": most})) == most
    assert whole(tmp_path / "budget") == first


def test_the_end_of_a_search_says_what_is_recommended_and_by_how_much_it_is_better(tmp_path: Path) -> None:
    whole(tmp_path / "one")
    with Run.open(tmp_path / "one") as run:
        found = Leaderboard.of(run)
        (exported,) = selection.of_run(run)
    out = io.StringIO()
    tables.ending(found, Console(file=out, width=120))
    text = out.getvalue()
    over = next(row.over_own for row in found.rows if row.over_own)
    assert f"{over.mean:+.3f} [{over.low:+.3f}, {over.high:+.3f}]" in text
    assert found.choice is not None
    assert f"Recommended: {found.choice.candidate}, " in text
    gained = found.gained()
    own = next(row.over_own for row in found.rows if row.candidate.number == found.choice.candidate)
    assert gained[0] == ("the detector's own loss", own)
    unwrapped = " ".join(text.split())
    for title, gain in gained:
        assert f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) over {title}" in unwrapped
    (export,) = (line for line in text.splitlines() if line.strip().startswith("autoloss export"))
    assert f"--candidate {found.choice.candidate} " in export
    assert exported.name == f"Candidate{found.choice.candidate}"
    assert "Over the detector's own loss in the finale, seed by seed: +" in card.text(exported, "torch", ["losses.py"])
    assert {row.candidate.number for row in found.rows if row.pareto} == set(found.front)
