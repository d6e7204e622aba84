"""FCOS small enough for a laptop: stock parts, ResNet-18 with 16 base channels and 3 stages, FPN with 32."""

_base_ = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py"

_size = (96, 96)
_norm = dict(type="BN", requires_grad=True)
model = dict(
    data_preprocessor=dict(mean=[80.0, 80.0, 80.0], std=[60.0, 60.0, 60.0], pad_size_divisor=32),
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
    neck=dict(in_channels=[16, 32, 64], out_channels=32, start_level=1, num_outs=2, norm_cfg=_norm),
    bbox_head=dict(
        num_classes=10,
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        strides=[8, 16],
        regress_ranges=((-1, 32), (32, 1e8)),
        norm_cfg=dict(type="GN", num_groups=8, requires_grad=True),
    ),
    test_cfg=dict(nms_pre=100, score_thr=0.02, max_per_img=50),
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
    optimizer=dict(type="AdamW", lr=2e-2, weight_decay=1e-2),
    clip_grad=dict(max_norm=10),
)
