"""RetinaNet, ResNet-50: hands all anchors to its losses, those without an object with weight 0 and target 0."""

_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
