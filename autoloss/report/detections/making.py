"""Making: the trainings that show what the best found and the detector's own loss find, those that are missing."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from autoloss.candidate import OWN, Candidate
from autoloss.evaluator import BESIDE, Detecting
from autoloss.report.detections.document import checked, kept, rung_of, write
from autoloss.report.leaderboard import Leaderboard
from autoloss.rungs.rung import Rung
from autoloss.store.run import Run
from autoloss.workers import executors
from primitives.errors import InputError

MOST = 6
"""Images that are shown."""


def make(run: Run, board: Leaderboard, say: Callable[[str], None]) -> None:
    """Trains the recommended loss and the own one as the finale did with its first seed; what is kept is not made anew.

    Args:
        run: of a search.
        board: its leaderboard.
        say: told of every training before it begins.

    Raises:
        InputError: nothing was found yet, the evaluator shows no detections, or a training fails.
    """
    if board.own is None or not board.picks():
        raise InputError(f"{board.run}: nothing that was found has been trained yet, so there is nothing to show")
    rung = rung_of(board.settings)
    missing = [one for one in (board.own.candidate, board.picks()[0].candidate) if not kept(run.directory, one, rung)]
    if not missing:
        return
    settings = board.settings.beside(board.trained.get(BESIDE, ()))
    executors.start(settings.evaluator_spec, settings.stand_ins)
    evaluator = executors.held().of(rung.task)
    if not isinstance(evaluator, Detecting):
        kind = type(evaluator).__name__
        raise InputError(f"{kind} shows no detections; see Detecting in autoloss/evaluator.py for what it would need")
    for one in missing:
        say(f"training {_named(one)} at {rung.name}, seed {rung.seeds[0]}{_time(run, one, rung)}")
        try:
            given = evaluator.detect(one.spec(), rung.task, rung.seeds[0], MOST)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"the training of {_named(one)} failed: {type(error).__name__}: {error}") from None
        write(run.directory, checked(one.number, rung.name, rung.seeds[0], given))


def _named(one: Candidate) -> str:
    return "the detector's own loss" if one.number == OWN else f"#{one.number}"


def _time(run: Run, one: Candidate, rung: Rung) -> str:
    took = [e.seconds for e in run.evaluations() if (e.candidate, e.rung) == (one.number, rung.name) and e.seconds]
    return f", about {statistics.median(took):,.0f} s" if took and statistics.median(took) >= 1 else ""
