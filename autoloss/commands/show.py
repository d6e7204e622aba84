"""The command that shows a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autoloss.commands.options import MOST, Candidate, Canonical, stderr, stdout


def show(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    top: Annotated[int, typer.Option(min=1, max=MOST, help="Rows of the leaderboard.")] = 20,
    canonical: Canonical = False,
    candidate: Candidate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as plain values for scripts.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="While the search runs, show what it does; the rest when it ends.")
    ] = False,
) -> None:
    """Show a run: the leaderboard, the funnel from proposals to trainings, what the finale says; or one candidate.

    Example: `autoloss show runs/digits_fcos`, or with `--follow` while it is searched; with `--candidate 51` every
    evaluation of that one, with its metrics and its AP by class.
    """
    from autoloss.report import tables
    from autoloss.report.examined import Examined
    from autoloss.report.leaderboard import Leaderboard
    from autoloss.store.run import Run

    if follow:
        from autoloss.report.follow import follow as follow_run

        try:
            follow_run(run, stderr())
        except KeyboardInterrupt:  # of the watching, not of the search
            raise typer.Exit(130) from None

    with Run.open(run) as store:
        found = Leaderboard.of(store)
        one = None if candidate is None else Examined.of(found, store, candidate)
    if one is not None:
        if as_json:
            typer.echo(json.dumps(one.plain_values(), indent=2))
        else:
            stdout().print(one.table())
        return
    if as_json:
        typer.echo(json.dumps(found.plain_values(), indent=2))
        return
    console = stdout()
    console.print(tables.leaderboard(found, top, canonical=canonical))
    console.print(tables.counts(found.counts))
    console.print(tables.against_own(found))
