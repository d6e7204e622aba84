import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS, KNOWN
from primitives.codegen.program import Program
from primitives.expression import Expression
from tests.helpers.strategies import expressions

SEVERAL = st.sampled_from(sorted(GRAMMARS)).flatmap(
    lambda name: st.tuples(st.just(name), st.lists(expressions(GRAMMARS[name]), min_size=1, max_size=5))
)


def inputs_of(grammar: str, count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    names = [terminal.name for terminal in GRAMMARS[grammar].terminals]
    shape = (count, 7) if GRAMMARS[grammar].slot == "loss_bbox" else (count, 7, 3)
    return {name: torch.rand(shape, generator=generator, dtype=torch.float64) + 0.1 for name in names}


@given(SEVERAL)
@settings(max_examples=200)
def test_a_program_gives_every_formula_the_value_and_gradient_it_has_alone(case: tuple[str, list[Expression]]) -> None:
    grammar, formulas = case
    together = {k: v.requires_grad_() for k, v in inputs_of(grammar, len(formulas)).items()}
    alone = {k: v.requires_grad_() for k, v in inputs_of(grammar, len(formulas)).items()}
    values = Program(formulas)(together)
    for k, formula in enumerate(formulas):
        expected = formula({name: value[k] for name, value in alone.items()})
        assert values[k].shape == expected.shape
        torch.testing.assert_close(values[k], expected, equal_nan=True)
        got, want = (
            torch.autograd.grad(value.sum(), list(places.values()), allow_unused=True, retain_graph=True)
            if value.requires_grad  # not where all of it is held, alone or with others that are
            else [None] * len(places)
            for value, places in ((values[k], together), (expected, alone))
        )
        for mine, theirs in zip(got, want, strict=True):
            none = torch.zeros(next(iter(alone.values()))[k].shape, dtype=torch.float64)
            first, second = none if mine is None else mine[k], none if theirs is None else theirs[k]
            torch.testing.assert_close(first, second, equal_nan=True)


def test_one_formula_that_breaks_leaves_the_others_alone() -> None:
    rules = GRAMMARS["box"]
    formulas = [rules.parse("sqrt(sub(i, u))"), rules.parse("sub(1, div(i, u))")]
    first, second = Program(formulas)(
        {name: torch.full((2, 3), value) for name, value in zip("iue", (1.0, 2.0, 3.0), strict=True)}
    )
    assert first.isnan().all()
    assert second.tolist() == [0.5, 0.5, 0.5]


def test_an_input_that_is_not_given_is_named() -> None:
    with pytest.raises(KeyError, match="u"):
        Program([KNOWN["iou"].expression])({"i": torch.ones(1, 2)})


def test_no_gradient_comes_back_to_what_is_held_whatever_stands_beside() -> None:
    rules = GRAMMARS["box_wide"]
    formulas = [rules.parse("(1 - i/u)*stop(1 + sqrt(e - e))"), rules.parse("sqrt(e)*i")]  # sqrt has no slope at 0
    places = {
        name: torch.full((2, 3), value).requires_grad_() for name, value in zip("iue", (1.0, 2.0, 3.0), strict=True)
    }
    total = torch.stack(Program(formulas)(places)).sum()
    i, u, e = torch.autograd.grad(total, list(places.values()))
    assert i[0].tolist() == [-0.5] * 3
    assert u[0].tolist() == [0.25] * 3
    assert e[0].tolist() == [0.0] * 3
    assert e[1].tolist() == pytest.approx([0.5 / 3**0.5] * 3)
