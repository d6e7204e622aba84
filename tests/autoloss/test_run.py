import sqlite3
from pathlib import Path

import pytest

from autoloss.candidate import Candidate, Evaluation, Kind, Loss, Refusal, State
from autoloss.run import FILE, Run
from primitives.errors import InputError

SETTINGS = {"seed": 1, "ladder": [{"name": "proxy"}]}
CANDIDATE = Candidate(3, Kind.FOUND, 1, {"loss_bbox": Loss("i", "box", 2.0)}, "mutation of 1", (1,), True, "ab", 7)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    done = Evaluation(3, "proxy", 0, State.DONE, 0.5, {"score": 0.5}, seconds=1.5, ended=1e9)
    failed = Evaluation(3, "proxy", 1, State.FAILED, error="the loss is NaN")
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [Refusal(3, 0, "loss_bbox", "u", "minimum", "because")])
        for evaluation in (done, failed):
            run.started(3, "proxy", evaluation.seed)
            run.finished(evaluation)
    with Run.open(tmp_path / "run") as run:
        assert run.settings == SETTINGS
        assert run.candidates() == [CANDIDATE]
        assert run.evaluations("proxy") == run.evaluations() == [done, failed]
        assert run.evaluations("full") == []
        assert run.refusals() == [Refusal(3, 0, "loss_bbox", "u", "minimum", "because")]
        assert run.refused_by_gate() == {"minimum": 1}


def test_an_evaluation_ends_once(tmp_path: Path) -> None:
    done = Evaluation(3, "proxy", 0, State.DONE, 0.5)
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [])
        with pytest.raises(ValueError, match="not running"):
            run.finished(done)
        run.started(3, "proxy", 0)
        with pytest.raises(ValueError, match="has not finished"):
            run.finished(Evaluation(3, "proxy", 0, State.RUNNING))
        run.finished(done)
        with pytest.raises(ValueError, match="not running"):
            run.finished(Evaluation(3, "proxy", 0, State.DONE, 0.9))
        with pytest.raises(sqlite3.IntegrityError):
            run.started(3, "proxy", 0)
        assert run.evaluations() == [done]


def test_a_generation_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS) as run:
        refusal = Refusal(3, 0, "loss_bbox", "u", "minimum", "because")
        with pytest.raises(sqlite3.IntegrityError):
            run.born([CANDIDATE], [refusal, refusal])
        assert run.candidates() == []


def test_evaluations_of_a_dead_process_are_forgotten(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [])
        run.started(3, "proxy", 0)
    with Run.open(tmp_path / "run") as run:
        assert run.forget_running() == 1
        assert run.evaluations() == []


def test_another_config_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", SETTINGS).close()
    before = (tmp_path / "run" / FILE).read_bytes()
    with pytest.raises(InputError, match=r"another config: search\.ladder\.0\.name was 'proxy', is 'full'"):
        Run.create(tmp_path / "run", {"seed": 1, "ladder": [{"name": "full"}]})
    assert (tmp_path / "run" / FILE).read_bytes() == before
    Run.create(tmp_path / "run", SETTINGS).close()


def test_directories_that_hold_no_run_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in"):
        Run.open(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        Run.create(tmp_path, SETTINGS)
    (tmp_path / FILE).write_text("not a database, but some text that is long enough to look like a header" * 20)
    with pytest.raises(InputError, match="is not a run file"):
        Run.open(tmp_path)


def test_a_run_of_a_newer_version_is_named(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", SETTINGS).close()
    with sqlite3.connect(tmp_path / "run" / FILE) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(InputError, match="has schema 99"):
        Run.open(tmp_path / "run")


def test_a_creation_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"{FILE}.new").write_bytes(b"half a file")
    with Run.create(tmp_path / "run", SETTINGS) as run:
        assert run.settings == SETTINGS


@pytest.mark.parametrize(
    ("state", "score", "error"),
    [(State.DONE, None, None), (State.RUNNING, 0.5, None), (State.FAILED, None, None), (State.DONE, 0.5, "why")],
)
def test_illegal_pairs_of_state_and_value_cannot_be_made(state: State, score: float | None, error: str | None) -> None:
    with pytest.raises(ValueError, match="an evaluation has"):
        Evaluation(0, "proxy", 0, state, score, error=error)
