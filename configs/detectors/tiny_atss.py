"""ATSS small enough for a laptop: the backbone and neck of the tiny FCOS, mmdetection's head and losses."""

_base_ = "tiny_fcos.py"

model = dict(
    type="ATSS",
    bbox_head=dict(
        _delete_=True,
        type="ATSSHead",
        num_classes=10,
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        norm_cfg=dict(type="GN", num_groups=8, requires_grad=True),
        anchor_generator=dict(
            type="AnchorGenerator", octave_base_scale=3, scales_per_octave=1, ratios=[1.0], strides=[8, 16]
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    train_cfg=dict(
        _delete_=True, assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1, debug=False
    ),
)

optim_wrapper = dict(optimizer=dict(lr=1e-2))
