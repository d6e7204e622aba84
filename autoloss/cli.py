"""The command line; thin. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss import data as data_commands
from autoloss import train as train_command
from primitives.errors import InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Discovers loss functions for object detectors: proposes formulas, refuses nearly all of them by cheap "
    "checks, trains the rest on a real detector and ranks them.",
    epilog="Exit codes: 0 it is done, 1 a gate refused the formula, 2 the input is wrong, 130 stopped by Ctrl-C.",
)

app.add_typer(data_commands.app, name="data")
app.command()(train_command.train)

Config = Annotated[Path, typer.Argument(help="A search config, such as configs/search/digits_fcos.py.")]
CfgOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--cfg-options",
        metavar="KEY=VALUE ...",
        help="Overrides config values, as in mmdetection: `--cfg-options search.generations=2 search.births=6`.",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes, one thread each; 0 is one per core. The result is the same.")
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Annotations in COCO format to train on, or a dataset config (.py)."),
]
Images = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of the images of --data.")]
ValData = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Default: a fixed fifth of the images of --data is held out.")
]
TestData = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Default: without --val-data another fifth, with it none.")
]
ImagesToo = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: that of --images.")]


@app.command()
def search(
    config: Config,
    run: Annotated[
        Path | None, typer.Argument(help="Directory of the run; one that is there goes on. Default: runs/CONFIG-NAME.")
    ] = None,
    cfg_options: CfgOptions = None,
    workers: Workers = None,
    data: Data = None,
    images: Images = None,
    val_data: ValData = None,
    val_images: ImagesToo = None,
    test_data: TestData = None,
    test_images: ImagesToo = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Evaluate on a Ray cluster: its address, auto, or local to start one."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Stop after so much time, such as 2h or 1h30m, earlier sessions included.")
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many trainings, those of earlier sessions included.")
    ] = None,
    generations: Annotated[
        int | None, typer.Option(min=1, help="So many generations, then the finale, in place of the config's number.")
    ] = None,
    log_json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Append what happens, a line of JSON each; - for stderr.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write scalars for TensorBoard; one of its own per session.")
    ] = None,
) -> None:
    """Search for losses: propose, refuse, train, rank.

    The same command with the same directory goes on where it stopped, also after it was killed. Ctrl-C once lets what
    ends within 10 seconds end, twice stops at once.

    Whichever of --time, --evaluations and --generations ends first ends the search with a report. One that --time or
    --evaluations ends has no finale unless it got there; the same command with more of it goes on from there, and ends
    as if it had never stopped. Candidates that are trained together (a rung's batch) are never parted by it.

    Example: `autoloss search configs/search/digits_fcos.py --time 2h`
    """
    from rich.console import Console

    from autoloss import logs, report, scalars
    from autoloss.discover import discover
    from autoloss.run import Run
    from autoloss.screen import Screen
    from autoloss.settings import FREE, seconds

    options = list(cfg_options or [])
    for key, value in (
        ("workers", workers),
        ("generations", generations),
        ("budget.evaluations", evaluations),
        ("budget.time", None if time is None else seconds(time)),
        ("ray.address", ray),
    ):
        if value is not None:
            options.append(f"search.{key}={value}")
    settings = _settings(config, options, data, images, val_data, val_images, test_data, test_images)
    directory = run or Path("runs") / config.stem
    console = Console(stderr=True)
    with (
        logs.as_json(log_json),
        scalars.watching(tensorboard) as scalar,
        Run.create(directory, settings.identity(), FREE) as store,
    ):
        try:
            with Screen(settings, console) as screen:

                def watch(progress: Any) -> None:
                    screen(progress)
                    scalar(progress)

                discover(settings, store, watch)
        except KeyboardInterrupt:
            console.print(f"Stopped. What finished is kept in {directory}; the same command goes on from there.")
            raise typer.Exit(130) from None
        _console().print(report.ending(report.summary(store)))


def _settings(config: Path, options: list[str], *data: Path | None) -> Any:
    """The settings of a search, on the data that options name."""
    from autoloss.settings import load

    settings = load(config, options)
    given = data_commands.described(*data)
    return settings if given is None else settings.on(given)


@app.command()
def estimate(
    config: Config,
    cfg_options: CfgOptions = None,
    workers: Workers = None,
    data: Data = None,
    images: Images = None,
    val_data: ValData = None,
    val_images: ImagesToo = None,
    test_data: TestData = None,
    test_images: ImagesToo = None,
    generations: Annotated[int | None, typer.Option(min=1, help="As of `autoloss search`.")] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="About so many for each thing that is measured; more comes closer.")
    ] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Estimate what a search will cost: wall-clock, core-hours or GPU-hours, memory and disk, rung by rung.

    Does a little of everything on this machine with the config's evaluator: proposals and gates, and some real
    iterations and images of every rung, with as many workers at once as the search would have. Nothing is kept but
    prepared data.

    Example: `autoloss estimate configs/search/digits_fcos.py --cfg-options search.generations=12`
    """
    from rich.console import Console

    from autoloss import cost_report, measuring
    from autoloss.screen import Steps

    options = list(cfg_options or [])
    for key, value in (("workers", workers), ("generations", generations)):
        if value is not None:
            options.append(f"search.{key}={value}")
    settings = _settings(config, options, data, images, val_data, val_images, test_data, test_images)
    with Steps(Console(stderr=True)) as steps:
        try:
            measured = measuring.measure(settings, seconds, steps)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    found = cost_report.summary(settings, measured)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _console().print(cost_report.table(found))


@app.command()
def check(
    formula: Annotated[str, typer.Argument(help='The formula, such as "neg(log(div(i, u)))", or as it was published.')],
    grammar: Annotated[
        str | None,
        typer.Option(help="box, box_pixels, box_extended, softmax or sigmoid; found from the inputs where it can be."),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Weight of the target column of a sigmoid loss outside the formula."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it beside a known loss: PNG, SVG or PDF by the file's ending."),
    ] = None,
    beside: Annotated[str | None, typer.Option(help="The known loss to draw beside it, such as giou or focal.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Check a formula: canonical text, size, what every gate says of it, and what else is known of it.

    Exit code 0 when it passes, 1 when a gate refuses it, 2 when the text is wrong.

    Example: `autoloss check "sub(1, div(i, u))" --plot iou.png`
    """
    from autoloss import report
    from autoloss.examine import examined
    from primitives import catalog

    rules = catalog.grammar(grammar) if grammar else catalog.find_grammar(formula)
    if alpha is not None and rules.name != "sigmoid":
        raise InputError(f"--alpha {alpha:g} is for sigmoid losses, this formula's grammar is {rules.name}")
    expression = rules.parse(formula)
    found = examined(expression, rules, alpha)
    if plot is not None:
        from autoloss import picture

        known = catalog.known_loss(beside or picture.BESIDE[rules.name])
        if catalog.GRAMMARS[known.grammar].slot != rules.slot:
            raise InputError(f"--beside {known.name} is a loss for {catalog.GRAMMARS[known.grammar].slot}")
        other = picture.Drawn(known.title, known.expression, catalog.GRAMMARS[known.grammar], known.alpha)
        picture.draw(picture.Drawn("this", rules.parse(found["judged"]), rules, alpha), other, plot)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _console().print(report.examined(found))
    raise typer.Exit(0 if found["passed"] else 1)


@app.command()
def funnel(
    grammar: Annotated[str, typer.Option(help="box, box_pixels, box_extended, softmax or sigmoid.")],
    n: Annotated[int, typer.Option(min=1, help="How many random formulas.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Draw random formulas and lead them through all gates: how many fall where, how fast, and what is rediscovered.

    Example: `autoloss funnel --grammar box --n 10000`
    """
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from autoloss import report
    from autoloss.funnel import pour
    from primitives import catalog

    rules = catalog.grammar(grammar)
    torch.set_num_threads(1)  # the tensors are small; the figures are those of one core
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("0 passed", total=n)

        def watch(done: int, passed: int) -> None:
            progress.update(task, completed=done, description=f"{passed} passed")

        found = pour(rules, n, seed, watch=watch)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "rate": found.rate}, indent=2))
    else:
        _console().print(report.poured(found))


