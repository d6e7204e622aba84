"""One pair of losses for two detectors, a tiny FCOS and a tiny RetinaNet, on digits with noisy labels; 15 minutes.

A candidate scores what it scores with that detector which likes it less, beside what the own loss scores there.
"""

_base_ = "digits_noisy.py"

_data = dict(type="digits", label_noise=0.3, box_noise=0.1, missing=0.15)
search = dict(
    generations=3,
    known=[dict(loss_cls="squared_error"), dict(loss_cls="cse_b_cls", loss_bbox="cse_b_reg")],
    finale=dict(rung=dict(task=dict(iterations=600)), known=[0, 1]),
    evaluator=dict(_delete_=True),
    evaluators=[
        dict(type="detectors.evaluator:DetectorEvaluator", detector="configs/detectors/tiny_fcos.py", data=_data),
        dict(type="detectors.evaluator:DetectorEvaluator", detector="configs/detectors/tiny_retinanet.py", data=_data),
    ],
    objective="worst",
)
