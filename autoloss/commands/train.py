"""The command that trains a detector as long as its config says; what trains it lies in another package."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss.commands.data import described
from autoloss.commands.options import (
    MOST_SEED,
    Alpha,
    Candidate,
    ClassGrammar,
    GroupBy,
    Images,
    WeightBbox,
    WeightCls,
    by_slot,
)
from primitives.errors import InputError
from primitives.system.names import reached

TRAIN = "detectors.training.full:train_detector"
"""Who trains, as 'module:function'."""


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="Any mmdetection detector: a path, a name that `autoloss configs` lists (fcos_r50, paper/fcos_r50), "
            "or 'mmdet::...'."
        ),
    ],
    loss_cls: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Class formula, or a known loss's name. Default: the config's.")
    ] = None,
    loss_bbox: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Box formula, or a known loss's name. Default: the config's.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Take the losses of a run: what it recommends. On another detector than its own their weights are at "
            "the scale of its own losses.",
        ),
    ] = None,
    candidate: Candidate = None,
    grammar: ClassGrammar = None,
    alpha: Alpha = None,
    weight_cls: WeightCls = None,
    weight_bbox: WeightBbox = None,
    centerness_iou: Annotated[
        bool, typer.Option("--centerness-iou", help="FCOS, ATSS: the IoU takes the place of centerness, as published.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="COCO JSON, a folder (COCO, YOLO, VOC, LabelImg, what Roboflow exports) with its splits, or a dataset "
            "config (.py). Default: the config's.",
        ),
    ] = None,
    images: Images = None,
    val_data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Default: that of --data, or what a search holds out."),
    ] = None,
    val_images: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: that of --images.")] = None,
    test_data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Evaluated once, after the training. Default: as of a search.")
    ] = None,
    test_images: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: that of --images.")] = None,
    group_by: GroupBy = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Weights of the backbone in a local file, or scratch: none, and GroupNorm for BatchNorm. "
            "Default: what the config says, which may be downloaded.",
        ),
    ] = None,
    work_dir: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Logs and checkpoints. Default: work_dirs/CONFIG-NAME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the latest checkpoint of the work dir.")] = False,
    amp: Annotated[bool, typer.Option("--amp", help="Automatic mixed precision; needs a GPU.")] = False,
    auto_scale_lr: Annotated[
        bool, typer.Option("--auto-scale-lr", help="Scale the learning rate to the images of an iteration.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MOST_SEED, help="Of weights and order. Default: the config's, or any.")
    ] = None,
    launcher: Annotated[str, typer.Option(help="none, pytorch (torchrun), slurm (srun) or mpi.")] = "none",
    cfg_options: Annotated[
        list[str] | None,
        typer.Option(
            "--cfg-options",
            metavar="KEY=VALUE ...",
            help="Overrides values of the config, as in mmdetection: `--cfg-options train_dataloader.batch_size=4`.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the metrics as plain values for scripts, the log to stderr.")
    ] = False,
) -> None:
    """Train a detector by the whole schedule of its config, with its own losses or with others.

    Epochs, learning rate, hooks and logs are those of the config, as mmdetection's tools/train.py has them.

    Examples:

    - `autoloss train configs/paper/fcos_r50.py`
    - `autoloss train configs/detectors/fcos_r50.py --run runs/digits_fcos --candidate 51`
    - `autoloss train configs/detectors/retinanet_r50.py --loss-bbox giou --data train.json --images images`
    - `torchrun --nproc_per_node 8 -m autoloss train configs/paper/atss_r50.py --launcher pytorch`
    """
    from autoloss.config import parsed

    given = by_slot(loss_cls=loss_cls, loss_bbox=loss_bbox)
    weights = by_slot(loss_cls=weight_cls, loss_bbox=weight_bbox)
    changes = parsed(cfg_options or [], "train_dataloader.batch_size=4")
    losses, scale = _losses(given, weights, run, candidate, grammar, alpha, (config, changes))
    arguments: dict[str, Any] = {
        "losses": losses,
        "scale": scale,
        "centerness_target": "iou" if centerness_iou else None,
        "data": described(data, images, val_data, val_images, test_data, test_images, group_by),
        "backbone": backbone,
        "work_dir": work_dir,
        "resume": resume,
        "amp": amp,
        "auto_scale_lr": auto_scale_lr,
        "seed": seed,
        "launcher": launcher,
        "cfg_options": changes,
    }
    try:
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            found = reached(TRAIN)(config, **arguments)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command with --resume goes on from the latest checkpoint.", err=True)
        raise typer.Exit(130) from None
    if found is not None:  # in the first process of several
        typer.echo(json.dumps(found, indent=2) if as_json else _line(found))


def _losses(
    given: Mapping[str, str],
    weights: Mapping[str, float],
    run: Path | None,
    candidate: int | None,
    grammar: str | None,
    alpha: float | None,
    detector: tuple[str, Mapping[str, object]],
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The losses as plain values, and the slots that take on the scale of the own losses of a config with options."""
    if given and run is not None:
        raise InputError("--loss-cls and --loss-bbox take formulas, --run those of a run; one of the two")
    if run is None and candidate is not None:
        raise InputError("--candidate chooses among the losses of a run; name its directory by --run")
    for option, value in (("--grammar", grammar), ("--alpha", alpha)):
        if value is not None and "loss_cls" not in given:
            raise InputError(f"{option} is for a formula given as text by --loss-cls")
    from autoloss.export import elsewhere, selection

    if run is not None:
        from autoloss.store.run import Run

        with Run.open(run) as store:
            (chosen,) = selection.of_run(store, candidate)
            chosen, said = elsewhere.taken(chosen, store, *detector, weights)
        for line in said:
            typer.echo(line, err=True)
        one = selection.changed(chosen, {}, weights)
    elif given:
        one = selection.of_text(given, None, grammar, alpha, weights)
    else:
        one = None
    for slot in weights:
        if one is None or slot not in one.losses:
            raise InputError(
                f"--weight-{slot.removeprefix('loss_')} is for a loss that is put in; {slot} stays as it is"
            )
    return (one.spec(), list(one.setup.get("scale", ()))) if one else ({}, [])


def _line(found: Mapping[str, Any]) -> str:
    parts = [f"val: {_metrics(found)}"]
    if "test" in found:
        parts.append(f"test: {_metrics(found['test'])}")
    return f"{'; '.join(parts)}; {found['checkpoint'] or found['work_dir']}"


def _metrics(part: Mapping[str, Any]) -> str:
    """The mean average precision, and the others that COCO's table begins with."""
    shown = {"mAP": part["mAP"]}
    for name in ("mAP_50", "mAP_75"):
        shown[name] = part["metrics"].get(f"bbox_{name}", part["metrics"].get(name))
    return ", ".join(f"{name} {value:.3f}" for name, value in shown.items() if value is not None) or "no metrics"
