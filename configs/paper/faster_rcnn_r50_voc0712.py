"""Faster R-CNN, ResNet-50, with CSE-Autoloss-A on Pascal VOC: trained on trainval of 07 and 12, evaluated on 07 test.

Schedule, image size and metric (VOC's 11 points, mAP at IoU 0.5) are mmdetection's for this data set; the paper's own
are not known to us. With --data configs/datasets/voc0712.py the metric is COCO's; its mAP_50 is the nearest to VOC's.
The box loss has weight 10 on decoded boxes, as GIoU in mmdetection's faster-rcnn_r50_fpn_giou_1x_coco, which the
authors' two-stage configs follow; the class loss has weight 1.

Source: Liu et al. 2021, arXiv 2102.04700; the losses as published, primitives/catalog.py has their text.
"""

_base_ = "mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py"

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
