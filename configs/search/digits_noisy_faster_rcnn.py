"""Two-stage search on digits whose labels are noisy: 30 % wrong, 15 % missing, boxes off by 10 %; the test is clean."""

_base_ = "digits_faster_rcnn.py"

search = dict(evaluator=dict(data=dict(label_noise=0.3, box_noise=0.1, missing=0.15)))
