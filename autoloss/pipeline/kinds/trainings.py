"""Trainings of a step: each in a folder of its own, over the workers of this machine; those that are done stay."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from autoloss.evaluator import EVALUATORS
from autoloss.export import folder as package
from autoloss.pipeline.kinds.export import chosen
from autoloss.pipeline.kinds.kind import Work
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.pipeline.trained import NAMES, OWN, TUNED, WINNER, Trained, Training
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.stopping import Interrupts
from autoloss.settings import Settings
from autoloss.store.run import Run
from autoloss.workers import executors
from autoloss.workers.limits import WorkerError
from autoloss.workers.retries import TRIES
from primitives.errors import InputError
from primitives.system import places
from primitives.system.files import write_whole
from primitives.system.names import reached
from primitives.text.printable import printable

TRAIN, LENGTH = "detectors.training.full:train_detector", "detectors.foreseen:length"
"""Who trains, and who says how long that is, as 'module:function'."""
_RESULT, _LOG = "result.json", "log.txt"
Losses = Mapping[str, Mapping[str, Any]]


def detector_of(pipeline: Pipeline, step: Step) -> str | None:
    """The config that a section names, as it is found; None for the detector of the search.

    Raises:
        InputError: it is nowhere.
    """
    named: str | None = step.section.detector
    if named is None or ("::" in named and not named.startswith(places.TOOLKIT)):
        return named
    return str(places.find(named, "detector config", pipeline.beside, "detectors"))


METRICS = {
    "mAP": "mAP",
    "AP50": "mAP_50",
    "AP75": "mAP_75",
    "AP_small": "mAP_s",
    "AP_medium": "mAP_m",
    "AP_large": "mAP_l",
}
"""What a whole training can be scored by, as searches and as mmdetection's CocoMetric call it."""


def metric_of(settings: Settings) -> str:
    """What trainings are scored by: the metric of the search.

    Raises:
        InputError: whole trainings do not tell it.
    """
    metric = settings.first_evaluator.get("metric", "mAP")
    if not isinstance(metric, str) or metric not in METRICS:
        raise InputError(
            f"whole trainings are scored by {', '.join(METRICS)}, the search by {printable(str(metric), 80)}; leave "
            "the step out, or search for one of these"
        )
    return metric


def data_of(pipeline: Pipeline, step: Step) -> Any:
    """Of another detector than that of the search; None for its own."""
    return step.section.data if pipeline.data is None else dict(pipeline.data)


class Trainings:
    """The trainings of a step, each with a folder of its own; those that are done are not done again."""

    def __init__(self, work: Work, taking_part: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
        self._work, self._taking_part = work, taking_part
        self._settings = work.pipeline.settings(work.pipeline.step(work.step.search))
        self._section = work.step.section
        self._ended: dict[tuple[str, int], Training] = {}
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
        """Trains everyone with these seeds, as far as it is not done; what failed in another session is tried again.

        Raises:
            InputError: the training with the own loss fails.
            KeyboardInterrupt: someone asked to stop.
        """
        jobs = [(who, seed) for seed in seeds for who in (OWN, WINNER, TUNED) if who in self._taking_part]
        todo = [job for job in jobs if not self._is_done(*job)]
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
        trainings = [self._ended[who, seed] for seed in seeds for who in self._taking_part]
        if self._detector is not None:
            metric = metric_of(self._settings)
        else:
            with Run.open(self._work.folder / self._work.entry(self._work.step.search).gave["run"]) as run:
                metric = Leaderboard.of(run).metric
        return Trained(metric, {who: what for who, (what, _) in self._taking_part.items()}, trainings)

    def _is_done(self, who: str, seed: int) -> bool:
        file = self._file(who, seed)
        if (who, seed) not in self._ended and file.exists():
            one = Training(**json.loads(file.read_text(encoding="utf-8")))
            if one.score is not None and math.isfinite(one.score):
                self._ended[who, seed] = one
        return (who, seed) in self._ended

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
            "data": data_of(self._work.pipeline, self._work.step) if self._section.detector else None,
            "backbone": self._section.backbone,
            "cfg_options": self._section.cfg_options,
            "seed": seed,
        }
        return executor.submit(trained, self._detector, str(place), arguments, METRICS[metric_of(self._settings)])

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
        one = self._ended[who, seed] = Training(who, seed, score, error, checkpoint)
        write_whole(self._file(who, seed), json.dumps(dataclasses.asdict(one)))

    def _written(self) -> str:
        """The detector and data of the search as a config, trained as at its last rung, or for other iterations."""
        one = chosen(self._work)
        setup = {**one.setup, "iterations": self._section.iterations}
        files = package.texts(dataclasses.replace(one, setup=setup), "mmdet")
        losses = next(iter(files))
        for name, text in files.items():
            if name not in (losses, "config.py"):
                (self._work.place / name).write_text(text, encoding="utf-8")
        return str(self._work.place / "detector.py")


def evaluated(losses: Losses, task: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """In a worker: a training by the evaluator that it holds, which keeps no checkpoint."""
    return {"score": _finite(executors.held().of(task).evaluate(losses, task, seed)["score"]), "checkpoint": None}


def _finite(score: Any) -> float:
    """Refuses a score that nothing can be compared with.

    Raises:
        FloatingPointError: it is not finite.
    """
    if not math.isfinite(score):
        raise FloatingPointError(f"its score is {score}, which is no finite number")
    return float(score)


def trained(detector: str, work_dir: str, arguments: Mapping[str, Any], metric: str = "mAP") -> dict[str, Any]:
    """In a worker: a training by mmengine's Runner; one that was killed goes on from its last checkpoint.

    Args:
        detector: config.
        work_dir: of logs and checkpoints.
        arguments: others, as of `train_detector`.
        metric: of `METRICS`, as mmdetection calls it.
    """
    place = Path(work_dir)
    resume = (place / "last_checkpoint").exists()
    with (
        (place / _LOG).open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        found: dict[str, Any] = reached(TRAIN)(detector, work_dir=work_dir, resume=resume, **arguments)
    told = found.get("test", found)
    score = told["mAP"] if metric == METRICS["mAP"] else told["metrics"].get(f"bbox_{metric}")
    found_nothing = score is None
    return {"score": 0.0 if found_nothing else _finite(score), "checkpoint": found["checkpoint"]}
