import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autoloss
from autoloss.candidate import GATES
from autoloss.gates import equivalence, pipeline
from autoloss.gates.distinct import Distinct
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.operators import OPERATORS
from tests.helpers.strategies import expressions

TABLE = list(csv.DictReader((Path(__file__).parents[2] / "golden" / "gates.csv").read_text().splitlines()))
BOX = expressions(GRAMMARS["box"])
CLASS = st.sampled_from(["softmax", "sigmoid"]).flatmap(
    lambda name: st.tuples(st.just(name), expressions(GRAMMARS[name]))
)

ANY = st.sampled_from(sorted(GRAMMARS)).flatmap(lambda name: st.tuples(st.just(name), expressions(GRAMMARS[name])))


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_every_known_loss_passes_every_gate_and_is_recognised(known: KnownLoss) -> None:
    rules = GRAMMARS[known.grammar]
    judgement = pipeline.judge(known.expression, rules, known.alpha)
    assert [verdict.gate for verdict in judgement.verdicts] == list(GATES)
    assert judgement.passed, judgement.verdicts[-1].reason
    assert not judgement.negated
    assert equivalence.recognise(judgement.identity, rules) == known


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_a_reward_is_negated_into_the_loss(known: KnownLoss) -> None:
    rules = GRAMMARS[known.grammar]
    reward = Expression(OPERATORS["neg"], (known.expression,))
    judgement = pipeline.judge(reward, rules, known.alpha)
    assert judgement.passed
    assert judgement.negated
    assert judgement.identity == equivalence.identity(known.expression, rules, known.alpha)[0]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_the_verdicts_of_the_table_hold(row: dict[str, str]) -> None:
    rules = GRAMMARS[row["grammar"]]
    judgement = pipeline.judge(rules.parse(row["formula"]), rules, float(row["alpha"]) if row["alpha"] else None)
    verdict = judgement.verdicts[-1]
    found = ("negated" if judgement.negated else "pass") if judgement.passed else verdict.gate
    assert found == row["verdict"], verdict.reason


def test_the_table_holds_every_known_loss_and_many_that_must_fall() -> None:
    assert all(row["why"] for row in TABLE)
    passing = {(row["grammar"], row["formula"]) for row in TABLE if row["verdict"] == "pass"}
    assert {(known.grammar, known.text) for known in KNOWN.values()} <= passing
    falling = [row for row in TABLE if row["verdict"] in GATES]
    assert len(TABLE) >= 180
    assert len({row["why"] for row in falling}) >= 60
    count = Counter(row["verdict"] if row["verdict"] in ("pass", "negated") else "fall" for row in TABLE)
    page = " ".join((Path(autoloss.__file__).parent / "README.md").read_text().split())
    assert f"lists {len(TABLE)} formulas with the verdict each must get and why: {count['pass']} pass" in page
    assert f"{count['negated']} rewards are negated; {count['fall']} fall" in page
    assert {row["verdict"] for row in falling} == set(GATES) - {"distinct"}


@pytest.mark.parametrize(
    ("grammar", "text", "reason"),
    [
        ("softmax", "mul(y, w)", "reads w, y, which no prediction changes"),
        ("sigmoid", "softplus(x)", "reads no target"),
        ("box", "sub(i, i)", "flat on 20"),
        ("box", "sqrt(sub(1, div(i, u)))", "gradient is not finite on"),
        ("box", "log(sub(1, div(i, u)))", "times the usual next to the target, at most 1,000"),
        ("box", "log(neg(div(i, u)))", "value is not finite"),
        ("box", "neg(i)", "not lowest at the target"),
        ("box", "cos(mul(3, mul(3, div(i, u))))", "rises with IoU"),
        ("sigmoid", "neg(mul(y, log(sigmoid(x))))", "does not rise in the other logits"),
        ("sigmoid", "mul(sub(1, y), softplus(x))", "does not fall in the target logit"),
        ("softmax", "neg(dot(mul(y, sub(2, w)), log(softmax(x))))", "rank correlation with IoU -0."),
        ("box", "sub(exp(e), erf(i))", "the gradient is not finite on"),
    ],
)
def test_a_refusal_says_what_is_wrong(grammar: str, text: str, reason: str) -> None:
    judgement = pipeline.judge(GRAMMARS[grammar].parse(text), GRAMMARS[grammar])
    assert not judgement.passed
    assert reason in judgement.verdicts[-1].reason


