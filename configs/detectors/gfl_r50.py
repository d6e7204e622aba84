"""GFL, ResNet-50: its class loss is given (labels, IoU); the loss of box distributions stays."""

_base_ = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
