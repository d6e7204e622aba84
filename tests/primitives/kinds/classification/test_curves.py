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


def test_what_the_derivative_adds_up_to_is_the_loss_where_nothing_is_held() -> None:
    for kind, texts in ((SIGMOID, ("f*(softplus(x) - x*y)", "(1 - p)**2*y")), (SOFTMAX, ("-dot(y, log(p))*(1 + t)",))):
        wide = GRAMMARS[f"{kind.name}_wide"]
        for text in texts:
            plain, held = (
                curves.losses(kind, wide.formula(wide.parse(one)), kind.background)
                for one in (text, f"{text} + 0*stop(x)")
            )
            for values, found in zip(plain, held, strict=True):
                span = (values.amax(-1) - values.amin(-1)).clamp(min=1e-3)
                assert ((found - (values - values[..., :1])).abs().amax(-1) <= 0.02 * span).all()


def test_every_level_of_what_is_handed_over_has_curves_of_its_own() -> None:
    along = curves.curves(SIGMOID, GRAMMARS["sigmoid_wide"].terminals, background=False)
    assert along.target[0] == 14
    assert {0.0, 1.0} <= set(along.inputs["t"].unique().tolist())
    assert float(along.inputs["f"].min()) < 0.011
    assert curves.curves(SIGMOID, GRAMMARS["sigmoid"].terminals, background=False).target[0] == 6
