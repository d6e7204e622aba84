"""Cascade R-CNN, ResNet-50: every one of the three stages takes the losses."""

_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"
