from pathlib import Path

from PIL import Image

from autoloss.report.detections.document import checked
from autoloss.report.detections.seen import beside
from autoloss.report.plots import detections_plot
from autoloss.report.plots.fidelity_plot import save
from autoloss.report.plots.style import styled
from tests.helpers.fast_evaluator import NAMES, OddlyNamedEvaluator


def test_a_picture_shows_what_two_losses_find_whatever_classes_are_called(tmp_path: Path) -> None:
    given = OddlyNamedEvaluator().detect({}, {"steps": 1}, 0, 2)
    (found,) = beside([checked(number, "full", 0, given) for number in (7, 0)], "mAP")
    assert [len(pane.marks) for pane in found.images[0].panes] == [2 * (len(NAMES) + 1)] * 2
    with styled():
        figure = detections_plot.detections(found)
        save(figure, tmp_path / "detections.png")
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "#7: 6 of 8 found, 2 wrong",
        "own loss: 6 of 8 found, 2 wrong",
    ] * 2
    with Image.open(tmp_path / "detections.png") as image:
        assert len(image.convert("RGB").getcolors(1_000_000)) > 20
