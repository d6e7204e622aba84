import math
from pathlib import Path

import pytest
from small import section

from autoloss.settings import from_mapping, load
from primitives.errors import InputError


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
        ({"init": "nothing"}, r"search.init: Input should be 'known' or 'random', got 'nothing'"),
        ({"ladder": []}, r"search.ladder"),
        ({"slots": {"loss_mask": {"grammar": "box", "like": "giou"}}}, r"unknown slot 'loss_mask'; choices: loss_cls"),
        ({"slots": {"loss_bbox": {"grammar": "boxes", "like": "giou"}}}, r"unknown grammar 'boxes'; known: box"),
        ({"slots": {"loss_bbox": {"grammar": "box", "like": "diou"}}}, r"not a formula of grammar 'box'; choices: iou"),
        ({"slots": {"loss_cls": {"grammar": "box", "like": "giou"}}}, r"grammar 'box' is not for loss_cls"),
        ({"known": [{"loss_cls": "giou"}]}, r"known loss 'giou' is not for loss_cls"),
        ({"known": [{"loss_cls": "focl"}]}, r"unknown loss 'focl'; known: iou"),
        ({"controls": [{"loss_cls": -1.0}]}, r"a control's factor must be above 0, got -1"),
        *(
            ({"variation": {"constants": [2.0, value]}}, rf"constants are 0, or from 1e-12 to 1e\+12 .*got {got}$")
            for value, got in ((-1.0, "-1"), (-0.0, "-0"), (1e300, "1e.300"), (1e-300, "1e-300"), (1e13, "1e.13"))
        ),
        *(
            ({"variation": {"constants": [value]}}, "search.variation.constants")
            for value in (True, "1", "1e300", None)
        ),
        *(({"variation": {"constants": [value]}}, "constants") for value in (math.inf, -math.inf, math.nan, 10**400)),
        ({"evaluator": {"type": "nothing"}}, r"evaluator needs a type such as"),
        ({"finale": {"rung": {"name": "proxy", "task": {}}}}, r"rungs need names of their own"),
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


def test_files_that_are_no_configs_are_named(tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    with pytest.raises(InputError, match="no config file at"):
        load(file)
    file.write_text("search = dict(")
    with pytest.raises(InputError, match="not a config that mmengine can read"):
        load(file)
    file.write_text("serach = dict()")
    with pytest.raises(InputError, match="needs a section 'search'; found: serach"):
        load(file)
    file.write_text(f"search = {section()!r}\nmodel = dict()")
    with pytest.raises(InputError, match="unknown key 'model' beside 'search'"):
        load(file)


def test_options_override_as_in_mmdetection(tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    file.write_text(f"search = {section()!r}")
    settings = load(file, ["search.births=9", "search.ladder.1.seeds=[4,5]", "search.init=random"])
    assert (settings.births, settings.ladder[1].seeds, settings.init) == (9, [4, 5], "random")
    with pytest.raises(InputError, match="unknown key 'search.birth'"):
        load(file, ["search.birth=9"])
    with pytest.raises(InputError, match="--cfg-options takes key=value, got 'births'"):
        load(file, ["births"])
