"""Command: an evaluator that runs a training script of one's own, with losses as files of plain PyTorch."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from autoloss.evaluator import BESIDE
from autoloss.evaluators.answer import LAST_LINE, Answer, NoScoreError
from autoloss.evaluators.child import run
from autoloss.evaluators.template import PLACE, Template
from autoloss.export.plain import slot_file
from autoloss.workers import memory
from autoloss.workers.limits import WorkerError
from primitives.catalog import slots as all_slots
from primitives.errors import InputError
from primitives.system import scratch
from primitives.text.printable import printable

OWN = "own"
"""What stands for a slot that keeps the loss of the script."""
_GIVEN = ("seed", "folder", "python")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class CommandError(RuntimeError):
    """The command failed; the text says how, and its last words."""


class CommandEvaluator:
    """Runs a command for every training; satisfies the engine's Evaluator protocol.

    Args:
        command: a line, or its words, with placeholders: `{loss_cls}` and `{loss_bbox}`, the path of a file, or 'own';
            `{seed}`; `{folder}`, one that the evaluation has for itself; `{python}`, which runs the search; and every
            key of the rungs' tasks.
        score: 'last line' of the output, or `json`, a file in the folder, and `key`, of the score in it.
        environment: variables of the command beside those of the search; it has one thread where they say nothing.
        beside: folders in which the words of the command are looked for before the working directory.

    Raises:
        InputError: the command or the place of the score cannot be.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        score: str | Mapping[str, object] = LAST_LINE,
        environment: Mapping[str, str] | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        self._template, self._answer = Template.of(command), Answer.of(score)
        self._environment, self._beside = _variables(environment), tuple(beside)
        if self._answer.file and "folder" not in self._template.names:
            raise InputError(f"{PLACE} does not say {{folder}}, where the score is looked for: {self._answer.file}")

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        """Looks whether the program and its files are there and every placeholder has a value; nothing is run.

        Raises:
            InputError: they are not.
        """
        self._template.located(self._beside)
        names = self._template.names
        for slot in slots:
            if slot not in names:
                raise InputError(f"{PLACE} does not say {{{slot}}}, a slot that is searched")
        for task in tasks:
            given = [*all_slots(), *_GIVEN, *task]
            for key, value in task.items():
                if key in (*all_slots(), *_GIVEN):
                    raise InputError(f"a task of this evaluator cannot say {key!r}, which the search gives by itself")
                if key not in names:
                    raise InputError(
                        f"the command has no {{{printable(key)}}}, which task {printable(dict(task))} says"
                    )
                if not isinstance(value, (str, int, float)):
                    raise InputError(
                        f"task key {key!r}: a command takes text and numbers, got {printable(repr(value))}"
                    )
            for name in names:
                if name not in given:
                    raise InputError(
                        f"{PLACE}: {{{name}}} has no value at task {printable(dict(task))}; choices: {', '.join(given)}"
                    )

    def describe(self) -> dict[str, Any]:
        """The command, and what its score is called."""
        return {"detector": str(self._template), **self._elsewhere(), "metric": self._answer.metric}

    def _elsewhere(self) -> dict[str, list[str]]:
        """Where files of the command are looked for, if one is there and not where its name says."""
        with suppress(InputError):  # what is nowhere but there
            if self._template.located(self._beside).words == self._template.located(()).words:
                return {}
        return {BESIDE: list(self._beside)}

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        """Runs the command once.

        Returns:
            `score`, and the numbers beside it in a JSON file.

        Raises:
            CommandError: it ended with another exit code than 0, or without a score.
            WorkerError: someone else ended it, which is no fault of the losses.
        """
        with scratch.folder() as folder:
            values = {name: str(value) for name, value in rung.items()}
            values |= {"seed": str(seed), "folder": folder, "python": sys.executable}
            values |= dict.fromkeys(all_slots(), OWN)
            for slot, loss in losses.items():
                file = Path(folder) / f"{slot}.py"
                file.write_text(slot_file(slot, loss), encoding="utf-8")
                values[slot] = str(file)
            words = self._template.located(self._beside).filled(values)
            ended = run(words, {"PYTHONUNBUFFERED": "1", **_ONE_THREAD, **os.environ, **self._environment})
            memory.add_children(ended.memory)
            said = f"; it said last: {ended.said}" if ended.said else ""
            if ended.stopped:
                raise WorkerError(f"the command was ended by {ended.stopped}{said}")
            if ended.code:
                raise CommandError(f"it ended with exit code {ended.code}{said}")
            try:
                return self._answer.metrics(ended.output, Path(folder))
            except NoScoreError as error:
                raise CommandError(f"{error}{said}") from None


def _variables(environment: object) -> dict[str, str]:
    """What a config adds to the environment."""
    if environment is None:
        return {}
    if not isinstance(environment, Mapping) or not all(
        isinstance(part, str) and "\0" not in part for pair in environment.items() for part in pair
    ):
        raise InputError(f"search.evaluator.environment is names and texts, got {printable(repr(environment))}")
    return dict(environment)
