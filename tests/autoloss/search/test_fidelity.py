from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kendalltau, spearmanr

from autoloss.candidate import Evaluation, Kind, State
from autoloss.config import from_mapping
from autoloss.report.plots import fidelity_plot
from autoloss.search import fidelity
from autoloss.search.loop import discover
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.small import section

CHANGES: dict[str, Any] = {
    "generations": 1,
    "births": 8,
    "ladder": [
        {"name": "descend", "task": {"kind": "descend"}},
        {"name": "short", "task": {"steps": 2}, "seeds": [5, 6], "keep": {"count": 1}},
    ],
}


def settings(**changes: Any) -> Settings:
    return from_mapping(section(**{**CHANGES, **changes}))


def measured(directory: Path, **changes: Any) -> list[fidelity.RungFidelity]:
    rules = settings(**changes)
    with Run.create(directory, rules.identity(), fidelity.FREE) as run:
        fidelity.measure_fidelity(rules, run)
        return fidelity.analysed(run)


def test_every_loss_is_measured_at_every_rung_and_at_the_truth_whatever_the_rungs_keep(tmp_path: Path) -> None:
    found = measured(tmp_path / "run")
    assert [rung.rung for rung in found] == ["descend", "short"]
    assert all(len(rung.scores) == 11 for rung in found)
    assert found[1].seeds == 2
    agreement = found[1].agreement
    assert agreement["all"].losses == 11
    assert agreement["top"].losses == 6
    assert sum(agreement[kind].losses for kind in ("class", "box", "pairs") if kind in agreement) <= 10
    assert agreement["all"].spearman[1] <= agreement["all"].spearman[0] <= agreement["all"].spearman[2]


def test_a_measurement_goes_on_with_other_rungs_and_keeps_what_was_measured(tmp_path: Path) -> None:
    before = measured(tmp_path / "run")[1]
    ladder = [CHANGES["ladder"][1], {"name": "longer", "task": {"steps": 4}, "seeds": [7]}]
    after = measured(tmp_path / "run", ladder=ladder)
    assert [rung.rung for rung in after] == ["short", "longer"]
    assert after[0] == before
    with pytest.raises(InputError, match="search.seed was 7, is 8"):
        measured(tmp_path / "run", seed=8)


def test_a_rung_at_which_few_have_been_is_left_out_until_more_have(tmp_path: Path) -> None:
    measured(tmp_path / "run")
    longer = {"name": "longer", "task": {"steps": 4}, "seeds": [7]}
    rules = settings(ladder=[*CHANGES["ladder"], longer])
    with Run.create(tmp_path / "run", rules.identity(), fidelity.FREE) as run:
        run.started(0, "longer", 7)
        run.finished(Evaluation(0, "longer", 7, State.DONE, 0.5, {"score": 0.5}, None, 1.0, 1.0))
        found = fidelity.analysed(run)
    assert [rung.rung for rung in found] == ["descend", "short"]
    assert autoloss("fidelity", tmp_path / "run").returncode == 0


def test_a_loss_that_lacks_a_seed_is_left_out_and_one_that_failed_is_last(tmp_path: Path) -> None:
    measured(tmp_path / "run")
    again = {"name": "again", "task": {"steps": 4}, "seeds": [7, 8]}
    with Run.create(tmp_path / "run", settings(ladder=[*CHANGES["ladder"], again]).identity(), fidelity.FREE) as run:
        for number in range(6):
            for seed in (7, 8) if number < 4 else (7,):
                run.started(number, "again", seed)
                state, score = (State.FAILED, None) if number == 5 else (State.DONE, 0.5 + 0.1 * number)
                error = None if score else "NaN"
                run.finished(Evaluation(number, "again", seed, state, score, {}, error, 1.0, 1.0))
        found = fidelity.analysed(run)[-1]
    assert [*found.scores] == [0, 1, 2, 3, 5]
    assert found.scores[5][0] == -1.0
    assert found.failed == 1


def test_a_rung_that_was_measured_otherwise_is_refused(tmp_path: Path) -> None:
    measured(tmp_path / "run")
    ladder = [{"name": "short", "task": {"steps": 3}, "seeds": [5, 6]}]
    with pytest.raises(InputError, match="rung 'short' was measured with another task; give this one another name"):
        measured(tmp_path / "run", ladder=ladder)


