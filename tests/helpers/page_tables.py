"""Tables of pages, made of rows of the code and of kept results."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autoloss.pipeline.kinds.table import KINDS
from autoloss.report.leaderboard import Score
from autoloss.search.headroom.verdict import analysed
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, KNOWN
from primitives.operators import OPERATORS

ROOT = Path(__file__).parents[2]
_FINAL = "final"
_OWN = ("own loss", "own loss with tuned weights", "self-balanced own loss")
_BEATEN = {"the best of the own losses": _OWN, "the tuned best known loss": ("tuned best known loss",)}
_BEATEN |= {"the published pair": ("published pair",)}
_AUDITED: dict[str, list[tuple[str, str, tuple[float, ...]]]] = {
    "flagship": [("noisy digits, tiny FCOS", "", (5, 1, 1.5))],
    "transfer": [
        ("the same pair, tiny ATSS", "digits_noisy_atss", (4,)),
        ("the same pair, tiny RetinaNet", "digits_noisy_retinanet", (4,)),
        ("the same pair, tiny FCOS, blood cells with wrong labels", "bccd_noisy", (4,)),
    ],
    "two_stage": [("noisy digits, tiny Faster R-CNN", "", (3, 1, 1))],
    "long_tail": [("long-tailed digits, tiny FCOS", "", (2,))],
    "bccd": [("blood cells, real and clean, small FCOS", "", (1,))],
    "bccd_two_stage": [("blood cells, real and clean, small Faster R-CNN", "", (1,))],
    "two_detectors": [
        ("a pair for both, noisy digits, 600 iterations: tiny FCOS", "two", ()),
        ("the same pair: tiny RetinaNet", "two-2", ()),
    ],
    "clean_digits": [("clean digits, tiny FCOS, 600 iterations", "", ())],
}
"""By folder of results: what was searched, where it was audited (at home where nothing is said), and aims."""


def table(what: str) -> str:
    """The lines of a table by what stands in its first comment."""
    name, _, place = what.partition(" of ")
    makers: dict[str, Callable[[], list[str]]] = {
        "scores": lambda: scores(place),
        "operators": operators,
        "inputs": inputs,
        "known losses": known_losses,
        "headroom": headroom,
        "audit": lambda: audit(place),
        "audits": audits,
        "figures": figures,
    }
    return "\n".join(makers[name]())


def scores(place: str) -> list[str]:
    """What the last rung of a run says of the best found and the recommended, and of what they are compared with."""
    board = json.loads((ROOT / place).read_text())
    rows = [row for row in board["leaderboard"] if _FINAL in row["scores"]]
    ranked = sorted(rows, key=lambda row: -row["scores"][_FINAL]["mean"])
    names = {next(row["candidate"] for row in ranked if row["kind"] == "found"): "best found"}
    if choice := board.get("recommended"):
        names.setdefault(choice["candidate"], "recommended")
    shown = [row for row in ranked if row["kind"] != "found" or row["candidate"] in names]
    lines = ["| loss | mAP |", "|---|---|"]
    for row in shown:
        number = row["candidate"]
        name = f"**{names[number]}**, #{number}" if number in names else row["origin"]
        lines.append(f"| {name} | {Score(**row['scores'][_FINAL])} |")
    return lines


def audit(place: str) -> list[str]:
    """What a search recommends beside every control of its audit, at every set-up."""
    found = json.loads((ROOT / place).read_text())
    places = [found["setup"], *found["setup"]["elsewhere"]]
    finalist = found["setup"]["losses"][0]
    seeds, who = len(finalist["scores"]), finalist["what"]
    lines = [f"| loss | mAP, {seeds} seeds | {who} is better by, points | 95 % interval |", "|---|---|---|---|"]
    for here in places:
        rows = {
            one["control"]: one
            for one in found["comparisons"]
            if (one["finalist"], one["on"]) == (finalist["candidate"], here["on"])
        }
        on = f", on {here['on']}" if len(places) > 1 else ""
        mine, *others = here["losses"]
        lines.append(f"| **found**, {who}{on} | {_of(mine)} | | |")
        for one in others:
            if row := rows.get(one["control"]):
                difference, low, high = (f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high"))
                what = "" if one["candidate"] == 0 else f": {one['what']}"
                lines.append(f"| {one['control']}{what} | {_of(one)} | {difference} | {low} to {high} |")
    return lines


def audits() -> list[str]:
    """What the recommended loss of every audited search has over what it was to beat, and whether that was the aim."""
    lines = [
        f"| found for, and tried on | {' | '.join(f'points over {name}' for name in _BEATEN)} |",
        "|---|---|---|---|",
    ]
    for folder, (title, on, aims) in ((name, row) for name, rows in _AUDITED.items() for row in rows):
        found = json.loads((ROOT / "results" / folder / "audit.json").read_text())
        setup = found["setup"]
        who, place = setup["losses"][0]["candidate"], on or setup["on"]
        rows = [one for one in found["comparisons"] if (one["finalist"], one["on"]) == (who, place)]
        cells = []
        for controls, aim in itertools.zip_longest(_BEATEN.values(), aims):
            row = min((one for one in rows if one["control"] in controls), key=lambda one: one["difference"])
            cells.append(_gained(row, aim))
        lines.append(f"| [{title}]({folder}/table.txt) | {' | '.join(cells)} |")
    return lines


def _gained(row: Mapping[str, Any], aim: float | None) -> str:
    """Points with their interval; an aim is met by a difference as large whose interval lies above zero."""
    difference, low, high = (100 * row[key] for key in ("difference", "low", "high"))
    judged = "" if aim is None else f"; aim {aim:g}: {'met' if difference >= aim and low > 0 else '**missed**'}"
    return f"{difference:+.1f} ({low:+.1f} to {high:+.1f}){judged}"


def _of(one: Mapping[str, Any]) -> str:
    return f"{one['mean']:.3f} ± {statistics.stdev(one['scores']):.3f}"


def operators() -> list[str]:
    """A line per operator."""
    lines = ["| operator | arguments | value | published as |", "|---|---|---|---|"]
    for row in OPERATORS.values():
        text = row.text.replace("|", "\\|") + (" (extended)" if row.extended else "")
        lines.append(f"| `{row.name}` | {row.arity} | {text} | {', '.join(f'`{name}`' for name in row.aliases)} |")
    return lines


def inputs() -> list[str]:
    """A line per input, with the grammars that have it."""
    lines = ["| input | what it is | unit | grammars | published as |", "|---|---|---|---|---|"]
    rows: dict[tuple[str, ...], list[str]] = {}
    for grammar in GRAMMARS.values():
        for one in grammar.terminals:
            aliases = ", ".join(f"`{name}`" for name in one.aliases)
            rows.setdefault((one.name, one.text, one.unit, aliases), []).append(grammar.name)
    lines += [
        f"| `{name}` | {text} | {unit} | {', '.join(grammars)} | {aliases} |"
        for (name, text, unit, aliases), grammars in rows.items()
    ]
    return lines


def known_losses() -> list[str]:
    """A line per loss of the catalog."""
    lines = ["| name | loss | grammar | source |", "|---|---|---|---|"]
    return lines + [f"| `{one.name}` | {one.title} | {one.grammar} | {one.source} |" for one in KNOWN.values()]


def headroom() -> list[str]:
    """A line per measurement that is kept."""
    lines = [
        "| measured | iterations | own | own, best weight or as formulas | best known | noise | cheap rungs |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in sorted((ROOT / "results" / "headroom").iterdir()):
        with Run.open(folder) as run:
            found, iterations = analysed(run), run.settings.ladder[-1].task["iterations"]
        means = [f"{one.mean:.3f} ± {one.deviation:.3f}" for one in (found.own, found.tuned, found.best)]
        ranks = " and ".join(f"{rank:.2f}" for rank, *_ in found.ranks.values())
        best = f"{found.best.name.removeprefix('known: ')} {means[2]}"
        lines.append(
            f"| [{folder.name}](headroom/{folder.name}/table.txt) | {iterations:,} | {means[0]} | {means[1]} | {best} "
            f"| {100 * found.noise:.1f} | {ranks} |"
        )
    return lines


def figures() -> list[str]:
    """A line per kind of step of a pipeline, with the figures that it tells."""
    lines = ["| step | figures |", "|---|---|"]
    return lines + [f"| `{name}` | {', '.join(f'`{one}`' for one in kind.figures)} |" for name, kind in KINDS.items()]
