"""Names: what stands at 'module:name'; a class that a config names so is looked at before anything of it is called."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from primitives.errors import InputError, reading
from primitives.text.printable import printable

_TYPE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)


def split(name: object, what: str, example: str) -> tuple[str, str]:
    """Module and class that a name stands for; nothing is imported.

    Args:
        name: as a config has it.
        what: that needs it, for people.
        example: of a name.

    Raises:
        ValueError: it is no such name.
    """
    found = _TYPE.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        got = "" if name is None else f", got {printable(repr(name))}"
        raise ValueError(f"{what} needs a type such as {example!r}{got}")
    return found[1], found[2]


def reached(name: str) -> Any:
    """What stands at 'module:name', a name of the toolkit's own: imported when it is asked for."""
    module, _, found = name.partition(":")
    return getattr(importlib.import_module(module), found)


def class_of(name: object, place: str, methods: Sequence[str], example: str) -> type[Any]:
    """The class that a config names; it is imported and looked at, nothing of it is called.

    Args:
        name: 'module:Class'.
        place: section of the config, such as 'search.evaluator'.
        methods: that the class must have.
        example: of a name.

    Raises:
        InputError: it cannot be imported, or is no class with these methods.
    """
    what = place.rpartition(".")[2]
    try:
        module, found = split(name, what, example)
    except ValueError as error:
        raise InputError(f"{place}.type: {error}") from None
    where = f"{place}.type: {module}:{found}"
    with reading(f"{where} cannot be imported"):
        kind = getattr(importlib.import_module(module), found)
    if not inspect.isclass(kind):
        raise InputError(f"{where} is no class, but a {type(kind).__name__}; {_a(what)} is a class")
    missing = [method for method in methods if not callable(getattr(kind, method, None))]
    if missing:
        raise InputError(f"{where} is no {what}: it has no {', '.join(missing)}; needed: {', '.join(methods)}")
    return kind


def built(kind: type[Any], spec: Mapping[str, Any], place: str, *given: object) -> Any:
    """An object of a class, from what was given and the arguments of a config.

    Args:
        kind: what `class_of` gave.
        spec: `type`, and arguments by name.
        place: section of the config.
        given: arguments that come first.

    Raises:
        InputError: it does not take the arguments.
    """
    try:
        return kind(*given, **{key: value for key, value in spec.items() if key != "type"})
    except TypeError as error:
        raise InputError(f"{place}: {spec['type']} does not take these arguments: {error}") from None


def takes(kind: type[Any], argument: str) -> bool:
    """Whether a class names an argument."""
    try:
        return argument in inspect.signature(kind).parameters
    except (TypeError, ValueError):  # of one written in C
        return False


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
