import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from autoloss.candidate import OWN, Candidate, How, Kind
from autoloss.config import from_mapping
from autoloss.gates import equivalence, identities
from autoloss.search import population
from autoloss.search.ladder import ranked
from autoloss.search.population import Population
from primitives import algebra
from primitives.algebra import Answer
from primitives.catalog import GRAMMARS, KNOWN
from primitives.errors import InputError
from primitives.expression import Expression
from tests.helpers.searches import INITIAL, WAYS
from tests.helpers.small import section


def scores(candidates: list[Candidate]) -> dict[int, float]:
    return {candidate.number: 1 / (1 + candidate.number % 5) for candidate in candidates}


def test_generation_0_holds_own_known_controls_and_random_survivors() -> None:
    settings = from_mapping(section(controls=[{"loss_bbox": 2.0}]))
    born = Population(settings).ask(0).candidates
    assert [c.kind for c in born] == [Kind.OWN, Kind.KNOWN, Kind.KNOWN, Kind.CONTROL, *[Kind.FOUND] * 4]
    assert [c.number for c in born] == list(range(8))
    assert born[OWN].losses == {}
    assert all(c.origin.how is How.RANDOM and not c.parents for c in born[4:])
    # Twice the GIoU that the detector has, at its own scale.
    assert born[3].losses["loss_bbox"].loss_weight == pytest.approx(2.0)


def test_what_sympy_finds_or_is_too_slow_to_find_changes_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = from_mapping(section(seed=11))  # whose formulas SymPy is asked about
    born = Population(settings).ask(0)
    slow = Answer(None, "SymPy took longer than 3 s")
    monkeypatch.setattr(algebra, "ask", lambda *_, **__: slow)
    again = Population(settings).ask(0)
    assert again.refusals == born.refusals
    assert [replace(one, certificates={}) for one in again.candidates] == [
        replace(one, certificates={}) for one in born.candidates
    ]
    hows = [one["how"] for candidate in again.candidates for some in candidate.certificates.values() for one in some]
    assert any("not proved: SymPy took longer than 3 s" in how for how in hows)


def test_known_losses_of_another_grammar_have_no_children() -> None:
    born = Population(from_mapping(section())).ask(0).candidates
    assert born[1].breeds
    assert not born[2].breeds  # the published box loss counts in pixels


def test_a_search_of_the_wide_language_breeds_what_is_narrower_and_repeats_itself() -> None:
    slots = {
        "loss_cls": {"grammar": "sigmoid_wide", "like": "focal", "alpha": 0.25, "inputs": ["x", "y", "f", "t"]},
        "loss_bbox": {"grammar": "box_wide", "like": "giou"},
    }
    known = [{"loss_cls": "logit_adjusted_focal"}, {"loss_bbox": "diou"}]
    settings = from_mapping(section(slots=slots, known=known, variation={"numbers": "any"}))
    first, second = (Population(settings) for _ in range(2))
    for one in (first, second):
        born = one.ask(0).candidates
        one.tell(ranked(scores(born)))
        one.ask(1)
    assert first.candidates == second.candidates
    assert all(first.candidates[number].breeds for number in (OWN, 1, 2))
    found = [one for one in first.candidates.values() if one.kind is Kind.FOUND]
    assert {loss.grammar.name for one in found for loss in one.losses.values()} <= {"sigmoid_wide", "box_wide"}


def test_random_init_lets_only_survivors_breed() -> None:
    search = Population(from_mapping(section(init="random")))
    first = search.ask(0).candidates
    assert not any(c.breeds for c in first if c.kind is not Kind.FOUND)
    search.tell(ranked(scores(first)))
    children = search.ask(1).candidates
    assert {parent for child in children for parent in child.parents} <= {
        c.number for c in first if c.kind is Kind.FOUND
    }


def test_children_descend_from_candidates_with_scores() -> None:
    search = Population(from_mapping(section()))
    first = search.ask(0).candidates
    search.tell([number for number in ranked(scores(first)) if number in (0, 1, 4)])
    children = search.ask(1).candidates
    assert {parent for child in children for parent in child.parents} <= {0, 1, 4}
    assert all(child.origin.how in (How.MUTATION, How.CROSSOVER) for child in children)
    assert {child.origin.slots for child in children} <= {("loss_cls",), ("loss_bbox",), ("loss_cls", "loss_bbox")}


