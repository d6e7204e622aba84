"""Two-stage search: a tiny Faster R-CNN on scenes of handwritten digits; 20 to 50 minutes on two cores."""

_base_ = "digits_fcos.py"

search = dict(
    generations=6,
    births=32,
    known=[
        dict(loss_bbox="giou"),
        dict(loss_cls="cse_a_cls"),
        dict(loss_cls="cse_a_cls", loss_bbox="cse_a_reg"),
    ],
    slots=dict(
        # softmax losses have no alpha
        loss_cls=dict(_delete_=True, grammar="softmax", like="cross_entropy"),
        # The detector's own box loss is L1 on deltas, which no formula over areas can be. GIoU with weight 10 is
        # what mmdetection puts in its place (faster-rcnn_r50_fpn_giou_1x_coco).
        loss_bbox=dict(grammar="box", like="giou", weight=10.0),
    ),
    # What results/fidelity recommends for two stages: a short pretraining and half as many images rank these losses as
    # 1,200 iterations do, and better than 400 iterations of training.
    ladder=[
        dict(
            name="frozen",
            task=dict(kind="frozen", pretrain=500, iterations=300, images=400, evaluate_on="val"),
            seeds=[5],
            keep=dict(of_own=0.5, count=12),
            batch=6,
        ),
        dict(
            name="frozen again",
            task=dict(kind="frozen", pretrain=500, iterations=300, images=400, evaluate_on="val"),
            seeds=[6, 7],
            batch=6,
        ),
    ],
    finale=dict(rung=dict(task=dict(iterations=1200)), count=3),
    evaluator=dict(detector="configs/detectors/tiny_faster_rcnn.py"),
)
