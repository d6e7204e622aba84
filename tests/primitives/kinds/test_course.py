import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from primitives.kinds import course

RISING = torch.ones(10, 4, dtype=torch.bool)


def paths(*values: float) -> torch.Tensor:
    return torch.tensor([values]).repeat(10, 1)


@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=4), st.floats(-10, 10))
def test_what_falls_to_the_end_is_lowest_there_and_falls_monotonously(drops: list[float], start: float) -> None:
    loss = start - torch.tensor([0.0, *drops]).cumsum(0).repeat(10, 1)
    found, turned = course.minimum(loss, 0, "of a number")
    assert [verdict.passed for verdict in found] == [True, True]
    assert not turned
    assert course.monotone(loss, RISING, "nearness").passed
    assert course.minimum(-loss, 0, "of a number")[1]
    assert not course.monotone(-loss, RISING, "nearness").passed


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((3.0, 0.0, 1.0, 1.0, 1.5), "not lowest at the target on 10 of 10"),
        ((1.0, 1.0, 1.0, 1.0, 1.0), "flat on 10"),
        ((1.0, float("nan"), 1.0, 1.0, 0.0), "not finite on 10 of 10 paths of a number"),
        ((float("inf"), 1.0, 1.0, 1.0, 0.0), "not finite on 10 of 10 paths of a number"),
    ],
)
def test_other_paths_are_refused_with_a_reason(values: tuple[float, ...], reason: str) -> None:
    found, turned = course.minimum(paths(*values), 0, "of a number")
    assert not found[-1].passed
    assert reason in found[-1].reason
    assert not turned


def test_small_bumps_are_forgiven() -> None:
    assert course.monotone(paths(10, 5, 5.3, 2, 0), RISING, "nearness").passed
    assert not course.monotone(paths(10.0, 5.0, 7.0, 2.0, 0.0), RISING, "nearness").passed
