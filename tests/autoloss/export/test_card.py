"""The card of an export, beside what test_selection.py has of its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoloss.candidate import Kind
from autoloss.export import card
from autoloss.export.selection import of_text
from autoloss.report.plots import loss_plot


def test_its_pictures_show_the_loss_and_the_known_one_in_colours_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, Kind, str, Kind]] = []

    def draw(mine: loss_plot.Drawn, other: loss_plot.Drawn, file: Path) -> None:
        drawn.append((file.name, mine.kind, other.title, other.kind))

    monkeypatch.setattr(loss_plot, "draw", draw)
    card.write(of_text({"loss_bbox": "1 - i/u", "loss_cls": "quality_focal"}), "torch", ["a.py"], tmp_path)
    assert sorted(drawn) == [
        ("loss_bbox.png", Kind.FOUND, "GIoU", Kind.KNOWN),
        ("loss_cls.png", Kind.FOUND, "focal (gamma 2)", Kind.KNOWN),
    ]
