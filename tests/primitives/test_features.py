import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from primitives.features import box_features, class_features, pairwise_iou, per_sample


def boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 100
    return torch.cat((corner, corner + 1 + torch.rand(count, 2, generator=generator, dtype=torch.float64) * 80), dim=1)


def test_iou_equals_torchvision() -> None:
    pred, target = boxes(50, 0), boxes(50, 1)
    torch.testing.assert_close(pairwise_iou(pred, target), box_iou(pred, target).diagonal())


@given(st.floats(0.1, 50), st.integers(0, 5))
def test_areas_in_target_units_do_not_depend_on_resolution(scale: float, seed: int) -> None:
    pred, target = boxes(8, seed), boxes(8, seed + 10)
    for name, value in box_features(pred, target, extended=True).items():
        scaled = box_features(pred * scale, target * scale, extended=True)[name]
        torch.testing.assert_close(scaled, value, rtol=1e-5, atol=1e-7)


def test_equal_boxes_have_all_areas_one() -> None:
    inputs = box_features(boxes(4, 2), boxes(4, 2), extended=True)
    for name, expected in {"i": 1.0, "u": 1.0, "e": 1.0, "d": 0.0, "v": 0.0}.items():
        torch.testing.assert_close(inputs[name], torch.full((4,), expected, dtype=torch.float64), rtol=1e-6, atol=1e-9)


def test_boxes_of_other_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"two \(N, 4\) xyxy"):
        box_features(torch.zeros(3, 4), torch.zeros(2, 4))


def test_sigmoid_features_know_background_and_iou() -> None:
    inputs = class_features(torch.zeros(3, 2), torch.tensor([1, 2, 0]), torch.tensor([0.5, 0.9, 0.7]), use_sigmoid=True)
    assert inputs["y"].tolist() == [[0, 1], [0, 0], [1, 0]]
    torch.testing.assert_close(inputs["w"], torch.tensor([[0, 0.5], [0, 0], [0.7, 0]]))


def test_softmax_features_have_iou_one_for_background() -> None:
    inputs = class_features(torch.zeros(2, 3), torch.tensor([1, 2]), torch.tensor([0.5, 0.9]), use_sigmoid=False)
    assert inputs["y"].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert inputs["w"].tolist() == [[0.5] * 3, [1.0] * 3]


def test_iou_carries_no_gradient() -> None:
    iou = torch.tensor([0.5], requires_grad=True)
    assert not class_features(torch.zeros(1, 2), torch.tensor([0]), iou, use_sigmoid=True)["w"].requires_grad


def test_alpha_weights_target_and_other_columns() -> None:
    inputs = class_features(torch.zeros(1, 3), torch.tensor([1]), use_sigmoid=True)
    assert per_sample(torch.ones(1, 3), inputs, 0.25).tolist() == [0.25 + 2 * 0.75]
    assert per_sample(torch.ones(1, 3), inputs).tolist() == [3.0]
    assert per_sample(torch.ones(1, 1), inputs, 0.25).tolist() == [1.0]
