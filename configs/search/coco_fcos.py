"""The paper's search on COCO for a one-stage detector: FCOS, ResNet-50.

What the paper states: 21 operators; formulas that fail cheap tests are never trained; a verification set of one image
for each of the 80 classes; a proxy training on COCO's training images with 10,000 of them held out to score it; the
winners are trained in full. Every other number here is ours, and is marked so.

Data as configs/datasets/coco2017.py describes it; val2017 takes no part in the search and judges the finale. The
backbone's weights are downloaded, or a local file: --cfg-options
search.evaluator.cfg_options.model.backbone.init_cfg.checkpoint=FILE. One evaluation needs a GPU that holds 16 images of
1333 x 800 (ours: as mmdetection's schedules; batch_size and, in proportion, the learning rate can be lowered).

An epoch at batch 16 is 118,287 / 16 = 7,393 iterations of train2017 (7,330 of the 117,266 images that have boxes), and
108,287 / 16 = 6,768 without the 10,000 that are held out.

Source: Liu et al. 2021, arXiv 2102.04700, sections 3 and 4.
"""

search = dict(
    seed=0,  # ours
    generations=5,  # ours
    births=32,  # ours
    init="known",  # ours: the detector's own losses may have children
    known=[dict(loss_cls="cse_b_cls", loss_bbox="cse_b_reg")],  # ours: the published result as a row to compare with
    controls=[dict(loss_cls=2.0), dict(loss_bbox=2.0)],  # ours
    slots=dict(
        loss_cls=dict(grammar="sigmoid", like="focal", alpha=0.25),
        loss_bbox=dict(grammar="box", like="giou"),  # ours: areas in units of the target's, the paper's are in pixels
    ),
    variation=dict(extended=False),  # the paper's 21 operators
    ladder=[
        # D_verify: 80 images, overfit.
        dict(
            name="verify",
            task=dict(iterations=500, train_on="verify", evaluate_on="verify"),  # ours: 500
            keep=dict(of_own=0.5, count=16),  # ours
            ranks=False,
        ),
        # One epoch.
        dict(
            name="proxy",
            task=dict(
                iterations=6768, train_on="train", evaluate_on="val"
            ),  # ours: one epoch, the paper has a short one
            seeds=[1],
        ),
    ],
    finale=dict(
        # 12 epochs, as mmdetection's 1x schedules have; ours: the learning rate's cosine after a warm-up, as of every
        # rung, one seed, and how many take part. For figures to stand beside published ones: autoloss train.
        rung=dict(name="final", task=dict(iterations=81216, train_on="train", evaluate_on="test"), seeds=[2]),
        count=2,
        known=[0],
    ),
    evaluator=dict(
        type="detectors.evaluator:DetectorEvaluator",
        detector="configs/detectors/fcos_r50.py",
        batch_size=16,
        centerness_target=None,  # "iou" as in the published result
        data=dict(
            type="coco",
            train=dict(annotations="data/coco/annotations/instances_train2017.json", images="data/coco/train2017"),
            hold_out=10_000,  # for val
            test=dict(annotations="data/coco/annotations/instances_val2017.json", images="data/coco/val2017"),
            verify=1,
        ),
    ),
)
