"""One-stage search: a tiny FCOS on scenes of handwritten digits; 10 to 12 minutes on two cores."""

search = dict(
    seed=0,
    generations=4,
    births=8,
    init="known",
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
    ladder=[
        # One image per class, overfit: drops what does not train.
        dict(
            name="verify",
            task=dict(iterations=120, train_on="verify", evaluate_on="verify"),
            keep=dict(of_own=0.5),
        ),
        # Short training: ranks.
        dict(name="proxy", task=dict(iterations=400, train_on="train", evaluate_on="val"), seeds=[1]),
    ],
    # On images that took no part in the search.
    finale=dict(
        rung=dict(name="final", task=dict(iterations=400, train_on="train", evaluate_on="test"), seeds=[2, 3, 4]),
        count=3,
        known=[1, 2],
    ),
    evaluator=dict(
        type="detectors.evaluator:DetectorEvaluator",
        detector="configs/detectors/tiny_fcos.py",
        data=dict(type="digits"),
    ),
)
