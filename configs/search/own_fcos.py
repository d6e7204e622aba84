"""One-stage search on your data: an FCOS whose image size and strides are chosen from its boxes.

    autoloss search configs/search/own_fcos.py --data my_data --size small

--size small is for a laptop (ResNet-18 with 16 channels, images up to 320 px), medium for one GPU (ResNet-18, up to
800 px), full is mmdetection's own ResNet-50 at 1,333 x 800, whose weights are downloaded. `autoloss estimate` with the
same options says what it will cost, before anything is searched: with small, about half an hour on two cores where
images of 128 px will do, hours where small boxes ask for 320 px.
"""

_base_ = "digits_fcos.py"

search = dict(
    ladder=[
        dict(
            name="frozen",
            task=dict(kind="frozen", pretrain=600, iterations=300, images=600, evaluate_images=200, evaluate_on="val"),
            seeds=[5],
            keep=dict(of_own=0.5, count=12),
            batch=6,
        ),
        dict(
            name="frozen long",
            task=dict(kind="frozen", pretrain=600, iterations=600, images=600, evaluate_images=200, evaluate_on="val"),
            seeds=[6, 7],
            batch=6,
        ),
    ],
    finale=dict(rung=dict(task=dict(iterations=800))),
    evaluator=dict(data=None, size="small"),
)
