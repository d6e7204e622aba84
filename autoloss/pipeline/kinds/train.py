"""Train as a step: the winner of a search, the own loss and the own loss with tuned weights, trained whole."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import itertools
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from autoloss.audit.contestants import scaled
from autoloss.candidate import Kind as CandidateKind
from autoloss.candidate import Loss
from autoloss.evaluator import EVALUATORS
from autoloss.export import folder as package
from autoloss.pipeline.kinds.export import chosen
from autoloss.pipeline.kinds.export import took as took_of_export
from autoloss.pipeline.kinds.kind import Costs, Kind, Outcome, Work, keep_table, spread
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.pipeline.trained import NAMES, OWN, TUNED, WINNER, Trained, Training
from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.cost_model import MachineCosts
from autoloss.search.stopping import Interrupts
from autoloss.settings import Settings
from autoloss.store.run import Run
from autoloss.workers import executors
from autoloss.workers.limits import WorkerError
from autoloss.workers.retries import TRIES
from primitives.errors import InputError
from primitives.system import places

TRAIN, LENGTH = "detectors.training.full:train_detector", "detectors.training.full:length"
"""Who trains, and who says how long that is, as 'module:function'."""
_BATCH = 8
"""Images an iteration, where an evaluator does not say."""
LEAST_SEEDS = 2
_FIRST = 1001
"""Seeds count up from here."""
_RESULT, _LOG = "result.json", "log.txt"
Losses = Mapping[str, Mapping[str, Any]]


def _inputs(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    names = ("iterations", "data", "seeds", "backbone", "cfg_options")
    section = {"detector": detector_of(pipeline, step), **{name: getattr(step.section, name) for name in names}}
    return {"of": step.search, **section, **({"data": dict(pipeline.data)} if pipeline.data else {})}


def detector_of(pipeline: Pipeline, step: Step) -> str | None:
    """The config that a section names, as it is found; None for the detector of the search.

    Raises:
        InputError: it is nowhere.
    """
    named: str | None = step.section.detector
    if named is None or ("::" in named and not named.startswith(places.TOOLKIT)):
        return named
    return str(places.find(named, "detector config", pipeline.beside, "detectors"))


def _took(work: Work) -> dict[str, Any]:
    return {**took_of_export(work), "losses": {who: spec for who, (_, spec) in _taking_part(work).items()}}


def _taking_part(work: Work) -> dict[str, tuple[str, dict[str, Any]]]:
    """Who is trained: what it is, for people, and its losses as plain values."""
    one = chosen(work)
    found = {WINNER: ("; ".join(map(tables.short, one.losses.values())), one.spec())}
    tuned = _tuned(work)
    if tuned is not None:
        found[TUNED] = tuned
    return {**found, OWN: ("", {})}


def _tuned(work: Work) -> tuple[str, dict[str, Any]] | None:
    """The own loss with the weights of an audit, else with those of the search's best control; None where 1 is best."""
    settings = work.pipeline.settings(work.pipeline.step(work.step.search))
    for name in work.step.before["audit"][::-1]:
        if work.pipeline.step(name).search == work.step.search:
            factors = {slot: factor for slot, factor in work.entry(name).gave["tuned"].items() if factor != 1}
            named = ", ".join(f"{slot} x {factor:g}" for slot, factor in factors.items())
            return (named, _spec(scaled(settings, {}, factors))) if factors else None
    with Run.open(work.folder / work.entry(work.step.search).gave["run"]) as run:
        board = Leaderboard.of(run)
    controls = [row for row in board.given if row.candidate.kind is CandidateKind.CONTROL and row.scores]
    rung = next((name for name in reversed(board.rungs) if any(name in row.scores for row in controls)), None)
    if rung is None or board.own is None or rung not in board.own.scores:
        return None
    best = max((row for row in controls if rung in row.scores), key=lambda row: row.scores[rung].mean)
    if best.scores[rung].mean <= board.own.scores[rung].mean:
        return None
    return str(best.candidate.origin), best.candidate.spec()


def _spec(losses: Mapping[str, Loss]) -> dict[str, Any]:
    return {slot: loss.spec() for slot, loss in losses.items()}


def _measured(pipeline: Pipeline, step: Step) -> Settings | None:
    """The last rung of the search; with another detector, that one's."""
    settings, detector = pipeline.settings(pipeline.step(step.search)), detector_of(pipeline, step)
    if detector is None:
        return settings
    spec = {key: value for key, value in settings.first_evaluator.items() if key not in ("size", "cfg_options")}
    spec |= {"type": EVALUATORS["detector"], "detector": detector, "data": _data(pipeline, step) or spec.get("data")}
    changes = {"evaluator": spec, "evaluators": [], "objective": None, "ladder": [settings.rungs[-1]], "finale": None}
    return settings.model_copy(update=changes)


def _data(pipeline: Pipeline, step: Step) -> Any:
    """Of another detector than that of the search; None for its own."""
    return step.section.data if pipeline.data is None else dict(pipeline.data)


