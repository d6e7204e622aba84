"""One-stage search on digits whose labels are noisy, as people's own are: 30 % wrong, 15 % missing, boxes off by 10 %.

What is trained on, and what chooses among candidates, is spoilt; what the finale compares on is clean. `autoloss
headroom configs/search/digits_noisy.py` says what known losses gain here.
"""

_base_ = "digits_fcos.py"

search = dict(
    finale=dict(rung=dict(task=dict(iterations=1200))),
    evaluator=dict(data=dict(label_noise=0.3, box_noise=0.1, missing=0.15)),
)
