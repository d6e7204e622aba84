"""A search for torchvision's FCOS, trained by a command: `configs/commands/train_fcos.py` on blood cells; 128 px.

The images are looked for in $AUTOLOSS_DATA/bccd: https://github.com/Shenggan/BCCD_Dataset (MIT), in COCO format.
"""

_base_ = "own_loop.py"

search = dict(
    known=[dict(loss_cls="varifocal")],
    ladder=[
        dict(name="short", task=dict(iterations=50, split="val"), seeds=[1], keep=dict(of_own=0.5, count=6)),
        dict(name="long", task=dict(iterations=200, split="val"), seeds=[2]),
    ],
    finale=dict(rung=dict(name="final", task=dict(iterations=400, split="test"), seeds=[3, 4]), count=2, known=[0]),
    evaluator=dict(
        command=[
            "{python}",
            "configs/commands/train_fcos.py",
            *("--data", "{{$AUTOLOSS_DATA:data}}/bccd", "--split", "{split}", "--out", "{folder}"),
            *("--cls", "{loss_cls}", "--bbox", "{loss_bbox}"),
            *("--iterations", "{iterations}", "--seed", "{seed}"),
        ],
        score=dict(_delete_=True, json="score.json", key="mAP"),
    ),
)
