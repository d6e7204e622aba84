"""Faster R-CNN, ResNet-101: as faster_rcnn_r50."""

_base_ = "mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py"
