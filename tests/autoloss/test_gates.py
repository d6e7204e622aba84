import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import expressions

from autoloss import gates, recognition
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.expression import Expression
from primitives.operators import OPERATORS

ANY = st.sampled_from(sorted(GRAMMARS)).flatmap(lambda name: st.tuples(st.just(name), expressions(GRAMMARS[name])))


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_every_known_loss_passes_every_gate_and_is_recognised(known: KnownLoss) -> None:
    rules = GRAMMARS[known.grammar]
    judgement = gates.judge(known.expression, rules, known.alpha)
    assert [verdict.gate for verdict in judgement.verdicts] == [
        "structure",
        "gradient",
        "finite",
        "minimum",
        "monotone",
    ]
    assert judgement.passed, judgement.verdicts[-1].reason
    assert not judgement.negated
    assert recognition.recognise(judgement.identity, rules) == known


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_a_reward_is_negated_into_the_loss(known: KnownLoss) -> None:
    rules = GRAMMARS[known.grammar]
    reward = Expression(OPERATORS["neg"], (known.expression,))
    judgement = gates.judge(reward, rules, known.alpha)
    assert judgement.passed
    assert judgement.negated
    assert judgement.identity == recognition.identity(known.expression, rules, known.alpha)[0]


@pytest.mark.parametrize(
    ("grammar", "text", "gate", "reason"),
    [
        ("softmax", "mul(y, w)", "structure", "reads w, y, which no prediction changes"),
        ("sigmoid", "softplus(x)", "structure", "reads no target"),
        ("box", "sub(i, i)", "gradient", "zero on all 288 samples"),
        ("box", "relu(sub(neg(u), 1))", "gradient", "zero on all"),
        ("box", "sqrt(sub(1, div(i, u)))", "finite", "gradient is not finite"),
        ("box", "exp(exp(u))", "finite", "not finite"),
        ("box", "log(neg(div(i, u)))", "finite", "value is not finite"),
        ("box", "abs(sub(div(i, u), div(1, 2)))", "minimum", "not lowest at the target"),
        ("box", "neg(i)", "minimum", "not lowest at the target"),
        ("box", "e", "minimum", "not lowest at the target"),
        ("box", "cos(mul(3, mul(3, div(i, u))))", "monotone", "rises with IoU"),
        ("sigmoid", "neg(mul(y, log(sigmoid(x))))", "minimum", "does not rise in the other logits"),
        ("sigmoid", "mul(sub(1, y), softplus(x))", "minimum", "does not fall in the target logit"),
        ("softmax", "dot(y, x)", "minimum", "does not rise in the other logits|does not fall"),
        ("sigmoid", "add(mul(sub(1, y), softplus(x)), mul(y, cos(mul(x, w))))", "minimum|monotone", ""),
    ],
)
def test_bad_formulas_fall_at_the_gate_that_says_why(grammar: str, text: str, gate: str, reason: str) -> None:
    rules = GRAMMARS[grammar]
    judgement = gates.judge(rules.parse(text), rules)
    assert not judgement.passed
    assert judgement.verdicts[-1].gate in gate.split("|")
    assert any(part in judgement.verdicts[-1].reason for part in reason.split("|"))


def test_a_valley_that_runs_the_wrong_way_is_refused() -> None:
    rules = GRAMMARS["sigmoid"]
    # Cross-entropy towards a probability that falls and rises again as w grows, and is 1 at w = 1.
    backwards = rules.parse("sub(softplus(x), mul(x, mul(y, sub(1, mul(3, mul(w, sub(1, w)))))))")
    verdict = gates.judge(backwards, rules).verdicts[-1]
    assert (verdict.gate, verdict.passed) == ("monotone", False)
    assert "the valley moves down as w grows" in verdict.reason


def test_published_box_formulas_pass_in_the_unit_they_were_published_for() -> None:
    for name in ("cse_a_reg", "cse_b_reg"):
        assert KNOWN[name].grammar == "box_pixels"
        assert gates.judge(KNOWN[name].expression, GRAMMARS["box_pixels"]).passed


@given(ANY)
def test_every_formula_gets_a_verdict_with_a_reason(case: tuple[str, Expression]) -> None:
    name, expression = case
    judgement = gates.judge(expression, GRAMMARS[name])
    assert judgement.verdicts
    assert all(verdict.reason and "\n" not in verdict.reason for verdict in judgement.verdicts)
    assert judgement.passed == bool(judgement.identity) or judgement.passed
    assert all(verdict.passed for verdict in judgement.verdicts[:-1])


@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_an_affine_map_does_not_change_the_identity(factor: float, shift: float) -> None:
    rules = GRAMMARS["box"]
    giou = KNOWN["giou"].expression
    moved = Expression(
        OPERATORS["sub"], (Expression(OPERATORS["mul"], (Expression(factor), giou)), Expression(abs(shift)))
    )
    first, second = recognition.identity(giou, rules), recognition.identity(moved, rules)
    assert first[0] == second[0]
    assert second[1] == pytest.approx(first[1] * factor)


def test_different_losses_have_different_identities() -> None:
    names = [recognition.identity(k.expression, GRAMMARS[k.grammar], k.alpha)[0] for k in KNOWN.values()]
    assert len(set(names)) == len(names)
