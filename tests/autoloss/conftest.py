"""A real small run, and its page in a browser; what a test needs of a browser is skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autoloss.config import from_mapping
from autoloss.report.detections import making
from autoloss.report.leaderboard import Leaderboard
from autoloss.report.page.page import page
from autoloss.report.page.told import Told
from autoloss.search.loop import discover
from autoloss.store.run import Run
from tests.helpers.small import section

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a search that ended, whose names are markup."""
    folder = tmp_path_factory.mktemp("runs") / "a <b>run</b>"
    evaluator = {"type": "tests.helpers.fast_evaluator:OddlyNamedEvaluator"}
    settings = from_mapping(section(evaluator=evaluator, controls=[{"loss_cls": 2.0}]))
    with Run.create(folder, settings.identity()) as run:
        discover(settings, run)
    return folder


@pytest.fixture(scope="session")
def report(searched: Path) -> Path:
    """Its page."""
    file = searched / "report.html"
    with Run.open(searched) as run:
        making.make(run, Leaderboard.of(run), lambda _: None)
        file.write_text(page(Told.of(run)), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or name one by CHROMIUM")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Window:
    """A page that is open, and what was heard of it."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def window(request: pytest.FixtureRequest, chromium: Any, report: Path) -> Iterator[Window]:
    """The page of the run in a window of a desk's or a phone's width."""
    width, height = request.param
    context = chromium.new_context(viewport={"width": width, "height": height})
    found = Window(context.new_page())
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda asked: found.asked.append(asked.url))
    found.page.goto(report.as_uri())
    yield found
    context.close()
