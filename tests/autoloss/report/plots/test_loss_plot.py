from pathlib import Path

import pytest
from PIL import Image

from autoloss.report.plots import loss_plot
from primitives.catalog import GRAMMARS, KNOWN
from primitives.errors import InputError


def drawn(name: str) -> loss_plot.Drawn:
    known = KNOWN[name]
    return loss_plot.Drawn(known.title, known.expression, GRAMMARS[known.grammar], known.alpha)


@pytest.mark.parametrize(("mine", "other"), [("cse_b_reg", "giou"), ("quality_focal", "focal")])
def test_one_picture_shows_a_loss_beside_a_known_one(mine: str, other: str, tmp_path: Path) -> None:
    loss_plot.draw(drawn(mine), drawn(other), tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as image:
        assert image.size == (1200, 876)
        assert len(image.convert("RGB").getcolors(1_000_000)) > 50
    loss_plot.draw(drawn(mine), drawn(other), tmp_path / "loss.svg")
    text = (tmp_path / "loss.svg").read_text()
    assert text.count('<g id="axes_') == 4


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        ("softmax", "mul(y, w)"),
        ("box", "sub(i, i)"),
        ("box", "log(neg(div(i, u)))"),
        ("box", "neg(div(1, sub(1, div(i, u))))"),
    ],
)
def test_a_formula_that_gates_refuse_is_drawn_too(grammar: str, text: str, tmp_path: Path) -> None:
    mine = loss_plot.Drawn("this", GRAMMARS[grammar].parse(text), GRAMMARS[grammar])
    loss_plot.draw(mine, drawn(mine.grammar.kind.beside(mine.grammar.terminals)), tmp_path / "loss.png")
    assert (tmp_path / "loss.png").is_file()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write the picture"):
        loss_plot.draw(drawn("iou"), drawn("giou"), tmp_path / "none" / "loss.png")
    with pytest.raises(InputError, match="cannot write the picture .*loss.xyz"):
        loss_plot.draw(drawn("iou"), drawn("giou"), tmp_path / "loss.xyz")
