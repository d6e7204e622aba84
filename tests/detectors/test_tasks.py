from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from detectors.strict import MOST
from detectors.tasks import TrainDetector, TrainHeads, task_of, whole
from primitives.errors import InputError

TRAINING = {"iterations": 3, "train_on": "train", "evaluate_on": "val"}
HEADS = {"kind": "frozen", "iterations": 3, "evaluate_on": "val"}


def test_a_rung_without_a_kind_trains_a_detector() -> None:
    asked = TrainDetector(iterations=3, train_on="train", evaluate_on="val")
    assert task_of(TRAINING) == task_of({**TRAINING, "kind": "train"}) == task_of(MappingProxyType(TRAINING)) == asked


def test_heads_have_defaults_for_all_but_their_iterations_and_their_evaluation() -> None:
    task = task_of(HEADS)
    assert isinstance(task, TrainHeads)
    assert (task.pretrain, task.images, task.evaluate_images) == (1000, 1000, 500)
    assert (task.positives, task.negatives, task.train_on) == (192, 320, "train")


def test_a_whole_training_lasts_as_long_as_the_one_that_heads_stand_on() -> None:
    assert whole(TRAINING) == TRAINING
    assert whole(HEADS) == {**TRAINING, "iterations": 1000}
    longer = {**HEADS, "pretrain": 40, "train_on": "verify", "evaluate_on": "test", "images": 5}
    assert whole(longer) == {"iterations": 40, "train_on": "verify", "evaluate_on": "test"}


def test_a_task_does_not_change_and_equal_ones_are_one_key() -> None:
    task = task_of(HEADS)
    with pytest.raises(ValidationError, match="frozen"):
        task.iterations = 4
    assert {task: 1}[task_of(dict(reversed(HEADS.items())))] == 1


@given(count=st.integers(1, MOST), name=st.sampled_from(["iterations", "pretrain", "images", "positives"]))
def test_every_count_from_one_is_kept(count: int, name: str) -> None:
    assert getattr(task_of({**HEADS, name: count}), name) == count


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(max_value=0), st.integers(min_value=MOST + 1), st.floats(), st.text()
) | st.sampled_from([10**5000, [], {}, "\ud800", "a\nb", "x" * 9000])


@given(value=ANYTHING, name=st.sampled_from(["iterations", "pretrain", "images", "train_on", "evaluate_on", "kind"]))
def test_a_value_that_is_none_is_one_line_with_its_name_and_the_rule(value: Any, name: str) -> None:
    if value in ("train", "verify", "val", "test", "frozen"):
        return
    with pytest.raises(InputError) as caught:
        task_of({**HEADS, name: value})
    said = str(caught.value)
    assert said.startswith(f"a rung's {name} ")
    assert "; choices: " in said or (
        "must be a whole number from 1, got " in said and said.endswith(f"; at most {MOST:,}")
    )
    assert len(said) < 400
    assert said.isprintable()


@pytest.mark.parametrize("key", [3, None, "", "a\nb", "\x1b[31m", "\ud800", "x" * 9000], ids=str)
def test_an_unknown_key_is_one_short_line_with_the_choices(key: Any) -> None:
    with pytest.raises(
        InputError, match="unknown key .* in a rung's task; it needs iterations and evaluate_on"
    ) as caught:
        task_of({**HEADS, key: 1})
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()
