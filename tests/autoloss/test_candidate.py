"""What a candidate is made of, as objects and as the text that a run file and other processes get."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from autoloss.candidate import Candidate, How, Kind, Loss, Origin
from primitives.catalog import GRAMMARS, KNOWN, slots

SLOTS = tuple(slots())
NUMBERS = st.integers(0, 10**6)
ORIGINS = st.one_of(
    st.just(Origin(How.OWN)),
    st.builds(
        Origin,
        st.just(How.KNOWN),
        titles=st.lists(st.sampled_from([known.title for known in KNOWN.values()]), min_size=1).map(tuple),
        as_formula=st.booleans(),
    ),
    *(
        st.builds(
            Origin,
            st.just(how),
            st.tuples(*[NUMBERS] * parents),
            st.sampled_from([(slot,) for slot in SLOTS] + [SLOTS]),
            numbers=st.lists(NUMBERS, max_size=2).map(tuple),
        )
        for how, parents in ((How.RANDOM, 0), (How.INITIAL, 0), (How.MUTATION, 1), (How.CROSSOVER, 2))
    ),
    st.builds(
        Origin,
        st.sampled_from((How.REFINEMENT, How.TUNING)),
        st.tuples(NUMBERS),
        st.sampled_from([(slot,) for slot in SLOTS]),
        st.sampled_from(("weight x 2", "2 to 1.4", "div to mul", "exp put in")).map(lambda what: (what,)),
    ),
)


@given(ORIGINS)
def test_an_origin_is_read_back_from_its_sentence(origin: Origin) -> None:
    assert Origin.of(str(origin)) == origin


@given(st.text() | ORIGINS.flatmap(lambda one: st.sampled_from([f"{one} ", f"0{one}", str(one)[1:], str(one)[:-1]])))
def test_a_sentence_of_any_kind_stays_as_it_is(text: str) -> None:
    assert str(Origin.of(text)) == text


def test_origins_print_as_people_know_them() -> None:
    assert str(Origin(How.OWN)) == "the detector's own loss"
    assert str(Origin(How.KNOWN, titles=("focal", "GIoU"), as_formula=True)) == "known: focal + GIoU, as a formula"
    assert str(Origin(How.CONTROL, titles=("GIoU x 2",))) == "control: GIoU x 2"
    assert str(Origin(How.RANDOM, slots=SLOTS)) == "random: loss_cls and loss_bbox"
    assert str(Origin(How.CROSSOVER, (3, 1), ("loss_bbox",))) == "crossover of 3 and 1: loss_bbox"
    assert str(Origin(How.INITIAL, slots=SLOTS)) == "initial: loss_cls and loss_bbox"
    assert str(Origin(How.TUNING, (3,), ("loss_cls",), ("weight x 2",))) == "tuning of 3: loss_cls (weight x 2)"
    assert str(Origin(How.MUTATION, (3,), ("loss_cls",), numbers=(7,))) == "7 of the search: mutation of 3: loss_cls"


def test_a_loss_is_its_specification_wherever_it_goes() -> None:
    for known in KNOWN.values():
        loss = Loss(known.expression, GRAMMARS[known.grammar], 1.5, known.alpha)
        assert list(loss.spec()) == ["expression", "grammar", "loss_weight", "alpha"]
        assert Loss.of(loss.spec()) == loss
        assert pickle.loads(pickle.dumps(loss)) == loss


def test_the_size_of_a_candidate_is_the_nodes_of_its_formulas() -> None:
    giou, focal = (Loss(KNOWN[name].expression, GRAMMARS[KNOWN[name].grammar]) for name in ("giou", "focal"))
    pair = Candidate(1, Kind.FOUND, 0, {"loss_cls": focal, "loss_bbox": giou}, Origin(How.RANDOM))
    assert pair.size == giou.expression.size + focal.expression.size
    assert giou.expression.size == 11
