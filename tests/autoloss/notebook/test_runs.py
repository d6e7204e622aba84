from pathlib import Path

import pytest

import autoloss
from autoloss.config import from_mapping
from autoloss.search.loop import discover
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.command import autoloss as command
from tests.helpers.small import section


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    settings = from_mapping(section())
    with Run.create(folder, settings.identity()) as run:
        discover(settings, run)
    return folder


def test_the_leaderboard_is_rows_with_the_same_keys(path: Path) -> None:
    rows = autoloss.open_run(path).leaderboard
    assert len({tuple(row) for row in rows}) == 1
    own = next(row for row in rows if row["candidate"] == 0)
    assert own["loss_cls"] is None
    known = next(row for row in rows if row["origin"] == "known: quality focal (beta 2)")
    assert known["loss_cls"] == "(w - sigmoid(x))**2*(softplus(x) - x*w)"
    assert known["loss_cls known"] == "quality focal (beta 2)"
    assert isinstance(known["proxy"], float)


def test_pandas_takes_the_leaderboard(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = autoloss.open_run(path).leaderboard
    frame = pandas.DataFrame(rows)
    assert list(frame.columns) == list(rows[0])


def test_losses_of_a_run_are_formulas_with_their_weights(path: Path) -> None:
    run = autoloss.open_run(path)
    best = next(row for row in run.leaderboard if row["kind"] == "found")
    assert run.best() == run.losses(best["candidate"])
    with Run.open(path) as store:
        (candidate,) = (one for one in store.candidates() if one.number == best["candidate"])
    assert {slot: loss.canonical for slot, loss in run.best().items()} == {
        slot: str(loss.expression) for slot, loss in candidate.losses.items()
    }
    assert {loss.loss_weight for loss in run.best().values()} == {one.loss_weight for one in candidate.losses.values()}


def test_mistakes_are_one_line(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in"):
        autoloss.open_run(tmp_path)
    with pytest.raises(InputError, match="no candidate 999 in"):
        autoloss.open_run(path).losses(999)
    with pytest.raises(InputError, match="candidate 0 is the detector's own loss"):
        autoloss.open_run(path).losses(0)


def test_people_see_short_formulas_and_canonical_text_when_they_ask_for_it(path: Path) -> None:
    shown = command("show", path, "--full").stdout.replace("\n", " ")
    assert "(w - sigmoid(x))**2*(softplus(x) - x*w)" in " ".join(shown.split())
    assert "mul(mul(sub(w" not in shown
    assert "mul(mul(sub(w" in command("show", path, "--canonical").stdout
    assert "mul(mul(sub(w" in command("show", path, "--json").stdout


def test_a_candidate_of_a_run_is_inspected(path: Path) -> None:
    best = next(row["candidate"] for row in autoloss.open_run(path).leaderboard if row["kind"] == "found")
    done = command("inspect", path, "--candidate", best)
    assert done.returncode == 0, done.stderr
    assert "nearest" in done.stdout
    assert command("inspect", path, "--latex").stdout.count("frac{\\partial L}") >= 2
