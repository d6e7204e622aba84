"""Blood cells with noisy labels, as noisy digits have them: where a pair that was found with those is tried."""

_base_ = "bccd.py"

search = dict(evaluator=dict(data=dict(spoil=dict(label_noise=0.3, box_noise=0.1, missing=0.15))))
