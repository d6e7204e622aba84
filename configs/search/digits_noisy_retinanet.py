"""Digits with noisy labels and a tiny RetinaNet: where a pair that was found with another detector is tried."""

_base_ = "digits_noisy.py"

search = dict(evaluator=dict(detector="configs/detectors/tiny_retinanet.py"))
