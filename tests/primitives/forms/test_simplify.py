import random

import pytest
import torch
from torch import Tensor

from primitives.catalog import GRAMMARS, KNOWN, find_grammar
from primitives.expression import Expression
from primitives.forms.infix import infix
from primitives.forms.simplify import pruned, simplified
from primitives.grammar import Grammar
from primitives.kinds.sample import Sample
from tests.helpers.strategies import random_expression


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("sub(3, sub(div(i, u), div(sub(e, e), e)))", "3 - i/u"),
        ("e/e*i/u", "i/u"),
        ("i*0 + u", "u"),
        ("log(exp(i))", "i"),
        ("--i", "i"),
        ("i + u - u", "i"),
        ("min(w, 1)*Q*x", "w**2*x"),
        ("i - u - i - -u*2", "u"),
        ("(i + u)*2/2", "i + u"),
        ("-(i/u)/-(5 + u)", "i/(u*(5 + u))"),
        ("1 - iou*iou", "1 - (i/u)**2"),
        ("1 - giou", "2 - i/u - u/e"),
        ("i*1/3", "i/3"),
        ("exp(0)*i", "i"),
    ],
)
def test_people_see_the_short_form(text: str, short: str) -> None:
    grammar = find_grammar(text)
    assert infix(simplified(grammar.parse(text), grammar)) == short


@pytest.mark.parametrize(
    "text",
    [
        "i/i",  # 0 where boxes do not touch, for div is protected
        "max(i, u)",  # where they are equal each gets half of the gradient
        "relu(i)",  # without a gradient where boxes do not touch
        "i*u/i",
        "i + (1e12**8)**4",  # no number holds it
        "((2*i)**8)**8",
    ],
)
def test_what_is_equal_but_for_a_protection_stays(text: str) -> None:
    box = GRAMMARS["box"]
    assert simplified(box.parse(text), box) == box.parse(text)


@pytest.mark.parametrize(
    ("text", "living"),
    [
        ("sub(3, sub(div(i, u), div(sub(e, e), e)))", "3 - i/u"),
        ("div(i, u) + mul(0, e)", "i/u"),
        ("div(e, e) - i/u", "1 - i/u"),
        ("i/u*(i/u)", "i/u*(i/u)"),  # a search may not know squares
        ("e - e", "e - e"),  # a formula reads an input
    ],
)
def test_parents_lose_their_dead_parts_and_nothing_else(text: str, living: str) -> None:
    box = GRAMMARS["box"]
    assert infix(pruned(box.parse(text), box)) == living


def alive(grammar: Grammar, count: int) -> list[Expression]:
    """Random formulas whose losses and gradients on real boxes or logits are finite, and dead parts of some in them."""
    rng = random.Random(grammar.name)
    found: list[Expression] = []
    while len(found) < count:
        expression = random_expression(rng, grammar)
        if all(bool(torch.isfinite(value).all()) for value in felt(grammar, expression)):
            found.append(expression)
    return found


def drawn(grammar: Grammar) -> Sample:
    """Boxes or logits that the toolkit itself never sees."""
    generator = torch.Generator().manual_seed(17)
    if grammar.slot == "loss_bbox":
        corners, shift = (torch.rand(400, 2, generator=generator).double() * most for most in (600, 80))
        size = 8 + torch.rand(2, 400, 2, generator=generator).double() * 150
        target = torch.cat((corners, corners + size[0]), dim=-1)
        return Sample(torch.cat((corners + shift, corners + shift + size[1]), dim=-1), target)
    x = torch.randn(400, 6, generator=generator).double() * 3
    return Sample(x, torch.arange(400) % 6, {"iou": torch.rand(400, generator=generator).double()})


def felt(grammar: Grammar, expression: Expression) -> tuple[Tensor, Tensor]:
    """Losses on real boxes or logits, and their gradients with respect to these, by autograd."""
    sample = grammar.kind.given(drawn(grammar), grammar.terminals)
    pred = sample.pred.requires_grad_()
    losses = grammar.losses(expression, Sample(pred, sample.target, sample.given))
    (gradient,) = torch.autograd.grad(losses.sum(), pred, allow_unused=True) if losses.requires_grad else (None,)
    return losses.detach(), torch.zeros_like(pred) if gradient is None else gradient


@pytest.mark.parametrize("name", GRAMMARS)
def test_the_short_form_has_the_same_losses_and_gradients_on_real_boxes_and_logits(name: str) -> None:
    grammar, changed = GRAMMARS[name], 0
    known = [one.expression for one in KNOWN.values() if one.grammar == name]
    for expression in (*known, *alive(grammar, 60)):
        for short in (pruned(expression, grammar), simplified(expression, grammar)):
            changed += short != expression
            assert short.size <= expression.size
            for one, other in zip(felt(grammar, expression), felt(grammar, short), strict=True):
                scale = float(one.abs().max())
                torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9 * scale)
    assert changed > 20


def test_pruning_adds_no_operator() -> None:
    box = GRAMMARS["box"]
    for expression in alive(box, 60):
        assert {str(node.head) for node in pruned(expression, box).walk()} <= {
            *(str(node.head) for node in expression.walk()),
            "0.0",
            "1.0",
        }