@app.command()
def thresholds(
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Derive the thresholds of the gate `converges`: descend boxes and logits under every known loss.

    A config overrides them with `search.thresholds=dict(iou=0.9)`.
    """
    from autoloss import descent, report
    from autoloss.examine import descended

    rows = descended()
    derived = descent.derived(rows)
    if as_json:
        typer.echo(json.dumps({"known": rows, "margin": descent.MARGIN, "derived": derived}, indent=2))
    else:
        _console().print(report.thresholds(rows, derived, descent.MARGIN))


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    top: Annotated[int, typer.Option(min=1, help="Rows of the leaderboard.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as plain values for scripts.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="While the search runs, show what it does; the rest when it ends.")
    ] = False,
) -> None:
    """Show a run: the leaderboard, and the funnel from proposals to trainings.

    Example: `autoloss show runs/digits_fcos`, or with `--follow` while it is searched.
    """
    from autoloss import report
    from autoloss.run import Run

    if follow:
        from rich.console import Console

        from autoloss.follow import follow as follow_run

        try:
            follow_run(run, Console(stderr=True))
        except KeyboardInterrupt:  # of the watching, not of the search
            raise typer.Exit(130) from None

    with Run.open(run) as store:
        found = report.summary(store)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = _console()
    console.print(report.leaderboard(found, top))
    console.print(report.funnel(found))


@app.command()
def fidelity(
    config: Annotated[
        Path,
        typer.Argument(
            help="A search config; its ladder is measured, its finale is the truth. Or the directory of a measurement, "
            "to read what it holds."
        ),
    ],
    run: Annotated[
        Path | None, typer.Argument(help="Directory; one that is there goes on. Default: runs/fidelity-CONFIG-NAME.")
    ] = None,
    of: Annotated[
        Path | None, typer.Option(help="Measure on the last losses that this search found, not on random ones.")
    ] = None,
    last: Annotated[int, typer.Option(min=2, help="How many of them.")] = 24,
    cfg_options: Annotated[
        list[str] | None, typer.Option("--cfg-options", metavar="KEY=VALUE ...", help="As of `autoloss search`.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0 is one per core.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw every rung against the truth: PNG, SVG or PDF.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Measure how well the cheap rungs of a ladder rank: every loss at every rung, and at a long training.

    The losses are the first generation of the config: known ones, and random formulas that pass the gates.

    Examples: `autoloss fidelity configs/fidelity/digits_fcos.py`, `autoloss fidelity results/fidelity/digits_fcos`
    """
    from autoloss import fidelity as measuring
    from autoloss import report
    from autoloss.run import Run

    if config.is_dir():
        if run is not None or of is not None or cfg_options:
            raise InputError(f"{config} is a measurement that is read, not a config; it takes --plot and --json alone")
        with Run.open(config) as store:
            found = measuring.analysed(store)
    else:
        found = _measured(config, run, of, last, list(cfg_options or []), workers)
    if plot is not None:
        from autoloss import chart

        chart.fidelity(found, plot)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in found], indent=2))
    else:
        _console().print(report.fidelity(found))


