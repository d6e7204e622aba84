"""Document: an audit as plain values in a file, which reports and exports read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from autoloss.audit.intervals import DRAWS
from autoloss.audit.verdict import Audit, Comparison, Place
from autoloss.values import LEVEL, POWER
from primitives.errors import InputError
from primitives.system.files import write_whole
from primitives.text.printable import printable

FILE = "audit.json"
FOLDER = "audit"
"""Of the directory of a search, where its audit is by default."""


def plain_values(found: Audit) -> dict[str, Any]:
    """An audit as JSON has it: `setup`, and `comparisons` of every finalist with every control."""
    first, *others = found.places
    setup = {
        "search": found.search,
        "seeds": list(found.seeds),
        "planned": found.planned,
        **_place(first),
        "elsewhere": [_place(place) for place in others],
        "finalists": [{"candidate": number, "losses": losses} for number, losses in found.losses.items()],
        "evaluations_a_slot": dict(found.trials),
        "level": LEVEL,
        "power": POWER,
        "draws": DRAWS,
    }
    return {"setup": setup, "comparisons": [asdict(one) for one in found.comparisons]}


def _place(place: Place) -> dict[str, Any]:
    return {
        "on": place.on,
        "metric": place.metric,
        "images": place.images,
        "images_ranked_finalists": place.seen,
        "weights_tuned_here": place.home,
        "noise": place.noise,
        "smallest_difference": place.smallest,
        "losses": [{**asdict(one), "mean": one.mean if one.scores else None} for one in place.contenders],
    }


def write(found: Audit, directory: Path) -> None:
    """Writes the file whole, or leaves what is there.

    Raises:
        InputError: it cannot be written.
    """
    write_whole(directory / FILE, json.dumps(plain_values(found), indent=2) + "\n")


class _Finalist(BaseModel):
    candidate: int
    losses: dict[str, dict[str, Any]]


class _Place(BaseModel):
    model_config = ConfigDict(extra="allow")
    on: str
    images: int
    images_ranked_finalists: bool


class _Setup(_Place):
    finalists: list[_Finalist]
    seeds: list[int]
    elsewhere: list[_Place]


class Document(BaseModel):
    """An audit as it was written.

    Args:
        setup: noise, seeds, finalists and places, as `plain_values` has them.
        comparisons: of every finalist with every control.
    """

    setup: _Setup
    comparisons: list[Comparison]


def read(run: Path) -> Document | None:
    """The audit of a run, None where there is none.

    Args:
        run: directory of the search.

    Raises:
        InputError: the file is no audit.
    """
    file = run / FOLDER / FILE
    if not file.exists():
        return None
    try:
        return Document.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = printable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error), 200)
        raise InputError(f"{file} is no audit that autoloss wrote: {said}; autoloss audit writes it anew") from None


@dataclass(frozen=True)
class Of:
    """What an audit says of one candidate.

    Args:
        comparisons: with every control, everywhere.
        seeds: how many the audit had.
        images: of each place, 0 where it is not known which they were.
        seen: places whose images had ranked the finalists.
    """

    comparisons: Sequence[Comparison]
    seeds: int
    images: Mapping[str, int]
    seen: Sequence[str]


def of_candidate(run: Path, number: int, losses: Mapping[str, Any]) -> Of | None:
    """What the audit of a run says of one of its candidates.

    Args:
        run: directory of the search.
        number: of the candidate.
        losses: of it, as plain values; an audit of others says nothing of it.

    Returns:
        None where there is no audit, or the candidate was no finalist.

    Raises:
        InputError: the file is no audit.
    """
    found = read(run)
    if found is None or not any(one.candidate == number and one.losses == losses for one in found.setup.finalists):
        return None
    places = [found.setup, *found.setup.elsewhere]
    return Of(
        [one for one in found.comparisons if one.finalist == number],
        len(found.setup.seeds),
        {place.on: place.images for place in places},
        [place.on for place in places if place.images_ranked_finalists],
    )
