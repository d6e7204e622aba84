"""The paper's search for FCOS on COCO, from end to end: GPUs.

    autoloss run coco_fcos --workers 8 --time 14d

Class and box losses are searched together, as in the paper. COCO is looked for in data/coco. The last training is the
whole schedule of mmdetection's FCOS R-50, one GPU each.

Source: Liu et al. 2021, arXiv 2102.04700, sections 3 and 4.
"""

pipeline = ["search", "audit", "train", "export", "report"]

search = dict(config="configs/search/coco_fcos.py")
audit = dict(seeds=5)
train = dict(detector="configs/detectors/fcos_r50.py", seeds=3)
export = dict(to=["mmdet", "torch"])
