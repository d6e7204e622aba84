"""RetinaNet small enough for a laptop: the backbone and neck of the tiny FCOS, mmdetection's head and losses."""

_base_ = "tiny_fcos.py"

model = dict(
    type="RetinaNet",
    bbox_head=dict(
        _delete_=True,
        type="RetinaHead",
        num_classes=10,
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        norm_cfg=dict(type="GN", num_groups=8, requires_grad=True),
        anchor_generator=dict(
            type="AnchorGenerator", octave_base_scale=2, scales_per_octave=3, ratios=[1.2], strides=[8, 16]
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=[0.0] * 4, target_stds=[1.0] * 4),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="L1Loss", loss_weight=1.0),
    ),
    train_cfg=dict(
        _delete_=True,
        assigner=dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
        sampler=dict(type="PseudoSampler"),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
)

optim_wrapper = dict(optimizer=dict(lr=1e-2))
