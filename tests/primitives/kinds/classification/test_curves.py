from hypothesis import given, settings
from hypothesis import strategies as st

from primitives.catalog import GRAMMARS
from primitives.expression import Expression
from primitives.kinds.classification import curves
from primitives.kinds.classification.kind import SIGMOID, SOFTMAX, ClassKind
from tests.helpers.strategies import expressions

FORMULAS = expressions(GRAMMARS["softmax"])


@given(st.sampled_from([SOFTMAX, SIGMOID]), FORMULAS)
@settings(max_examples=300)
def test_the_ends_of_curves_never_refuse_what_whole_curves_pass(kind: ClassKind, formula: Expression) -> None:
    terminals, background = kind.terminals, kind.background
    few = curves.ends(kind, terminals, background)
    if curves.at_ends(kind.losses(few(formula), few.inputs).reshape(2, -1, 2)):
        target, other = curves.losses(kind, GRAMMARS[kind.name].formula(formula), background)
        assert not curves.along_curves(target, other)[-1].passed
        assert not curves.along_curves(-target, -other)[-1].passed
