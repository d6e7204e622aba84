"""A search for a training loop of one's own, without mmdetection: `configs/commands/train_loop.py` on drawn digits."""

search = dict(
    seed=0,
    generations=2,
    births=8,
    known=[dict(loss_cls="quality_focal"), dict(loss_cls="varifocal")],
    controls=[dict(loss_cls=2.0), dict(loss_bbox=2.0)],
    slots=dict(
        loss_cls=dict(grammar="sigmoid", like="focal", alpha=0.25),
        loss_bbox=dict(grammar="box", like="giou"),
    ),
    ladder=[
        dict(name="short", task=dict(iterations=100), seeds=[1], keep=dict(of_own=0.5, count=6)),
        dict(name="long", task=dict(iterations=400), seeds=[2]),
    ],
    finale=dict(rung=dict(name="final", task=dict(iterations=800), seeds=[3, 4]), count=2, known=[1]),
    evaluator=dict(
        type="command",
        command=[
            "{python}",
            "configs/commands/train_loop.py",
            *("--cls", "{loss_cls}", "--bbox", "{loss_bbox}"),
            *("--iterations", "{iterations}", "--seed", "{seed}"),
        ],
        score="last line",
    ),
)
