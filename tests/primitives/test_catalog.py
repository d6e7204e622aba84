import json
from pathlib import Path

import pytest
import torch

from primitives.catalog import GRAMMARS, KNOWN, grammar, known_loss, named
from primitives.errors import InputError
from primitives.kinds.sample import Sample

NAMES = {"A_cls": "cse_a_cls", "A_reg": "cse_a_reg", "B_cls": "cse_b_cls", "B_reg": "cse_b_reg"}


@pytest.mark.parametrize("case", NAMES)
def test_published_losses_and_gradients_equal_the_authors(case: str, golden: Path) -> None:
    reference = json.loads((golden / "cse_autoloss_reference.json").read_text())[case]
    known = known_loss(NAMES[case])
    rules = GRAMMARS[known.grammar]
    assert rules.parse(reference["formula"]) == known.expression
    if reference["kind"] == "box":
        pred = torch.tensor(reference["pred_xyxy"], requires_grad=True)
        sample = Sample(pred, torch.tensor(reference["target_xyxy"]))
        expected = reference["grad_pred"]
    else:
        pred = torch.tensor(reference["logits"], requires_grad=True)
        labels = torch.tensor(reference["labels"])
        iou = torch.zeros(len(labels))
        iou[labels < reference["background"]] = torch.tensor(reference["positive_ious"])
        sample = Sample(pred, labels, {"iou": iou})
        expected = reference["grad_logits"]
    loss = rules.losses(known.expression, sample, known.alpha)
    recorded = torch.tensor(reference["loss"])
    recorded = recorded.sum(-1) if recorded.dim() == 2 else recorded
    (gradient,) = torch.autograd.grad(loss.sum(), pred)
    torch.testing.assert_close(loss, recorded, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, torch.tensor(expected), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_every_known_loss_has_a_source_and_fits_its_grammar(known) -> None:
    assert known.source
    assert known.expression.size <= GRAMMARS[known.grammar].max_size
    assert known.expression.depth <= GRAMMARS[known.grammar].max_depth


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(InputError, match="unknown grammar 'boxes'; known: box, box_pixels"):
        grammar("boxes")
    with pytest.raises(InputError, match="unknown loss 'giu'; known: iou"):
        known_loss("giu")


def test_a_name_alone_is_the_known_loss_and_in_a_formula_the_overlap() -> None:
    giou, rules, alpha = named("giou")
    assert (giou, rules.name, alpha) == (KNOWN["giou"].expression, "box", None)
    assert named("1 - giou")[0] == giou
    assert named("iou")[0] == named("1 - iou")[0]
    assert named(" GIoU")[0] == giou == named("giou", "box_wide")[0]
    assert named("IoU", "box_extended")[1].name == "box_extended"
    with pytest.raises(InputError, match="giou is a loss of grammar box, not of box_pixels"):
        named("giou", "box_pixels")
    assert named(" focal ")[2] == KNOWN["focal"].alpha
    assert named("focal", alpha=0.5)[2] == 0.5
    assert named("1 - iou", "box_pixels")[1].name == "box_pixels"
    with pytest.raises(InputError, match="lies in 0 to 1"):
        named("focal", alpha=2.0)
