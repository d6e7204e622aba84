"""The paper's search for Faster R-CNN on COCO, from end to end: GPUs.

    autoloss run coco_faster_rcnn --workers 8 --time 14d

Source: Liu et al. 2021, arXiv 2102.04700, sections 3 and 4.
"""

_base_ = "coco_fcos.py"

search = dict(config="configs/search/coco_faster_rcnn.py")
train = dict(detector="configs/detectors/faster_rcnn_r50.py")
