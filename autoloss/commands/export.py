"""The command that writes losses for others to use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from autoloss.commands.options import MOST, Alpha, Candidate, ClassGrammar, WeightBbox, WeightCls, by_slot, stderr
from primitives.errors import InputError


def export(
    run: Annotated[Path | None, typer.Argument(help="Directory of a run; none for formulas given as text.")] = None,
    top: Annotated[
        int, typer.Option(min=1, max=MOST, help="What the run recommends, then the best found: so many.")
    ] = 1,
    candidate: Candidate = None,
    loss_cls: Annotated[str | None, typer.Option(metavar="TEXT", help="Class formula, or a known loss's name.")] = None,
    loss_bbox: Annotated[str | None, typer.Option(metavar="TEXT", help="Box formula, or a known loss's name.")] = None,
    catalog: Annotated[
        bool, typer.Option("--catalog", help="Every known loss, a folder each; the published ones as pairs.")
    ] = False,
    to: Annotated[str, typer.Option(help="mmdet, torch, torchvision, jax, numpy, latex or command.")] = "mmdet",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: exports/ and the loss's name.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What the classes' names begin with. Default: Candidate and its number.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="CONFIG",
            help="mmdetection config that config.py inherits: a path or 'mmdet::...'. Weights of a run's losses are "
            "then at the scale of its own losses. Default: the run's; for text Faster R-CNN R50, FCOS R50 for sigmoid "
            "losses.",
        ),
    ] = None,
    grammar: ClassGrammar = None,
    alpha: Alpha = None,
    weight_cls: WeightCls = None,
    weight_bbox: WeightBbox = None,
    centerness_iou: Annotated[
        bool, typer.Option(help="FCOS, ATSS: the IoU takes the place of centerness, as in the published results.")
    ] = False,
    stand_in: Annotated[
        bool | None,
        typer.Option(
            "--stand-in/--no-stand-in",
            help="Write a stand-in for mmcv's compiled ops too. Default: where the mmcv of this machine lacks them.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Export losses as a folder that stock mmdetection, or PyTorch alone, uses without this toolkit.

    Before anything is kept, the file is compared with the formula in a process that cannot import this toolkit.

    Examples: `autoloss export runs/digits_fcos --top 1`,
    `autoloss export --loss-cls cse_b_cls --loss-bbox "sub(1, div(i, u))" --to torch`
    """

    from rich.text import Text

    from autoloss.export import elsewhere
    from autoloss.export import folder as package
    from autoloss.export import selection as exports
    from autoloss.store.run import Run
    from primitives.text.markup import slug

    setup = {"detector": detector, "centerness_target": "iou" if centerness_iou else None, "stand_in": stand_in}
    given = by_slot(loss_cls=loss_cls, loss_bbox=loss_bbox)
    weights = by_slot(loss_cls=weight_cls, loss_bbox=weight_bbox)
    _check(run, candidate, top, catalog, name, given, grammar, alpha, weights)
    if catalog:
        found = exports.catalog(setup)
    elif run is None:
        one = exports.of_text(given, name, grammar, alpha, weights, setup)
        found = {exports.folder_name(one): one}
    else:
        with Run.open(run) as store:
            chosen = exports.of_run(store, candidate, top, name)
            if detector is not None:
                chosen = [elsewhere.taken(one, store, detector, None, weights)[0] for one in chosen]
        found = {
            f"{slug(run.resolve().name)}_{one.name.lower()}": exports.changed(one, setup, weights) for one in chosen
        }
    console = stderr()
    for stem, one in found.items():
        folder = (out or Path("exports")) / stem if out is None or len(found) > 1 else out
        with console.status(Text(f"{one.name}: writing, and comparing with the formula in a process of its own")):
            try:
                written = package.write(one, to, folder, force)
            except package.ExportError as error:
                typer.echo(f"autoloss: {error}", err=True)
                raise typer.Exit(1) from None
        typer.echo(f"{one.name}: the file equals the formula; in {folder}:")
        typer.echo("\n".join(f"  {path.name}" for path in written))


def _check(
    run: Path | None,
    candidate: int | None,
    top: int,
    catalog: bool,
    name: str | None,
    given: Mapping[str, str],
    grammar: str | None,
    alpha: float | None,
    weights: Mapping[str, float],
) -> None:
    """Refuses options that would do nothing with what is exported.

    Raises:
        InputError: the first of them.
    """
    if (run is not None) + bool(given) + catalog != 1:
        raise InputError("export takes a RUN, or --loss-cls and --loss-bbox, or --catalog; one of the three")
    if run is None and (candidate is not None or top != 1):
        raise InputError("--candidate and --top choose among the losses of a RUN; name its directory")
    if candidate is not None and top != 1:
        raise InputError("--candidate names one loss, --top so many of the best; one of the two")
    if name is not None and (catalog or top != 1):
        raise InputError("--name is for one loss; those of --catalog and of --top have their own")
    for option, value in (("--grammar", grammar), ("--alpha", alpha)):
        if value is not None and run is not None:
            raise InputError(f"{option} is for formulas given as text; the run's losses bring theirs")
        if value is not None and "loss_cls" not in given:
            raise InputError(f"{option} is for a formula given as text by --loss-cls")
    if catalog and weights:
        raise InputError("--weight-cls and --weight-bbox are for losses that are named; those of --catalog have theirs")
