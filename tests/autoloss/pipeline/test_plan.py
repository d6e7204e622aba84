"""A pipeline's config: sections, what they refer to, and every mistake in one line before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoloss.pipeline import plan
from autoloss.pipeline.kinds.table import FIGURES, KINDS
from autoloss.pipeline.plan import SECTIONS, Pipeline
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.pipelines import written

CONFIGS = Path(__file__).parents[3] / "configs/pipelines"


def loaded(folder: Path, steps: Any = ("search",), **sections: Any) -> Pipeline:
    return plan.load(written(folder, steps=list(steps), **sections), figures=FIGURES)


@pytest.mark.parametrize("name", [file.stem for file in CONFIGS.glob("*.py")])
def test_pipelines_that_come_with_the_toolkit_load(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = plan.load(name, figures=FIGURES)
    assert {step.kind for step in pipeline.steps} >= {"search", "audit", "export", "report"}
    for step in pipeline.steps:
        assert KINDS[step.kind].inputs(pipeline, step)


def test_every_section_has_a_kind() -> None:
    assert SECTIONS.keys() == KINDS.keys()


def test_a_section_has_what_it_refers_to_where_it_has_none_of_its_own(tmp_path: Path) -> None:
    common = {"config": "search.py", "seeds": 4, "cfg_options": {"search.seed": 1, "search.births": 3}}
    more = {"ref": "common", "cfg_options": {"search.births": 5}, "command": "search"}
    given = {"ref": "wider", "proceed_if": "headroom.gain > 0"}
    found = loaded(
        tmp_path, ["headroom", "wider", "search"], headroom={"ref": "common"}, wider=more, search=given, common=common
    )
    headroom, wider, search = found.steps
    assert headroom.section.seeds == 4
    assert [found.settings(step).births for step in found.steps] == [3, 5, 5]
    assert {found.settings(step).seed for step in found.steps} == {1}
    assert (wider.kind, search.section.proceed_if, wider.section.proceed_if) == ("search", "headroom.gain > 0", None)


def test_what_the_command_line_says_is_for_every_step(tmp_path: Path) -> None:
    search = {"config": "search.py"}
    file = written(tmp_path, steps=["search"], search=search)
    found = plan.load(file, ["search.generations=5"], {"type": "digits"}, {"workers": 2}, FIGURES)
    settings = found.settings(found.steps[0])
    assert (settings.generations, settings.workers, settings.evaluator["data"]) == (5, 2, {"type": "digits"})


def test_names_that_begin_with_an_underscore_are_the_configs_own(tmp_path: Path) -> None:
    assert [step.name for step in loaded(tmp_path, search={"config": "search.py"}, _place="data").steps] == ["search"]


SEARCH = {"config": "search.py"}


@pytest.mark.parametrize(
    ("steps", "sections", "message"),
    [
        ([], {}, "a pipeline config needs a list of steps"),
        (
            ["serch"],
            {},
            "step 'serch': its name begins with no command, and its section has none (did you mean 'search'?)",
        ),
        (
            ["search"],
            {"search": {**SEARCH, "command": ["search"]}},
            "search.command is one word, got ['search']; choices: headroom, search",
        ),
        (["search", "search"], {"search": SEARCH}, "pipeline names a step twice"),
        (["search 1"], {}, "a step is called by letters, digits and _, got 'search 1'"),
        (["search"], {}, "search.config: Field required"),
        (
            ["search"],
            {"search": {**SEARCH, "generation": 3}},
            "unknown key 'search.generation' (did you mean 'generations'?)",
        ),
        (["search"], {"search": {**SEARCH, "generations": 0}}, "search.generations: Input should be greater than 0"),
        (["search"], {"search": {"ref": "serch"}}, "search.ref: no section 'serch' (did you mean 'search'?)"),
        (["search"], {"search": {"ref": "a"}, "a": {"ref": "search"}}, "ref of 'a' leads back to 'search'"),
        (["search"], {"search": 3}, "'search' is a section, search = dict(...), got 3"),
        (["search"], {"search": SEARCH, "audit": {}}, "section 'audit' is of no step of 'pipeline'"),
        (["audit"], {"audit": {}}, "step 'audit' needs a search before it, and there is none"),
        (["train", "search"], {"search": SEARCH}, "step 'train' needs a search before it"),
        (
            ["search", "export"],
            {"search": SEARCH, "export": {"of": "search_1"}},
            "export.of: no search 'search_1' before it",
        ),
        (["search", "audit"], {"search": SEARCH, "audit": {"random": "r"}}, "audit.random: no search 'r' before it"),
        (
            ["search", "audit", "audit_more"],
            {"search": SEARCH, "audit_more": {"seeds": 9}},
            "step 'audit_more' audits 'search', which 'audit' does already",
        ),
        (
            ["search", "audit"],
            {"search": SEARCH, "audit": {"proceed_if": "search.noise > 1"}},
            "audit.proceed_if: search tells no 'noise'; choices: own, best, gain, candidates, size",
        ),
        (
            ["search", "audit"],
            {"search": SEARCH, "audit": {"proceed_if": "audit.gain > 0"}},
            "audit.proceed_if: no step 'audit' before 'audit'; choices: search",
        ),
        (
            ["search", "audit"],
            {"search": SEARCH, "audit": {"proceed_if": "1 >"}},
            "audit.proceed_if: expected a number",
        ),
        (["search"], {"search": {**SEARCH, "slots": ["loss_iou"]}}, "slots: 'loss_iou' is none of the config"),
        (["search"], {"search": {"config": "nowhere.py"}}, "search: no config file at 'nowhere.py'"),
        (["search"], {"search": {**SEARCH, "cfg_options": {"search.birth": 3}}}, "unknown key 'search.birth'"),
        (["search", "export"], {"search": SEARCH, "export": {"to": ["onnx"]}}, "export.to: unknown target 'onnx'"),
        (
            ["search", "train"],
            {"search": SEARCH, "train": {"detector": "nowhere.py"}},
            "no detector config at 'nowhere.py'",
        ),
        (
            ["search", "train"],
            {"search": SEARCH, "train": {"detector": "fcos_r50", "iterations": 3}},
            "iterations are for the detector of the search",
        ),
        (
            ["search", "train"],
            {"search": SEARCH, "train": {"seeds": 1}},
            "train.seeds: Input should be greater than or equal to 2",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(
    steps: list[str], sections: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = written(tmp_path, steps=steps, **sections)
    done = autoloss("run", file, tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("autoloss: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_mistakes_of_a_step_have_its_name(tmp_path: Path) -> None:
    found = loaded(tmp_path, search={**SEARCH, "slots": ["loss_mask"]})
    with pytest.raises(InputError, match="^search: slots"):
        found.settings(found.steps[0])
