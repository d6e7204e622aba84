"""Two-stage search on digits whose labels are noisy: 30 % wrong, 15 % missing, boxes off by 10 %; the test is clean."""

_base_ = "digits_faster_rcnn.py"

search = dict(
    slots=dict(
        loss_cls=dict(grammar="softmax_wide"),
        loss_bbox=dict(grammar="box_wide"),
    ),
    variation=dict(numbers="any"),
    evaluator=dict(data=dict(label_noise=0.3, box_noise=0.1, missing=0.15)),
)
