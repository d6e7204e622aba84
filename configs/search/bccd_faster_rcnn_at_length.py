"""Blood cells, two stages, at length: whole detectors rank at the end of the ladder.

Nothing it proposes is ranked on the test images: they are for `autoloss audit`.
"""

_base_ = "bccd_faster_rcnn.py"

search = dict(
    generations=5,
    births=20,
    strategy=dict(type="schedule", steps=[("evolution", 60), ("refine", 20), ("tune", 20)]),
    # The known losses that do best here, and the published pair (results/headroom), to be compared with.
    known=[
        dict(loss_cls="cse_a_cls"),
        dict(loss_bbox="nwd"),
        dict(loss_cls="cse_a_cls", loss_bbox="cse_a_reg"),
    ],
    # What they and other weights come to together: the first to have children.
    init=[
        dict(loss_cls="cse_a_cls", loss_bbox="nwd"),
        dict(loss_cls="cse_a_cls", loss_bbox="iou"),
        dict(loss_cls="logit_adjusted", loss_bbox="nwd"),
        dict(loss_cls=dict(formula="cross_entropy", times=2.0), loss_bbox="nwd"),
        dict(loss_cls="cse_a_cls", loss_bbox="eiou"),
    ],
    # Heads on frozen features rank these losses at 0.43 only (results/headroom): they keep out what does not train.
    ladder=[
        dict(
            name="frozen",
            task=dict(kind="frozen", pretrain=600, iterations=300, images=400, evaluate_images=200, evaluate_on="val"),
            seeds=[5],
            keep=dict(of_own=0.5, count=5),
            ranks=False,
            batch=6,
        ),
        dict(name="whole", task=dict(iterations=800, train_on="train", evaluate_on="val"), seeds=[8]),
    ],
    finale=dict(rung=dict(task=dict(evaluate_on="val"), seeds=[2, 3, 4]), count=5, race=[5, 4, 3], known=[0]),
)
