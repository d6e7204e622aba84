"""Loop: from settings to a ranked list: generations are born, climb the ladder, and the best meet in the finale."""

from __future__ import annotations

from autoloss.search.population import Population
from autoloss.search.profiling import forecast
from autoloss.search.progress import MEASURING, Watcher
from autoloss.search.runner import Runner, prepare, running, tell
from autoloss.search.selection.climb import climb
from autoloss.search.selection.final import compare
from autoloss.search.stopping import BudgetEnded
from autoloss.settings import Budget, Settings
from autoloss.store.run import Run


def discover(settings: Settings, run: Run, watch: Watcher = lambda _: None, foretell: bool = False) -> str:
    """Runs a search to its end or to that of its budget, from wherever the run stands.

    Args:
        settings: of the search; `settings.identity()` is what the run was created with.
        run: holds what is done already.
        watch: sees the progress.
        foretell: measure first how long it will take, where nothing was trained yet and no budget says it.

    Returns:
        Which budget ended it; empty when the search is done.

    Raises:
        InputError: the set-up cannot work: the evaluator, its data, or the detector's own loss fails; a disk is full.
        KeyboardInterrupt: someone stopped it; what ended within seconds is kept.
    """
    prepare(settings, run)
    ended = ""
    with running(settings, run, watch) as runner:
        try:
            if foretell and settings.budget == Budget() and not run.evaluations():
                runner.reporter.tell(stage=MEASURING)
                runner.reporter.tell(forecast=forecast(settings, runner.executor))
            Loop(runner).run()
        except BudgetEnded as budget:
            ended = str(budget)
        finally:
            runner.stopping.keep_time()
    run.end(ended)
    return ended


class Loop:
    """Generations of a run, as far as they are not done.

    Args:
        runner: evaluates.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._settings = runner, runner.settings
        self._population = Population(runner.settings, runner.candidates.values())

    def run(self) -> None:
        """The whole search."""
        runner = self._runner
        for generation in range(self._settings.generations):
            runner.reporter.tell(generation=generation, stage="gates", done=0, total=0, running="")
            climb(runner, generation, self._born(generation))
            self._population.tell(runner.results.standing())
        if self._settings.finale:
            compare(runner, self._settings.finale)

    def _born(self, generation: int) -> list[int]:
        """Numbers of a generation's candidates, born now unless the run has them."""
        candidates, reporter = self._runner.candidates, self._runner.reporter
        numbers = [number for number, candidate in candidates.items() if candidate.generation == generation]
        if numbers:
            return numbers
        born, refused = reporter.now.born, reporter.now.refused

        def proposing(more: int, less: int) -> None:
            self._runner.stopping.check()
            reporter.tell(born=born + more, refused=refused + less, running="proposing")

        self._runner.stopping.check()
        birth = self._population.ask(generation, proposing)
        self._runner.store.born(birth.candidates, birth.refusals)
        candidates.update({candidate.number: candidate for candidate in birth.candidates})
        reporter.tell(born=born + len(birth.candidates), refused=refused + len(birth.refusals))
        tell("generation born", generation=generation, born=len(birth.candidates), refused=len(birth.refusals))
        return [candidate.number for candidate in birth.candidates]
