"""Config: a config file, or what a run file keeps of one, becomes settings; an unknown key is an error.

mmengine reads the file (its configs are Python, as in mmdetection); nothing past this module knows of it.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from autoloss.settings import Settings
from autoloss.values import MOST_SECONDS
from primitives.errors import InputError, reading
from primitives.system import places
from primitives.text.printable import printable


@dataclass(frozen=True)
class Read:
    """A config file that was read.

    Args:
        file: that it is.
        sections: as plain values.
        beside: folders around it and around those that it is based on, in which its paths are looked for.
    """

    file: Path
    sections: dict[str, Any]
    beside: tuple[str, ...]


def read(
    path: str | Path,
    options: Sequence[str] | Mapping[str, object] = (),
    folder: str = "search",
    beside: Sequence[str | Path] = (),
) -> Read:
    """Reads a config file; arguments and errors as of `load`."""
    from mmengine.config import Config

    path = places.find(path, "config file", beside, folder)
    with reading(f"{path}: not a config that mmengine can read"), _quiet():
        config = Config.fromfile(str(path))
        given = options if isinstance(options, Mapping) else parsed(options, f"{folder}.generations=2")
        config.merge_from_dict(dict(given))
        sections = config.to_dict()
        found = [place for file in _files(str(path)) for place in places.around(file)]
    return Read(path, sections, tuple(dict.fromkeys(map(str, found))))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without mmengine's lines about every environment variable that a config names: they go to standard output."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def load(
    path: str | Path,
    options: Sequence[str] | Mapping[str, object] = (),
    folder: str = "search",
    beside: Sequence[str | Path] = (),
) -> Settings:
    """Reads a search config.

    Args:
        path: an mmengine config with a `search` section, or the name of one that comes with the toolkit; names that
            begin with an underscore are its own.
        options: `key=value` as mmdetection's --cfg-options, or dotted keys and values; keys from the top of the file.
        folder: of the toolkit's configs, whose files may be named without it.
        beside: folders to look in before the working directory.

    Raises:
        InputError: no such file, not a config, an unknown key, a wrong type or value.
    """
    found = read(path, options, folder, beside)
    path, sections = found.file, found.sections
    if "search" not in sections:
        raise InputError(f"{path}: a search config needs a section 'search'; found: {', '.join(sections) or 'nothing'}")
    unknown = sorted(key for key in sections if key != "search" and not key.startswith("_"))
    if unknown:
        raise InputError(f"{path}: unknown key {unknown[0]!r} beside 'search'; choices: search")
    if not isinstance(sections["search"], Mapping):
        raise InputError(f"{path}: 'search' is a section, search = dict(...), got {printable(sections['search'])}")
    return from_mapping(sections["search"], str(path)).beside(found.beside)


def _files(path: str) -> list[str]:
    """A config and those that it is based on."""
    from mmengine.config import Config

    bases = (Config._get_cfg_path(base, path)[0] for base in Config._get_base_files(path))
    return [path, *(file for base in bases for file in _files(base))]


def from_mapping(section: Mapping[str, Any], place: str = "search") -> Settings:
    """Settings from plain values.

    Raises:
        InputError: an unknown key, a wrong type or value, with the place and the choices.
    """
    try:
        return Settings.model_validate(section)
    except ValidationError as error:
        raise InputError(f"{place}: {explained(error, Settings, 'search')}") from None


def seconds(text: str) -> float:
    """A time such as 90, 90s, 15m, 2h, 1h30m or 2d.

    Raises:
        InputError: it is none, or not above 0.
    """
    parts = re.fullmatch(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        given = parts.groups() if parts else ()
        found = sum(float(part or 0) * unit for part, unit in zip(given, (86400, 3600, 60, 1), strict=False))
    except ValueError:
        found = 0.0
    if found <= 0:
        raise InputError(f"a time is such as 2h, 1h30m, 45m or 90s, got {printable(repr(text))}")
    if found > MOST_SECONDS:
        raise InputError(f"a time is {MOST_SECONDS / 86400:,.0f} days at most, got {printable(repr(text))}")
    return found


def from_run_file(section: Mapping[str, Any]) -> Settings:
    """Settings that a run file holds, as they are: what an older version let pass, this one shows.

    Raises:
        ValueError: what every version asks for is missing, or of another type.
    """
    try:
        return Settings.model_validate(section)
    except ValidationError:
        found: Settings = _unchecked(Settings, section)
        return found


def _unchecked(kind: Any, value: Any) -> Any:
    """A value as a field of some type holds it, but for the bounds; keys that no field has are left out."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not isinstance(value, Mapping):
            raise ValueError(f"{kind.__name__.lower()} is an object, got {printable(repr(value))}")
        fields = {name: field for name, field in kind.model_fields.items() if name in value or field.is_required()}
        missing = [name for name in fields if name not in value]
        if missing:
            raise ValueError(f"{kind.__name__.lower()} lacks {missing[0]!r}")
        return kind.model_construct(**{name: _unchecked(one.annotation, value[name]) for name, one in fields.items()})
    origin = get_origin(kind)
    if origin in (list, dict):
        if not isinstance(value, origin):
            raise ValueError(f"a {origin.__name__} is asked for, got {printable(repr(value))}")
        inner = get_args(kind)[-1]
        if origin is dict:
            return {key: _unchecked(inner, part) for key, part in value.items()}
        return [_unchecked(inner, part) for part in value]
    model = _model(kind)
    return value if model is None or not isinstance(value, Mapping) else _unchecked(model, value)


def completed(section: Mapping[str, Any]) -> dict[str, Any]:
    """What an older version kept of its settings, with the keys that came later at their defaults."""
    try:
        return Settings.model_validate(section).identity()
    except ValidationError:
        return dict(section)  # no settings of this version; whoever compares names the key


def parsed(options: Sequence[str], example: str) -> dict[str, object]:
    """What --cfg-options says, as mmdetection reads it.

    Args:
        options: `key=value` each.
        example: of one, for the message.

    Raises:
        InputError: one is not key=value.
    """
    from mmengine.config import DictAction

    found: dict[str, object] = {}
    for text in options:
        key, mark, value = text.partition("=")
        if not mark or not key.strip():
            raise InputError(f"--cfg-options takes key=value, got {printable(repr(text))}; for example {example}")
        with reading(f"--cfg-options {printable(text)}: a value that mmengine cannot read"):
            found[key.strip()] = DictAction._parse_iterable(value)
    return found


def explained(error: ValidationError, kind: type[BaseModel], section: str) -> str:
    """The first mistake of a section of some kind in one line: where, what, and the choices."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in (section, *first["loc"]))
    if first["type"] == "extra_forbidden":
        fields = _fields(kind, first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), fields, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"unknown key {place!r}{hint}; choices: {', '.join(fields)}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("missing", "value_error"):
        return f"{place}: {message}"
    return f"{place}: {message}, got {_shown(first['input'])}"


def _shown(value: object) -> str:
    try:
        return printable(repr(value))
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return f"a {type(value).__name__} too long to write"


def _fields(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that the section at a location may hold."""
    keyed = False
    for part in location:
        if keyed:  # a number or a name of the reader's own
            keyed = False
            continue
        annotation = kind.model_fields[str(part)].annotation
        keyed = get_origin(annotation) in (list, dict)
        kind = _model(annotation) or kind
    return list(kind.model_fields)


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, alone or several of it."""
    parts = (*get_args(annotation), annotation)
    return next((one for one in parts if isinstance(one, type) and issubclass(one, BaseModel)), None)
