"""Card: what an exported loss is, on one page: formula, pictures, evidence, certificates, limits, use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from autoloss.candidate import Loss
from autoloss.export.selection import Export
from autoloss.export.target import TARGETS
from autoloss.gates.certificates import certify
from autoloss.gates.equivalence import recognised
from autoloss.report import tables
from autoloss.report.audit import words
from autoloss.report.leaderboard import Evidence, titled
from autoloss.report.plots import loss_plot
from autoloss.search.selection.noise import Difference
from primitives import algebra
from primitives.catalog import KnownLoss, known_loss
from primitives.text.markup import MOST, markdown, plain

FILE = "card.md"


def write(export: Export, target: str, files: Sequence[str], folder: Path) -> None:
    """Writes the card and a picture per loss.

    Args:
        export: what was exported.
        target: what to.
        files: names of the files beside the card, in the order of their writer.
        folder: where to.
    """
    for slot, loss in export.losses.items():
        mine = loss_plot.Drawn("this", loss.expression, loss.grammar, loss.alpha)
        loss_plot.draw(mine, loss_plot.beside(mine), folder / f"{slot}.png")
    (folder / FILE).write_text(text(export, target, files), encoding="utf-8")


def text(export: Export, target: str, files: Sequence[str]) -> str:
    """The card in Markdown; arguments as of `write`."""
    parts = [f"# {markdown(export.name)}", *map(markdown, export.about)]
    for slot, loss in export.losses.items():
        parts += _formula(TARGETS[target].function(export.name, loss.grammar.kind), slot, loss)
    parts += _evidence(export.evidence)
    parts += _audit(export)
    for slot, loss in export.losses.items():
        parts += _certificates(slot, loss, export.evidence)
    limits = "\n".join(f"- {limit}" for limit in _limits(export))
    losses_module, put = (Path(file).stem for file in (*files, *files)[:2])
    use = TARGETS[target].use.format(losses=losses_module, put=put)
    listed = ", ".join(f"`{file}`" for file in sorted(files))
    parts += ["## Limits", limits, "## Use", use, f"Files: {listed}. Apache License 2.0."]
    return "\n\n".join(parts) + "\n"


def _formula(function: str, slot: str, loss: Loss) -> list[str]:
    expression, rules, known = loss.expression, loss.grammar, recognised(loss)
    rows = ["| input | meaning | unit |", "|---|---|---|"]
    rows += [f"| {one.name} | {one.text} | {one.unit} |" for one in rules.terminals if one.name in expression.names]
    outside = f", alpha {loss.alpha:g} in the column of the target" if loss.alpha is not None else ""
    return [
        f"## {_title(loss)}: `{function}`",
        f"    {tables.short(loss)}",
        *([f"Equal to {known.title} up to an affine map."] if known else []),
        f"$$ {algebra.latex(expression, rules.terminals)} $$",
        f"Grammar {rules.name}{outside}; {expression.size} nodes. In full: `{expression}`.",
        "\n".join(rows),
        f"![Loss, gradient, descent beside {_beside(loss).title}]({slot}.png)",
    ]


def _title(loss: Loss) -> str:
    return f"{loss.grammar.kind.word.capitalize()} loss"


def _beside(loss: Loss) -> KnownLoss:
    """The known loss that pictures show beside it."""
    return known_loss(loss.grammar.kind.beside(loss.grammar.terminals))


def _evidence(found: Evidence | None) -> list[str]:
    if found is None:
        return ["## Evidence", "None: the formula was given as text and trained nowhere for this card."]
    rungs, scores = found.rungs, found.row.scores
    lines = [
        f"| loss | {' | '.join(f'{_name(found.metric)} {_name(rung)}' for rung in rungs)} |",
        f"|---|{'---|' * len(rungs)}",
    ]
    for one in (found.row, *found.beside):
        cells = " | ".join(map(one.cell, rungs))
        lines.append(f"| {'**this**' if one is found.row else _name(str(one.candidate.origin))} | {cells} |")
    seeds = {rung: scores[rung].seeds for rung in rungs if rung in scores}
    said = ", ".join(f"{_name(rung)} {count}" for rung, count in seeds.items())
    return [
        "## Evidence",
        "\n".join(lines),
        f"{_name(titled(found.metric))}, mean and standard deviation over seeds (number of seeds: {said}); every row "
        "of a column has the same images and schedule, and as far as it has them the same seeds. Controls are the "
        "detector's own loss with another weight: a gain must be more.",
        *([_gain(found.row.over_own)] if found.row.over_own else []),
    ]


def _gain(over: Difference) -> str:
    """What it scores over the own loss, in a sentence."""
    return (
        f"Over the detector's own loss in the finale, seed by seed: {over.mean:+.3f}, 95 % interval {over.low:+.3f} to "
        f"{over.high:+.3f} (Student's t, {over.seeds} seeds), of the seeds that picked it: an audit takes new ones."
    )


def _audit(export: Export) -> list[str]:
    """What an audit says of the loss; nothing where there was none."""
    if export.audit is None:
        return []
    rows, seen = export.audit.comparisons, export.audit.seen
    if not rows:
        return ["## Audit", "It failed with one of the audit's seeds, so it is compared with nothing: take another."]
    images = "".join(f", on {count} images of {_name(on)}" for on, count in export.audit.images.items() if count)
    lines = [
        "| on | against | difference, in points | 95 % interval | probability to be better | Holm |",
        "|---|---|---|---|---|---|",
    ]
    for one in rows:
        holm = "below 0.001" if one.holm < 0.001 else f"{one.holm:.3f}"
        cells = (_name(one.on), _name(one.control), words.points(one.difference), words.interval(one))
        lines.append(f"| {' | '.join(cells)} | {one.p_better:.3f} | {holm} |")
    return [
        "## Audit",
        "\n".join(lines),
        f"{_name(titled(rows[0].metric))} over {export.audit.seeds} seeds that took no part in the search, paired"
        f"{images}; Holm: the chance of such a difference where there is none, corrected for the number of finalists.",
        *(f"The search ranked its finalists on the same images of {_name(on)}, which flatters them." for on in seen),
    ]


def _certificates(slot: str, loss: Loss, evidence: Evidence | None) -> list[str]:
    found = evidence.row.candidate.certificates.get(slot) if evidence else None
    if found is None:
        found = [asdict(one) for one in certify(loss.expression, loss.grammar, loss.alpha)]
    lines = ["| about | what is known | how |", "|---|---|---|"]
    lines += [
        "| " + " | ".join(_name(one[part], 1000) for part in ("name", "statement", "how")) + " |" for one in found
    ]
    return [f"## What is known of the {_title(loss).lower()}", "\n".join(lines)]


def _name(text: str, most: int = MOST) -> str:
    """Text of a run file as the cell of a table, or a part of a sentence."""
    return markdown(plain(text, most))


def _limits(export: Export) -> list[str]:
    limits = []
    for loss in export.losses.values():
        limits += loss.grammar.kind.limits(loss.grammar.formula(loss.expression, loss.alpha))
    limits.append("`loss_weight` gives it the gradient norm of the loss it replaces; elsewhere it may want another.")
    if export.evidence:
        limits.append("What it gains was measured on the data, detector and schedule named above, and nowhere else.")
    return limits
