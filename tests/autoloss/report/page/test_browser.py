"""The page of a real run in headless Chromium, at a desk and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.autoloss.conftest import Window
from tests.helpers.fast_evaluator import NAMES

_SERIOUS = {"serious", "critical"}


def column(window: Window, place: int) -> list[float]:
    texts = window.page.locator(f"#losses table.cards > tbody > tr > td:nth-child({place})").all_text_contents()
    return [float(text) for text in texts if text.strip()]


def test_nothing_is_asked_of_a_network_and_nothing_goes_wrong(window: Window, report: Path) -> None:
    assert window.said == []
    assert window.asked == [report.as_uri()]


def test_it_fits_the_window_and_formulas_are_set(window: Window) -> None:
    assert window.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    fraction = window.page.locator("section#answer math, ol.lineage math").first
    assert fraction.bounding_box()["height"] > 5
    high = window.page.evaluate(
        "Array.from(document.querySelectorAll('mfrac'), one => one.children.length === 2 "
        "&& one.children[0].getBoundingClientRect().bottom <= one.children[1].getBoundingClientRect().top + 2)"
    )
    assert all(high)


def test_a_table_sorts_both_ways_and_says_so(window: Window) -> None:
    button = window.page.locator("#losses table.cards th button", has_text="size")
    for direction, sign in (("descending", -1), ("ascending", 1)):
        button.click()
        sizes = column(window, 3)
        assert len(sizes) > 5
        assert sizes == sorted(sizes, key=lambda one: sign * one)
        head = window.page.locator("#losses table.cards th[aria-sort]")
        assert head.count() == 1
        assert head.get_attribute("aria-sort") == direction


def test_a_candidate_opens_to_its_inspection(window: Window) -> None:
    row = window.page.locator("#losses tr.won")
    inside = row.locator(".inside")
    assert not inside.is_visible()
    row.locator("summary").click(position={"x": 5, "y": 8})
    assert inside.is_visible()
    assert "as the run file has it" in inside.inner_text()
    window.page.locator("section#answer a").first.click()
    assert inside.is_visible()


def test_names_that_are_markup_are_text(window: Window) -> None:
    assert window.page.title().startswith("Losses found for")  # the script would say something else
    classes = window.page.locator("#classes").inner_text()
    for name in (*NAMES[:3], *NAMES[5:]):
        assert name in classes
    assert "\\u202eright to left" in classes
    assert window.page.locator("script").count() == 1
    assert window.page.locator("b", has_text="run").count() == 0
    assert "[red]fails[/red]" in window.page.locator("#failures").inner_text()


def test_axe_finds_no_serious_fault_in_the_light_of_a_desk_and_on_a_phone_at_night(window: Window) -> None:
    axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    night = window.page.viewport_size["width"] < 500
    window.page.emulate_media(color_scheme="dark" if night else "light")
    for summary in window.page.locator("summary").all()[:3]:
        summary.click(position={"x": 5, "y": 8})
    found = axe.Axe().run(window.page)
    faults = {
        one["id"]: [node["html"][:200] for node in one["nodes"][:3]]
        for one in found.response["violations"]
        if one["impact"] in _SERIOUS
    }
    assert faults == {}


def test_it_is_read_on_paper(window: Window) -> None:
    window.page.emulate_media(media="print")
    assert not window.page.locator("nav").is_visible()
    assert window.page.locator("#answer").is_visible()
