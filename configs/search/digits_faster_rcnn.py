"""Two-stage search: a tiny Faster R-CNN on scenes of handwritten digits; about 15 minutes on two cores."""

_base_ = "digits_fcos.py"

search = dict(
    generations=4,
    births=8,
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
    ladder=[
        dict(
            name="verify",
            task=dict(iterations=80, train_on="verify", evaluate_on="verify"),
            keep=dict(of_own=0.5),
            ranks=False,
        ),
        # This detector learns faster than the one-stage one, and its iterations take twice as long.
        dict(name="proxy", task=dict(iterations=200, train_on="train", evaluate_on="val"), seeds=[1]),
    ],
    finale=dict(rung=dict(task=dict(iterations=200))),
    evaluator=dict(detector="configs/detectors/tiny_faster_rcnn.py"),
)