def test_no_two_found_candidates_have_the_same_gradient() -> None:
    search = Population(from_mapping(section(births=12)))
    born = search.ask(0).candidates
    search.tell(ranked(scores(born)))
    born += search.ask(1).candidates
    identities = [c.identity for c in born if c.kind is Kind.FOUND] + [born[OWN].identity]
    assert len(set(identities)) == len(identities)


def test_a_birth_depends_on_seed_and_history_only() -> None:
    whole = Population(from_mapping(section()))
    first = whole.ask(0)
    whole.tell(ranked(scores(first.candidates)))
    second = whole.ask(1)
    resumed = Population(from_mapping(section()), first.candidates)
    resumed.tell(ranked(scores(first.candidates)))
    assert resumed.ask(1) == second
    assert Population(from_mapping(section(seed=8))).ask(0) != first


@pytest.mark.parametrize("way", WAYS)
def test_a_birth_depends_on_seed_number_and_what_was_told_last_however_it_is_proposed(way: str) -> None:
    settings = from_mapping(section(**WAYS[way]))
    whole = Population(settings)
    born = whole.ask(0).candidates
    told = told_of(born)
    whole.tell([4, OWN], [{OWN: (0.1, 0.2), 4: (0.3, 0.4)}])  # what was told before does not matter
    whole.tell(*told)
    second = whole.ask(1)
    resumed = Population(settings, born)
    resumed.tell(*told)
    assert resumed.ask(1) == second
    assert len(second.candidates) == settings.births


def told_of(born: Sequence[Candidate]) -> tuple[list[int], list[dict[int, tuple[float, float]]]]:
    """Candidates with made-up scores, as a population is told."""
    standing = ranked(scores(list(born)))
    return standing, [{one.number: (scores(list(born))[one.number],) * 2 for one in born}]


def test_formulas_of_ones_own_are_born_first_and_breed_and_nothing_else_that_was_given_does() -> None:
    rows = [*INITIAL, {"loss_cls": "quality_focal"}]
    search = Population(from_mapping(section(init=rows, births=5, slots=WAYS["tune"]["slots"])))
    first = search.ask(0).candidates
    initial = [one for one in first if one.origin.how is How.INITIAL]
    assert [one.number for one in initial] == [3, 4, 5]
    assert [str(one.origin) for one in initial] == [f"initial: {' and '.join(row)}" for row in INITIAL]
    assert [str(initial[1].losses["loss_bbox"].expression), initial[2].losses["loss_bbox"].grammar.name] == [
        "sub(1, div(i, u))",
        "box_extended",
    ]
    assert all(one.kind is Kind.FOUND and one.certificates for one in initial)
    assert {one.number for one in first if one.breeds and one.kind is not Kind.FOUND} == {1}  # a row names it
    assert len(first) == 3 + 5
    search.tell(ranked(scores(first)))
    assert not {parent for child in search.ask(1).candidates for parent in child.parents} & {OWN, 2}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"loss_bbox": "i/u"}, None),  # runs the wrong way round, and is negated
        ({"loss_bbox": "1 - foo/u"}, "search.init.0.loss_bbox: unknown name 'foo' at column 5"),
        (
            {"loss_bbox": "abs(i/u - 1/2)"},
            r"search.init.0.loss_bbox: .* is refused by gate minimum: the loss is not low",
        ),
        ({"loss_bbox": "cse_b_reg"}, "search.init.0.loss_bbox: cse_b_reg is of grammar box_pixels, not of box$"),
        ({"loss_cls": "giou"}, "search.init.0.loss_cls: giou is of grammar box, not of sigmoid$"),
    ],
)
def test_a_formula_of_ones_own_that_cannot_be_is_one_line(row: dict[str, str], message: str | None) -> None:
    settings = from_mapping(section(init=[row], births=1))
    if message is None:
        assert str(Population(settings).ask(0).candidates[-1].losses["loss_bbox"].expression) == "neg(div(i, u))"
        return
    with pytest.raises(InputError, match=message) as caught:
        Population(settings)
    assert "\n" not in str(caught.value)


def test_two_rows_that_are_one_loss_are_one_line() -> None:
    rows = [{"loss_bbox": "1 - i/u"}, {"loss_bbox": "2 - 3*i/u"}]
    with pytest.raises(InputError, match=r"search.init.1: its gradients are those of a row before it"):
        Population(from_mapping(section(init=rows)))


