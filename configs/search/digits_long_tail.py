"""One-stage search on digits with a long tail: digit 0 is 40 times as frequent as digit 9; the test is balanced."""

_base_ = "digits_fcos.py"

search = dict(
    slots=dict(
        loss_cls=dict(grammar="sigmoid_wide"),
        loss_bbox=dict(grammar="box_wide"),
    ),
    variation=dict(numbers="any"),
    finale=dict(rung=dict(task=dict(iterations=1200))),
    evaluator=dict(data=dict(long_tail=40)),
)
