"""One-stage search up the paper's own ladder: one image per class, overfit, then a short training.

Source: Liu et al. 2021, arXiv 2102.04700, section 3.3: D_verify holds an image per class; a proxy task follows.
"""

_base_ = "digits_fcos.py"

search = dict(
    generations=4,
    births=8,
    ladder=[
        # Drops what does not train.
        dict(
            name="verify",
            task=dict(iterations=120, train_on="verify", evaluate_on="verify"),
            keep=dict(of_own=0.5),
            ranks=False,
        ),
        # Ranks.
        dict(name="proxy", task=dict(iterations=400, train_on="train", evaluate_on="val"), seeds=[1]),
    ],
)