def test_a_loss_with_another_weight_is_another_candidate_and_its_children_inherit_the_factor() -> None:
    settings = from_mapping(section(**WAYS["tune"]))
    search = Population(settings)
    first = search.ask(0).candidates
    search.tell([4])
    tuned = next(one for one in search.ask(1).candidates if "weight x 2" in str(one.origin))
    (slot,) = tuned.origin.slots
    assert tuned.identity != first[4].identity
    assert "*2" in tuned.identity
    bred = Population(from_mapping(section(**WAYS["evolution"])), [*first, tuned])
    bred.tell([tuned.number])
    children = [one for one in bred.ask(1).candidates if slot in one.origin.slots]
    own = settings.slots[slot].weight * settings.stand_ins[slot].loss_weight
    for child in children:
        loss = child.losses[slot]
        norms = [
            equivalence.identity(one.expression, one.grammar, one.alpha)[1] for one in (loss, settings.stand_ins[slot])
        ]
        assert loss.loss_weight * norms[0] == pytest.approx(2 * own * norms[1], rel=1e-4)
    assert children


def test_what_is_known_of_a_formula_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Population(from_mapping(section()))
    first = search.ask(0).candidates
    search.tell(ranked(scores(first)))
    asked: list[Expression] = []
    identity, certify = identities.equivalence.identity, population.certify
    monkeypatch.setattr(identities.equivalence, "identity", lambda *given: asked.append(given[0]) or identity(*given))
    proved: list[Expression] = []
    monkeypatch.setattr(population, "certify", lambda *given: proved.append(given[0]) or certify(*given))
    children = search.ask(1).candidates
    parents = {loss for one in first for loss in one.losses.values()}
    inherited = [loss for child in children for loss in child.losses.values() if loss in parents]
    assert inherited
    assert set(proved) <= set(asked)
    assert len(asked) == len(set(asked))  # by the gates alone: certificates and the check for doubles have theirs
    assert not {loss.expression for one in first if one.certificates for loss in one.losses.values()} & set(proved)
    again = Population(from_mapping(section()), first)
    again.tell(ranked(scores(first)))
    assert again.ask(1).candidates == children


def test_losses_are_calibrated_to_the_gradient_of_the_loss_they_replace() -> None:
    from autoloss.gates.equivalence import identity

    settings = from_mapping(section())
    for candidate in Population(settings).ask(0).candidates[1:]:
        for slot, loss in candidate.losses.items():
            own = KNOWN[settings.slots[slot].like]
            target = identity(own.expression, GRAMMARS[own.grammar], own.alpha)[1]
            norm = identity(loss.expression, loss.grammar, loss.alpha)[1]
            assert norm * loss.loss_weight == pytest.approx(target, rel=1e-5)


def test_the_constants_of_formulas_are_a_setting() -> None:
    birth = Population(from_mapping(section(variation={"constants": [5.0]}))).ask(0)
    texts = [refusal.expression for refusal in birth.refusals]
    drawn = {float(word) for text in texts for word in re.findall(r"\d+", text)}
    assert drawn == {5.0}


def test_vanilla_evolution_trains_whatever_is_finite_at_the_weight_of_its_slot() -> None:
    birth = Population(from_mapping(section(gates=["structure", "finite"], calibrate=False, births=12))).ask(0)
    assert {refusal.gate for refusal in birth.refusals} <= {"structure", "finite"}
    assert {loss.loss_weight for one in birth.candidates if one.kind is Kind.FOUND for loss in one.losses.values()} == {
        1.0
    }
    assert len(birth.candidates) >= 12


def test_refusals_are_kept_with_their_reason() -> None:
    birth = Population(from_mapping(section())).ask(0)
    found = [c for c in birth.candidates if c.kind is Kind.FOUND]
    assert sum(c.draws for c in found) == len(birth.refusals) + len(found)
    assert all(refusal.reason and refusal.gate for refusal in birth.refusals)


def test_a_search_that_finds_nothing_says_what_to_change() -> None:
    search = Population(from_mapping(section(variation={"draws": 3, "both": 1.0})))
    with pytest.raises(InputError, match=r"no formula for loss_cls passed the gates in 3 proposals.*variation\.draws"):
        search.ask(0)


def test_candidates_are_those_of_the_recorded_search(golden: Path) -> None:
    """A change here changes what every search finds; record anew with `python -m tests.helpers.record_search`."""
    from tests.helpers.record_search import record

    assert record() == json.loads((golden / "search.json").read_text())
