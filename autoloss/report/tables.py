"""Tables: the leaderboard of a run, what is known of a formula, and what rungs and gates do, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from autoloss.candidate import GATES, OWN, Candidate, Kind, Loss
from autoloss.gates.equivalence import recognised
from autoloss.report import next_steps
from autoloss.report.leaderboard import Counts, Leaderboard, Row
from autoloss.values import LONGEST_NAME
from primitives.catalog import grammar, kinds, slots
from primitives.forms.infix import infix
from primitives.forms.simplify import simplified
from primitives.text.printable import printable

if TYPE_CHECKING:
    from autoloss.search.fidelity import RungFidelity
    from autoloss.search.funnel import Funnel


_LONGEST = 2000
"""Characters of a line of a table."""
WIDE = 100
"""Columns of a table of lines that nobody watches."""
FRONT = "*"
"""Marks what is on the Pareto front."""


class InLines:
    """The ranked losses, a line each, as wide as the window and no wider than `WIDE` where nobody watches.

    Args:
        found: the leaderboard.
        top: so many rows; the detector's own loss is always among them.
    """

    def __init__(self, found: Leaderboard, top: int | None = None) -> None:
        self._found, self._top = found, top

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See Rich: the narrower the window, the fewer columns."""
        width = options.max_width if console.is_terminal else min(options.max_width, WIDE)
        columns = {"#": 0, "loss": 0, self._found.metric: 0, "over own, 95 %": 52, "size": 44, "rung": 64}
        shown = [name for name, least in columns.items() if width >= least]
        title = Text(f"Losses of {printable(self._found.run)}, best first", no_wrap=True, overflow="ellipsis")
        table = Table(box=box.SIMPLE, pad_edge=False, width=width, header_style="bold", show_edge=False)
        for name in shown:
            formula = name == "loss"
            table.add_column(
                printable(name, LONGEST_NAME),
                justify="left" if formula or name == "rung" else "right",
                no_wrap=True,
                overflow="ellipsis",
                ratio=1 if formula else None,
                max_width=None if formula else 24,
            )
        rows = self._found.best(self._top).rows
        for row in rows:
            cells = self._cells(row)
            table.add_row(*(cells[name] for name in shown), style="bold cyan" if row.candidate.number == OWN else "")
        yield title
        yield table
        if "size" in shown and any(row.pareto for row in rows):
            yield Text(f"{FRONT}: on the front of score and size: nothing found is as good and shorter", style="dim")

    def _cells(self, row: Row) -> dict[str, str]:
        rung = next((name for name in reversed(self._found.rungs) if name in row.scores), "")
        over = row.over_own
        return {
            "#": str(row.candidate.number),
            "loss": printable(_in_a_line(row.candidate), _LONGEST),
            self._found.metric: f"{row.scores[rung].mean:.3f}" if rung else row.cell(""),
            "over own, 95 %": f"{over.mean:+.3f} [{over.low:+.3f}, {over.high:+.3f}]" if over else self._gap(row, rung),
            "size": f"{row.candidate.size or ''}{FRONT if row.pareto else ' '}",
            "rung": printable(rung, LONGEST_NAME),
        }

    def _gap(self, row: Row, rung: str) -> str:
        """The difference from the own loss, where its interval is not known."""
        own = self._found.own
        if own is None or own is row or rung not in own.scores:
            return ""
        return f"{row.scores[rung].mean - own.scores[rung].mean:+.3f}{'':18}"  # below the others


def _in_a_line(one: Candidate) -> str:
    """What a candidate is: its formulas in short; of one that was given its name."""
    if one.kind is not Kind.FOUND:
        return str(one.origin)
    return "; ".join(f"{word} {short(one.losses[slot])}" for slot, word in slots().items() if slot in one.losses)


