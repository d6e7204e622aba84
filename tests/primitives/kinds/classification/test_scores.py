import pytest
import torch

from primitives.kinds.classification.kind import SIGMOID, SOFTMAX
from primitives.kinds.classification.scores import CLASSES, KNOWN_IN_TRAINING
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


def test_what_training_knows_is_a_column_a_class_or_a_row_a_sample() -> None:
    told = {"frequency": torch.tensor([1.0, 0.1]), "progress": torch.tensor(0.25), "size": torch.tensor([0.5, 0.2])}
    inputs = SIGMOID.inputs(Sample(torch.zeros(2, 2), torch.tensor([1, 2]), told), KNOWN_IN_TRAINING)
    torch.testing.assert_close(inputs["f"], torch.tensor([[1, 0.1]] * 2))
    assert inputs["t"].tolist() == [[0.25] * 2] * 2
    assert inputs["a"].tolist() == [[1, 0.5], [1, 1]]
    inputs = SOFTMAX.inputs(Sample(torch.zeros(2, 3), torch.tensor([1, 2]), told), KNOWN_IN_TRAINING)
    torch.testing.assert_close(inputs["f"], torch.tensor([[1, 0.1, 1]] * 2))
    assert inputs["a"].tolist() == [[0.5] * 3, [1.0] * 3]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"frequency": torch.ones(3)}, r"frequency of every class, \(2,\) or \(2, 2\), got \(3,\)"),
        ({"frequency": torch.ones(1, 2)}, r"frequency of every class, .*, got \(1, 2\)"),
        ({"frequency": torch.tensor(1.0)}, r"frequency of every class, .*, got \(\)"),
        ({"size": torch.ones(3)}, r"size per sample, \(2,\), got \(3,\)"),
        ({"progress": torch.ones(3)}, r"progress per sample, \(2,\), or of all, \(\), got \(3,\)"),
    ],
)
def test_what_does_not_fit_is_an_error(told: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SIGMOID.inputs(Sample(torch.zeros(2, 2), torch.tensor([1, 2]), told), KNOWN_IN_TRAINING)
