"""ATSS, ResNet-50: focal loss, GIoU with weight 2, centerness."""

_base_ = "mmdet::atss/atss_r50_fpn_1x_coco.py"