def leaderboard(found: Leaderboard, top: int | None = None, *, canonical: bool = False) -> RenderableType:
    """The ranked losses as a table, with all rungs, weights, and what they descend from.

    Args:
        found: the leaderboard.
        top: so many rows; the detector's own loss is always among them.
        canonical: formulas as the run file has them, not in short.
    """
    table = Table(title=f"Losses of {printable(found.run)}, best first", title_justify="left", header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("formula, with what it descends from", overflow="fold", ratio=1)
    table.add_column("size", justify="right")
    for rung in found.rungs:
        table.add_column(
            f"{printable(found.metric, LONGEST_NAME)}\n{printable(rung, LONGEST_NAME)}", justify="right", no_wrap=True
        )
    for row in found.best(top).rows:
        one = row.candidate
        style = "bold cyan" if one.number == OWN else ""
        cells = map(row.cell, found.rungs)
        size = f"{one.size or ''}{FRONT if row.pareto else ''}"
        table.add_row(str(one.number), formulas(one, canonical=canonical), size, *cells, style=style)
    if any(row.pareto for row in found.rows):
        last = printable(found.settings.ladder[-1].name, LONGEST_NAME)
        said = f"{FRONT}: on the Pareto front: nothing found scores more at {last} with as few nodes"
        return Group(table, Text(said, style="dim"))
    return table


def against_own(found: Leaderboard) -> RenderableType:
    """What the finale says against the detector's own loss, and which loss is recommended; nothing before that."""
    parts: list[RenderableType] = []
    rows = [row for row in found.rows if row.over_own]
    if rows:
        rung = printable(found.rungs[-1], LONGEST_NAME)
        table = Table(title=f"Over the detector's own loss at {rung}", title_justify="left", header_style="bold")
        for name in ("#", "what it is", "difference", "95 % interval", "seeds"):
            table.add_column(name, justify="left" if name == "what it is" else "right", no_wrap=name != "what it is")
        for row in rows:
            one = row.over_own
            assert one is not None
            interval = f"{one.low:+.3f} to {one.high:+.3f}"
            origin = printable(str(row.candidate.origin), _LONGEST)
            table.add_row(str(row.candidate.number), origin, f"{one.mean:+.3f}", interval, str(one.seeds))
        said = "paired by seed, Student's t, each for itself: the best of several looks better than it is"
        parts += [table, Text(said, style="dim")]
    return Group(*parts, recommended(found))


def recommended(found: Leaderboard) -> RenderableType:
    """Which loss is recommended, and by which rule; nothing before one is."""
    choice = found.choice
    if choice is None:
        return Group()
    over = [f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f}) over {title}" for title, one in found.gained()]
    gains = f"It scores {', '.join(over)}, with 95 % intervals. " if over else ""
    picked = "What is picked on these scores looks better than it is; autoloss audit takes new seeds."
    said = f"Recommended: {choice.candidate}, {printable(choice.rule, _LONGEST)}. {printable(gains, None)}{picked}"
    return Text(said)


def formulas(candidate: Candidate, *, canonical: bool = False) -> str:
    """The origin of a candidate, and its formulas, a line per slot."""
    lines = [str(candidate.origin), *(f"  {line}" for line in formula_lines(candidate.losses, canonical=canonical))]
    return "\n".join(printable(line, _LONGEST) for line in lines)


def formula_lines(losses: Mapping[str, Loss], *, canonical: bool = False) -> list[str]:
    """`slot = formula  (the known loss it is, scale)` for each slot; the formula in short, or as canonical text."""
    lines = []
    for slot in (slot for slot in slots() if slot in losses):
        loss = losses[slot]
        known = recognised(loss)
        alpha = f"alpha {loss.alpha:g}" if loss.alpha is not None else ""
        remark = loss.grammar.kind.remark(loss.grammar.terminals)
        more = (known.title if known else "", f"x {loss.loss_weight:.3g}", alpha, remark)
        text = str(loss.expression) if canonical else short(loss)
        lines.append(f"{slot} = {text}  ({', '.join(filter(None, more))})")
    return lines


def short(loss: Loss) -> str:
    """The formula as people read it: simplified, in infix."""
    return infix(simplified(loss.expression, loss.grammar))


def _in_short(name: str, text: str) -> str:
    """The same of canonical text of a grammar."""
    return short(Loss(grammar(name).parse(text), grammar(name)))


def counts(found: Counts) -> RenderableType:
    """From proposals to trainings, as a table."""
    table = Table(title="Funnel", title_justify="left", header_style="bold")
    table.add_column("stage")
    table.add_column("formulas", justify="right")
    table.add_column("of those proposed", justify="right")
    proposed = max(found.proposed, 1)
    table.add_row("proposed", f"{found.proposed:,}", "")
    for gate, count in found.refused.items():
        table.add_row(f"  refused: {gate}", f"{count:,}", f"{count / proposed:.2%}", style="dim")
    table.add_row("passed every gate", f"{found.passed:,}", f"{found.passed / proposed:.2%}")
    table.add_row("given: own, known, controls", f"{found.given:,}", "")
    for rung, count in found.trained.items():
        failed = found.failed[rung]
        table.add_row(f"trained: {printable(rung, LONGEST_NAME)}", f"{count:,}", f"{failed} failed" if failed else "")
    return table


def ending(found: Leaderboard, console: Console, top: int = 10) -> None:
    """Prints what a person sees when a search ends."""
    console.print(Group(InLines(found, top), counts(found.counts), recommended(found)))
    console.print(_what_next(found), soft_wrap=True)  # neither wrapped nor cut off: paths and commands are to be copied


def _what_next(found: Leaderboard) -> Text:
    """Where the run lies, and commands for a shell."""
    ended = f"\nEnded by {found.ended}; more of it goes on from here.\n" if found.ended else ""
    minutes = found.seconds.wall / 60
    text = Text(f"{ended}\nThe run lies in {printable(found.run, None)} ({minutes:.1f} minutes). What next:\n")
    text.append("".join(f"  {printable(command, None)}\n" for command in next_steps.commands(found)), style="green")
    return text


