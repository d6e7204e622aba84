"""The command that writes a run as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoloss.commands.options import stderr
from primitives.errors import InputError


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN [RUN ...]", help="Directory of a run; of several to compare them.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: report.html in the run, comparison.html for several.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the pictures of one run as PNG, too.")
    ] = None,
    detections: Annotated[
        bool,
        typer.Option(
            "--detections",
            help="First train the best found and the own loss once each, and show what they find on the same images.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is no such page.")] = False,
) -> None:
    """Write a run as one HTML file for colleagues: the answer first, then everything behind it; no network is needed.

    Several runs stand beside each other: their winners, their curves, their audits.

    Examples: `autoloss report runs/digits_fcos`, `autoloss report runs/seed0 runs/seed1 --out seeds.html`
    """
    from rich.text import Text

    from autoloss.pipeline.kinds.report import compared, written
    from primitives.text.printable import printable

    console = stderr()

    def say(text: str) -> None:
        console.print(Text(text), soft_wrap=True)

    if len(runs) == 1:
        file = out or runs[0] / "report.html"
        size = written(runs[0], file, force, pictures, say if detections else None)
    else:
        if pictures is not None or detections:
            raise InputError("--pictures and --detections are of one run; name one, or leave them out")
        if len({one.resolve() for one in runs}) < len(runs):
            raise InputError(f"a run is named twice: {', '.join(map(str, runs))}; a comparison needs different ones")
        file = out or Path("comparison.html")
        size = compared(runs, file, force)
    say(f"{printable(file, None)}: {size / 1e3:,.0f} kB; open it in a browser")
