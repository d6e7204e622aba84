from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from autoloss.config import from_mapping
from autoloss.search.headroom import known, verdict
from autoloss.search.population import Population
from autoloss.search.stopping import BudgetEnded
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, KNOWN
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.small import section

MEASURED = {"type": "tests.helpers.fast_evaluator:MeasuredEvaluator"}


def search(**changes: Any) -> Settings:
    return from_mapping(section(**{"evaluator": MEASURED, **changes}))


def measured(directory: Path, rules: Settings, seeds: int | None = None) -> verdict.Headroom:
    settings = known.of_known(rules, seeds)
    with Run.create(directory, settings.identity(), known.FREE) as run:
        known.measure(rules, settings, run)
        return verdict.analysed(run)


def test_every_known_loss_that_fits_is_trained_beside_the_own_one_and_its_weights() -> None:
    found = known.of_known(search())
    names = {"loss_cls": set(), "loss_bbox": set()}
    for row in found.known:
        if len(row) == 1:
            ((slot, name),) = row.items()
            names[slot].add(name)
    sigmoid, box = GRAMMARS["sigmoid"].kind, GRAMMARS["box"].kind
    assert names["loss_cls"] == {n for n, k in KNOWN.items() if GRAMMARS[k.grammar].kind is sigmoid} - {"focal"}
    assert names["loss_bbox"] == {n for n, k in KNOWN.items() if GRAMMARS[k.grammar].kind is box} - {"giou"}
    assert found.known[-1] == {"loss_cls": "cse_b_cls", "loss_bbox": "cse_b_reg"}
    assert found.controls == [
        {"loss_cls": 1.0, "loss_bbox": 1.0},
        {"loss_cls": 0.5},
        {"loss_cls": 2.0},
        {"loss_bbox": 0.5},
        {"loss_bbox": 2.0},
    ]


def test_it_is_the_last_rung_with_its_seeds_and_others_that_no_rung_has() -> None:
    *cheap, rung = known.of_known(search()).ladder
    assert cheap == search().ladder
    assert (rung.name, rung.task, rung.seeds) == ("full", {"steps": 8}, [2, 3, 4])
    assert known.of_known(search(), 2).ladder[-1].seeds == [2, 3]
    assert known.of_known(search(), 6).ladder[-1].seeds == [2, 3, 4, 5, 6, 7]
    assert known.of_known(search(finale=None), 3).ladder[-1].seeds == [1, 2, 3]
    with pytest.raises(InputError, match="headroom needs two seeds at least, got 1"):
        known.of_known(search(), 1)


def test_it_measures_and_goes_on_with_more_seeds(tmp_path: Path) -> None:
    before = measured(tmp_path / "run", search(), 2)
    after = measured(tmp_path / "run", search(), 4)
    assert (before.seeds, after.seeds) == ((2, 3), (2, 3, 4, 5))
    scores = {one.number: one.scores for one in after.losses}
    assert all(scores[one.number][:2] == one.scores for one in before.losses)
    assert before.seconds == after.seconds
    assert 0 < before.seconds[0] < before.seconds[1]
    assert not before.failed


def test_a_detector_that_has_hardly_learnt_is_said_before_the_other_losses_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measured(tmp_path / "learnt", search(), 2)
    assert "hardly learnt" not in caplog.text
    monkeypatch.setattr(known, "LEARNT", 1.1)
    measured(tmp_path / "run", search(), 2)
    assert "with its own loss the detector has hardly learnt at 'full' (mAP 0." in caplog.text


