"""What a run tells beside its leaderboard: pure functions of its facts."""

from __future__ import annotations

from autoloss.candidate import Candidate, Evaluation, How, Kind, Loss, Origin, Refusal, State
from autoloss.report.page import facts
from primitives.catalog import grammar

BOX = grammar("box")


def born(number: int, text: str, parents: tuple[int, ...] = (), generation: int = 0) -> Candidate:
    origin = Origin(How.MUTATION if parents else How.RANDOM, parents, ("loss_bbox",))
    return Candidate(number, Kind.FOUND, generation, {"loss_bbox": Loss(BOX.parse(text), BOX)}, origin, parents)


def test_generations_tell_their_median_and_the_best_so_far() -> None:
    candidates = [born(1, "1 - i/u"), born(2, "2 - i/u"), born(3, "3 - i/u", (1,), 1), born(4, "i", (1,), 2)]
    found = facts.generations(candidates, {1: 0.5, 2: 0.3, 3: 0.4})
    assert [(one.number, one.median, one.best) for one in found] == [(0, 0.4, 0.5), (1, 0.4, 0.5)]


def test_lineage_says_what_changed_and_what_it_brought() -> None:
    candidates = [
        Candidate(0, Kind.OWN, 0, {}, Origin(How.OWN)),
        born(1, "1 - i/u"),
        born(2, "2 - i/u", generation=0),
        born(3, "square(1 - i/u)", (1, 2), 1),
        born(4, "square(1 - i/u)", (3,), 2),
    ]
    steps = facts.lineage(candidates, 4, {1: 0.5, 2: 0.625, 3: 0.75})
    assert [step.candidate.number for step in steps] == [1, 2, 3, 4]
    assert steps[0].changed == {}
    assert steps[2].changed == {"loss_bbox": candidates[1].losses["loss_bbox"]}
    assert steps[2].gain == 0.125
    assert steps[3].kept == {"loss_bbox": 3}
    assert steps[3].gain is None


def test_each_gate_that_refused_has_an_example_of_a_length_one_reads() -> None:
    refusals = [
        Refusal(1, 0, "loss_bbox", "i", "finite", "a"),
        Refusal(1, 1, "loss_bbox", "mul(sub(1, div(i, u)), add(e, u))", "finite", "b"),
        Refusal(1, 2, "loss_bbox", "u", "structure", "c"),
    ]
    found = facts.examples(refusals)
    assert list(found) == ["structure", "finite"]
    assert found["finite"].reason == "b"


def test_failures_of_one_reason_are_one_row() -> None:
    failed = [Evaluation(n, "final", 1, State.FAILED, error="NaN\nTraceback") for n in (4, 5)]
    other = Evaluation(6, "final", 1, State.FAILED, error="memory")
    assert facts.failures([other, *failed]) == [("final", "NaN", 2, 4), ("final", "memory", 1, 6)]


def test_precision_by_class_is_the_mean_over_seeds() -> None:
    evaluations = [
        Evaluation(1, "final", seed, State.DONE, 0.5, {"score": 0.5, "AP of cat": value})
        for seed, value in ((1, 0.25), (2, 0.75))
    ]
    assert facts.by_class(facts.metrics_at(evaluations, "final", 1)) == {"cat": 0.5}
    assert facts.by_class({"1: AP of cat": 0.4, "2: AP of cat": 0.3, "2: score": 0.3}) == {"1: cat": 0.4, "2: cat": 0.3}
