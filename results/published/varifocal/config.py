"""mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py with VarifocalClassLoss.

varifocal (alpha 0.75, gamma 2). Source: Zhang et al. 2021, arXiv 2008.13367, eq. 2.

    python tools/train.py {folder}/config.py

mmcv_ops stands in for the compiled ops that the mmcv of `pip install` lacks; it leaves an mmcv that has them alone.
With such an mmcv, take "mmcv_ops" out of custom_imports and delete the file.
"""

import sys

_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py'

sys.path.insert(0, "{{ fileDirname }}")  # losses.py lies beside this file
custom_imports = dict(
    allow_failed_imports=False, imports=[
        'mmcv_ops',
        'losses',
    ])
model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True,
            loss_weight=0.944632,
            type='VarifocalClassLoss',
            use_sigmoid=True),
        type='VarifocalFCOSHead'))
