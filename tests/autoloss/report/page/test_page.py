"""The page as text: valid, whole, nothing of it taken for markup; in every state of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from autoloss.config import from_mapping
from autoloss.report.page.page import page
from autoloss.report.page.told import Told
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.fast_evaluator import MARKUP
from tests.helpers.large import large_run
from tests.helpers.small import section

_MOST, _MOST_ELEMENTS = 4e6, 100_000
"""Bytes and elements of a page of 10,000 candidates; the time in which it opens grows with them."""


def valid(text: str) -> None:
    """Raises where the text is no valid HTML."""
    html5lib = pytest.importorskip("html5lib", reason="html5lib is not installed")
    html5lib.HTMLParser(strict=True).parse(text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def of(folder: Path) -> str:
    with Run.open(folder) as run:
        return page(Told.of(run))


def test_the_page_of_a_search_is_valid_and_asks_for_nothing_outside(report: Path) -> None:
    text = report.read_text()
    valid(text)
    assert "default-src 'none'" in text
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|url\((?!#)|@import""", text)


def test_the_answer_comes_first_and_says_where_it_is_from(report: Path) -> None:
    text = report.read_text()
    sections = re.findall(r'<section id="(\w+)"', text)
    assert sections[:2] == ["answer", "losses"]
    assert {"searched", "funnel", "progress", "lineage", "rungs", "curves", "classes", "failures", "again"} <= set(
        sections
    )
    answer = text[text.index('id="answer"') : text.index('id="losses"')]
    assert "From the finale, rung &#39;full&#39;, 2 seeds each" in answer
    for beside in ("the detector&#39;s own loss", "its best other weight"):
        assert beside in answer


def test_text_of_others_is_escaped_wherever_it_stands(report: Path) -> None:
    text = report.read_text()
    assert MARKUP not in text
    assert text.count("<script") == 1
    assert "\u202e" not in text
    assert "{{ 7 * 7 }}" in text  # no template of ours is made of it
    assert "x" * 1000 not in text


@pytest.mark.parametrize("version", ["schema_1", "schema_2"])
def test_runs_of_older_versions_have_a_page(version: str, golden: Path) -> None:
    valid(of(golden / "runs" / version))


def test_a_run_in_which_nothing_has_happened_has_a_page(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", from_mapping(section()).identity()):
        pass
    text = of(tmp_path / "run")
    valid(text)
    assert "Nothing has been found yet" in text


def audit(folder: Path, **changes: Any) -> None:
    row = {"finalist": 1, "control": "own loss, weights tuned", "on": "digits", "metric": "mAP", "difference": 0.0212}
    row |= {"low": 0.004, "high": 0.04, "p_better": 0.98, "holm": 0.031, **changes}
    (folder / "audit").mkdir(exist_ok=True)
    place = {"on": "digits", "images": 300, "images_ranked_finalists": False, "elsewhere": []}
    setup = {**place, "noise": 0.011, "seeds": [10, 11], "finalists": [], "smallest_difference": 0.015}
    document = {"setup": setup, "comparisons": [row]}
    (folder / "audit/audit.json").write_text(json.dumps(document))


@pytest.fixture
def audited(golden: Path, tmp_path: Path) -> Path:
    """A run of its own, to lay an audit into."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.sqlite").write_bytes((golden / "runs/schema_2/run.sqlite").read_bytes())
    return folder


def test_where_there_is_an_audit_the_answer_is_its(audited: Path) -> None:
    audit(audited, control=MARKUP)
    text = of(audited)
    valid(text)
    assert "From the audit in audit/" in text
    assert "+2.1" in text
    assert "better, beyond the noise" in text
    assert "smallest difference that these seeds show 1.5 points" in text
    assert MARKUP not in text


def test_a_chance_is_never_shown_as_none_or_certain(audited: Path) -> None:
    audit(audited, p_better=0.99998, holm=1e-5)
    text = of(audited)
    valid(text)
    assert 'data-sort="0.99998">&gt; 0.999<' in text
    assert 'data-sort="1e-05">&lt; 0.001<' in text


def test_what_the_best_does_not_beat_is_said(audited: Path) -> None:
    with Run.open(audited) as run:
        number = Told.of(run).board.picks()[0].candidate.number
    audit(audited, finalist=number, control="own loss with tuned weights", low=-0.01)
    assert "Not shown to be better than own loss with tuned weights." in of(audited)
    audit(audited, finalist=number)
    assert "Better than all it was compared with" in of(audited)
    audit(audited, finalist=number + 1)
    assert "Better than all it was compared with" not in of(audited)


def test_an_audit_that_is_none_is_named(audited: Path) -> None:
    audit(audited, difference="much")
    with pytest.raises(InputError, match=r"audit.json is no audit that autoloss wrote: comparisons.0.difference: "):
        of(audited)


def test_of_many_candidates_most_are_a_short_line(tmp_path: Path) -> None:
    large_run(tmp_path / "run", 1_200)
    text = of(tmp_path / "run")
    valid(text)
    lines = text[text.index('<details class="rest">') : text.index('<section id="searched"')].encode()
    assert len(text.encode()) - len(lines) + len(lines) / 1_100 * 10_000 < _MOST


@pytest.mark.slow
def test_ten_thousand_candidates_weigh_less_than_4_mb_and_are_few_elements_each(tmp_path: Path, chromium: Any) -> None:
    large_run(tmp_path / "run", 10_000)
    text = of(tmp_path / "run")
    assert len(text.encode()) < _MOST
    file = tmp_path / "report.html"
    file.write_text(text)
    window = chromium.new_page()
    window.goto(file.as_uri())
    assert window.locator("details.rest tbody tr").count() == 10_000 - 101
    assert window.evaluate("document.querySelectorAll('*').length") < _MOST_ELEMENTS
    window.close()
