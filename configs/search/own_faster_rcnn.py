"""Two-stage search on your data: a Faster R-CNN whose image size, anchors and strides are chosen from its boxes.

    autoloss search configs/search/own_faster_rcnn.py --data my_data --size small

What the sizes are stands in own_fcos.py.
"""

_base_ = "digits_faster_rcnn.py"

search = dict(
    ladder=[
        dict(
            name="frozen",
            task=dict(kind="frozen", pretrain=600, iterations=300, images=400, evaluate_images=200, evaluate_on="val"),
            seeds=[5],
            keep=dict(of_own=0.5, count=12),
            batch=6,
        ),
        dict(
            name="frozen again",
            task=dict(kind="frozen", pretrain=600, iterations=300, images=400, evaluate_images=200, evaluate_on="val"),
            seeds=[6, 7],
            batch=6,
        ),
    ],
    finale=dict(rung=dict(task=dict(iterations=800))),
    evaluator=dict(data=None, size="small"),
)
