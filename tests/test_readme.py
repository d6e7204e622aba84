"""Transcripts of the pages are what their commands print; `python -m tests.test_readme` writes them anew."""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path

import pytest

from tests.helpers.command import autoloss
from tests.test_documents import PAGES, page

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"```console\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)```", re.DOTALL)
# Commands that take minutes leave what they print in results/ (make results, benchmark, benchmark-export, funnel).
_KEPT = {
    "autoloss show runs/digits_noisy --top 7 --full": "digits_noisy.txt",
    "autoloss show runs/digits_fcos --top 7 --full": "digits_fcos.txt",
    "autoloss show runs/digits_faster_rcnn --top 7 --full": "digits_faster_rcnn.txt",
    "autoloss show runs/torchvision_fcos --full": "torchvision_fcos.txt",
    "autoloss run digits_noisy runs/digits_noisy_pl": "pipeline.txt",
    "make benchmark": "benchmark.txt",
    "make benchmark-export": "benchmark_export.txt",
    "make benchmark-estimate": "estimate.txt",
    "make benchmark-scaling": "scaling/scaling.txt",
    "make benchmark-speedup": "speedup/speedup.txt",
    "make benchmark-ablation": "ablation/ablation.txt",
    "autoloss estimate configs/search/digits_fcos.py": "estimate_digits_fcos.txt",
    "make benchmark-frozen": "fidelity/cost.txt",
    "autoloss funnel --grammar box --n 100000 --seed 0": "funnel_box.txt",
}


def printed(command: str) -> str | None:
    """What a command prints, with its lines' ends trimmed; None for one that is only shown."""
    if command in _KEPT:
        text = (ROOT / "results" / _KEPT[command]).read_text()
    elif command.startswith(("autoloss check", "autoloss thresholds", "autoloss export")):
        with tempfile.TemporaryDirectory() as folder:
            done = autoloss(*shlex.split(command)[1:], cwd=Path(folder))
        text = done.stdout + done.stderr
    elif command.startswith("autoloss data"):
        with tempfile.TemporaryDirectory() as folder:
            for line in dict.fromkeys(["autoloss data digits --out digits", command]):
                text = autoloss(*shlex.split(line)[1:], cwd=Path(folder)).stdout
    elif command.startswith(("autoloss fidelity", "autoloss headroom results/")):  # of runs that are kept
        text = autoloss(*shlex.split(command)[1:], cwd=ROOT).stdout
    else:
        return None
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def transcripts() -> list[tuple[Path, str, str]]:
    """Page, command and what is shown of its output."""
    return [(file, one["command"], one["output"]) for file in PAGES for one in _BLOCK.finditer(file.read_text())]


@pytest.mark.parametrize(
    ("file", "command", "shown"), transcripts(), ids=[f"{page(file)}: {command}" for file, command, _ in transcripts()]
)
def test_what_a_page_shows_is_what_the_command_prints(file: Path, command: str, shown: str) -> None:
    assert shown == (printed(command) or ""), f"python -m tests.test_readme writes the transcripts of {page(file)} anew"


@pytest.mark.parametrize("file", PAGES, ids=page)
def test_every_transcript_has_its_command_on_its_first_line(file: Path) -> None:
    text = file.read_text()
    assert text.count("```console") == len(_BLOCK.findall(text))


def test_everything_that_commands_of_minutes_print_is_shown_somewhere() -> None:
    assert set(_KEPT) <= {command for _, command, _ in transcripts()}


if __name__ == "__main__":
    for place in PAGES:
        made = _BLOCK.sub(
            lambda one: f"```console\n$ {one['command']}\n{printed(one['command']) or ''}```", place.read_text()
        )
        place.write_text(made)
