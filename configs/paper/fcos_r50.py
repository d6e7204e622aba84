"""FCOS, ResNet-50, with CSE-Autoloss-B: published mAP 39.6 on COCO val2017.

The IoU of the predicted box is the target of the centerness branch and weights the box loss, as the authors have it.
The box formula counts in pixels, and here a pixel is a stride (norm_on_bbox).

Source: Liu et al. 2021, arXiv 2102.04700; the losses as published, primitives/catalog.py has their text.
"""

_base_ = "../detectors/fcos_r50.py"

custom_imports = dict(imports=["detectors.losses", "detectors.heads"], allow_failed_imports=False)
model = dict(
    bbox_head=dict(
        type="IoUAwareFCOSHead",
        centerness_target="iou",
        loss_cls=dict(
            _delete_=True,
            type="ExpressionClassLoss",
            grammar="sigmoid",
            expression=(
                "neg(add(mul(w, mul(add(1, erf(sigmoid(sub(1, y)))), log(sigmoid(x)))), mul(add(gd(x), neg(w)), "
                "mul(add(add(1, neg(w)), neg(add(1, neg(sigmoid(x))))), log(add(1, neg(sigmoid(x))))))))"
            ),
            alpha=0.25,
            use_sigmoid=True,
            loss_weight=1.0,
        ),
        loss_bbox=dict(
            _delete_=True,
            type="ExpressionBoxLoss",
            grammar="box_pixels",
            expression=(
                "neg(div(add(div(neg(add(neg(e), add(1, i))), neg(add(3, add(2, u)))), "
                "add(div(e, e), div(neg(e), neg(1)))), neg(add(div(neg(add(u, div(i, 1))), neg(3)), neg(e)))))"
            ),
            loss_weight=1.0,
        ),
    ),
)