def test_the_gates_have_the_names_that_are_stored() -> None:
    assert (*(gate.__name__ for gate in pipeline.GATES), "converges") == GATES


def test_gates_may_be_left_out_to_measure_what_they_are_worth() -> None:
    grammar = GRAMMARS["box"]
    reward = grammar.parse("div(i, u)")
    names = [verdict.gate for verdict in pipeline.judge(reward, grammar, names=("finite",)).verdicts]
    assert names == ["finite"]
    assert pipeline.judge(reward, grammar).negated
    without = pipeline.judge(reward, grammar, names=("finite", "distinct"))
    assert not without.negated
    assert without.identity == equivalence.identity(reward, grammar)[0]
    assert without.identity != pipeline.judge(reward, grammar).identity
    rising = pipeline.judge(reward, grammar, names=("finite", "monotone")).verdicts[-1]
    assert (rising.passed, rising.reason) == (False, "the loss rises where predictions get better")
    assert pipeline.judge(reward, grammar, names=("converges",)).verdicts[-1].gate == "converges"
    without = pipeline.judge(grammar.parse("sub(1, div(i, u))"), grammar, names=set(GATES) - {"converges"})
    assert without.passed
    assert [verdict.gate for verdict in without.verdicts] == list(GATES[:-1])
    flat = pipeline.judge(grammar.parse("e"), grammar, names=("finite", "monotone"))
    assert [verdict.reason for verdict in flat.verdicts][-1] == "not looked at"


def test_thresholds_are_settings() -> None:
    giou = KNOWN["giou"].expression
    verdict = pipeline.judge(giou, GRAMMARS["box"], thresholds={"disjoint": 0.5}).verdicts[-1]
    assert (verdict.gate, verdict.passed) == ("converges", False)
    assert "share of disjoint ones that arrived 0.08, at least 0.5 is asked" in verdict.reason


def test_a_gradient_that_came_before_is_refused_as_such() -> None:
    rules = GRAMMARS["box"]
    name = pipeline.judge(KNOWN["iou"].expression, rules).identity
    verdict = pipeline.judge(rules.parse("mul(2, sub(3, div(i, u)))"), rules, seen=Distinct([name])).verdicts[-1]
    assert (verdict.gate, verdict.passed) == ("distinct", False)


def test_a_valley_that_runs_the_wrong_way_is_refused() -> None:
    rules = GRAMMARS["sigmoid"]
    # Cross-entropy towards a probability that falls and rises again as w grows, and is 1 at w = 1.
    backwards = rules.parse("sub(softplus(x), mul(x, mul(y, sub(1, mul(3, mul(w, sub(1, w)))))))")
    verdict = pipeline.judge(backwards, rules).verdicts[-1]
    assert (verdict.gate, verdict.passed) == ("monotone", False)
    assert "the valley moves down as w grows" in verdict.reason


def test_published_box_formulas_pass_in_the_unit_they_were_published_for() -> None:
    for name in ("cse_a_reg", "cse_b_reg"):
        assert KNOWN[name].grammar == "box_pixels"
        assert pipeline.judge(KNOWN[name].expression, GRAMMARS["box_pixels"]).passed


@given(ANY)
def test_every_formula_gets_a_verdict_with_a_reason(case: tuple[str, Expression]) -> None:
    name, expression = case
    judgement = pipeline.judge(expression, GRAMMARS[name])
    assert judgement.verdicts
    assert all(verdict.reason and "\n" not in verdict.reason for verdict in judgement.verdicts)
    assert bool(judgement.identity) == (judgement.verdicts[-1].gate in ("distinct", "converges"))
    assert all(verdict.passed for verdict in judgement.verdicts[:-1])


@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_an_affine_map_does_not_change_the_identity(factor: float, shift: float) -> None:
    rules = GRAMMARS["box"]
    giou = KNOWN["giou"].expression
    moved = Expression(
        OPERATORS["sub"], (Expression(OPERATORS["mul"], (Expression(factor), giou)), Expression(abs(shift)))
    )
    first, second = equivalence.identity(giou, rules), equivalence.identity(moved, rules)
    assert first[0] == second[0]
    assert second[1] == pytest.approx(first[1] * factor)


def test_different_losses_have_different_identities() -> None:
    names = [equivalence.identity(k.expression, GRAMMARS[k.grammar], k.alpha)[0] for k in KNOWN.values()]
    assert len(set(names)) == len(names)
