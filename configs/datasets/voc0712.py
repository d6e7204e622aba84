"""Pascal VOC 07+12: 16,551 images of trainval of both years to train on, 4,952 of VOC2007 test; 20 classes.

Expected where mmdetection expects them, relative to the folder that commands run in: data/VOCdevkit/VOC2007 and
data/VOCdevkit/VOC2012. From http://host.robots.ox.ac.uk/pascal/VOC: VOCtrainval_06-Nov-2007.tar,
VOCtest_06-Nov-2007.tar and VOCtrainval_11-May-2012.tar, unpacked in data. Then, once:

    autoloss data convert voc data/VOCdevkit --split trainval --out data/VOCdevkit/voc0712_trainval.json
    autoloss data convert voc data/VOCdevkit/VOC2007 --split test --out data/VOCdevkit/voc07_test.json

Difficult objects become crowd regions: neither trained on nor asked for. Scores are COCO's mAP and AP at IoU 0.5, not
VOC's 11 points.
"""

data = dict(
    type="coco",
    train=dict(annotations="data/VOCdevkit/voc0712_trainval.json", images="data/VOCdevkit"),
    val=dict(annotations="data/VOCdevkit/voc07_test.json", images="data/VOCdevkit/VOC2007"),
)
