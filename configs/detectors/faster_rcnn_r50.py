"""Faster R-CNN, ResNet-50: softmax class loss, L1 on deltas; a box formula makes its head decode boxes."""

_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
