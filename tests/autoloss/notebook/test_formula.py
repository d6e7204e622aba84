import subprocess
import sys
from pathlib import Path

import pytest
import torch

import autoloss
from autoloss.notebook.formula import LossFormula
from primitives.catalog import KNOWN
from primitives.errors import InputError

BOXES = torch.tensor([[0.0, 0, 2, 2], [0, 0, 4, 4]])
TARGETS = torch.tensor([[0.0, 0, 2, 4], [0, 0, 4, 4]])


def test_importing_is_cheap() -> None:
    code = "import sys, autoloss; print({'torch', 'sympy', 'matplotlib', 'rich', 'typer'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert {"loss", "open_run"} <= set(dir(autoloss))
    with pytest.raises(AttributeError, match="no attribute 'losses'"):
        autoloss.losses  # noqa: B018


def test_a_box_loss_is_called_on_boxes_and_carries_gradients() -> None:
    pred = BOXES.clone().requires_grad_()
    losses = autoloss.loss("1 - i/u")(pred, TARGETS)
    torch.testing.assert_close(losses.detach(), torch.tensor([0.5, 0.0]))
    losses.sum().backward()
    assert pred.grad is not None
    assert bool(pred.grad[0].any())


def test_a_class_loss_is_called_on_logits_and_labels_and_what_it_reads_beside() -> None:
    logits, labels = torch.zeros(2, 3), torch.tensor([1, 3])
    torch.testing.assert_close(
        autoloss.loss("softplus(x) - x*y", "sigmoid")(logits, labels), torch.full((2,), 3 * 0.6931472)
    )
    weighed = autoloss.loss("-Q*log(p)")
    torch.testing.assert_close(weighed(logits, labels, iou=torch.tensor([0.5, 0.5])), torch.tensor([0.3465736, 0.0]))
    with pytest.raises(InputError, match="give iou= one value per sample"):
        weighed(logits, labels)
    with pytest.raises(InputError, match="unknown input 'score'; .* reads iou"):
        weighed(logits, labels, iou=torch.ones(2), score=torch.ones(2))
    with pytest.raises(InputError, match=r"expected \(N, C\) logits"):
        weighed(logits, labels[:1], iou=torch.ones(2))


def test_a_loss_shows_its_algebra() -> None:
    loss = autoloss.loss("sub(3, sub(div(i, u), div(sub(e, e), e)))")
    assert str(loss) == "3 - (i/u - (e - e)/e)"
    assert str(loss.simplified) == "3 - i/u"
    assert loss.canonical == "sub(3, sub(div(i, u), div(sub(e, e), e)))"
    assert repr(loss.simplified) == "autoloss.loss('3 - i/u', 'box')"
    assert loss.known == "IoU (linear)"
    assert str(loss.sympy) == "-i/u + 3"
    assert str(loss.derivative("u")) == "i/u**2"
    assert loss.simplified.latex == r"- \frac{i}{u} + 3"
    assert loss._repr_latex_() == rf"$\displaystyle {loss.latex}$"
    with pytest.raises(InputError, match="no prediction changes 'x'; derivatives are by e, i, u"):
        loss.derivative("x")


@pytest.mark.parametrize("known", KNOWN.values(), ids=lambda known: known.name)
def test_a_known_loss_is_named(known) -> None:
    loss = autoloss.loss(known.name)
    assert (loss.expression, loss.grammar.name, loss.alpha) == (known.expression, known.grammar, known.alpha)
    assert loss.known == known.title


def test_a_loss_is_checked_inspected_and_drawn(tmp_path: Path) -> None:
    loss = autoloss.loss("1 - iou")
    assert loss.check()["passed"]
    assert loss.inspect()["nearest"]["title"] == "IoU (linear)"
    assert loss.plot(tmp_path / "iou.png", beside="giou").get_suptitle().endswith("1 - i/u")
    assert (tmp_path / "iou.png").stat().st_size > 10_000
    with pytest.raises(InputError, match="focal is a loss for loss_cls"):
        loss.plot(beside="focal")


def test_a_loss_is_a_module_of_a_detector() -> None:
    box = autoloss.loss("1 - i/u").module(loss_weight=2.0)
    assert float(box(BOXES, TARGETS)) == pytest.approx(0.5)
    focal = autoloss.loss("focal").module()
    assert (focal.alpha, focal.use_sigmoid, focal.loss_weight) == (0.25, True, 1.0)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1 -", {}, "the formula ends early at column 4"),
        ("1 - i/u", {"grammar": "boxes"}, "unknown grammar 'boxes'; known: box"),
        ("1 - i/u", {"alpha": 0.5}, "--alpha 0.5 is for sigmoid losses"),
        ("-log(p)", {}, "--grammar: softmax, sigmoid"),
    ],
)
def test_mistakes_are_one_line(text: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        autoloss.loss(text, **options)
    assert "\n" not in str(caught.value)


def test_a_loss_is_a_value() -> None:
    assert autoloss.loss("1 - iou") == autoloss.loss("sub(1, div(i, u))")
    assert isinstance(autoloss.loss("giou"), LossFormula)
