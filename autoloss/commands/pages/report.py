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

    from autoloss.report.detections import making
    from autoloss.report.leaderboard import Leaderboard
    from autoloss.report.page import comparison, page
    from autoloss.report.page import pictures as drawn
    from autoloss.report.page.told import Told
    from autoloss.report.page.written import write
    from autoloss.store.run import Run
    from primitives.text.printable import printable

    console = stderr()
    if len(runs) == 1:
        file = out or runs[0] / "report.html"
        with Run.open(runs[0]) as run:
            if detections:
                making.make(run, Leaderboard.of(run), lambda text: console.print(Text(text), soft_wrap=True))
            told = Told.of(run)
        text = page.page(told)
        if pictures is not None:
            drawn.write(told, pictures)
    else:
        if pictures is not None or detections:
            raise InputError("--pictures and --detections are of one run; name one, or leave them out")
        if len({one.resolve() for one in runs}) < len(runs):
            raise InputError(f"a run is named twice: {', '.join(map(str, runs))}; a comparison needs different ones")
        file = out or Path("comparison.html")
        text = comparison.of_folders(runs)
    write(text, file, force)
    console.print(
        Text(f"{printable(file, None)}: {len(text.encode()) / 1e3:,.0f} kB; open it in a browser"), soft_wrap=True
    )
