"""The paper's search on COCO for a two-stage detector: Faster R-CNN, ResNet-50; see coco_fcos.py for what is whose.

Source: Liu et al. 2021, arXiv 2102.04700, sections 3 and 4.
"""

_base_ = "coco_fcos.py"

search = dict(
    known=[dict(loss_cls="cse_a_cls", loss_bbox="cse_a_reg")],  # ours: the published result as a row to compare with
    slots=dict(
        loss_cls=dict(_delete_=True, grammar="softmax", like="cross_entropy"),
        # GIoU with weight 10 is what mmdetection puts in the place of L1 (faster-rcnn_r50_fpn_giou_1x_coco).
        loss_bbox=dict(grammar="box", like="giou", weight=10.0),
    ),
    evaluator=dict(detector="configs/detectors/faster_rcnn_r50.py"),
)
