"""FCOS, ResNet-50: centre sampling, boxes in strides, centerness beside the boxes, GIoU."""

_base_ = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py"
