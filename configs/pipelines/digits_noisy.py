"""From digits with wrong labels to a trained detector: 20 minutes on two quiet cores.

    autoloss run digits_noisy

Is there anything to gain; then box losses, class losses, both together; then whether what was found is better, a longer
training of it, a folder to take home, and pages.
"""

pipeline = ["headroom", "search_bbox", "search_cls", "search_both", "audit", "train", "export", "report"]

headroom = dict(
    config="configs/search/digits_noisy.py",
    cfg_options={
        "search.generations": 2,
        "search.births": 10,
        "search.finale.rung.task.iterations": 400,
        "search.finale.count": 2,
    },
    seeds=2,
)
search_bbox = dict(ref="headroom", slots=["loss_bbox"], proceed_if="headroom.gain > headroom.noise")
search_cls = dict(ref="headroom", slots=["loss_cls"])
search_both = dict(ref="headroom")  # from the best of both
audit = dict(seeds=5)
train = dict(iterations=1200, seeds=3)
export = dict(to=["mmdet", "torch"])
