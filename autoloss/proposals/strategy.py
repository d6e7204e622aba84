"""Strategy: who proposes candidates, as a config names it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from autoloss.values import Plain
from primitives.system.names import split
from primitives.text.printable import printable

_HERE = "autoloss.search.strategies"
STRATEGIES = {
    "evolution": f"{_HERE}.evolution:Evolution",
    "ageing": f"{_HERE}.ageing:Ageing",
    "nsga2": f"{_HERE}.nsga2:NSGA2",
    "refine": f"{_HERE}.refinement:Refinement",
    "tune": f"{_HERE}.tuning:Tuning",
    "random": f"{_HERE}.random_search:RandomSearch",
    "schedule": f"{_HERE}.schedule:Schedule",
}
"""Those that come with the toolkit: their classes by the names that configs may use."""
_SHORT = {path: name for name, path in STRATEGIES.items()}


def short(name: object) -> str:
    """A strategy as run files have it: one of the toolkit by its short name, another as 'module:Class'.

    Raises:
        ValueError: it is no such name.
    """
    if isinstance(name, str) and name in STRATEGIES:
        return name
    try:
        path = ":".join(split(name, "strategy", ""))
    except ValueError:
        got = "" if name is None else f", got {printable(repr(name))}"
        choices = ", ".join(STRATEGIES)
        raise ValueError(f"strategy needs a type: {choices}, or one of your own as 'module:Class'{got}") from None
    return _SHORT.get(path, path)


def _named(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "type": short(given.get("type"))}


def _spec(given: Any) -> Any:
    return {"type": given} if isinstance(given, str) else given


Named = Annotated[Plain, BeforeValidator(_spec), AfterValidator(_named)]
"""`type`, a name of STRATEGIES or 'module:Class', and arguments; a name alone where there are none."""
