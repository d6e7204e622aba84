"""The first search at length: noisy digits, whole detectors rank at the end of a ladder; 45 minutes on two cores.

Candidates are chosen on 200 images whose labels were checked, as one does by hand before long trainings. Nothing it
proposes is ranked on the test images: they are for `autoloss audit`.
"""

_base_ = "digits_noisy.py"

search = dict(
    generations=8,
    births=32,
    strategy=dict(type="schedule", steps=[("evolution", 160), ("refine", 64), ("tune", 32)]),
    # Heads on frozen features rank class losses as whole detectors do and box losses worse (results/headroom), so they
    # choose who is trained whole, and count for nothing else.
    ladder=[
        dict(
            name="frozen",
            task=dict(kind="frozen", pretrain=1000, iterations=300, images=1000, evaluate_on="val"),
            seeds=[5],
            keep=dict(of_own=0.5, count=12),
            ranks=False,
            batch=6,
        ),
        dict(
            name="frozen long",
            task=dict(kind="frozen", pretrain=1000, iterations=600, images=1000, evaluate_on="val"),
            seeds=[6, 7],
            keep=dict(count=5),
            ranks=False,
            batch=6,
        ),
        dict(name="whole", task=dict(iterations=1200, train_on="train", evaluate_on="val"), seeds=[8, 9]),
    ],
    finale=dict(
        rung=dict(task=dict(evaluate_on="val"), seeds=[2, 3, 4, 10, 11]), count=6, race=[6, 6, 4, 3, 3], known=[0]
    ),
    evaluator=dict(data=dict(spoil_val=False)),
)
