"""The same for two-stage losses."""

_base_ = ["../search/digits_faster_rcnn.py"]

search = dict(
    generations=1,
    births=18,
    init="random",
    variation=dict(both=0.34),
    known=[
        dict(loss_bbox="giou"),
        dict(loss_bbox="iou"),
        dict(loss_bbox="log_iou"),
        dict(loss_bbox="squared_iou"),
        dict(loss_bbox="diou"),
        dict(loss_bbox="cse_a_reg"),
        dict(loss_cls="cse_a_cls"),
        dict(loss_cls="cse_a_cls", loss_bbox="cse_a_reg"),
    ],
    ladder=[
        dict(name="verify", task=dict(iterations=80, train_on="verify", evaluate_on="verify"), seeds=[11, 12]),
        dict(name="train 100", task=dict(iterations=100, train_on="train", evaluate_on="val"), seeds=[13, 14]),
        dict(name="train 200", task=dict(iterations=200, train_on="train", evaluate_on="val"), seeds=[15, 16]),
        dict(name="train 400", task=dict(iterations=400, train_on="train", evaluate_on="val"), seeds=[17, 18]),
    ],
    finale=dict(
        _delete_=True,
        rung=dict(name="truth", task=dict(iterations=1200, train_on="train", evaluate_on="test"), seeds=[21, 22, 23]),
    ),
)
