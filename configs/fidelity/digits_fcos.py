"""How well cheap rungs rank one-stage losses: known ones and random survivors, beside 1,200 iterations with 3 seeds."""

_base_ = "../search/digits_fcos.py"

search = dict(
    generations=1,
    births=18,
    init="random",
    variation=dict(both=0.34),
    known=[
        dict(loss_cls="binary_cross_entropy"),
        dict(loss_cls="quality_focal"),
        dict(loss_cls="varifocal"),
        dict(loss_cls="cse_b_cls"),
        dict(loss_bbox="iou"),
        dict(loss_bbox="log_iou"),
        dict(loss_bbox="squared_iou"),
        dict(loss_bbox="diou"),
        dict(loss_bbox="cse_b_reg"),
        dict(loss_cls="cse_b_cls", loss_bbox="cse_b_reg"),
    ],
    ladder=[
        dict(name="descend", task=dict(kind="descend")),
        dict(name="verify", task=dict(iterations=120, train_on="verify", evaluate_on="verify"), seeds=[11, 12]),
        dict(name="train 100", task=dict(iterations=100, train_on="train", evaluate_on="val"), seeds=[13, 14]),
        dict(name="train 200", task=dict(iterations=200, train_on="train", evaluate_on="val"), seeds=[15, 16]),
        dict(name="train 400", task=dict(iterations=400, train_on="train", evaluate_on="val"), seeds=[17, 18]),
        dict(
            name="frozen 200+100",
            task=dict(kind="frozen", pretrain=200, iterations=100, images=400, evaluate_on="val"),
            seeds=[51, 52],
            batch=8,
        ),
        dict(
            name="frozen 500+300",
            task=dict(kind="frozen", pretrain=500, iterations=300, images=400, evaluate_on="val"),
            seeds=[53, 54],
            batch=8,
        ),
        dict(
            name="frozen 1000+100",
            task=dict(kind="frozen", pretrain=1000, iterations=100, images=1000, evaluate_on="val"),
            seeds=[59, 60],
            batch=8,
        ),
        dict(
            name="frozen 1000+300",
            task=dict(kind="frozen", pretrain=1000, iterations=300, images=1000, evaluate_on="val"),
            seeds=[55, 56],
            batch=8,
        ),
        dict(
            name="frozen 1000+600",
            task=dict(kind="frozen", pretrain=1000, iterations=600, images=1000, evaluate_on="val"),
            seeds=[57, 58],
            batch=8,
        ),
    ],
    finale=dict(
        _delete_=True,
        rung=dict(name="truth", task=dict(iterations=1200, train_on="train", evaluate_on="test"), seeds=[21, 22, 23]),
    ),
)
