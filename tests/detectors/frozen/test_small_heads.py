"""Many small heads side by side: each as if it were alone, with the loss that its formulas say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detectors import mmcv_ops
from tests.helpers import handed
from tests.helpers.tiny import DETECTORS, DIGITS

mmcv_ops.install()

from detectors.data.coco import CocoSource  # noqa: E402
from detectors.evaluator import DetectorEvaluator  # noqa: E402
from detectors.frozen import assigned, extraction, small_heads  # noqa: E402
from detectors.frozen import rung as frozen  # noqa: E402
from detectors.tasks import TrainHeads  # noqa: E402
from primitives.catalog import GRAMMARS, KNOWN  # noqa: E402
from primitives.kinds.box.pair import aligned_iou  # noqa: E402
from primitives.kinds.sample import Sample  # noqa: E402

TASK = {"kind": "frozen", "iterations": 4, "pretrain": 60, "images": 40, "evaluate_on": "val"}


def spec(name: str) -> dict[str, Any]:
    known = KNOWN[name]
    slot = GRAMMARS[known.grammar].slot
    return {slot: {"expression": known.text, "grammar": known.grammar, "loss_weight": 1.0, "alpha": known.alpha}}


def features(name: str) -> frozen.Frozen:
    path, options = DETECTORS[name]
    evaluator = DetectorEvaluator(path, DIGITS, cfg_options=options)
    return evaluator._features(evaluator._task(TASK), 5)


def head_of(found: frozen.Frozen) -> Any:
    return found.model.roi_head.bbox_head if assigned.two_stage(found.model) else found.model.bbox_head


@pytest.mark.parametrize("name", DETECTORS)
def test_the_loss_of_an_iteration_is_that_of_the_formulas_by_hand(name: str, scenes: dict[str, CocoSource]) -> None:
    found = features(name)
    boxes = small_heads.Boxes(head_of(found))
    sigmoid = boxes.sigmoid
    losses = {**spec("cse_b_cls" if sigmoid else "cse_a_cls"), **spec("giou")}
    data = found.training
    heads = small_heads.SmallHeads(1, data.x.shape[1], boxes, torch.Generator().manual_seed(0))
    step = small_heads._Step(data, [frozen._pair(found.config, losses, boxes)], heads, 6, 10, False, 4)
    pick = torch.cat((torch.arange(6), len(data.boxes) + torch.arange(10)))
    (total,) = step._losses(pick).tolist()

    rows = torch.arange(16)
    logits, raw, centerness = heads(data.x[pick], data.level[pick])
    chosen = logits[0, rows, data.anchor[pick]]
    pred = boxes.predicted(raw[0, rows[:6], data.anchor[:6]], data.level[:6])
    decoded = head_of(found).bbox_coder.decode(data.priors[:6], pred)
    share = data.negatives * 6 / 10
    weight = torch.cat((torch.ones(6), torch.full((10,), share)))
    iou = torch.cat((aligned_iou(decoded, data.boxes[:6]), torch.zeros(10))).detach()

    def formula(name: str, sample: Sample) -> Tensor:
        return GRAMMARS[KNOWN[name].grammar].losses(KNOWN[name].expression, sample, KNOWN[name].alpha)

    each = formula("cse_b_cls" if sigmoid else "cse_a_cls", Sample(chosen, data.labels[pick], {"iou": iou}))
    average = 6 + 10 * share if assigned.two_stage(found.model) else 6
    hand = (each * weight).sum() / average
    box = formula("giou", Sample(decoded, data.boxes[:6])) * data.box_weight[:6]
    hand = hand + box.sum() / (average if assigned.two_stage(found.model) else data.box_weight[:6].sum())
    if boxes.centerness:
        wanted, at = data.centerness[:6], centerness[0, rows[:6], data.anchor[:6]]
        hand = hand + torch.nn.functional.binary_cross_entropy_with_logits(at, wanted)
    assert total == pytest.approx(float(hand.detach()), rel=1e-4)


@pytest.mark.parametrize("name", DETECTORS)
def test_formulas_are_handed_what_the_stock_heads_hand_over(
    name: str, scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed.add_grammars(monkeypatch)
    found = features(name)
    boxes, data = small_heads.Boxes(head_of(found)), found.training
    kind = "sigmoid" if boxes.sigmoid else "softmax"
    heads = small_heads.SmallHeads(1, data.x.shape[1], boxes, torch.Generator().manual_seed(0))
    step = small_heads._Step(
        data, [frozen._pair(found.config, handed.losses(kind), boxes)], heads, 6, 10, False, iterations=4
    )
    pick = torch.cat((torch.arange(6), len(data.boxes) + torch.arange(10)))
    step(pick, 0.0)  # so that a quarter is over
    assert step.failed.tolist() == [-1]
    (total,) = step._losses(pick).tolist()

    rows = torch.arange(16)
    logits, raw, centerness = heads(data.x[pick], data.level[pick])
    x, labels = logits[0, rows, data.anchor[pick]].detach(), data.labels[pick]
    pred = boxes.predicted(raw[0, rows[:6], data.anchor[:6]], data.level[:6])
    overlap = aligned_iou(head_of(found).bbox_coder.decode(data.priors[:6], pred), data.boxes[:6]).detach()
    f, share = data.frequency, data.negatives * 6 / 10
    truth = found.config.train_dataloader.dataset
    assert f.max() == 1
    assert len(f) == len(truth["metainfo"]["classes"])
    assert ((data.size > 0) & (data.size < 1)).all()
    size, iou = (torch.cat((part, torch.full((10,), rest))) for part, rest in ((data.size[:6], 1.0), (overlap, 0.0)))
    each = handed.class_by_hand(kind, x, labels, iou, f, 0.25, size)
    weight = torch.cat((torch.ones(6), torch.full((10,), share)))
    average = 6 + 10 * share if assigned.two_stage(found.model) else 6
    hand = 1.5 * (each * weight).sum() / average
    p = (x.sigmoid() if boxes.sigmoid else x.softmax(-1))[rows[:6], labels[:6]]
    box = handed.box_by_hand(overlap, p, f[labels[:6]], 0.25, data.size[:6]) * data.box_weight[:6]
    hand = hand + 1.5 * box.sum() / (average if assigned.two_stage(found.model) else data.box_weight[:6].sum())
    if boxes.centerness:
        wanted, at = data.centerness[:6], centerness[0, rows[:6], data.anchor[:6]]
        hand = hand + torch.nn.functional.binary_cross_entropy_with_logits(at, wanted)
    assert total == pytest.approx(float(hand.detach()), rel=1e-4)


@pytest.mark.parametrize("name", ["FCOS", "RetinaNet", "Faster R-CNN"])
def test_heads_side_by_side_are_as_if_alone_and_a_failure_stays_with_its_own(
    name: str, scenes: dict[str, CocoSource]
) -> None:
    found = features(name)
    grammar = "sigmoid" if small_heads.Boxes(head_of(found)).sigmoid else "softmax"
    exploding = {
        "expression": "mul(exp(add(x, 200)), exp(add(x, 200)))",
        "grammar": grammar,
        "loss_weight": 1e30,
        "alpha": None,
    }
    losses: list[Any] = [{}, spec("log_iou"), {"loss_cls": exploding}, spec("cse_b_reg"), {}]
    task = TrainHeads(iterations=60, positives=64, negatives=96, evaluate_on="val")
    together = frozen.evaluate(found, losses, task, seed=1)
    assert together[2] == "the gradient is not finite at iteration 1"
    assert together[0] == together[4]
    for index in (0, 1, 3):
        (alone,) = frozen.evaluate(found, losses[index : index + 1], task, seed=1)
        assert isinstance(alone, dict)
        assert together[index] == pytest.approx(alone, abs=2e-3)
    assert together[1] != together[0]


def test_gradients_are_clipped_by_the_head_and_not_together() -> None:
    class Plain(small_heads.Boxes):
        def __init__(self) -> None:
            self.anchors, self.columns, self.centerness, self.sigmoid = 1, 3, False, True
            self.scaled, self.distances, self.levels, self.strides = True, False, 2, [8.0, 16.0]

    heads = small_heads.SmallHeads(3, 5, Plain(), torch.Generator().manual_seed(0))
    logits, raw, _ = heads(torch.randn(7, 5), torch.arange(7) % 2)
    (
        (logits.square().sum((1, 2, 3)) + raw.square().sum((1, 2, 3))) * torch.tensor([1.0, 2.0, math.inf])
    ).sum().backward()
    norms = heads.gradient_norms()
    torch.testing.assert_close(norms[1], 2 * norms[0])
    heads.scale_gradients(torch.tensor([0.5, 1.0, 0.0]))
    after = heads.gradient_norms()
    torch.testing.assert_close(after, torch.tensor([0.5 * float(norms[0]), float(norms[1]), 0.0]))


def moved(data: extraction.Training, device: str) -> extraction.Training:
    return extraction.Training(**{k: v.to(device) if torch.is_tensor(v) else v for k, v in vars(data).items()})


@pytest.mark.parametrize("name", DETECTORS)
def test_an_iteration_of_formulas_asks_nothing_back_from_the_device(name: str, scenes: dict[str, CocoSource]) -> None:
    # A meta tensor has no values: whatever would bring one to the host, which no graph can capture, raises an error.
    found = features(name)
    boxes = small_heads.Boxes(head_of(found))
    losses = {**spec("cse_b_cls" if boxes.sigmoid else "cse_a_cls"), **spec("giou")}
    pairs = [frozen._pair(found.config, losses, boxes)] * 2
    heads = small_heads.SmallHeads(2, found.training.x.shape[1], boxes, torch.Generator().manual_seed(0)).to("meta")
    step = small_heads._Step(moved(found.training, "meta"), pairs, heads, 6, 10, False, 4)
    step._gradients(torch.zeros(16, dtype=torch.long, device="meta"))
    assert heads.first.grad is not None
    assert step.failed.is_meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", DETECTORS)
def test_replays_of_a_cuda_graph_give_what_iterations_one_by_one_give(
    name: str, scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = features(name)
    boxes = small_heads.Boxes(head_of(found).to("cuda"))
    losses = {**spec("cse_b_cls" if boxes.sigmoid else "cse_a_cls"), **spec("giou")}
    pairs = [frozen._pair(found.config, losses, boxes)] * 2
    weights = []
    for eager in (small_heads._EAGER, 1000):
        monkeypatch.setattr(small_heads, "_EAGER", eager)
        heads, failed = small_heads.train_heads(moved(found.training, "cuda"), pairs, boxes, 20, 6, 10, seed=1)
        assert failed == [None, None]
        weights.append(heads.second.detach())
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)


def test_every_sample_comes_once_before_any_comes_again() -> None:
    order = small_heads._order(10, 4, 5, torch.Generator().manual_seed(3)).flatten()
    assert sorted(order[:10].tolist()) == sorted(order[10:].tolist()) == list(range(10))
