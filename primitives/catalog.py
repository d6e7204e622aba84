"""Catalog: the grammars and the known losses, each with its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from primitives.errors import InputError
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.box.kind import BOX
from primitives.kinds.box.pair import AREAS, KNOWN_IN_TRAINING, PIXELS, SHAPES, SIZES
from primitives.kinds.classification.kind import SIGMOID, SOFTMAX
from primitives.kinds.classification.scores import CLASSES
from primitives.kinds.classification.scores import KNOWN_IN_TRAINING as BESIDE_CLASSES
from primitives.kinds.kind import Kind
from primitives.kinds.terminal import Terminal
from primitives.known.rows import ROWS
from primitives.operators import OPERATORS
from primitives.parser import GrammarError

WIDE = "_wide"
"""How the grammars that read all there is to read are called: as the narrow one of their kind, and so."""
_ALL = tuple(OPERATORS)
_FIRST = tuple(name for name in _ALL if name not in ("pow", "stop"))
"""What every grammar has."""


def _elementwise(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not OPERATORS[name].class_axis)


def _wide(name: str, kind: Kind, terminals: tuple[Terminal, ...], operators: tuple[str, ...]) -> Grammar:
    return Grammar(f"{name}{WIDE}", kind, terminals, operators, drawn=operators, edition=2)


_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


GRAMMARS: dict[str, Grammar] = {
    grammar.name: grammar
    for grammar in (
        Grammar("box", BOX, AREAS, _elementwise(_FIRST)),
        Grammar("box_pixels", BOX, PIXELS, _elementwise(_FIRST)),
        Grammar("box_extended", BOX, (*AREAS, *SHAPES), _elementwise(_FIRST)),
        Grammar("softmax", SOFTMAX, CLASSES, _FIRST),
        Grammar("sigmoid", SIGMOID, CLASSES, _FIRST),
        _wide("box", BOX, (*AREAS, *SHAPES, *SIZES, *KNOWN_IN_TRAINING), _elementwise(_ALL)),
        _wide("softmax", SOFTMAX, (*CLASSES, *BESIDE_CLASSES), _ALL),
        _wide("sigmoid", SIGMOID, (*CLASSES, *BESIDE_CLASSES), _ALL),
    )
}


def paper(rules: Grammar) -> tuple[list[str], list[str]]:
    """Names of the inputs and operators of the paper among those of a grammar."""
    first = next(one for one in GRAMMARS.values() if rules.holds(one))
    operators = [name for name in rules.operators if not OPERATORS[name].extended]
    return [one.name for one in first.terminals], operators


def kinds() -> tuple[Kind, ...]:
    """Every kind that a grammar is of."""
    return tuple(dict.fromkeys(grammar.kind for grammar in GRAMMARS.values()))


def slots() -> dict[str, str]:
    """Word for the losses of every slot, by the slot; what is classified comes first, as in detectors' configs."""
    return {kind.slot: kind.word for kind in reversed(kinds())}


def thresholds() -> dict[str, float]:
    """Least numbers of a simulation that passes, of every kind."""
    return {name: least for kind in kinds() for name, least in kind.thresholds.items()}


def check_alpha(alpha: float | None, rules: Grammar) -> None:
    """Whether a target may be weighted outside a formula, and so.

    Raises:
        InputError: it may not.
    """
    if alpha is not None and not 0 <= alpha <= 1:
        raise InputError(f"--alpha {alpha:g}: the weight of the target column lies in 0 to 1")
    if alpha is not None and not rules.kind.weighs_target:
        takes = ", ".join(kind.name for kind in kinds() if kind.weighs_target)
        raise InputError(f"--alpha {alpha:g} is for {takes} losses, this formula's grammar is {rules.name}")


@dataclass(frozen=True)
class KnownLoss:
    """A loss that people use, as a formula of a grammar.

    Args:
        name: as configs name it.
        title: as papers name it.
        grammar: name of its grammar.
        text: the formula as published.
        source: author, year, arXiv id.
        alpha: weight of the target column outside the formula, None for none.
    """

    name: str
    title: str
    grammar: str
    text: str
    source: str
    alpha: float | None = None

    @property
    def expression(self) -> Expression:
        """The formula in canonical form."""
        return GRAMMARS[self.grammar].parse(self.text)