def _measured(
    config: Path, run: Path | None, of: Path | None, last: int, options: list[str], workers: int | None
) -> list[Any]:
    """Measures what is missing, with the progress on the screen."""
    from rich.console import Console

    from autoloss import fidelity as measuring
    from autoloss.run import Run
    from autoloss.screen import Screen
    from autoloss.settings import load

    if workers is not None:
        options.append(f"search.workers={workers}")
    settings = load(config, options)
    measuring.rungs(settings)
    directory = run or Path("runs") / f"fidelity-{config.stem}"
    console = Console(stderr=True)
    population = []
    if of is not None:
        with Run.open(of) as search:
            population = measuring.late(search, last)
    with Run.create(directory, settings.identity(), measuring.FREE) as store:
        try:
            with Screen(settings, console) as screen:
                measuring.measure(settings, store, population, screen)
        except KeyboardInterrupt:
            console.print(f"Stopped. What finished is kept in {directory}; the same command goes on from there.")
            raise typer.Exit(130) from None
        return measuring.analysed(store)


@app.command()
def export(
    run: Annotated[Path | None, typer.Argument(help="Directory of a run; none for formulas given as text.")] = None,
    top: Annotated[int, typer.Option(min=1, help="The best found of the run: so many, a folder each.")] = 1,
    candidate: Annotated[int | None, typer.Option(min=0, help="This candidate of the run.")] = None,
    loss_cls: Annotated[str | None, typer.Option(metavar="TEXT", help="Class formula, or a known loss's name.")] = None,
    loss_bbox: Annotated[str | None, typer.Option(metavar="TEXT", help="Box formula, or a known loss's name.")] = None,
    catalog: Annotated[
        bool, typer.Option("--catalog", help="Every known loss, a folder each; the published ones as pairs.")
    ] = False,
    to: Annotated[str, typer.Option(help="mmdet, torch, torchvision, jax, numpy or latex.")] = "mmdet",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: exports/ and the loss's name.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What the classes' names begin with. Default: Candidate and its number.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="CONFIG",
            help="mmdetection config that config.py inherits: a path or 'mmdet::...'. Default: the run's; for text "
            "Faster R-CNN R50, FCOS R50 for sigmoid losses.",
        ),
    ] = None,
    grammar: Annotated[str | None, typer.Option(help="softmax or sigmoid, where the class formula fits both.")] = None,
    alpha: Annotated[
        float | None, typer.Option(min=0, max=1, help="Weight of the target column of a sigmoid loss given as text.")
    ] = None,
    weight_cls: Annotated[
        float | None, typer.Option(min=0, help="loss_weight. Default: that of the run, or as the loss it replaces.")
    ] = None,
    weight_bbox: Annotated[float | None, typer.Option(min=0, help="The same for the box loss.")] = None,
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
    from rich.console import Console

    from autoloss import export as exports
    from autoloss import package
    from autoloss.run import Run

    setup = {"detector": detector, "centerness_target": "iou" if centerness_iou else None, "stand_in": stand_in}
    given = {slot: text for slot, text in (("loss_cls", loss_cls), ("loss_bbox", loss_bbox)) if text is not None}
    weights = {slot: w for slot, w in (("loss_cls", weight_cls), ("loss_bbox", weight_bbox)) if w is not None}
    if (run is not None) + bool(given) + catalog != 1:
        raise InputError("export takes a RUN, or --loss-cls and --loss-bbox, or --catalog; one of the three")
    if run is None and (candidate is not None or top != 1):
        raise InputError("--candidate and --top choose among the losses of a RUN; name its directory")
    if catalog:
        found = exports.catalog(setup)
    elif run is None:
        one = exports.of_text(given, name, grammar, alpha, weights, setup)
        found = {one.name.lower(): one}
    else:
        for option, value in (("--grammar", grammar), ("--alpha", alpha)):
            if value is not None:
                raise InputError(f"{option} is for formulas given as text; the run's losses bring theirs")
        with Run.open(run) as store:
            chosen = exports.of_run(store, candidate, top, name if top == 1 else None)
        found = {f"{run.resolve().name}_{one.name.lower()}": exports.changed(one, setup, weights) for one in chosen}
    console = Console(stderr=True)
    for stem, one in found.items():
        folder = (out or Path("exports")) / stem if out is None or len(found) > 1 else out
        with console.status(f"{one.name}: writing, and comparing with the formula in a process of its own"):
            try:
                written = package.write(one, to, folder, force)
            except package.ExportError as error:
                typer.echo(f"autoloss: {error}", err=True)
                raise typer.Exit(1) from None
        typer.echo(f"{one.name}: the file equals the formula; in {folder}:")
        typer.echo("\n".join(f"  {path.name}" for path in written))


def _console() -> Any:
    from rich.console import Console

    # Formulas are long: where nobody watches, lines may be longer than a terminal of 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=120)


def _spread_options(arguments: list[str]) -> list[str]:
    """`--cfg-options a=1 b=2`, as mmdetection takes it, as the repeated flag that the parser takes."""
    spread: list[str] = []
    inside = False
    for argument in arguments:
        if argument == "--cfg-options":
            inside, first = True, True
            continue
        if inside and "=" in argument and not argument.startswith("-"):
            spread += ["--cfg-options", argument]
            first = False
            continue
        if inside and first:
            spread.append("--cfg-options")
        inside = False
        spread.append(argument)
    return spread


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app(_spread_options(sys.argv[1:]), prog_name="autoloss")
    except InputError as error:
        typer.echo(f"autoloss: {error}", err=True)
        raise SystemExit(2) from None
