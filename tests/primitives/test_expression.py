import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS
from primitives.expression import Expression
from primitives.operators import OPERATORS
from tests.helpers.strategies import expressions

ANY = st.sampled_from(sorted(GRAMMARS)).flatmap(lambda name: expressions(GRAMMARS[name]))


def test_readme_example_runs() -> None:
    log_iou = GRAMMARS["box"].parse("neg(log(div(i, u)))")
    value = log_iou({"i": torch.tensor([1.0]), "u": torch.tensor([2.0])})
    torch.testing.assert_close(value, torch.tensor([2.0]).log())
    assert (str(log_iou), log_iou.size, log_iou.depth, log_iou.names) == ("neg(log(div(i, u)))", 5, 3, {"i", "u"})


@given(ANY)
def test_walk_visits_size_nodes_root_first(expression: Expression) -> None:
    nodes = list(expression.walk())
    assert len(nodes) == expression.size
    assert nodes[0] is expression


@given(ANY, st.data())
def test_replacing_a_node_by_itself_changes_nothing(expression: Expression, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, expression.size - 1))
    node = list(expression.walk())[index]
    assert expression.replace(index, node) == expression


@given(ANY, st.data())
def test_a_replaced_node_stands_where_it_was_put(expression: Expression, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, expression.size - 1))
    changed = expression.replace(index, Expression(2.0))
    assert list(changed.walk())[index] == Expression(2.0)


def test_replacing_a_node_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IndexError, match="node 5 of a formula with 5 nodes"):
        GRAMMARS["box"].parse("neg(log(div(i, u)))").replace(5, Expression("i"))


def test_shared_parts_are_computed_once() -> None:
    part = Expression(OPERATORS["div"], (Expression("i"), Expression("u")))
    twice = Expression(OPERATORS["mul"], (part, part))
    inputs = {"i": torch.ones(3, requires_grad=True), "u": torch.full((3,), 2.0)}
    graph = twice(inputs).grad_fn
    assert graph is not None
    first, second = (function for function, _ in graph.next_functions)
    assert first is second


@given(expressions(GRAMMARS["box"]), st.permutations(range(6)))
def test_permuting_boxes_permutes_losses(expression: Expression, order: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = {name: torch.rand(6, generator=generator, dtype=torch.float64) + 0.5 for name in "iue"}
    shuffled = {name: value[list(order)] for name, value in inputs.items()}
    torch.testing.assert_close(
        expression(inputs).expand(6)[list(order)], expression(shuffled).expand(6), equal_nan=True
    )


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
@given(data=st.data())
def test_no_formula_fails_on_shapes(name: str, data: st.DataObject) -> None:
    expression = data.draw(expressions(GRAMMARS[name]))
    inputs = {key: torch.rand(5, 3) for key in "xyw"}
    assert expression(inputs).shape in [(5, 3), (5, 1)]


def test_an_expression_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Expression("i").head = "u"  # type: ignore[misc]
