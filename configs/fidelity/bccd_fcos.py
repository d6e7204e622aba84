"""How well cheap rungs rank one-stage losses on real images: blood cells, made smaller.

The images are looked for in $AUTOLOSS_DATA/bccd: https://github.com/Shenggan/BCCD_Dataset (MIT), in COCO format.
"""

_base_ = ["digits_fcos.py"]

search = dict(
    births=12,
    ladder=[
        dict(name="descend", task=dict(kind="descend")),
        dict(name="train 100", task=dict(iterations=100, train_on="train", evaluate_on="val"), seeds=[13]),
        dict(name="train 400", task=dict(iterations=400, train_on="train", evaluate_on="val"), seeds=[17]),
        dict(
            name="frozen 500+300",
            task=dict(kind="frozen", pretrain=500, iterations=300, images=205, evaluate_on="val"),
            seeds=[53, 54],
            batch=8,
        ),
        dict(
            name="frozen 1000+300",
            task=dict(kind="frozen", pretrain=1000, iterations=300, images=205, evaluate_on="val"),
            seeds=[55, 56],
            batch=8,
        ),
        dict(
            name="frozen 1000+600",
            task=dict(kind="frozen", pretrain=1000, iterations=600, images=205, evaluate_on="val"),
            seeds=[57, 58],
            batch=8,
        ),
    ],
    evaluator=dict(
        data=dict(
            _delete_=True,
            type="coco",
            longest=96,
            train=dict(
                annotations="{{$AUTOLOSS_DATA:data}}/bccd/train.json", images="{{$AUTOLOSS_DATA:data}}/bccd/images"
            ),
            val=dict(annotations="{{$AUTOLOSS_DATA:data}}/bccd/val.json", images="{{$AUTOLOSS_DATA:data}}/bccd/images"),
            test=dict(
                annotations="{{$AUTOLOSS_DATA:data}}/bccd/test.json", images="{{$AUTOLOSS_DATA:data}}/bccd/images"
            ),
        ),
    ),
)
