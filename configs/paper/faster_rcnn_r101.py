"""Faster R-CNN, ResNet-101, with CSE-Autoloss-A: published mAP 40.2 on COCO val2017.

The box loss has weight 10 on decoded boxes, as GIoU in mmdetection's faster-rcnn_r50_fpn_giou_1x_coco, which the
authors' two-stage configs follow; the class loss has weight 1.

Source: Liu et al. 2021, arXiv 2102.04700; the losses as published, primitives/catalog.py has their text.
"""

_base_ = "../detectors/faster_rcnn_r101.py"

custom_imports = dict(imports=["detectors.losses", "detectors.heads"], allow_failed_imports=False)
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="IoUAwareShared2FCBBoxHead",
            reg_decoded_bbox=True,
            loss_cls=dict(
                _delete_=True,
                type="ExpressionClassLoss",
                grammar="softmax",
                expression="neg(dot(mul(y, add(1, sin(w))), log(softmax(x))))",
                loss_weight=1.0,
            ),
            loss_bbox=dict(
                _delete_=True,
                type="ExpressionBoxLoss",
                grammar="box_pixels",
                expression="add(1, neg(add(div(i, u), neg(div(add(e, neg(add(i, 2))), e)))))",
                loss_weight=10.0,
            ),
        ),
    ),
)
