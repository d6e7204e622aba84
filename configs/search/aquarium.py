"""One-stage search on real images with a long tail: underwater scenes, 7 classes, many small boxes; 192 px.

The images are looked for in $AUTOLOSS_DATA/aquarium: Roboflow's "Aquarium Combined" (CC BY 4.0), in COCO format.
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
            longest=192,
            train=dict(
                annotations="{{$AUTOLOSS_DATA:data}}/aquarium/train.json",
                images="{{$AUTOLOSS_DATA:data}}/aquarium/images",
            ),
            val=dict(
                annotations="{{$AUTOLOSS_DATA:data}}/aquarium/val.json",
                images="{{$AUTOLOSS_DATA:data}}/aquarium/images",
            ),
            test=dict(
                annotations="{{$AUTOLOSS_DATA:data}}/aquarium/test.json",
                images="{{$AUTOLOSS_DATA:data}}/aquarium/images",
            ),
        ),
    ),
)
