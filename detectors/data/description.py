"""Description: which data, as a dataset config or the command line names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, InstanceOf, model_validator

from detectors.data.between.groups import expression
from detectors.strict import MOST, Strict
from primitives.errors import InputError
from primitives.text.printable import printable

SPLITS = ("train", "val", "test")
_SCENES = "a whole number from 1"
_MOST_SCENES = 1_000_000
_MOST_TAIL = 10_000
_PART = "a dict of annotations and images, two paths"
_TEXTS = Field(default=None, min_length=1, description="a list of different names of classes")
_SHARE = Field(default=0.0, ge=0, lt=1, description="a share from 0 to below 1")
_EDGE = Field(default=0.0, ge=0, le=0.5, description="a share of a box's sides from 0 to 0.5")
_SEED = Field(default=0, ge=0, le=2**32 - 1, description="a whole number from 0")
_TAIL = "a number from 1, how many times as frequent digit 0 is as digit 9"
_SPOIL = "a dict of label_noise and missing (shares below 1), box_noise (to 0.5), seed (a whole number), val (a bool)"
_VERIFY = Field(default=1, ge=1, le=MOST, description="a whole number of images per class from 1")


class Digits(Strict):
    """Scenes of digits.

    Args:
        train: number of scenes.
        val: number of scenes.
        test: number of scenes.
        seed: of the drawing.
        verify: images for each class of the verification set.
        long_tail: how many times as frequent digit 0 is as digit 9 in training; those between follow a geometric row.
        label_noise: share of the boxes of training with a wrong class.
        box_noise: how far edges of boxes of training are off: standard deviation, as a share of the box's side.
        missing: share of the boxes of training that are left out.
        spoil_val: whether `val` is as `train` is, as a person's own would be; `test` is clean and balanced.
    """

    type: Literal["digits"] = "digits"
    train: int = Field(default=1000, ge=1, le=_MOST_SCENES, description=_SCENES)
    val: int = Field(default=200, ge=1, le=_MOST_SCENES, description=_SCENES)
    test: int = Field(default=300, ge=1, le=_MOST_SCENES, description=_SCENES)
    seed: int = _SEED
    verify: int = _VERIFY
    long_tail: float = Field(default=1.0, ge=1, le=_MOST_TAIL, description=_TAIL)
    label_noise: float = _SHARE
    box_noise: float = _EDGE
    missing: float = _SHARE
    spoil_val: bool = Field(default=True, description="True or False")

    @property
    def counts(self) -> dict[str, int]:
        """Number of scenes of each split."""
        return {"train": self.train, "val": self.val, "test": self.test}


class Spoil(Strict):
    """Harm that is done to labels on purpose, to see what a loss makes of them.

    Args:
        label_noise: share of the boxes with a wrong class.
        box_noise: how far edges of boxes are off: standard deviation, as a share of the box's side.
        missing: share of the boxes that are left out.
        seed: of what falls on which box.
        val: whether `val` is spoilt as `train` is.
    """

    label_noise: float = _SHARE
    box_noise: float = _EDGE
    missing: float = _SHARE
    seed: int = _SEED
    val: bool = False


class Part(Strict):
    """A split, in any format that is known by itself.

    Args:
        annotations: path of the file in COCO format, or of YOLO's, VOC's or Roboflow's folder.
        images: folder that the file names of COCO JSON are relative to; left out for where they are found.
        split: of a folder, as its format calls it; empty for all of it.
    """

    # Any str: the bytes of a path need not be text, and pydantic's own would refuse those.
    annotations: InstanceOf[str] | InstanceOf[Path]
    images: InstanceOf[str] | InstanceOf[Path] = cast("Any", None)  # left out is not None: that is refused
    split: str = ""


class Coco(Strict):
    """Boxes in images, in COCO's format or another that becomes it.

    Args:
        train: what is trained on, and val and test are held out of where they are not given.
        val: what chooses among candidates.
        test: what nothing chooses by.
        hold_out: images that are held out for each split that is not given, None for a fifth.
        longest: most pixels of an image, which is made smaller once; None for no bound.
        verify: images for each class of the verification set.
        group_by: regular expression on file names; images for which its first bracket, or all of it, matches the same
            text are held out together. None for every image by itself.
        classes: names in the order to train them; None for that of `train`.
        spoil: what is made wrong in `train` on purpose; None for nothing.
    """

    type: Literal["coco"] = "coco"
    train: Part = Field(description=_PART)
    val: Part | None = Field(default=None, description=_PART)
    test: Part | None = Field(default=None, description=_PART)
    hold_out: int | None = Field(default=None, ge=1, le=MOST, description="a whole number of images from 1")
    longest: int | None = Field(default=None, ge=16, le=MOST, description="a whole number of pixels from 16")
    verify: int = _VERIFY
    group_by: str | None = Field(default=None, description="a regular expression on file names")
    classes: list[str] | None = _TEXTS
    spoil: Spoil | None = Field(default=None, description=_SPOIL)

    @property
    def parts(self) -> dict[str, Part]:
        """The splits that are given."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        return {split: part for split, part in named.items() if part is not None}

    @model_validator(mode="after")
    def _nothing_to_hold_out_for(self) -> Coco:
        if self.val is not None and self.hold_out is not None:
            raise ValueError("data.hold_out holds images out for val, and data.val is given; leave one of them out")
        if self.group_by is not None:
            expression(self.group_by)
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError("data.classes must be a list of different names of classes")
        return self


Description = Digits | Coco
_TYPES: dict[str, type[Description]] = {"digits": Digits, "coco": Coco}


def description_of(data: Mapping[str, Any]) -> Description:
    """The description that plain values are.

    Raises:
        InputError: an unknown type or key, a key that is missing, or a value that is none.
    """
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise InputError(f"unknown data type {printable(repr(kind), 80)}; choices: {', '.join(_TYPES)}")
    return _TYPES[kind].read(data, f"data of type {kind!r}", "data.")
