"""One-stage search on real images: blood cells, 205 of them, 3 classes; 128 px.

The images are looked for in $AUTOLOSS_DATA/bccd: https://github.com/Shenggan/BCCD_Dataset (MIT), in COCO format.
"""

_base_ = "own_fcos.py"

search = dict(
    slots=dict(
        loss_cls=dict(grammar="sigmoid_wide"),
        loss_bbox=dict(grammar="box_wide"),
    ),
    variation=dict(numbers="any"),
    evaluator=dict(
        data=dict(
            _delete_=True,
            type="coco",
            longest=128,
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
