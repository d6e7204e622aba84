from __future__ import annotations

import pytest
import torch

from detectors.heads.self_balance import balanced


def test_the_box_loss_has_the_value_of_the_class_loss_and_the_direction_of_its_own_gradient() -> None:
    weight = torch.tensor([3.0], requires_grad=True)
    losses = {"loss_cls": torch.tensor(2.0), "loss_bbox": (weight**2).sum(), "loss_centerness": torch.tensor(5.0)}
    found = balanced(losses)
    assert found["loss_bbox"].item() == pytest.approx(2)
    assert found["loss_cls"] is losses["loss_cls"]
    assert found["loss_centerness"] is losses["loss_centerness"]
    (gradient,) = torch.autograd.grad(found["loss_bbox"], weight)
    assert gradient.item() == pytest.approx(2 * 3 * 2 / 9)  # the ratio has no gradient


def test_losses_of_several_levels_are_balanced_by_their_sums() -> None:
    found = balanced({"loss_cls": [torch.tensor(1.0), torch.tensor(3.0)], "loss_bbox": [torch.tensor(0.5)] * 4})
    assert [part.item() for part in found["loss_bbox"]] == pytest.approx([1.0] * 4)


def test_every_stage_of_a_cascade_is_balanced_by_itself_and_the_proposals_are_not() -> None:
    losses = {
        "loss_rpn_cls": torch.tensor(9.0),
        "loss_rpn_bbox": torch.tensor(1.0),
        "s0.loss_cls": torch.tensor(2.0),
        "s0.loss_bbox": torch.tensor(1.0),
        "s1.loss_cls": torch.tensor(3.0),
        "s1.loss_bbox": torch.tensor(1.0),
    }
    found = balanced(losses)
    assert {name: value.item() for name, value in found.items() if "bbox" in name} == {
        "loss_rpn_bbox": 1,
        "s0.loss_bbox": 2,
        "s1.loss_bbox": 3,
    }


def test_a_batch_without_objects_stays_as_it_is() -> None:
    assert balanced({"loss_cls": torch.tensor(2.0), "loss_bbox": torch.tensor(0.0)})["loss_bbox"].item() == 0


def test_a_detector_without_both_losses_is_refused() -> None:
    with pytest.raises(ValueError, match="no head has loss_cls and loss_bbox to balance, got loss_heatmap"):
        balanced({"loss_heatmap": torch.tensor(1.0)})