def test_losses_that_a_person_names_are_added_to_what_is_there(tmp_path: Path) -> None:
    rules = from_mapping(section())
    before = measured(tmp_path / "run", rules, 2)
    settings = known.of_known(rules, 2)
    others = known.of_texts(rules, {"loss_cls": ["abs(y - sigmoid(x))", "varifocal"], "loss_bbox": ["1 - i/e"]})
    with Run.create(tmp_path / "run", settings.identity(), known.FREE) as run:
        known.measure(rules, settings, run, others)
        after = verdict.analysed(run)
    new = {one.name for one in after.losses} - {one.name for one in before.losses}
    assert new == {"given: abs(y - sigmoid(x))", "given: 1 - i/e"}  # the catalog has varifocal
    assert len({one.number for one in after.losses}) == len(before.losses) + 2


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"loss_cls": ["giou"]}, "'giou' is of grammar box; loss_cls takes losses of sigmoid"),
        ({"loss_bbox": ["1 - q/u"]}, "unknown name 'q' at column 5 of '1 - q/u' in grammar box"),
        ({"loss_mask": ["1 - i/u"]}, "'1 - i/u' is for slot 'loss_mask'; choices: loss_cls, loss_bbox"),
    ],
)
def test_a_text_that_is_no_loss_of_its_slot_is_refused(texts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        known.of_texts(search(), texts)


def test_two_workers_measure_what_one_does(tmp_path: Path) -> None:
    one = measured(tmp_path / "one", from_mapping(section()), 2)
    two = measured(tmp_path / "two", from_mapping(section(workers=2, isolate=True)), 2)
    assert one.losses == two.losses
    assert one.verdict == two.verdict


def test_half_a_measurement_says_how_far_it_is(tmp_path: Path) -> None:
    settings = known.of_known(search(), 2)
    with Run.create(tmp_path / "run", settings.identity(), known.FREE) as run:
        losses = 1 + len(settings.known) + len(settings.controls)
        cheap = losses * sum(len(rung.seeds) for rung in settings.ladder[:-1])
        short = settings.model_copy(update={"budget": search(budget={"evaluations": cheap + 5}).budget})
        with pytest.raises(BudgetEnded):
            known.measure(search(), short, run)
        with pytest.raises(InputError, match=r"5 of \d+ trainings are done; needed: all losses with two seeds"):
            verdict.analysed(run)


def test_it_says_how_the_cheap_rungs_of_the_search_rank_the_same_losses(tmp_path: Path) -> None:
    found = measured(tmp_path / "run", search(), 2)
    assert list(found.ranks) == [rung.name for rung in search().ladder]
    assert all(-1 <= low <= rank <= high <= 1 for rank, low, high in found.ranks.values())
    read = autoloss("fidelity", tmp_path / "run", "--json")
    assert {one["rung"]: one["agreement"]["all"]["spearman"] for one in json.loads(read.stdout)} == {
        rung: list(values) for rung, values in found.ranks.items()
    }


def test_a_search_is_no_measurement(tmp_path: Path) -> None:
    rules = search(generations=1, births=1)
    with Run.create(tmp_path / "run", rules.identity()) as run:
        run.born(Population(rules).ask(0).candidates, [])
        with pytest.raises(InputError, match="holds a search, no measurement of headroom"):
            verdict.analysed(run)


def test_a_rung_of_another_task_is_refused(tmp_path: Path) -> None:
    measured(tmp_path / "run", search(), 2)
    finale = {"rung": {"name": "full", "task": {"steps": 9}, "seeds": [2, 3]}}
    with pytest.raises(InputError, match="rung 'full' was measured with another task"):
        measured(tmp_path / "run", search(finale=finale), 2)


def test_the_command_measures_reads_draws_and_prints_plain_values(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(f"search = {section(evaluator=MEASURED)!r}")
    done = autoloss("headroom", config, tmp_path / "run", "--seeds", 2, "--plot", tmp_path / "chart.png")
    assert done.returncode == 0, done.stderr
    assert "Known losses at 'full', 2 seeds each, best first" in " ".join(done.stdout.split())
    assert "the search would take about" in done.stdout
    with Image.open(tmp_path / "chart.png") as image:
        assert image.width > 800
    read = autoloss("headroom", tmp_path / "run")
    assert read.stdout == done.stdout
    found = json.loads(autoloss("headroom", tmp_path / "run", "--json").stdout)
    assert found["verdict"] in " ".join(done.stdout.split())
    assert found["seeds"] == [2, 3]
    refused = autoloss("headroom", tmp_path / "run", "--seeds", 3)
    assert refused.returncode == 2
    assert "it takes --plot and --json alone" in refused.stderr


def test_an_evaluator_that_cannot_be_measured_says_that_the_time_is_not_known(tmp_path: Path) -> None:
    found = measured(tmp_path / "run", from_mapping(section()), 2)
    assert found.seconds == ()
