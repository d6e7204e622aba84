"""The README's transcripts are what its commands print; `python -m tests.test_readme` writes them anew."""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path

import pytest

from tests.helpers.command import autoloss

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_BLOCK = re.compile(r"```console\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)```", re.DOTALL)
# Commands that take minutes leave what they print in results/ (make results, benchmark, benchmark-export, funnel).
_KEPT = {
    "autoloss show runs/digits_fcos --top 7": "digits_fcos.txt",
    "autoloss show runs/digits_faster_rcnn --top 7": "digits_faster_rcnn.txt",
    "make benchmark": "benchmark.txt",
    "make benchmark-export": "benchmark_export.txt",
    "make benchmark-estimate": "estimate.txt",
    "make benchmark-scaling": "scaling/scaling.txt",
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
    elif command.startswith("autoloss fidelity"):  # of a run that is kept: nothing is left to train
        text = autoloss(*shlex.split(command)[1:], cwd=ROOT).stdout
    else:
        return None
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


@pytest.mark.parametrize("command", [match["command"] for match in _BLOCK.finditer(README.read_text())])
def test_what_the_readme_shows_is_what_the_command_prints(command: str) -> None:
    shown = next(match["output"] for match in _BLOCK.finditer(README.read_text()) if match["command"] == command)
    expected = printed(command)
    assert shown == (expected or ""), "python -m tests.test_readme writes the README's transcripts anew"


if __name__ == "__main__":
    text = _BLOCK.sub(
        lambda match: f"```console\n$ {match['command']}\n{printed(match['command']) or ''}```", README.read_text()
    )
    README.write_text(text)
