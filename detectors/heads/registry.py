"""Heads: stock heads registered once more with the mechanism of `detectors.heads.iou_aware`."""

from __future__ import annotations

from detectors import mmcv_ops

mmcv_ops.install()  # a config that names this module in custom_imports needs nothing else

from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead, RetinaHead  # noqa: E402
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead, Shared4Conv1FCBBoxHead  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402

from detectors.heads.iou_aware import AnchorCenternessIoUAware, AnchorIoUAware, PointIoUAware, RoIIoUAware  # noqa: E402
from primitives.errors import InputError  # noqa: E402

PREFIX = "IoUAware"
MECHANISMS: dict[type, type] = {
    FCOSHead: PointIoUAware,
    ATSSHead: AnchorCenternessIoUAware,
    RetinaHead: AnchorIoUAware,
    Shared2FCBBoxHead: RoIIoUAware,
    Shared4Conv1FCBBoxHead: RoIIoUAware,
}
"""The mechanism by stock head. ATSS always hands over boxes, FCOS and the two-stage heads those of positives only."""
AWARE = (GFLHead,)
"""Stock heads that know the IoU: they call their class loss with (labels, IoU), which `ClassLoss` takes as it is."""


def _register(mechanism: type, head: type) -> None:
    name = f"{PREFIX}{head.__name__}"
    MODELS.register_module(
        module=type(
            name,
            (mechanism, head),
            {
                "__doc__": f"{head.__name__}. {mechanism.__doc__}",
                "__module__": __name__,
                "stands_for": head.__name__,
            },
        )
    )


for _head, _mechanism in MECHANISMS.items():
    _register(_mechanism, _head)


def stock(name: str) -> type:
    """The stock head behind the `type` of a head or of its twin.

    Raises:
        InputError: the head has no twin.
    """
    known = {head.__name__: head for head in MECHANISMS}
    found = known.get(name.removeprefix(PREFIX))
    if found is None:
        choices = ", ".join([*known, *(head.__name__ for head in AWARE)])
        raise InputError(f"no head that knows the IoU stands in for {name!r}; known: {choices}")
    return found


def iou_aware_type(name: str) -> str:
    """Name of the head that does what a stock head does and hands the IoU to its class loss: its twin, or itself.

    Args:
        name: `type` of a stock head, or of a twin.

    Raises:
        InputError: the head has no twin.
    """
    if name in [head.__name__ for head in AWARE]:
        return name
    return f"{PREFIX}{stock(name).__name__}"
