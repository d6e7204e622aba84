"""Document: what the detector of one training found on a few images, as a file beside the run."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from autoloss.candidate import Candidate
from autoloss.rungs.rung import Rung
from autoloss.settings import Settings
from primitives.errors import InputError
from primitives.system.files import write_whole
from primitives.text.printable import printable

FOLDER = "detections"
_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
_MOST_BYTES = 150_000
"""Of a picture, so that a page with some of them stays small."""

Box = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Shown(_Part):
    """An object of an image, and whether a detection matches it. A box is x, y, width and height."""

    box: Box
    name: str = Field(alias="class")
    found: bool


class Found(_Part):
    """A detection, and whether it matches an object."""

    box: Box
    name: str = Field(alias="class")
    score: FiniteFloat
    right: bool


class Image(_Part):
    """An image and what was found in it; see `autoloss.evaluator.Detecting`."""

    name: str
    picture: Annotated[Base64Bytes, Field(max_length=_MOST_BYTES)]
    width: Annotated[FiniteFloat, Field(gt=0)]
    height: Annotated[FiniteFloat, Field(gt=0)]
    objects: list[Shown] = Field(max_length=1000)
    found: list[Found] = Field(max_length=1000)

    @property
    def type(self) -> str:
        """Of its picture, as browsers call it; empty for a picture that is none."""
        return next((name for mark, name in _TYPES.items() if self.picture.startswith(mark)), "")

    @property
    def right(self) -> int:
        """Detections that match an object."""
        return sum(one.right for one in self.found)


class Images(_Part):
    """A few images of a data set."""

    score: FiniteFloat
    says: str
    images: list[Image] = Field(min_length=1, max_length=24)


class Detections(_Part):
    """What a training of a candidate found.

    Args:
        candidate: number.
        rung: what it was trained for.
        seed: of weights and data order.
        sets: one for each data set.
    """

    candidate: int
    rung: str
    seed: int
    sets: list[Images] = Field(min_length=1)


def checked(candidate: int, rung: str, seed: int, given: Any) -> Detections:
    """What an evaluator gives.

    Raises:
        InputError: it is not what `autoloss.evaluator.Detecting` says.
    """
    where = "what an evaluator says that a detector finds"
    try:
        sets = [
            {**one, "images": [{**image, "picture": base64.b64encode(image["picture"])} for image in one["images"]]}
            for one in given
        ]
        found = Detections(candidate=candidate, rung=rung, seed=seed, sets=sets)  # type: ignore[arg-type]
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error)}") from None
    except (TypeError, KeyError) as error:
        raise InputError(f"{where} does not have the shape that Detecting says: {error!r}") from None
    return _pictured(found, where)


def _pictured(found: Detections, where: object) -> Detections:
    if not all(image.type for one in found.sets for image in one.images):
        raise InputError(f"{where}: a picture is neither JPEG nor PNG")
    return found


def rung_of(settings: Settings) -> Rung:
    """What is trained to be looked at: what the finale trains; without one, what the last rung of the ladder trains."""
    return settings.finale.rung if settings.finale else settings.ladder[-1]


def kept(run: Path, one: Candidate, rung: Rung) -> Detections | None:
    """What is kept of a candidate from a training of a rung with its first seed; None for nothing.

    Args:
        run: directory.
        one: the candidate.
        rung: that it was trained for.

    Raises:
        InputError: the file is none.
    """
    file = _file(run, one.number)
    if not file.is_file():
        return None
    try:
        found = _pictured(Detections.model_validate_json(file.read_bytes()), file)
    except ValidationError as error:
        raise InputError(f"{file} holds no detections: {_first(error)}") from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    return found if (found.candidate, found.rung, found.seed) == (one.number, rung.name, rung.seeds[0]) else None


def write(run: Path, found: Detections) -> Path:
    """Keeps them, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    file = _file(run, found.candidate)
    try:
        file.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {printable(file.parent)}: {error.strerror}") from None
    write_whole(file, found.model_dump_json(by_alias=True))
    return file


def _file(run: Path, candidate: int) -> Path:
    return run / FOLDER / f"{candidate}.json"


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