def test_a_rung_that_could_not_be_measured_may_be_mended(tmp_path: Path) -> None:
    broken = [{"name": "short", "task": {"steps": "many"}, "seeds": [5]}]
    with pytest.raises(InputError, match="own loss failed at rung 'short'"):
        measured(tmp_path / "run", ladder=broken)
    assert measured(tmp_path / "run", ladder=[{**broken[0], "task": {"steps": 2}}])[0].rung == "short"


def test_the_last_losses_of_a_search_can_be_measured(tmp_path: Path) -> None:
    rules = from_mapping(section())
    with Run.create(tmp_path / "search", rules.identity()) as search:
        discover(rules, search)
        late = fidelity.late(search, 6)
        assert [one.number for one in late] == list(range(7))
        assert [one.kind for one in late] == [Kind.OWN] + 6 * [Kind.FOUND]
        assert late[-1].losses == search.candidates()[-1].losses
        with pytest.raises(InputError, match="found 12 losses, 13 were asked for"):
            fidelity.late(search, 13)
    with Run.create(tmp_path / "run", settings().identity(), fidelity.FREE) as run:
        fidelity.measure_fidelity(settings(), run, late)
        assert len(fidelity.analysed(run)[0].scores) == 7
        with pytest.raises(InputError, match="holds measurements of other losses; name another directory"):
            fidelity.measure_fidelity(settings(), run, late[:5])


def test_agreement_is_that_of_scipy_and_the_interval_holds_it() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=24)
    pairs = np.stack((truth + 0.5 * rng.normal(size=24), truth), axis=1)
    found = fidelity.agreed(pairs)
    assert found.spearman[0] == pytest.approx(spearmanr(*pairs.T).statistic)
    assert found.kendall[0] == pytest.approx(kendalltau(*pairs.T).statistic)
    assert found.spearman[1] < found.spearman[0] < found.spearman[2]
    assert fidelity.agreed(np.stack((truth, truth), axis=1)).kept == 1
    assert fidelity.agreed(np.stack((-truth, truth), axis=1)).kept == 0


@pytest.mark.parametrize("digits", [0, 3])
def test_every_resample_correlates_as_scipy_says_also_with_ties(digits: int) -> None:
    rng = np.random.default_rng(4)
    pairs = rng.normal(size=(9, 2)).round(digits)
    drawn = rng.integers(9, size=(50, 9))
    times = np.stack([np.bincount(sample, minlength=9) for sample in drawn])
    samples = [pairs[sample].T for sample in drawn]
    np.testing.assert_allclose(fidelity.spearman(pairs, times), [spearmanr(*one).statistic for one in samples])
    np.testing.assert_allclose(fidelity.kendall(pairs, times), [kendalltau(*one).statistic for one in samples])
    for statistic in (fidelity.spearman, fidelity.kendall):
        assert np.isnan(statistic(pairs, np.asarray([[9, *[0] * 8]]))).all()  # one loss, nine times


def test_the_command_prints_a_table_or_plain_values_and_draws(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(f"search = {section(**CHANGES)!r}")
    done = autoloss("fidelity", config, tmp_path / "run", "--plot", tmp_path / "chart.png")
    assert done.returncode == 0, done.stderr
    assert "short" in done.stdout
    assert "Spearman" in done.stdout
    with Image.open(tmp_path / "chart.png") as image:
        assert image.width > 800
    rows = json.loads(autoloss("fidelity", config, tmp_path / "run", "--json").stdout)
    assert [row["rung"] for row in rows] == ["descend", "short"]
    with pytest.raises(InputError, match="cannot write the picture"):
        fidelity_plot.fidelity(measured(tmp_path / "other"), tmp_path / "chart.nothing")


def test_a_config_without_a_finale_has_no_truth(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(f"search = {section(**CHANGES, finale=None)!r}")
    done = autoloss("fidelity", config, tmp_path / "run")
    assert done.returncode == 2
    assert "fidelity needs search.finale" in done.stderr