def _costs(pipeline: Pipeline, step: Step, costs: MachineCosts) -> Costs:
    settings = pipeline.settings(pipeline.step(step.search))
    cost, detector = costs.costs[settings.rungs[-1].name], detector_of(pipeline, step)
    iterations = float(step.section.iterations or cost.iterations)
    if detector is not None:
        count, batch = _reached(LENGTH)(detector, _data(pipeline, step), step.section.cfg_options)
        iterations = count * batch / settings.first_evaluator.get("batch_size", _BATCH)
    each = cost.one.seconds(math.ceil(iterations))
    return {count: spread(len(NAMES) * count, each, costs) for count in range(LEAST_SEEDS, step.section.seeds + 1)}


def _seeds(work: Work) -> Iterator[int]:
    """Seeds that took no part in the search or its audit."""
    run = work.folder / work.entry(work.step.search).gave["run"]
    used: set[int] = set()
    for folder in (run, *(path.parent for path in run.glob("*/*.sqlite"))):
        with Run.open(folder) as opened:
            used |= {one.seed for one in opened.evaluations()}
    return (seed for seed in itertools.count(_FIRST) if seed not in used)


def _run(work: Work) -> Outcome:
    begin, before = time.monotonic(), work.entry(work.step.name).seconds
    most = work.step.section.seeds if work.amount is None else work.amount
    seeds = list(itertools.islice(_seeds(work), most))
    trainings = _Trainings(work, _taking_part(work))
    whole = seeds if work.seconds is None else seeds[:LEAST_SEEDS]
    with trainings.workers() as executor:
        trainings.train(executor, whole)
        while len(whole) < len(seeds) and work.seconds is not None:
            spent = before + time.monotonic() - begin
            if spent * (len(whole) + 1) / len(whole) > work.seconds:
                break
            whole = seeds[: len(whole) + 1]
            trainings.train(executor, whole)
    found = trainings.found(whole)
    keep_table(work.place, found.table())
    (work.place / "train.json").write_text(json.dumps(found.plain_values(), indent=2) + "\n", encoding="utf-8")
    checkpoints = {f"{one.who}-seed{one.seed}": one.checkpoint for one in found.trainings if one.checkpoint}
    gave = {"table": f"{work.step.name}/table.txt", "checkpoints": checkpoints, "seeds": whole}
    return Outcome(found.figures(), gave, found.said(), len(whole) < work.step.section.seeds)