KNOWN: dict[str, KnownLoss] = {
    name: KnownLoss(name, *row)  # type: ignore[arg-type]
    for name, row in ROWS.items()
}
"""Every known loss by its name."""


def grammar(name: str) -> Grammar:
    """The grammar of that name.

    Raises:
        InputError: no such grammar.
    """
    if name not in GRAMMARS:
        raise InputError(f"unknown grammar {name!r}; known: {', '.join(GRAMMARS)}")
    return GRAMMARS[name]


def known_loss(name: str) -> KnownLoss:
    """The known loss of that name.

    Raises:
        InputError: no such loss.
    """
    if name not in KNOWN:
        raise InputError(f"unknown loss {name!r}; known: {', '.join(KNOWN)}")
    return KNOWN[name]


def find_known(text: str) -> KnownLoss | None:
    """The known loss that a text names, in capitals or not; None where it is a formula, or nothing known."""
    return KNOWN.get(text.strip().lower())


def named(text: str, name: str | None = None, alpha: float | None = None) -> tuple[Expression, Grammar, float | None]:
    """What a person names: a known loss by its name, or a formula as text.

    Args:
        text: of it.
        name: of the grammar; None for the one that the text leaves no doubt about.
        alpha: weight of the target outside; None for that of the known loss.

    Returns:
        The formula, its grammar, and the weight.

    Raises:
        InputError: the text is no formula, there is no such grammar, its losses are not weighted so, or the known loss
            is of another grammar.
    """
    text = text.strip()
    known = find_known(text)
    if known is None:
        rules = grammar(name) if name else find_grammar(text)
        check_alpha(alpha, rules)
        return rules.parse(text), rules, alpha
    rules, alpha = grammar(name or known.grammar), known.alpha if alpha is None else alpha
    if not rules.holds(GRAMMARS[known.grammar]):
        raise InputError(f"{known.name} is a loss of grammar {known.grammar}, not of {rules.name}")
    check_alpha(alpha, rules)
    return known.expression, rules, alpha


def find_grammar(text: str) -> Grammar:
    """The grammar that a text leaves no doubt about.

    A catalog formula belongs to its own grammar; areas belong to `box` (target-area units), d and v to
    `box_extended`; `softmax`, `dot` or Z to `softmax`; Q, PY or NY to `sigmoid`. Inputs that a prediction changes
    count first: `1 - iou` is about boxes, though class formulas may read an IoU beside their logits.

    Raises:
        GrammarError: the text is no formula, or it fits more than one grammar.
    """
    words = {word.lower() for word in _NAME.findall(text)}
    ways = (_fitting(slot, words, predicted) for predicted in (True, False) for slot in slots())
    fitting = next(filter(None, ways), [next(iter(GRAMMARS.values()))])
    fitting = [next(_reading(text, one), one) for one in fitting]
    expression = fitting[0].parse(text)
    for known in KNOWN.values():
        if known.expression == expression:
            return GRAMMARS[known.grammar]
    marked = [one for one in fitting if words & one.kind.marks] if len(fitting) > 1 else fitting
    if len(marked) == 1:
        return marked[0]
    raise GrammarError(
        f"the inputs {', '.join(sorted(expression.names))} fit two grammars; "
        f"name one with --grammar: {', '.join(one.name for one in fitting)}"
    )


def _reading(text: str, first: Grammar) -> Iterator[Grammar]:
    """The grammars of a kind that a text is a formula of, the one that fits best first."""
    for one in (first, *(other for other in GRAMMARS.values() if other.kind is first.kind)):
        with suppress(GrammarError):
            one.parse(text)
            yield one


def _names(kind: Kind, predicted: bool) -> set[str]:
    """What text may call the inputs of a kind, or those of them that a prediction changes, shorthands among them."""
    inputs = [one for one in kind.terminals if one.predicted or not predicted]
    names = {name for one in inputs for name in (one.name, *one.aliases)}
    return names | {name for name, text in kind.shorthands if names & set(_NAME.findall(text))}


def _fitting(slot: str, words: set[str], predicted: bool) -> list[Grammar]:
    """Of every kind for a slot that has one of the words as an input, the first grammar that has most of them."""
    found = []
    for kind in kinds():
        if kind.slot == slot and words & _names(kind, predicted):
            own = (grammar for grammar in GRAMMARS.values() if grammar.kind is kind)
            found.append(max(own, key=lambda one: len(words & {terminal.name for terminal in one.terminals})))
    return found
