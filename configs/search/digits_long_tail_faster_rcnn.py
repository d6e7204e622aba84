"""Two-stage search on digits with a long tail: digit 0 is 40 times as frequent as digit 9; the test is balanced."""

_base_ = "digits_faster_rcnn.py"

search = dict(
    slots=dict(
        loss_cls=dict(grammar="softmax_wide"),
        loss_bbox=dict(grammar="box_wide"),
    ),
    variation=dict(numbers="any"),
    evaluator=dict(data=dict(long_tail=40)),
)