class _Trainings:
    """The trainings of a step, each with a folder of its own; those that are done are not done again."""

    def __init__(self, work: Work, taking_part: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
        self._work, self._taking_part = work, taking_part
        self._settings = work.pipeline.settings(work.pipeline.step(work.step.search))
        self._section = work.step.section
        work.place.mkdir(parents=True, exist_ok=True)
        spec = self._settings.first_evaluator
        whole = self._section.detector is not None or spec["type"] == EVALUATORS["detector"]
        named = detector_of(work.pipeline, work.step)
        self._detector = self._written() if whole and named is None else named

    @contextlib.contextmanager
    def workers(self) -> Iterator[executors.Workers]:
        """Workers of this machine that hold the first evaluator of the search, a training each at a time."""
        given = self._work.pipeline.workers(self._section)
        changes = {"ray": None, "workers": self._settings.workers if given is None else given}
        alone: dict[str, Any] = {"evaluator": self._settings.first_evaluator, "evaluators": [], "objective": None}
        executor = executors.make(self._settings.model_copy(update={**changes, **alone}))
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)

    def train(self, executor: executors.Workers, seeds: Sequence[int]) -> None:
        """Trains everyone with these seeds, as far as it is not done.

        Raises:
            InputError: the training with the own loss fails.
            KeyboardInterrupt: someone asked to stop.
        """
        jobs = [(who, seed) for seed in seeds for who in (OWN, WINNER, TUNED) if who in self._taking_part]
        todo = [job for job in jobs if not self._file(*job).exists()]
        done, tries = len(jobs) - len(todo), dict.fromkeys(todo, 1)
        pending: dict[Future[dict[str, Any]], tuple[str, int]] = {}
        with Interrupts() as interrupts:
            while todo or pending:
                interrupts.check()
                while todo and len(pending) < executor.width:
                    job = todo.pop(0)
                    pending[self._begin(executor, *job)] = job
                for future in wait(pending, timeout=1, return_when=FIRST_COMPLETED).done:
                    job = pending.pop(future)
                    if self._again(future, tries, job):
                        todo.insert(0, job)
                        continue
                    self._keep(future, *job)
                    done += 1
                    self._work.console.print(f"{done} of {len(jobs)} trained: {NAMES[job[0]]}, seed {job[1]}")

    def found(self, seeds: Sequence[int]) -> Trained:
        """What is kept of the trainings with these seeds."""
        files = [self._file(who, seed) for seed in seeds for who in self._taking_part]
        kept = [Training(**json.loads(file.read_text(encoding="utf-8"))) for file in files]
        metric = "mAP"
        if self._detector is None:
            with Run.open(self._work.folder / self._work.entry(self._work.step.search).gave["run"]) as run:
                metric = Leaderboard.of(run).metric
        return Trained(metric, {who: what for who, (what, _) in self._taking_part.items()}, kept)

    def _file(self, who: str, seed: int) -> Path:
        return self._work.place / f"{who}-seed{seed}" / _RESULT

    def _begin(self, executor: executors.Workers, who: str, seed: int) -> Future[dict[str, Any]]:
        losses, place = self._taking_part[who][1], self._file(who, seed).parent
        place.mkdir(exist_ok=True)
        if self._detector is None:
            task = dict(self._settings.rungs[-1].task)
            if self._section.iterations is not None:
                task["iterations"] = self._section.iterations
            return executor.submit(evaluated, losses, task, seed)
        arguments = {
            "losses": losses,
            "centerness_target": self._settings.first_evaluator.get("centerness_target"),
            "data": _data(self._work.pipeline, self._work.step) if self._section.detector else None,
            "backbone": self._section.backbone,
            "cfg_options": self._section.cfg_options,
            "seed": seed,
        }
        return executor.submit(trained, self._detector, str(place), arguments)

    def _again(self, future: Future[Any], tries: dict[tuple[str, int], int], job: tuple[str, int]) -> bool:
        """Whether a worker was lost that may not be to blame."""
        if not isinstance(future.exception(), WorkerError) or tries[job] >= TRIES:
            return False
        tries[job] += 1
        return True

    def _keep(self, future: Future[dict[str, Any]], who: str, seed: int) -> None:
        """Keeps a result, whole or not at all; the checkpoint by its place in the pipeline's folder."""
        try:
            score, checkpoint, error = (*(future.result()[key] for key in ("score", "checkpoint")), "")
        except Exception as caught:
            if who == OWN:
                raise InputError(f"training with {NAMES[OWN]}, seed {seed}: {caught}") from None
            score, checkpoint, error = None, None, str(caught) or type(caught).__name__
        if checkpoint is not None:
            checkpoint = str(Path(checkpoint).resolve().relative_to(self._work.folder.resolve()))
        file = self._file(who, seed)
        fresh = file.with_name(f"{file.name}.new")
        one = Training(who, seed, score, error, checkpoint)
        fresh.write_text(json.dumps(dataclasses.asdict(one)), encoding="utf-8")
        fresh.replace(file)

    def _written(self) -> str:
        """The detector and data of the search as a config, trained as at its last rung, or for other iterations."""
        one = chosen(self._work)
        task = dict(one.setup["task"])
        if self._section.iterations is not None:
            task["iterations"] = self._section.iterations
        files = package.texts(dataclasses.replace(one, setup={**one.setup, "task": task}), "mmdet")
        losses = next(iter(files))
        for name, text in files.items():
            if name not in (losses, "config.py"):
                (self._work.place / name).write_text(text, encoding="utf-8")
        return str(self._work.place / "detector.py")


def _reached(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def evaluated(losses: Losses, task: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """In a worker: a training by the evaluator that it holds, which keeps no checkpoint."""
    return {"score": float(executors.held().of(task).evaluate(losses, task, seed)["score"]), "checkpoint": None}


def trained(detector: str, work_dir: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """In a worker: a training by mmengine's Runner; one that was killed goes on from its last checkpoint.

    Args:
        detector: config.
        work_dir: of logs and checkpoints.
        arguments: others, as of `train_detector`.
    """
    call, place = _reached(TRAIN), Path(work_dir)
    resume = (place / "last_checkpoint").exists()
    found = _logged(call, place, detector, {**arguments, "resume": resume})
    if resume and not found["metrics"]:  # killed between its last checkpoint and its scores: once more from the first
        shutil.rmtree(place)
        place.mkdir()
        found = _logged(call, place, detector, {**arguments, "resume": False})
    score = found.get("test", found)["mAP"]
    return {"score": 0.0 if score is None else score, "checkpoint": found["checkpoint"]}  # none: it detects nothing


def _logged(call: Any, place: Path, detector: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A training whose log goes into its folder."""
    with (
        (place / _LOG).open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        found: dict[str, Any] = call(detector, work_dir=str(place), **arguments)
    return found


_OVER = {
    "gain": "mean score of what is recommended less that of the own loss",
    "low": "end of its 95 % interval",
    "high": "other end",
    "p_better": "probability that what is recommended is better",
}
KIND = Kind(
    figures={
        "winner": "mean score of what is recommended",
        "own": "of the own loss",
        "tuned": "of the own loss with tuned weights",
        **_OVER,
        **{f"{name}_over_tuned": f"{what}, against the own loss with tuned weights" for name, what in _OVER.items()},
        "seeds": "of every loss",
    },
    inputs=_inputs,
    took=_took,
    costs=_costs,
    run=_run,
    measured=_measured,
    needs=("search", "audit"),
    amount="seeds",
)
