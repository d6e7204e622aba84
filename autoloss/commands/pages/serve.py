"""The command that shows a run in a browser while it is searched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoloss.commands.options import stderr


def serve(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; another than this machine's own lets others read.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8042,
) -> None:
    """Show the page of a run in a browser, and keep it up to date while it is searched; Ctrl-C ends it.

    It only reads, and follows a search through its end and its resumption: `autoloss serve runs/digits_fcos`
    """
    from rich.text import Text

    from autoloss.report.page.live import LivePage, listening
    from primitives.text.printable import printable

    page = LivePage(run, host)
    page.state()  # where there is no run, it says so now
    with listening(page, host, port) as (server, address):
        stderr().print(Text(f"{address} shows {printable(run, None)}; Ctrl-C ends it"), soft_wrap=True)
        try:
            server.run()
        except KeyboardInterrupt:  # of the watching, not of the search
            return
