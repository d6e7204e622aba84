import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from primitives.catalog import GRAMMARS
from primitives.kinds.box.pair import aligned_iou
from primitives.kinds.sample import Sample

RULES = GRAMMARS["box_extended"]


def boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 100
    return torch.cat((corner, corner + 1 + torch.rand(count, 2, generator=generator, dtype=torch.float64) * 80), dim=1)


def test_iou_equals_torchvision() -> None:
    pred, target = boxes(50, 0), boxes(50, 1)
    torch.testing.assert_close(aligned_iou(pred, target), box_iou(pred, target).diagonal())


@given(st.floats(0.1, 50), st.integers(0, 5))
def test_areas_in_target_units_do_not_depend_on_resolution(scale: float, seed: int) -> None:
    pred, target = boxes(8, seed), boxes(8, seed + 10)
    for name, value in RULES.inputs(Sample(pred, target)).items():
        scaled = RULES.inputs(Sample(pred * scale, target * scale))[name]
        torch.testing.assert_close(scaled, value, rtol=1e-5, atol=1e-7)


def test_equal_boxes_have_all_areas_one() -> None:
    inputs = RULES.inputs(Sample(boxes(4, 2), boxes(4, 2)))
    for name, expected in {"i": 1.0, "u": 1.0, "e": 1.0, "d": 0.0, "v": 0.0}.items():
        torch.testing.assert_close(inputs[name], torch.full((4,), expected, dtype=torch.float64), rtol=1e-6, atol=1e-9)


def test_boxes_of_other_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"two \(N, 4\) xyxy"):
        RULES.inputs(Sample(torch.zeros(3, 4), torch.zeros(2, 4)))
