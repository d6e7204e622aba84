import pytest
import torch
import torchvision

from detectors import mmcv_ops

mmcv_ops.install()

from mmcv.ops import RoIAlign, batched_nms, deform_conv2d, nms, sigmoid_focal_loss  # noqa: E402
from mmcv.ops import roi_align as mmcv_roi_align  # noqa: E402


def boxes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * 40
    size = torch.rand(count, 2, generator=generator) * 30 + 1
    return torch.cat((corner, corner + size), dim=1), torch.rand(count, generator=generator)


def by_hand(box: torch.Tensor, score: torch.Tensor, threshold: float, offset: int) -> list[int]:
    """Non-maximum suppression as its definition says."""
    kept: list[int] = []
    for k in score.argsort(descending=True).tolist():
        for j in kept:
            wh = (torch.min(box[k, 2:], box[j, 2:]) - torch.max(box[k, :2], box[j, :2]) + offset).clamp(min=0)
            areas = [(box[n, 2:] - box[n, :2] + offset).prod() for n in (k, j)]
            if wh.prod() / (sum(areas) - wh.prod()) > threshold:
                break
        else:
            kept.append(k)
    return kept


def test_stand_in_is_installed_once_and_has_a_spec() -> None:
    import sys

    module = sys.modules["mmcv._ext"]
    assert mmcv_ops.install()
    assert sys.modules["mmcv._ext"] is module
    assert module.__spec__.name == "mmcv._ext"


@pytest.mark.parametrize("offset", [0, 1])
def test_nms_follows_its_definition(offset: int) -> None:
    box, score = boxes(60)
    dets, kept = nms(box, score, 0.4, offset=offset)
    assert kept.tolist() == by_hand(box, score, 0.4, offset)
    torch.testing.assert_close(dets, torch.cat((box[kept], score[kept, None]), dim=1))


def test_nms_takes_score_threshold_and_maximum() -> None:
    box, score = boxes(60)
    expected = [k for k in by_hand(box, score, 0.4, 0) if score[k] > 0.3][:5]
    assert nms(box, score, 0.4, score_threshold=0.3, max_num=5)[1].tolist() == expected
    assert nms(box[:0], score[:0], 0.4)[1].tolist() == []


def test_batched_nms_equals_torchvision() -> None:
    box, score = boxes(60)
    label = torch.arange(60) % 3
    _, kept = batched_nms(box, score, label, dict(type="nms", iou_threshold=0.4))
    assert kept.tolist() == torchvision.ops.batched_nms(box, score, label, 0.4).tolist()


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_and_its_gradient_equal_torchvision(aligned: bool, ratio: int) -> None:
    box, _ = boxes(8)
    rois = torch.cat((torch.arange(8)[:, None] % 2, box), dim=1).float()
    features = torch.rand(2, 3, 20, 20, requires_grad=True)
    upstream = torch.rand(8, 3, 5, 4)
    results = []
    for value in (
        mmcv_roi_align(features, rois, (5, 4), 0.25, ratio, "avg", aligned),
        torchvision.ops.roi_align(features, rois, (5, 4), 0.25, ratio, aligned),
    ):
        (gradient,) = torch.autograd.grad(value, features, upstream)
        results.append((value.detach(), gradient))
    torch.testing.assert_close(results[0], results[1])


def test_roi_align_gradient_equals_finite_differences() -> None:
    features = torch.rand(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 0.7, 0.9, 4.2, 5.1]], dtype=torch.float64)
    layer = RoIAlign((2, 2), 1.0, 2)
    assert torch.autograd.gradcheck(lambda x: layer(x, rois), features, nondet_tol=1e-9)


def test_focal_loss_and_its_gradient_equal_their_definition() -> None:
    logits = torch.randn(6, 4, requires_grad=True)
    target = torch.tensor([0, 1, 2, 3, 4, 4])
    value = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none")
    hot = torch.nn.functional.one_hot(target, 5)[:, :4]
    p = logits.sigmoid()
    expected = -hot * 0.25 * (1 - p) ** 2 * p.log() - (1 - hot) * 0.75 * p**2 * (1 - p).log()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), logits), torch.autograd.grad(expected.sum(), logits))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    rois = torch.tensor([[0, 1.0, 1, 13, 15]])
    target = torch.tensor([0, 1, 2, 3])
    for op, values in (
        (lambda x: mmcv_roi_align(x, rois.to(x.dtype), (3, 3), 1.0, 2, "avg", True), torch.rand(1, 2, 16, 16)),
        (lambda x: sigmoid_focal_loss(x, target, 2.0, 0.25, None, "none"), torch.randn(4, 3)),
    ):
        half, full = values.to(dtype).requires_grad_(), values.to(dtype).float().requires_grad_()
        results = [(op(x), *torch.autograd.grad(op(x).float().sum(), x)) for x in (half, full)]
        for narrow, wide in zip(*results, strict=True):
            assert narrow.dtype == dtype
            torch.testing.assert_close(narrow, wide.to(dtype))


def test_roi_align_works_under_autocast() -> None:
    features = torch.rand(1, 2, 16, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = torch.nn.functional.conv2d(features, torch.ones(2, 2, 1, 1))
        pooled = mmcv_roi_align(mixed, torch.tensor([[0, 1.0, 1, 13, 15]]), (3, 3), 1.0, 2, "avg", True)
    (gradient,) = torch.autograd.grad(pooled.float().sum(), features)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_an_op_that_is_not_there_says_its_name_and_how_to_get_it() -> None:
    with pytest.raises(mmcv_ops.MissingOpError, match=r"deform_conv_forward.*MMCV_WITH_OPS"):
        deform_conv2d(torch.rand(1, 1, 4, 4), torch.zeros(1, 18, 2, 2), torch.rand(1, 1, 3, 3))
    with pytest.raises(mmcv_ops.MissingOpError, match="pool_mode='max'"):
        mmcv_roi_align(torch.rand(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]), (2, 2), 1.0, 0, "max", True)
