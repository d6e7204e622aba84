"""An input is one row and an operator is one row: both thrown in here, they go through everything there is.

The input is handed over by the head, which takes one adapter; nothing else knows of either.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor
from torch.nn import functional

from autoloss.export import folder
from autoloss.export.reference import inputs_of
from autoloss.export.selection import Export
from autoloss.gates.calibration import calibrated
from autoloss.gates.certificates import certify
from autoloss.gates.pipeline import judge
from autoloss.report.plots import loss_plot
from primitives.catalog import GRAMMARS, KNOWN
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.classification.kind import SIGMOID
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.operators import OPERATORS, Operator

T = Terminal("t", (0, 1), "1", "share of the training that is over", predicted=False, given="elapsed")
SOFTSIGN = Operator(
    "softsign",
    1,
    functional.softsign,
    lambda a: a / (1 + sympy.Abs(a)),
    (-math.inf, math.inf),
    "a / (1 + |a|)",
    {
        "torch": "functional.softsign({a})",
        "numpy": "({a} / (1 + np.abs({a})))",
        "jax": "jax.nn.soft_sign({a})",
    },
)
# Binary cross-entropy that looks ever harder at what is wrong.
FORMULA = "mul(add(1, mul(t, softsign(abs(sub(y, sigmoid(x)))))), sub(softplus(x), mul(x, y)))"
NAME = "sigmoid_in_time"


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> Grammar:
    """The grammar of the stock sigmoid losses with the new input and the new operator."""
    monkeypatch.setitem(OPERATORS, SOFTSIGN.name, SOFTSIGN)
    found = Grammar(NAME, SIGMOID, (*GRAMMARS["sigmoid"].terminals, T), (*GRAMMARS["sigmoid"].operators, SOFTSIGN.name))
    monkeypatch.setitem(GRAMMARS, NAME, found)
    return found


@pytest.fixture
def formula(rules: Grammar) -> Expression:
    return rules.parse(FORMULA)


def exported(export: Export, backend: str, place: Path) -> Any:
    """The exported file, imported."""
    name, text = next(iter(folder.texts(export, backend).items()))
    (place / name).write_text(text)
    spec = importlib.util.spec_from_file_location("losses", place / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_parser_knows_both_where_the_grammar_does(rules: Grammar, formula: Expression) -> None:
    assert rules.parse(str(formula)) == formula
    assert rules.given(formula) == ("elapsed",)
    with pytest.raises(InputError, match="unknown name 't'"):
        GRAMMARS["sigmoid"].parse("mul(t, x)")


def test_gates_simulation_calibration_and_certificates_take_the_formula(rules: Grammar, formula: Expression) -> None:
    judgement = judge(formula, rules)
    assert judgement.passed, judgement.verdicts
    assert judgement.verdicts[-1].gate == "converges"
    loss = calibrated(formula, rules, None, SIGMOID.stand_in)
    assert (loss.grammar, loss.expression) == (rules, formula)
    assert 0 < loss.loss_weight < math.inf
    assert {"optimum", "monotone", "convexity"} <= {one.name for one in certify(formula, rules)}


def test_gates_refuse_a_formula_that_reads_the_new_input_alone(rules: Grammar) -> None:
    (verdict,) = judge(rules.parse("softsign(t)"), rules).verdicts
    assert (verdict.gate, verdict.passed) == ("structure", False)


def test_the_picture_shows_it(rules: Grammar, formula: Expression, tmp_path: Path) -> None:
    focal = KNOWN["focal"]
    known = loss_plot.Drawn(focal.title, focal.expression, GRAMMARS[focal.grammar], focal.alpha)
    loss_plot.draw(loss_plot.Drawn("this", formula, rules), known, tmp_path / "loss.svg")
    assert "this" in (tmp_path / "loss.svg").read_text()


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("backend", ["torch", "numpy", "jax"])
@pytest.mark.parametrize("text", [FORMULA, "neg(dot(mul(y, add(1, t)), log(sigmoid(x))))", "mul(t, softplus(x))"])
def test_generated_code_computes_what_the_formula_computes(
    rules: Grammar, text: str, backend: str, alpha: float | None, tmp_path: Path
) -> None:
    if backend == "jax":
        pytest.importorskip("jax", reason="JAX is an optional extra: pip install 'autoloss[jax]'")
    expression = rules.parse(text)
    loss = calibrated(expression, rules, alpha, SIGMOID.stand_in)
    module = exported(Export("New", {"loss_cls": loss}, ["By a test."]), backend, tmp_path)
    inputs = inputs_of(expression, rules, torch.float32)
    assert set(inputs) == {"x", "labels", "elapsed"}
    arrays = {name: value if backend == "torch" else value.numpy() for name, value in inputs.items()}
    found = np.asarray(module.new_class_loss(**arrays))
    named = rules.inputs(Sample(inputs["x"], inputs["labels"], inputs))
    wanted = rules.kind.losses(expression(named), named, alpha)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_an_export_is_checked_where_the_toolkit_is_not(rules: Grammar, formula: Expression, tmp_path: Path) -> None:
    export = Export("New", {"loss_cls": calibrated(formula, rules, None, SIGMOID.stand_in)}, ["By a test."])
    ((name, text),) = folder.texts(export, "torch").items()
    (tmp_path / name).write_text(text)
    folder.compare(export, tmp_path / name, "torch")
    assert SIGMOID.limits(rules.formula(formula))[-1].startswith("It reads t, the share of the training that is over")


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_a_box_loss_may_read_it_as_well(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detectors import mmcv_ops

    mmcv_ops.install()
    from detectors.losses.expression import ExpressionBoxLoss

    boxes = GRAMMARS["box"]
    rules = Grammar("box_in_time", boxes.kind, (*boxes.terminals, T), boxes.operators)
    monkeypatch.setitem(GRAMMARS, rules.name, rules)
    expression = rules.parse("mul(add(1, t), sub(1, div(i, u)))")
    inputs = inputs_of(expression, rules, torch.float32)
    found = ExpressionBoxLoss(str(expression), rules.name, reduction="none")(**inputs)
    plain = ExpressionBoxLoss("sub(1, div(i, u))", reduction="none")(inputs["pred"], inputs["target"])
    torch.testing.assert_close(found, (1 + inputs["elapsed"]) * plain)
    with pytest.raises(ValueError, match="ExpressionBoxLoss reads elapsed; this head hands over none"):
        ExpressionBoxLoss(str(expression), rules.name)(inputs["pred"], inputs["target"])
    export = Export("New", {"loss_bbox": calibrated(expression, rules, None, "giou")}, ["By a test."])
    arrays = {name: value if backend == "torch" else value.numpy() for name, value in inputs.items()}
    written = np.asarray(exported(export, backend, tmp_path).new_box_loss(**arrays))
    np.testing.assert_allclose(written, found.numpy(), rtol=1e-5, atol=1e-6)


def test_a_detector_trains_with_it_where_an_adapter_of_its_head_hands_it_over(
    formula: Expression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detectors import mmcv_ops

    mmcv_ops.install()
    from mmdet.models.dense_heads import FCOSHead
    from mmdet.registry import MODELS

    from detectors.data.description import Digits
    from detectors.data.digits import digit_scenes
    from detectors.export.mmdet import mmdet
    from detectors.frozen.rung import _pair
    from detectors.heads import registry
    from detectors.heads.iou_aware import PointIoUAware
    from detectors.training.config import configure, load
    from detectors.training.short import train_briefly

    seen: list[float] = []

    class TimeAware(PointIoUAware):
        """The same, and the share of the training that is over."""

        hands_over = ("iou", "elapsed")

        def more(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
            seen.append(len(seen) / 2)
            return {"elapsed": cls_score.new_full(labels.shape, seen[-1])}

    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path))
    scenes = digit_scenes(Digits(train=8, val=4, test=4))
    losses: dict[str, Any] = {
        "loss_cls": {"expression": str(formula), "grammar": NAME, "loss_weight": 1.0, "alpha": 0.25}
    }

    def configured() -> Any:
        data = {"train": scenes["train"], "evaluate": scenes["val"]}
        own = load("configs/detectors/tiny_fcos.py")
        return configure(own, **data, losses=losses, iterations=2, seed=0, batch_size=4)

    with pytest.raises(InputError, match="no head that hands over elapsed stands in for 'FCOSHead'; known: none"):
        configured()
    monkeypatch.setattr(registry, "TWINS", dict(registry.TWINS))
    twin = registry.register(TimeAware, FCOSHead, "TimeAware")
    try:
        config = configured()
        assert config.model.bbox_head.type == twin == "TimeAwareFCOSHead"
        assert "mAP" in train_briefly(config)
        assert seen == [0.0, 0.5]
        with pytest.raises(InputError, match="a rung of kind 'frozen' hands over iou, .*, a formula reads elapsed"):
            _pair(load("configs/detectors/tiny_fcos.py"), losses, boxes=None)
        with pytest.raises(InputError, match="TimeAwareFCOSHead: a head that hands over more"):
            mmdet(losses, "New", ["By a test."], {"detector": "configs/detectors/tiny_fcos.py"})
    finally:
        MODELS.module_dict.pop(twin)
