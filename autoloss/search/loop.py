"""Loop: from settings to a ranked list: generations are born, climb the ladder, and the best meet in the finale."""

from __future__ import annotations

from autoloss.candidate import OWN, Kind
from autoloss.search import ladder
from autoloss.search.population import Population
from autoloss.search.profiling import forecast
from autoloss.search.progress import MEASURING, Watcher
from autoloss.search.runner import Runner, prepare, running, tell
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
    population = Population(settings, run.candidates())
    prepare(settings, run)
    ended = ""
    with running(settings, run, watch) as runner:
        try:
            if foretell and settings.budget == Budget() and not run.evaluations():
                runner.reporter.tell(stage=MEASURING)
                runner.reporter.tell(forecast=forecast(settings, runner.executor))
            Loop(runner, population).run()
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
        population: with all candidates of the run.
    """

    def __init__(self, runner: Runner, population: Population) -> None:
        self._runner, self._settings = runner, runner.settings
        self._population = population

    def run(self) -> None:
        """The whole search."""
        for generation in range(self._settings.generations):
            self._runner.reporter.tell(generation=generation, stage="gates", done=0, total=0, running="")
            self._climb(self._born(generation))
            self._population.tell(self._standing(), self._runner.results.ranking(self._settings))
        if self._settings.finale:
            rung = self._settings.finale.rung
            self._runner.reporter.tell(
                generation=self._settings.generations, stage=rung.name, done=0, total=0, running=""
            )
            self._runner.evaluate(self._finalists(), rung)

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

    def _climb(self, numbers: list[int]) -> None:
        """Leads a generation up the ladder."""
        passed: list[dict[int, float]] = []
        for rung in self._settings.ladder:
            self._runner.evaluate(numbers, rung)
            scores = self._runner.results.scores(rung)
            here = {number: scores[number] for number in numbers if number in scores}
            # What was given is measured at every rung: what is found must be better than that.
            given = [number for number in here if self._runner.candidates[number].kind is not Kind.FOUND]
            found = {number: score for number, score in here.items() if number not in given}
            numbers = [*given, *ladder.promoted(found, scores[OWN], rung.keep, passed, rung.ranks)]
            passed += [here] if rung.ranks else []

    def _standing(self) -> list[int]:
        return self._runner.results.standing(self._settings)

    def _finalists(self) -> list[int]:
        """The detector's own loss, the known losses that the config names, the best control, and the best found."""
        finale, standing = self._settings.finale, self._standing()
        if finale is None:
            return []
        of_kind = {kind: [n for n in standing if self._runner.candidates[n].kind is kind] for kind in Kind}
        known = [index + 1 for index in finale.known]
        return [OWN, *known, *of_kind[Kind.CONTROL][:1], *of_kind[Kind.FOUND][: finale.count]]
