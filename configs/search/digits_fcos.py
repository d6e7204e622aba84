"""One-stage search: a tiny FCOS on scenes of handwritten digits; 5 to 10 minutes on two cores."""

search = dict(
    seed=0,
    generations=4,
    births=20,
    init="known",  # or "random", or formulas of your own, such as [dict(loss_cls="abs(y - sigmoid(x))")]
    # Who proposes is evolution; for others, see "Strategies" in autoloss/README.md, such as
    # strategy=dict(type="schedule", steps=[("evolution", 60), ("refine", 40), ("tune", 20)])
    known=[
        dict(loss_cls="quality_focal"),
        dict(loss_cls="varifocal"),
        dict(loss_cls="cse_b_cls", loss_bbox="cse_b_reg"),
    ],
    # The own loss with another weight: a gain must be more than that.
    controls=[dict(loss_cls=2.0), dict(loss_bbox=2.0)],
    slots=dict(
        loss_cls=dict(grammar="sigmoid", like="focal", alpha=0.25),
        loss_bbox=dict(grammar="box", like="giou"),
    ),
    # What results/fidelity recommends: small heads on the features of a detector that was trained once rank losses as
    # 1,200 iterations do; 400 iterations of training, at 25 times the cost, favour losses that learn fast.
    ladder=[
        dict(
            name="frozen",
            task=dict(kind="frozen", pretrain=1000, iterations=300, images=1000, evaluate_on="val"),
            seeds=[5],
            keep=dict(of_own=0.5, count=12),
            batch=6,
        ),
        dict(
            name="frozen long",
            task=dict(kind="frozen", pretrain=1000, iterations=600, images=1000, evaluate_on="val"),
            seeds=[6, 7],
            batch=6,
        ),
    ],
    # On images that took no part in the search.
    finale=dict(
        rung=dict(name="final", task=dict(iterations=600, train_on="train", evaluate_on="test"), seeds=[2, 3, 4]),
        count=2,
        known=[1, 2],
    ),
    evaluator=dict(
        type="detectors.evaluator:DetectorEvaluator",
        detector="configs/detectors/tiny_fcos.py",
        data=dict(type="digits"),
    ),
)
