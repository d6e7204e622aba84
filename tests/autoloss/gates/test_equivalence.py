from dataclasses import replace

import pytest

from autoloss.candidate import Loss
from autoloss.gates import equivalence
from primitives.catalog import GRAMMARS, KNOWN


def kin(text: str, grammar: str, alpha: float | None = None) -> list[tuple[str, str]]:
    rules = GRAMMARS[grammar]
    return [(one.relation, one.how) for one in equivalence.kin(rules.parse(text), rules, alpha)]


@pytest.mark.parametrize(
    ("grammar", "text", "relation"),
    [
        ("box", "mul(3, sub(2, sub(div(i, u), div(sub(e, u), e))))", "equal to GIoU up to an affine map"),
        ("box", "sub(log(u), log(i))", "equal to IoU (log) up to an affine map"),
        ("softmax", "neg(dot(mul(y, add(1, sin(w))), log(softmax(x))))", "cross-entropy weighted by sin(w) + 1"),
        ("softmax", "neg(dot(mul(y, exp(w)), log(softmax(x))))", "cross-entropy weighted by exp(w)"),
        (
            "sigmoid",
            "mul(add(1, mul(y, w)), sub(softplus(x), mul(x, y)))",
            "binary cross-entropy weighted by w + 1 at positives",
        ),
    ],
)
def test_a_relative_of_a_known_loss_is_named_and_proved(grammar: str, text: str, relation: str) -> None:
    assert (relation, "proved") in kin(text, grammar)


def test_a_function_of_iou_alone_is_found_by_its_gradient() -> None:
    ((relation, how),) = kin("exp(neg(div(i, u)))", "box")
    assert relation.startswith("a function of IoU (linear) alone, weighted 0.")
    assert how == "sampled on 256"


def test_what_has_no_relative_gets_none() -> None:
    assert kin("add(sub(1, div(i, u)), exp(div(u, e)))", "box") == []
    assert kin("mul(sub(y, sigmoid(x)), sub(w, sigmoid(x)))", "sigmoid") == []


def test_a_term_that_pulls_boxes_apart_from_each_other_alone_is_no_known_loss() -> None:
    assert not any(relation.startswith("equal") for relation, _ in kin("1 - i/u + relu(e/u - 2.2)", "box_wide"))
    loss = Loss(GRAMMARS["box_wide"].parse("1 - i/u + relu(e/u - 2.2)"), GRAMMARS["box_wide"], 1.0)
    assert equivalence.recognised(loss) is None
    assert equivalence.recognised(replace(loss, expression=GRAMMARS["box_wide"].parse("3 - 2*i/u"))) == KNOWN["iou"]


def test_iou_in_pixels_is_iou() -> None:
    rules = GRAMMARS["box_pixels"]
    name, _ = equivalence.identity(rules.parse("sub(1, div(i, u))"), rules)
    assert equivalence.recognise(name, rules) == KNOWN["iou"]
