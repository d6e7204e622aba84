"""Sections: what a pipeline's config says of each of its steps, as frozen objects."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from autoloss.values import MOST, Count, Names, Plain, Section

Workers = int | None


class Step(Section):
    """What every step may say.

    Args:
        command: what the step does, where its name does not begin with it.
        ref: another section, whose keys this one has where it has none of its own.
        proceed_if: the pipeline ends before this step where this is not so of the figures of steps before it.
        workers: evaluations at a time, as of `--workers`; None: those of the command line.
    """

    command: str | None = None
    ref: str | None = None
    proceed_if: str | None = None
    workers: Workers = Field(default=None, ge=0, le=MOST)


class OfConfig(Step):
    """A step that has a search config.

    Args:
        config: path beside the pipeline, or the name of one that comes with the toolkit.
        cfg_options: dotted keys of it and their values.
        size: as of `--size`.
    """

    config: str
    cfg_options: Plain = Field(default={})
    size: str | None = None


class Headroom(OfConfig):
    """What known losses gain; arguments as of `autoloss headroom`."""

    seeds: int | None = Field(default=None, ge=2, le=1000)
    loss_cls: list[str] = Field(default=[])
    loss_bbox: list[str] = Field(default=[])

    @property
    def texts(self) -> dict[str, list[str]]:
        """The losses beside the known ones, by slot."""
        return {"loss_cls": self.loss_cls, "loss_bbox": self.loss_bbox}


class Search(OfConfig):
    """A search.

    Args:
        generations: in place of the config's.
        slots: that are searched; the others keep what the searches before found, or the detector's own. None: all.
    """

    generations: Count | None = None
    slots: Names | None = None


class Of(Step):
    """A step about what a search found.

    Args:
        of: name of the search; None for the last one before.
    """

    of: str | None = None


class Audit(Of):
    """Arguments as of `autoloss audit`; `random` names a step that searched at random."""

    on: list[str] = Field(default=[])
    seeds: int | None = Field(default=None, ge=5, le=1000)
    trials: int | None = Field(default=None, ge=1, le=1000)
    random: str | None = None


class Train(Of):
    """The winner, the own loss and the own loss with tuned weights, trained whole.

    Args:
        detector: any mmdetection config, trained by its own schedule on its own data or that of `--data`; None: the
            detector and data of the search, as its last rung trains it.
        iterations: in place of those of the last rung; with `detector` there are none.
        data: of `detector`: the path of a dataset config, or a description of data.
        seeds: at most; fewer where a budget has no room.
        backbone: as of `autoloss train`.
        cfg_options: dotted keys and values that change `detector`.
    """

    detector: str | None = None
    iterations: Count | None = None
    data: Plain | str | None = None
    seeds: int = Field(default=3, ge=2, le=1000)
    backbone: str | None = None
    cfg_options: Plain = Field(default={})

    @field_validator("iterations")
    @classmethod
    def _one_schedule(cls, given: int | None, info: Any) -> int | None:
        if given is not None and info.data.get("detector"):
            raise ValueError("iterations are for the detector of the search; `detector` has its own schedule")
        return given

    @field_validator("data")
    @classmethod
    def _of_another(cls, given: Any, info: Any) -> Any:
        if given is not None and not info.data.get("detector"):
            raise ValueError("data are for another `detector`; that of the search is trained on the search's own")
        return given


class Export(Of):
    """Arguments as of `autoloss export`, with as many targets as one likes."""

    to: Names = Field(default=["mmdet"])


class Report(Step):
    """A page of every search before, and one of all of them."""
