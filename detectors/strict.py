"""Strict: frozen models of what a person writes, whose first mistake is one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from primitives.errors import InputError
from primitives.text.printable import printable

MOST = 2**31 - 1
"""Of anything that is counted."""
Count = Annotated[int, Field(ge=1, le=MOST, description="a whole number from 1")]

_Model = TypeVar("_Model", bound="Strict")


class Strict(BaseModel):
    """Frozen, of these keys and types alone. A field's `description` says what a value must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _of_any_mapping(cls, values: Any) -> Any:
        return dict(values) if isinstance(values, Mapping) else values

    @classmethod
    def read(cls: type[_Model], values: Mapping[Any, object], where: str, prefix: str) -> _Model:
        """The model of plain values.

        Args:
            values: as a person wrote them.
            where: they stand, such as "a rung's task".
            prefix: of the name of a value, such as "data.".

        Raises:
            InputError: a key is missing or unknown, or a value is none of its field's.
        """
        missing = [key for key in cls._needed() if key not in values]
        for state, keys in (("missing", missing), ("unknown", [key for key in values if key not in cls.model_fields])):
            if keys:
                raise InputError(f"{state} key {printable(repr(keys[0]), 80)} in {where}; it {cls._keys()}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        if not first["loc"]:
            raise InputError(first["msg"].removeprefix("Value error, "))
        name = str(first["loc"][0])
        raise InputError(f"{prefix}{name} {cls._rule(name, values[name])}")

    @classmethod
    def _needed(cls) -> list[str]:
        return [name for name, field in cls.model_fields.items() if field.is_required()]

    @classmethod
    def _keys(cls) -> str:
        """Which keys there are, but for those that say which model this is."""
        needed = cls._needed()
        free = [name for name in cls.model_fields if name not in (*needed, "kind", "type")]
        says = [f"{verb} {_listed(names)}" for verb, names in (("needs", needed), ("may have", free)) if names]
        return ", and ".join(says)

    @classmethod
    def _rule(cls, name: str, value: object) -> str:
        """What a field's value is and must be."""
        field = cls.model_fields[name]
        if get_origin(field.annotation) is Literal:
            return f"is {_shown(value)}; choices: {', '.join(map(str, get_args(field.annotation)))}"
        most = [f"; at most {bound.le:,}" for bound in field.metadata if hasattr(bound, "le")]
        return f"must be {field.description}, got {_shown(value)}{''.join(most)}"


def _listed(names: list[str]) -> str:
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), names[-1]])


def _shown(value: object) -> str:
    try:
        return printable(repr(value))
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return f"a {type(value).__name__} too long to write"
