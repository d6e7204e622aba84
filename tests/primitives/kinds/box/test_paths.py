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
