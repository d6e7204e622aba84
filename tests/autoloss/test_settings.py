import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from autoloss.config import from_mapping, load
from autoloss.settings import Settings, Slot, Variation
from primitives.catalog import GRAMMARS
from primitives.errors import InputError
from primitives.operators import OPERATORS
from primitives.text.printable import printable
from tests.helpers.small import section


@pytest.mark.parametrize(
    ("name", "rungs"),
    [
        ("search/digits_fcos", ["frozen", "frozen long"]),
        ("search/paper_ladder", ["verify", "proxy"]),
        ("search/digits_faster_rcnn", ["frozen", "frozen again"]),
        ("fidelity/digits_fcos", ["descend", "verify", "train 100", "train 200", "train 400"]),
        ("fidelity/digits_faster_rcnn", ["descend", "verify", "train 100", "train 200", "train 400"]),
    ],
)
def test_configs_that_come_with_the_toolkit_load(name: str, rungs: list[str]) -> None:
    settings = load(Path("configs") / f"{name}.py")
    assert [rung.name for rung in settings.ladder][: len(rungs)] == rungs
    assert settings.finale is not None
    assert len(settings.finale.rung.seeds) == 3


def test_workers_are_no_part_of_a_runs_identity() -> None:
    assert from_mapping(section(workers=1)).identity() == from_mapping(section(workers=7)).identity()
    assert from_mapping(section()).identity() != from_mapping(section(seed=8)).identity()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generation": 3}, r"unknown key 'search.generation' \(did you mean 'generations'\?\); choices: seed, gen"),
        ({"variation": {"parent": 3}}, r"unknown key 'search.variation.parent' \(did you mean 'parents'\?\)"),
        ({"ladder": [{"name": "a", "task": {}, "keep": {"best": 1}}]}, r"unknown key 'search.ladder.0.keep.best'"),
        ({"births": "many"}, r"search.births: Input should be a valid integer, got 'many'"),
        ({"births": 0}, r"search.births: Input should be greater than 0, got 0"),
        ({"init": "nothing"}, r"search.init: init is 'known', 'random', or rows of your own .*, got 'nothing'"),
        ({"ladder": []}, r"search.ladder"),
        ({"slots": {"loss_mask": {"grammar": "box", "like": "giou"}}}, r"unknown slot 'loss_mask'; choices: loss_cls"),
        ({"slots": {"loss_bbox": {"grammar": "boxes", "like": "giou"}}}, r"unknown grammar 'boxes'; known: box"),
        ({"slots": {"loss_bbox": {"grammar": "box", "like": "diou"}}}, r"not a formula of grammar 'box'; choices: iou"),
        ({"slots": {"loss_cls": {"grammar": "box", "like": "giou"}}}, r"grammar 'box' is not for loss_cls"),
        (
            {"slots": {"loss_cls": {"grammar": "sigmoid_wide", "like": "focal", "inputs": ["x", "q"]}}},
            r"grammar 'sigmoid_wide' has none of the inputs 'q'; choices: x, y, w, f, t, a",
        ),
        (
            {"slots": {"loss_cls": {"grammar": "sigmoid", "like": "focal", "operators": ["stop"]}}},
            r"grammar 'sigmoid' has none of the operators 'stop'; choices: add",
        ),
        (
            {"slots": {"loss_cls": {"grammar": "sigmoid_wide", "like": "focal", "inputs": ["y", "f"]}}},
            r"inputs needs one that predictions change: x",
        ),
        (
            {"slots": {"loss_cls": {"grammar": "sigmoid", "like": "focal", "inputs": ["x", "x"]}}},
            r"inputs names one twice: x, x",
        ),
        (
            {"slots": {"loss_cls": {"grammar": "sigmoid", "like": "focal", "language": "paper", "inputs": ["x"]}}},
            r"language names inputs and operators; leave these out",
        ),
        (
            {"slots": {"loss_cls": {"grammar": "sigmoid", "like": "focal", "language": "all"}}},
            r"Input should be 'paper'",
        ),
        ({"variation": {"numbers": "all"}}, r"Input should be 'constants' or 'any'"),
        ({"known": [{"loss_cls": "giou"}]}, r"known loss 'giou' is not for loss_cls"),
        ({"known": [{"loss_cls": "focl"}]}, r"unknown loss 'focl'; known: iou"),
        ({"controls": [{"loss_cls": -1.0}]}, r"search.controls.0.loss_cls: Input should be greater .*, got -1.0"),
        *(
            ({"variation": {"constants": [2.0, value]}}, rf"constants are 0, or from 1e-12 to 1e\+12 .*got {got}$")
            for value, got in ((-1.0, "-1"), (-0.0, "-0"), (1e300, "1e.300"), (1e-300, "1e-300"), (1e13, "1e.13"))
        ),
        *(
            ({"variation": {"constants": [value]}}, "search.variation.constants")
            for value in (True, "1", "1e300", None)
        ),
        *(({"variation": {"constants": [value]}}, "constants") for value in (math.inf, -math.inf, math.nan, 10**400)),
        ({"evaluator": {"type": "nothing"}}, r"evaluator needs a type: detector, command, or one of your"),
        ({"finale": {"rung": {"name": "proxy", "task": {}}}}, r"rungs need names of their own"),
        ({"init": "best"}, r"search.init: init is 'known', 'random', or rows of your own such as .*, got 'best'"),
        ({"init": []}, r"init is 'known', 'random', or rows of your own such as"),
        ({"init": [{}]}, r"init is 'known', 'random', or rows of your own such as"),
        ({"init": [{"loss_bbox": 1.0}]}, r"a row of init has a formula, or the name .*, got 'loss_bbox': 1.0"),
        ({"init": [{"loss_mask": "i"}]}, r"init has a loss for slot 'loss_mask'; choices: loss_cls, loss_bbox"),
        ({"init": [{"loss_bbox": "i"}] * 5}, r"init has 5 rows for the 4 births of the first generation"),
        ({"preselection": {"proposals": 2}}, r"unknown key 'search.preselection'"),
        ({"strategy": {"type": "evolve"}}, r"strategy needs a type: evolution, ageing, .* got 'evolve'"),
        ({"strategy": "evolve"}, r"strategy needs a type: evolution, ageing, .* got 'evolve'"),
        (
            {"finale": {"rung": {"name": "full", "task": {}, "seeds": [2]}, "known": [5]}},
            r"finale.known names row 5, known has 2",
        ),
        ({"finale": {"rung": {"name": "full", "task": {}, "seeds": [1]}}}, r"rungs proxy and full share seed 1"),
        ({"finale": {"rung": {"name": "full", "task": {}, "seeds": [5, 5]}}}, r"rung full names a seed twice: 5, 5"),
        (
            {"finale": {"rung": {"name": "full", "task": {}, "seeds": [5]}, "known": [1, 1]}},
            r"finale.known names a row twice: 1, 1",
        ),
        (
            {"finale": {"rung": {"name": "full", "task": {"kind": "descend"}}}},
            r"the finale compares trained detectors",
        ),
        ({"ladder": [{"name": "descend", "task": {"kind": "descend"}}]}, r"the last rung of the ladder ranks"),
        (
            {"ladder": [{"name": "descend", "task": {"kind": "descend", "steps": 3}}]},
            r"a task of kind 'descend' has no other keys, got kind, steps",
        ),
    ],
)
def test_mistakes_are_named_with_place_and_choices(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_mapping(section(**changes), "config.py")
    assert str(caught.value).startswith("config.py: ")
    assert "\n" not in str(caught.value)


HOSTILE = [
    *(math.nan, math.inf, -math.inf, 1e-400, 1e300, -0.0, -1.0, 1.5, 1e-12),
    *(10**25, 10**5000, -(10**25), -1, 0, 2**63, 2**32),
    *(True, False, "1", "nan", "", None, [1], {"a": 1}, b"1", print),
]


def whole() -> dict[str, Any]:
    """A config with every section there is, written out."""
    more = {
        "controls": [{"loss_bbox": 2.0}],
        "ray": {"address": "auto"},
        "ladder": [
            {"name": "verify", "task": {"steps": 2, "deep": [{"share": 0.5}]}, "keep": {"of_own": 0.5}},
            {"name": "proxy", "task": {"steps": 8}, "seeds": [1]},
        ],
        "evaluator": {"type": "tests.helpers.fast_evaluator:DescentEvaluator", "pause": 0.0},
    }
    return from_mapping(section(**more)).model_dump()


def numbers(annotation: Any, value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of a config that hold numbers, by the types of its fields."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, part in get_type_hints(annotation, include_extras=True).items():
            if name in annotation.model_fields:
                yield from numbers(part, value[name], (*path, name))
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from numbers(part, value, path) if value is not None or part in (int, float) else ()
            if get_origin(part) is Annotated and value is None:
                yield path
    elif get_origin(annotation) is list:
        for index, one in enumerate(value if isinstance(value, list) else ()):
            yield from numbers(get_args(annotation)[0], one, (*path, index))
    elif get_origin(annotation) is dict:
        for key, one in value.items():
            yield from numbers(get_args(annotation)[1], one, (*path, key))
    elif annotation in (int, float):
        yield path
    elif annotation is Any:  # what an evaluator is asked for
        kind = (
            type(value) if not isinstance(value, (list, dict)) else type(value)[(Any, Any)[: 1 + (type(value) is dict)]]
        )
        yield from numbers(kind, value, path)


PLACES = list(numbers(Settings, whole()))


def put(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A config with another value in a place."""
    config = whole()
    part = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return config


def leaves(value: Any) -> Iterator[Any]:
    """Numbers, texts and the like of nested values."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(part)
    if not isinstance(value, (dict, list)):
        yield value


def refused_or_sane(config: dict[str, Any]) -> bool:
    """Whether a config is refused, by one line; else every number of it can be kept, and read again."""
    try:
        settings = from_mapping(config, "config.py")
    except InputError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600
        return True
    kept = json.loads(json.dumps(settings.identity(), allow_nan=False))
    assert from_mapping(kept).identity() == settings.identity()
    for number in leaves(settings.model_dump()):
        if isinstance(number, int):
            assert -(2**63) <= number < 2**63
        elif isinstance(number, float):
            assert math.isfinite(number)
    return False


def test_every_section_has_its_numbers_among_those_that_are_tried() -> None:
    found = {".".join(str(part) for part in place) for place in PLACES}
    assert found >= {
        *("seed", "births", "workers", "slots.loss_cls.weight", "slots.loss_cls.alpha", "controls.0.loss_bbox"),
        *("ladder.0.keep.of_own", "ladder.0.keep.count", "ladder.1.seeds.0", "ladder.0.task.deep.0.share"),
        *("finale.known.0", "finale.rung.batch", "limits.time", "budget.evaluations", "ray.gpus", "evaluator.pause"),
        *("variation.constants.0", "thresholds.rank"),
    }


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_number_of_any_place_is_refused_by_one_line_or_sane(place: tuple[Any, ...]) -> None:
    refused = [refused_or_sane(put(place, value)) for value in HOSTILE]
    assert all(refused[:3])
    assert refused[10]


@given(st.sampled_from(PLACES), st.one_of(st.floats(), st.integers()))
def test_any_number_at_any_place_is_refused_by_one_line_or_sane(place: tuple[Any, ...], value: float) -> None:
    refused_or_sane(put(place, value))


NAMES = ["", " ", "a\nb", "a\x1b[31m", "a\u202eb", "a\u2028b", "\ud800", "a\0", " a", "x" * 10_000, 3, None]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_a_rung_needs_a_name_that_can_be_seen(name: Any) -> None:
    with pytest.raises(InputError) as caught:
        from_mapping(put(("ladder", 0, "name"), name))
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.text(max_size=80))
def test_a_name_that_is_taken_looks_the_same_everywhere(name: str) -> None:
    try:
        settings = from_mapping(put(("ladder", 0, "name"), name))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert printable(name) == settings.ladder[0].name == name


@pytest.mark.parametrize("other", ["proxy", "Proxy", "\uff50roxy", "pro xy"])
@pytest.mark.parametrize("place", [("ladder", 0), ("finale", "rung")])
def test_rungs_whose_names_look_the_same_are_refused(place: tuple[Any, ...], other: str) -> None:
    with pytest.raises(InputError, match="rungs need names of their own"):
        from_mapping(put((*place, "name"), other))


@pytest.mark.parametrize("value", ["\ud800", print, {1: 2}, {"a": {2, 3}}, [object()]])
def test_what_a_run_file_cannot_keep_is_refused(value: Any) -> None:
    for place in (("evaluator", "x"), ("ladder", 0, "task", "x")):
        with pytest.raises(InputError, match=f"search.{place[0]}"):
            from_mapping(put(place, value))


def test_a_slot_says_what_is_drawn_of_its_grammar() -> None:
    wide = Slot(grammar="sigmoid_wide", like="focal")
    assert wide.rules(Variation()).drawn == GRAMMARS["sigmoid_wide"].operators
    assert wide.rules(Variation()).constants == (1.0, 2.0, 3.0)
    assert wide.rules(Variation(numbers="any")).constants == ()
    paper = Slot(grammar="sigmoid_wide", like="focal", language="paper").rules(Variation())
    assert paper.drawn_inputs == ("x", "y", "w")
    assert paper.drawn == tuple(name for name, row in OPERATORS.items() if not row.extended)
    few = Slot(grammar="box_wide", like="wiou", inputs=["i", "u", "f"], operators=["sub", "div", "pow"])
    assert few.rules(Variation()).drawn_inputs == ("i", "u", "f")
    assert Slot(grammar="box", like="giou").rules(Variation()) == GRAMMARS["box"]


def test_alpha_is_of_sigmoid_losses_alone() -> None:
    slots = {"loss_bbox": {"grammar": "box", "like": "giou", "alpha": 0.25}}
    with pytest.raises(InputError, match="alpha weighs the target's column of sigmoid losses; grammar 'box' has none"):
        from_mapping(section(slots=slots, known=[], init="known"))
