import pytest
import torch

from primitives.kinds.classification.kind import SIGMOID, SOFTMAX
from primitives.kinds.classification.scores import CLASSES
from primitives.kinds.sample import Sample


def sample(shape: tuple[int, int], labels: list[int], iou: list[float] | None = None) -> Sample:
    return Sample(torch.zeros(shape), torch.tensor(labels), {} if iou is None else {"iou": torch.tensor(iou)})


def test_sigmoid_inputs_know_background_and_iou() -> None:
    inputs = SIGMOID.inputs(sample((3, 2), [1, 2, 0], [0.5, 0.9, 0.7]), CLASSES)
    assert inputs["y"].tolist() == [[0, 1], [0, 0], [1, 0]]
    torch.testing.assert_close(inputs["w"], torch.tensor([[0, 0.5], [0, 0], [0.7, 0]]))


def test_softmax_inputs_have_iou_one_for_background() -> None:
    inputs = SOFTMAX.inputs(sample((2, 3), [1, 2], [0.5, 0.9]), CLASSES)
    assert inputs["y"].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert inputs["w"].tolist() == [[0.5] * 3, [1.0] * 3]


def test_iou_carries_no_gradient_and_is_left_out_where_the_head_gives_none() -> None:
    iou = torch.tensor([0.5], requires_grad=True)
    given = Sample(torch.zeros(1, 2), torch.tensor([0]), {"iou": iou})
    assert not SIGMOID.inputs(given, CLASSES)["w"].requires_grad
    assert set(SIGMOID.inputs(sample((1, 2), [0]), CLASSES)) == {"x", "y"}


def test_an_iou_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"IoU per sample, \(2,\), got \(1,\)"):
        SOFTMAX.inputs(sample((2, 3), [1, 2], [0.5]), CLASSES)


def test_alpha_weights_target_and_other_columns() -> None:
    inputs = SIGMOID.inputs(sample((1, 3), [1]), CLASSES)
    assert SIGMOID.losses(torch.ones(1, 3), inputs, 0.25).tolist() == [0.25 + 2 * 0.75]
    assert SIGMOID.losses(torch.ones(1, 3), inputs).tolist() == [3.0]
    assert SIGMOID.losses(torch.ones(1, 1), inputs, 0.25).tolist() == [1.0]
