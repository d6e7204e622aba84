"""Target: what an export can be for; a row for each."""

from __future__ import annotations

from dataclasses import dataclass

from primitives.codegen.function import function_name
from primitives.errors import InputError
from primitives.kinds.kind import Kind


@dataclass(frozen=True)
class Target:
    """One form of losses outside the toolkit.

    Args:
        name: as `--to` takes it.
        writer: 'module:function' that gives the text of every file by its name, that of the losses first.
        use: how the files are used, Markdown for the card; `{losses}` and `{put}` are the first two modules.
        by_slot: whether every slot has a file of its own, whose function is called `loss`.
    """

    name: str
    writer: str
    use: str = ""
    by_slot: bool = False

    def function(self, name: str, kind: Kind) -> str:
        """Name of the function of a loss, in an export of some name."""
        return "loss" if self.by_slot else function_name(name, kind)


TARGETS = {
    one.name: one
    for one in (
        Target(
            "mmdet",
            "detectors.export.mmdet:mmdet",
            "```console\n$ python tools/train.py config.py\n```\n\nfrom this folder, with mmdetection's own "
            "`tools/train.py`; it needs nothing of the toolkit. `{losses}.py` can also be imported without "
            "mmdetection.\n\nThe config in its work dir, the modules beside it and a checkpoint load wherever they are "
            "taken together; without the modules too, for inference.",
        ),
        Target(
            "torch",
            "autoloss.export.plain:torch_files",
            "Import the functions from `{losses}.py`. They give a loss per sample: sum over positives for a box loss, "
            "over all samples for a class loss, divide by the number of positives (or of samples, in two-stage heads), "
            "and multiply by the `_WEIGHT` beside each.",
        ),
        Target(
            "torchvision",
            "detectors.export.torchvision:files",
            "`from {put} import put_into`, then `put_into(model)` for a torchvision FasterRCNN or FCOS; "
            "`python example.py` shows it.",
        ),
        Target("jax", "autoloss.export.plain:jax_files", "Import the functions from `{losses}.py`: JAX."),
        Target(
            "numpy", "autoloss.export.plain:numpy_files", "Import the functions from `{losses}.py`: NumPy and SciPy."
        ),
        Target("latex", "autoloss.export.plain:latex_files"),
        Target(
            "command",
            "autoloss.export.plain:slot_files",
            "Give the command of the search the path of `loss_cls.py` or `loss_bbox.py`: what it was given there. "
            "`loss` gives a loss per sample, `READS` names its arguments after the first two, `WEIGHT` is its weight.",
            by_slot=True,
        ),
    )
}
"""Every target by its name."""


def target(name: str) -> Target:
    """The target of that name.

    Raises:
        InputError: there is none.
    """
    if name not in TARGETS:
        raise InputError(f"unknown target {name!r}; choices: {', '.join(TARGETS)}")
    return TARGETS[name]
