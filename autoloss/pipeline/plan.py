"""Plan: a pipeline's config becomes steps that fit each other; whatever is wrong with it shows before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoloss import config
from autoloss.pipeline import sections
from autoloss.pipeline.condition import Condition, read
from autoloss.settings import Settings
from autoloss.values import alike
from primitives.errors import InputError
from primitives.text.printable import printable

SECTIONS: Mapping[str, type[sections.Step]] = {
    "headroom": sections.Headroom,
    "search": sections.Search,
    "audit": sections.Audit,
    "train": sections.Train,
    "export": sections.Export,
    "report": sections.Report,
}
"""What a step may do: the section of each command."""
_WORDS = ("and", "or", "not")


@dataclass(frozen=True)
class Step:
    """A step of a pipeline.

    Args:
        name: of its section, and of its folder.
        kind: one of `SECTIONS`.
        section: what it is to do.
        condition: for the pipeline to proceed to it.
        before: names of the steps before it by kind, in order.
    """

    name: str
    kind: str
    section: Any
    condition: Condition | None
    before: Mapping[str, Sequence[str]]

    @property
    def search(self) -> str:
        """Name of the search that it is about."""
        return str(self.section.of or self.before["search"][-1])


@dataclass(frozen=True)
class Pipeline:
    """Steps, one after another.

    Args:
        name: of the config.
        steps: in order.
        beside: folders in which paths are looked for.
        data: of the command line, in place of the configs'.
        more: what the command line says of all steps: `size`, `workers`.
    """

    name: str
    steps: tuple[Step, ...]
    beside: tuple[str, ...]
    data: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """Of a name.

        Raises:
            InputError: there is none.
        """
        found = {step.name: step for step in self.steps}
        if name not in found:
            raise InputError(f"no step {printable(repr(name), 80)}{_choices(name, list(found))}")
        return found[name]

    @cached_property
    def _settings(self) -> dict[str, Settings]:
        return {}

    def settings(self, step: Step) -> Settings:
        """Of a step that has a search config, before anything that other steps found.

        Raises:
            InputError: the config, or what the step changes of it, cannot be.
        """
        if step.name not in self._settings:
            with placed(step.name):
                self._settings[step.name] = self._loaded(step.section)
        return self._settings[step.name]

    def _loaded(self, section: Any) -> Settings:
        options = dict(section.cfg_options)
        workers = self.workers(section)
        size = self.more.get("size") if self.more.get("size") is not None else section.size
        given = {"workers": workers, "evaluator.size": size, "generations": getattr(section, "generations", None)}
        options |= {f"search.{key}": value for key, value in given.items() if value is not None}
        found = config.load(section.config, options, beside=self.beside)
        found = found if self.data is None else found.on(self.data)
        slots = getattr(section, "slots", None)
        if slots is None:
            return found
        if unknown := [slot for slot in slots if slot not in found.slots]:
            raise InputError(
                f"slots: {printable(repr(unknown[0]))} is none of the config; choices: {', '.join(found.slots)}"
            )
        kept = {slot: "own" for slot in found.slots if slot not in slots}
        return found.model_copy(update={"fixed": {**kept, **found.fixed}})

    def workers(self, section: Any) -> int | None:
        """Evaluations at a time: of the command line, else of the section."""
        given: int | None = self.more.get("workers")
        return section.workers if given is None else given


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Mistakes within it are told with their place: a step, a file."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{place}: "):
            raise
        raise InputError(f"{place}: {error}") from None


def load(
    path: str | Path,
    options: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
    figures: Mapping[str, Sequence[str]] | None = None,
) -> Pipeline:
    """Reads a pipeline.

    Args:
        path: an mmengine config with `pipeline`, a list of steps, and a section for each (names with an underscore
            are its own); or the name of one that comes with the toolkit.
        options: `key=value` of its sections.
        data, more: as of `Pipeline`.
        figures: names of those that a step of each kind tells, for conditions.

    Raises:
        InputError: no such file, an unknown step or key, a step that needs what none before it gives, a condition with
            an unknown figure.
    """
    found = config.read(path, options, "pipelines")
    names, given = _names(found.file, found.sections), found.sections
    steps: list[Step] = []
    used: set[str] = {"pipeline"}
    for name in names:
        with placed(f"{found.file}"):
            steps.append(_step(name, given, steps, used, figures or {}))
    if unknown := sorted(key for key in given.keys() - used if not key.startswith("_")):
        choices = _choices(unknown[0], [name for name in names if name in given])
        raise InputError(
            f"{found.file}: section {unknown[0]!r} is of no step of 'pipeline', and no ref names it{choices}"
        )
    return Pipeline(found.file.stem, tuple(steps), found.beside, data, more or {})


def _names(file: Path, given: Mapping[str, Any]) -> list[str]:
    names = given.get("pipeline")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{file}: a pipeline config needs a list of steps, pipeline = ['headroom', 'search', ...]")
    for name in names:
        if not name.isidentifier() or name in _WORDS or len(name) > 60:
            raise InputError(f"{file}: a step is called by letters, digits and _, got {printable(repr(name))}")
    if len({alike(name) for name in names}) < len(names):
        raise InputError(f"{file}: pipeline names a step twice: {', '.join(names)}; call them search_1, search_2")
    return names


def _step(
    name: str, given: Mapping[str, Any], before: Sequence[Step], used: set[str], figures: Mapping[str, Sequence[str]]
) -> Step:
    section = _merged(name, given, used, ())
    kind = section.get("command") or name.partition("_")[0]
    if not isinstance(kind, str):
        raise InputError(f"{name}.command is one word, got {printable(repr(kind), 80)}{_choices('', list(SECTIONS))}")
    if kind not in SECTIONS:
        raise InputError(
            f"step {name!r}: its name begins with no command, and its section has none{_choices(kind, list(SECTIONS))}"
        )
    own, model = given.get(name, {}), SECTIONS[kind]
    kept = {key: value for key, value in section.items() if key in own or key in model.model_fields}
    try:
        read_ = model.model_validate(kept)
    except ValidationError as error:
        raise InputError(config.explained(error, model, name)) from None
    step = Step(name, kind, read_, _condition(name, read_.proceed_if, before, figures), _by_kind(before))
    _check_needs(step, before)
    return step


def _merged(name: str, given: Mapping[str, Any], used: set[str], within: tuple[str, ...]) -> dict[str, Any]:
    """A section with what the sections that it refers to have."""
    if name in within:
        raise InputError(f"ref of {within[-1]!r} leads back to {name!r}")
    own = given.get(name, {})
    if name in given:
        used.add(name)
    if not isinstance(own, Mapping):
        raise InputError(f"{name!r} is a section, {name} = dict(...), got {printable(repr(own))}")
    ref = own.get("ref")
    if ref is None:
        return dict(own)
    known = [one for one in given if one != "pipeline"]
    if not isinstance(ref, str) or ref not in known:
        raise InputError(f"{name}.ref: no section {printable(repr(ref))}{_choices(str(ref), known)}")
    other = _merged(ref, given, used, (*within, name))
    found = {key: value for key, value in other.items() if key not in ("ref", "command", "proceed_if")} | dict(own)
    theirs, ours = other.get("cfg_options"), own.get("cfg_options")
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        found["cfg_options"] = {**theirs, **ours}
    return found


def _by_kind(before: Sequence[Step]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {kind: [] for kind in SECTIONS}
    for step in before:
        found[step.kind].append(step.name)
    return found


def _condition(
    name: str, text: str | None, before: Sequence[Step], figures: Mapping[str, Sequence[str]]
) -> Condition | None:
    """A condition whose figures are of steps before."""
    if text is None:
        return None
    with placed(f"{name}.proceed_if"):
        found = read(text)
        kinds = {step.name: step.kind for step in before}
        for step, figure in found.names:
            if step not in kinds:
                raise InputError(f"no step {step!r} before {name!r}{_choices(step, list(kinds))}")
            known = figures.get(kinds[step], ())
            if figure not in known:
                raise InputError(f"{step} tells no {figure!r}{_choices(figure, known)}")
    return found


def _check_needs(step: Step, before: Sequence[Step]) -> None:
    """Refuses a step that nothing before it can serve."""
    searches = step.before["search"]
    if step.kind in ("audit", "train", "export", "report") and not searches:
        raise InputError(f"step {step.name!r} needs a search before it, and there is none")
    for key in ("of", "random"):
        named = getattr(step.section, key, None)
        if named is not None and named not in searches:
            raise InputError(
                f"{step.name}.{key}: no search {printable(repr(named))} before it{_choices(named, searches)}"
            )
    if step.kind == "audit":
        twice = [one.name for one in before if one.kind == "audit" and one.search == step.search]
        if twice:
            raise InputError(
                f"step {step.name!r} audits {step.search!r}, which {twice[0]!r} does already; give that more seeds, or "
                "name another search by `of`"
            )


def _choices(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{hint}; choices: {', '.join(known) or 'none'}"
