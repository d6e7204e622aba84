import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS
from primitives.expression import Expression
from primitives.kinds import course
from primitives.kinds.box import paths
from primitives.kinds.box.kind import BOX
from primitives.kinds.box.pair import AREAS
from primitives.kinds.terminal import Terminal
from tests.helpers.strategies import expressions

FORMULAS = expressions(GRAMMARS["box"])


@given(st.sampled_from(["box", "box_pixels", "box_extended"]), FORMULAS)
@settings(max_examples=300)
def test_the_first_few_paths_never_refuse_what_all_of_them_pass(grammar: str, formula: Expression) -> None:
    terminals = GRAMMARS[grammar].terminals
    ways, few = paths.paths(BOX, terminals), paths.scouts(BOX, terminals)
    count, steps = ways.shape
    first = few(formula).expand_as(few.inputs["i"]).reshape(-1, steps)
    found, turned = course.minimum(first, course.MAX_SHARE * count, "")
    if not (found[-1].passed or turned):
        found, turned = course.minimum(ways.losses(GRAMMARS[grammar].formula(formula)), course.MAX_SHARE * count, "")
        assert not found[-1].passed
        assert not turned


def test_what_a_head_gives_stays_as_it_is_on_the_way_of_a_box() -> None:
    score = Terminal("s", (0, 1), "1", "score", given="score", predicted=False)
    ways = paths.paths(BOX, (*AREAS, score))
    given = ways.inputs["s"].reshape(ways.shape)
    assert (given == given[:, :1]).all()
    assert given[:, 0].unique().numel() > 90


def test_what_the_derivative_adds_up_to_is_the_loss_where_nothing_is_held() -> None:
    wide = GRAMMARS["box_wide"]
    ways = paths.paths(BOX, wide.terminals)
    for text in ("1 - i/u + d", "f*(1 - i/u) + 0.1*k", "(1 - i/u)**2 + s*dw"):
        values = ways.losses(wide.formula(wide.parse(text)))
        held = paths.along(BOX, wide.formula(wide.parse(f"{text} + 0*stop(i)")))
        span = values.amax(-1) - values.amin(-1)
        assert ((held - (values - values[:, :1])).abs().amax(-1) <= 0.1 * span).all()  # of 16 steps


def test_paths_stand_at_both_ends_of_what_is_handed_over() -> None:
    wide = GRAMMARS["box_wide"]
    inputs = paths.paths(BOX, wide.terminals).inputs
    for one in wide.terminals:
        if one.levels:
            ends = torch.tensor([one.levels[0], one.levels[-1]])
            counts = [int((inputs[one.name].reshape(96, -1)[:, 0] - end).abs().lt(1e-6).sum()) for end in ends]
            assert min(counts) > course.MAX_SHARE * 96
