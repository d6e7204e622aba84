"""mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py with SquaredIouBoxLoss.

IoU (squared). Source: mmdetection, IoULoss mode 'square'; the alpha = 2 case of He et al. 2021, arXiv 2110.13675.

    python tools/train.py {folder}/config.py

mmcv_ops stands in for the compiled ops that the mmcv of `pip install` lacks; it leaves an mmcv that has them alone.
With such an mmcv, take "mmcv_ops" out of custom_imports and delete the file.
"""

import sys

_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

sys.path.insert(0, "{{ fileDirname }}")  # losses.py lies beside this file
custom_imports = dict(
    allow_failed_imports=False, imports=[
        'mmcv_ops',
        'losses',
    ])
model = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_bbox=dict(
                _delete_=True, loss_weight=13.8798, type='SquaredIouBoxLoss'),
            reg_decoded_bbox=True)))
