"""Mask R-CNN, ResNet-50: the box head takes the losses, the mask head keeps its own; the data needs outlines."""

_base_ = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
