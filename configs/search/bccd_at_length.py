"""Blood cells, one stage, at length: whole detectors rank at the end of the ladder.

Nothing it proposes is ranked on the test images: they are for `autoloss audit`.
"""

_base_ = "bccd.py"

search = dict(
    generations=6,
    births=24,
    strategy=dict(type="schedule", steps=[("evolution", 80), ("refine", 32), ("tune", 32)]),
    # The known loss that does best here, and the published pair (results/headroom), to be compared with.
    known=[dict(loss_bbox="alpha_iou"), dict(loss_cls="cse_b_cls", loss_bbox="cse_b_reg")],
    # What they and other weights come to together: the first to have children.
    init=[
        dict(loss_bbox="alpha_iou"),
        dict(loss_bbox=dict(formula="giou", times=2.0)),
        dict(loss_bbox=dict(formula="squared_iou", times=2.0)),
        dict(loss_cls="varifocal", loss_bbox="alpha_iou"),
        dict(loss_cls="asymmetric", loss_bbox="alpha_iou"),
    ],
    # Heads on frozen features only keep out what does not train: the longer ones rank box losses as noise would
    # (results/headroom). Seeds differ by half a point here; one is enough.
    ladder=[
        dict(
            name="frozen",
            task=dict(kind="frozen", pretrain=600, iterations=300, images=600, evaluate_images=200, evaluate_on="val"),
            seeds=[5],
            keep=dict(of_own=0.5, count=6),
            ranks=False,
            batch=6,
        ),
        dict(name="whole", task=dict(iterations=800, train_on="train", evaluate_on="val"), seeds=[8]),
    ],
    finale=dict(rung=dict(task=dict(evaluate_on="val"), seeds=[2, 3, 4]), count=5, race=[5, 4, 3], known=[0]),
)
