"""Cascade R-CNN, ResNet-50, with CSE-Autoloss-A in every stage: published mAP 40.5 on COCO val2017.

The box loss has weight 10 on decoded boxes in every stage, as in the authors' Cascade R-CNN config.

Source: Liu et al. 2021, arXiv 2102.04700; the losses as published, primitives/catalog.py has their text.
"""

_base_ = "../detectors/cascade_rcnn_r50.py"

custom_imports = dict(imports=["detectors.losses", "detectors.heads"], allow_failed_imports=False)
# A list takes the place of the base's as a whole: what is not a loss is mmdetection's.
model = dict(
    roi_head=dict(
        bbox_head=[
            dict(
                type="IoUAwareShared2FCBBoxHead",
                in_channels=256,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=80,
                bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=[0.0, 0.0, 0.0, 0.0], target_stds=stds),
                reg_class_agnostic=True,
                reg_decoded_bbox=True,
                loss_cls=dict(
                    type="ExpressionClassLoss",
                    grammar="softmax",
                    expression="neg(dot(mul(y, add(1, sin(w))), log(softmax(x))))",
                    loss_weight=1.0,
                ),
                loss_bbox=dict(
                    type="ExpressionBoxLoss",
                    grammar="box_pixels",
                    expression="add(1, neg(add(div(i, u), neg(div(add(e, neg(add(i, 2))), e)))))",
                    loss_weight=10.0,
                ),
            )
            for stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
        ],
    ),
)
