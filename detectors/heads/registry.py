"""Heads: stock heads registered once more with the mechanism of `detectors.heads.handover`."""

from __future__ import annotations

from collections.abc import Collection

from detectors import mmcv_ops

mmcv_ops.install()  # a config that names this module in custom_imports needs nothing else

from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead, RetinaHead  # noqa: E402
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead  # noqa: E402
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead, Shared4Conv1FCBBoxHead  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402

from detectors.heads.handover import IoUAware  # noqa: E402
from detectors.heads.iou_aware import (  # noqa: E402
    AnchorCenternessIoUAware,
    AnchorIoUAware,
    ImageAware,
    PointIoUAware,
    QualityIoUAware,
    RoIIoUAware,
)
from primitives.errors import InputError  # noqa: E402

PREFIX = "IoUAware"
MECHANISMS: dict[type, type[IoUAware]] = {
    FCOSHead: PointIoUAware,
    ATSSHead: AnchorCenternessIoUAware,
    RetinaHead: AnchorIoUAware,
    Shared2FCBBoxHead: RoIIoUAware,
    Shared4Conv1FCBBoxHead: RoIIoUAware,
    GFLHead: QualityIoUAware,
}
"""The mechanism by stock head. ATSS always hands over boxes, FCOS and the two-stage heads those of positives only."""
AWARE = (GFLHead,)
"""Stock heads that know the IoU: they call their class loss with (labels, IoU), which `ClassLoss` takes as it is."""
ROI_HEADS = (StandardRoIHead, CascadeRoIHead)
"""Stock RoI heads that can tell their box heads of the images."""
TWINS: dict[str, tuple[type, type[IoUAware]]] = {}
"""Stock head and mechanism by the `type` of their twin; the first that hands over enough is taken."""


def register(mechanism: type[IoUAware], head: type, prefix: str = PREFIX) -> str:
    """Registers a stock head once more, with a mechanism that hands more to its losses.

    Args:
        mechanism: mixed in before the head; `hands_over` says what its losses get.
        head: the stock head.
        prefix: of the name.

    Returns:
        The `type` of the twin.
    """
    name = _register(mechanism, head, prefix)
    TWINS[name] = (head, mechanism)
    return name


def _register(mechanism: type, head: type, prefix: str) -> str:
    name = f"{prefix}{head.__name__}"
    about = {
        "__doc__": f"{head.__name__}. {mechanism.__doc__}",
        "__module__": __name__,
        "stands_for": head.__name__,
    }
    MODELS.register_module(module=type(name, (mechanism, head), about))
    return name


for _head, _mechanism in MECHANISMS.items():
    register(_mechanism, _head)
ROI_TWINS = {_register(ImageAware, _head, PREFIX): _head for _head in ROI_HEADS}


def stock(name: str) -> str:
    """Name of the stock head behind the `type` of a head or of its twin."""
    return TWINS[name][0].__name__ if name in TWINS else name


def head_type(name: str, reads: Collection[str], box_reads: Collection[str] = ()) -> str:
    """Name of the head that does what a stock head does and hands over what losses read: itself, or a twin.

    Args:
        name: `type` of a stock head, or of a twin.
        reads: what the class loss reads beside prediction and target, as `Loss.reads` has it.
        box_reads: what the box loss reads.

    Raises:
        InputError: there is none.
    """
    wanted = {*reads, *box_reads}
    enough = {twin: head.__name__ for twin, (head, how) in TWINS.items() if wanted <= set(how.hands_over)}
    alone = name in {head.__name__ for head in AWARE} and not box_reads and set(reads) <= {"iou"}
    if not wanted or alone or name in enough:
        return name
    for twin, head in enough.items():
        if head == stock(name):
            return twin
    listed, known = ", ".join(sorted(wanted)), ", ".join(dict.fromkeys(enough.values())) or "none"
    raise InputError(f"no head that hands over {listed} stands in for {name!r}; known: {known}")


def roi_head_type(name: str) -> str:
    """Name of the RoI head that does what a stock one does and tells its box heads of the images.

    Args:
        name: `type` of a stock RoI head, or of its twin.

    Raises:
        InputError: there is none.
    """
    for twin, head in ROI_TWINS.items():
        if name in (twin, head.__name__):
            return twin
    known = ", ".join(head.__name__ for head in ROI_HEADS)
    raise InputError(f"no RoI head that tells of image sizes, which size needs, stands in for {name!r}; known: {known}")