def examined(found: Mapping[str, Any], *, canonical: bool = False) -> RenderableType:
    """What is known of one formula: the gates' verdicts, then the certificates.

    Args:
        found: what `analysis.examined` gave.
        canonical: the formula as canonical text, not in short.
    """
    table = Table(header_style="bold")
    for title in ("gate", "verdict", "why"):
        table.add_column(title)
    for verdict in found["verdicts"]:
        word, style = ("pass", "green") if verdict["passed"] else ("refused", "red")
        table.add_row(verdict["gate"], Text(word, style), verdict["reason"])
    known = f", {found['known']['title']} up to an affine map" if found["known"] else ""
    shorter = found["simplified"] != found["infix"]
    shown = found["formula"] if canonical else found["simplified"]
    parts: list[RenderableType] = [
        Text(f"{printable(shown, None)}{known}", "bold"),
        *([f"written as {printable(found['infix'], None)}"] if shorter and not canonical else []),
        f"grammar {found['grammar']} ({found['slot']}), {found['size']} nodes, depth {found['depth']}",
        table,
    ]
    if found["certificates"]:
        certificates = Table(header_style="bold")
        for title in ("about", "what is known", "how"):
            certificates.add_column(title)
        for one in found["certificates"]:
            certificates.add_row(
                one["name"], one["statement"], Text(one["how"], "green" if one["how"] == "proved" else "dim")
            )
        parts.append(certificates)
    if found["negated"]:
        parts.append("It runs the wrong way round and was judged negated; a search keeps the negated formula.")
    return Group(*parts)


def funnel(found: Funnel) -> RenderableType:
    """What became of random formulas, as a table."""
    title = f"{found.proposed:,} random formulas of grammar {found.grammar}, seed {found.seed}"
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in ("stage", "formulas", "share", "seconds on those that ended here", "microseconds each"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    stages = {"drawing": found.proposed, **{gate: found.ends.get(gate, 0) for gate in GATES}}
    for stage, count in stages.items():
        spent = found.seconds.get(stage, 0.0)
        if stage == "converges":
            count += found.ends.get("passed", 0)
        each = f"{1e6 * spent / count:,.0f}" if count else ""
        name = {"drawing": "drawn", "converges": "came to converges"}.get(stage, f"refused: {stage}")
        table.add_row(name, f"{count:,}", f"{count / found.proposed:.3%}", f"{spent:.2f}", each)
    refused = found.ends.get("converges", 0)
    table.add_row("refused: converges", f"{refused:,}", f"{refused / found.proposed:.3%}", "", "")
    passed = found.ends.get("passed", 0)
    table.add_row("passed all gates", f"{passed:,}", f"{passed / found.proposed:.3%}", "", "", style="bold")
    lines = [
        f"refused before any training: {1 - passed / found.proposed:.3%}; drawn and judged: {found.rate:,.0f} a second",
        f"known losses rediscovered: {', '.join(found.rediscovered) or 'none'} of {found.known}",
        *(["the first that passed:"] if found.passed else []),
        *(f"  {printable(text, _LONGEST)}" for text in map(partial(_in_short, found.grammar), found.passed[:5])),
    ]
    return Group(table, Text("\n".join(lines), no_wrap=True, overflow="ignore"))


def thresholds(rows: Sequence[Mapping[str, Any]], derived: Mapping[str, float], margin: float) -> RenderableType:
    """How predictions fare under the known losses, and the thresholds that follow."""
    names = list(dict.fromkeys(one.name for kind in kinds() for one in kind.outcomes))
    table = Table(title="Free boxes and logits descended under the known losses", title_justify="left")
    table.add_column("loss")
    table.add_column("grammar")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row["title"], row["grammar"], *(f"{row[name]:.3f}" if name in row else "" for name in names))
    table.add_section()
    cells = (f"{derived[name]:.2f}" if name in derived else "" for name in names)
    table.add_row("threshold", f"worst - {margin:g}", *cells, style="bold")
    return table


_KINDS = {
    "top": "losses of the better half",
    **{word: f"{word} losses" for word in slots().values()},
    "pairs": "pairs",
}


def fidelity(found: Sequence[RungFidelity]) -> RenderableType:
    """How well rungs rank, a row each."""
    counts = {
        kind: max((row.agreement[kind].losses for row in found if kind in row.agreement), default=0)
        for kind in ("all", *_KINDS)
    }
    title = f"{counts['all']} losses at every rung, beside the truth: rank correlation, with 95 % intervals"
    table = Table(title=title, title_justify="left")
    for name in ("rung", "seeds", "seconds", "Spearman", "Kendall", "kept", *_KINDS):
        table.add_column(name, justify="left" if name == "rung" else "right", no_wrap=True)
    for row in found:
        whole = row.agreement["all"]
        parts = (row.agreement.get(kind) for kind in _KINDS)
        table.add_row(
            printable(row.rung, LONGEST_NAME),
            str(row.seeds),
            f"{row.seconds:.2f}",
            _interval(whole.spearman),
            _interval(whole.kendall),
            f"{whole.kept:.2f}",
            *(f"{part.spearman[0]:.2f}" if part else "" for part in parts),
        )
    says = [
        "seconds: of a candidate, all seeds; kept: share of the true best quarter in the rung's better half",
        f"Spearman of {', '.join(f'{counts[kind]} {name}' for kind, name in _KINDS.items())} apart",
    ]
    return Group(table, Text("\n".join(says), style="dim"))


def _interval(values: tuple[float, float, float]) -> str:
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]"
