"""How well cheap rungs rank the near-equal losses that a search ends with; give them by `--of RUN --last 24`."""

_base_ = ["digits_fcos.py"]

search = dict(
    ladder=[
        dict(name="descend", task=dict(kind="descend")),
        dict(name="train 100", task=dict(iterations=100, train_on="train", evaluate_on="val"), seeds=[13]),
        dict(name="train 400", task=dict(iterations=400, train_on="train", evaluate_on="val"), seeds=[17]),
        dict(
            name="frozen 500+300",
            task=dict(kind="frozen", pretrain=500, iterations=300, images=400, evaluate_on="val"),
            seeds=[53, 54],
            batch=8,
        ),
        dict(
            name="frozen 1000+300",
            task=dict(kind="frozen", pretrain=1000, iterations=300, images=1000, evaluate_on="val"),
            seeds=[55, 56],
            batch=8,
        ),
        dict(
            name="frozen 1000+600",
            task=dict(kind="frozen", pretrain=1000, iterations=600, images=1000, evaluate_on="val"),
            seeds=[57, 58],
            batch=8,
        ),
    ],
)
