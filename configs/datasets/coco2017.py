"""COCO 2017: 118,287 images to train on, 5,000 to evaluate on, 80 classes.

Expected where mmdetection expects them, relative to the folder that commands run in:

    data/coco/annotations/instances_train2017.json    data/coco/train2017/
    data/coco/annotations/instances_val2017.json      data/coco/val2017/

From https://cocodataset.org/#download: train2017.zip, val2017.zip and annotations_trainval2017.zip, unpacked in
data/coco. The annotations are CC BY 4.0; the images have licences of their own.

For a search whose finale is judged by images that took no part in it, give val2017 as `test` and leave out `val`: a
fixed fifth of train2017 is then held out for it.
"""

data = dict(
    type="coco",
    train=dict(annotations="data/coco/annotations/instances_train2017.json", images="data/coco/train2017"),
    val=dict(annotations="data/coco/annotations/instances_val2017.json", images="data/coco/val2017"),
)
