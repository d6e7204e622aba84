"""mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py with LogIouBoxLoss.

IoU (log). Source: Yu et al. 2016, arXiv 1608.01471.

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
                _delete_=True, loss_weight=5.65273, type='LogIouBoxLoss'),
            reg_decoded_bbox=True)))
