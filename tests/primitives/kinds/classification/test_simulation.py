import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from primitives.kinds.classification import simulation


@pytest.mark.parametrize("background", [True, False])
def test_the_logits_are_few_positives_of_any_iou_among_many_negatives(background: bool) -> None:
    sample = simulation.sampled(background)
    assert sample.pred.shape == (8 * simulation.POSITIVES, 4 + background)
    iou = sample.given["iou"]
    assert (float(iou[: simulation.POSITIVES].min()), float(iou.max())) == (pytest.approx(0.05), 1)
    assert (sample.target[simulation.POSITIVES :] == 4).all()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    a, b = (torch.tensor(values).double() for values in zip(*pairs, strict=True))
    expected = 0.0 if a.unique().numel() == 1 or b.unique().numel() == 1 else spearmanr(a, b).statistic
    assert simulation.spearman(a, b) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.booleans(), min_size=2, max_size=30).filter(any))
def test_average_precision_is_that_of_scikit_learn(right: list[bool]) -> None:
    scores = torch.linspace(1, 0, len(right))
    expected = average_precision_score(right, scores)
    assert simulation.average_precision(scores, torch.tensor(right), sum(right)) == pytest.approx(expected)
