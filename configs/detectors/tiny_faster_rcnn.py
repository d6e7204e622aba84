"""Faster R-CNN small enough for a laptop: stock parts and losses, ResNet-18 with 16 base channels and 3 stages."""

_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"

_size = (96, 96)
_norm = dict(type="BN", requires_grad=True)
model = dict(
    data_preprocessor=dict(mean=[80.0, 80.0, 80.0], std=[60.0, 60.0, 60.0], bgr_to_rgb=False, pad_size_divisor=32),
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=18,
        base_channels=16,
        stem_channels=16,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_cfg=_norm,
        norm_eval=False,
        style="pytorch",
        init_cfg=None,
    ),
    neck=dict(in_channels=[16, 32, 64], out_channels=32, num_outs=3, norm_cfg=_norm),
    rpn_head=dict(
        in_channels=32,
        feat_channels=32,
        anchor_generator=dict(scales=[5], ratios=[1.2], strides=[4, 8, 16]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(output_size=5, sampling_ratio=1), out_channels=32, featmap_strides=[4]),
        bbox_head=dict(in_channels=32, fc_out_channels=96, roi_feat_size=5, num_classes=10),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=48)),
        rpn_proposal=dict(nms_pre=60, max_per_img=24),
        rcnn=dict(sampler=dict(num=16, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=60, max_per_img=24), rcnn=dict(score_thr=0.02, max_per_img=50)),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=_size, keep_ratio=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-3, weight_decay=1e-2),
    clip_grad=dict(max_norm=10),
)
