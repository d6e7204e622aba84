"""One-stage search on digits whose labels are noisy, as people's own are: 30 % wrong, 15 % missing, boxes off by 10 %.

What is trained on, and what chooses among candidates, is spoilt; what the finale compares on is clean. Formulas may
read everything that a detector knows, and hold any number. `autoloss headroom configs/search/digits_noisy.py` says what
known losses gain here.
"""

_base_ = "digits_fcos.py"

search = dict(
    # The known losses that do best here, and the published pair.
    known=[
        dict(loss_cls="squared_error"),
        dict(loss_cls="binary_cross_entropy"),
        dict(loss_cls="cse_b_cls", loss_bbox="cse_b_reg"),
    ],
    # The weights of the own loss that do best here.
    controls=[dict(loss_cls=2.0), dict(loss_bbox=0.5)],
    slots=dict(
        loss_cls=dict(grammar="sigmoid_wide"),
        loss_bbox=dict(grammar="box_wide"),
    ),
    variation=dict(numbers="any"),
    finale=dict(rung=dict(task=dict(iterations=1200)), known=[0, 2]),
    evaluator=dict(data=dict(label_noise=0.3, box_noise=0.1, missing=0.15)),
)
