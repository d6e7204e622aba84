"""Faster R-CNN, ResNet-50, with CSE-Autoloss-A on BDD100K: 70,000 images to train on, 10 classes.

The files are those that configs/datasets/bdd100k.py describes. Schedule and image size are mmdetection's for COCO; the
paper's own are not known to us.
The box loss has weight 10 on decoded boxes, as GIoU in mmdetection's faster-rcnn_r50_fpn_giou_1x_coco, which the
authors' two-stage configs follow; the class loss has weight 1.

Source: Liu et al. 2021, arXiv 2102.04700; the losses as published, primitives/catalog.py has their text.
"""

_base_ = "../detectors/faster_rcnn_r50.py"

custom_imports = dict(imports=["detectors.losses", "detectors.heads"], allow_failed_imports=False)
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="IoUAwareShared2FCBBoxHead",
            num_classes=10,
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

_root = "data/bdd100k/"
_classes = (
    "pedestrian",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
    "traffic light",
    "traffic sign",
)
train_dataloader = dict(
    dataset=dict(
        data_root=_root,
        ann_file="det_train_coco.json",
        data_prefix=dict(img="images/100k/train/"),
        metainfo=dict(classes=_classes),
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=_root,
        ann_file="det_val_coco.json",
        data_prefix=dict(img="images/100k/val/"),
        metainfo=dict(classes=_classes),
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_root + "det_val_coco.json")
test_evaluator = val_evaluator
