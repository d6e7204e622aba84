"""MathML: a formula as browsers set mathematics, made from its tree; no text of it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from primitives.expression import Expression
from primitives.forms.infix import SIGNS, based, number
from primitives.operators import Operator

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(1, 6)
"""How tightly what is written binds; see `primitives.parser.BINARY`."""
_MARKS = {"+": "+", "-": "&#8722;", "*": "&#183;"}
_CALL = "<mo>&#8289;</mo>"  # the sign of a function's application, which is not seen


def mathml(expression: Expression) -> str:
    """The formula as `math` elements; names and numbers are escaped, so that they may stand in a page as they are.

    A sum, or else a product, is an element for each of its parts, so that a line may end between two of them.
    """
    head = expression.head
    name = head.name if isinstance(head, Operator) else ""
    names = ("add", "sub") if name in ("add", "sub") else ("mul",)
    return " ".join(f"<math>{part}</math>" for part in _parts(expression, names))


def _parts(expression: Expression, names: Sequence[str]) -> Iterator[str]:
    """The parts between signs of the same kind, all but the first with their signs."""
    head = expression.head
    if isinstance(head, Operator) and head.name in names and based(expression)[1] == 1:
        sign, binding = SIGNS[head.name]
        first, second = expression.arguments
        if isinstance(first.head, Operator) and first.head.name in names:
            yield from _parts(first, names)
        else:
            yield _within(first, binding)
        yield f"<mrow>{_mark(sign)}{_within(second, binding + (sign == '-'))}</mrow>"
    else:
        yield _written(expression)[0]


def _mark(sign: str) -> str:
    # At the beginning of an element browsers would take it for the sign of a number, which stands closer.
    return f'<mo lspace="0" rspace="0.22em">{_MARKS[sign]}</mo>'


def _written(expression: Expression) -> tuple[str, int]:
    """The elements, and how tightly they bind."""
    head, parts = expression.head, expression.arguments
    if not isinstance(head, Operator):
        return (f"<mi>{escape(head)}</mi>" if isinstance(head, str) else f"<mn>{number(head)}</mn>"), _ATOM
    base, power = based(expression)
    if power > 1:
        return f"<msup>{_within(base, _ATOM)}<mn>{power}</mn></msup>", _POWER
    if head.name == "pow":
        return f"<msup>{_within(parts[0], _ATOM)}{_written(parts[1])[0]}</msup>", _POWER
    if head.name == "div":
        return f"<mfrac>{_written(parts[0])[0]}{_written(parts[1])[0]}</mfrac>", _SIGN
    if head.name == "neg":
        return f"<mrow><mo>&#8722;</mo>{_within(parts[0], _PRODUCT)}</mrow>", _SUM
    if head.name in SIGNS:
        sign, binding = SIGNS[head.name]
        # To a reader a + (b + c) is a + b + c, whatever rounding says; only what is taken away keeps its parentheses.
        first, second = _within(parts[0], binding), _within(parts[1], binding + (sign == "-"))
        return f"<mrow>{first}<mo>{_MARKS[sign]}</mo>{second}</mrow>", binding
    inside = [_written(part)[0] for part in parts]
    if head.notation:
        return head.notation.format(a=inside[0], b=inside[-1], bracketed=_bracketed(inside[0])), _ATOM
    return f"<mrow><mi>{head.name}</mi>{_CALL}{_bracketed('<mo>,</mo>'.join(inside))}</mrow>", _ATOM


def _within(expression: Expression, least: int) -> str:
    """The elements, in parentheses unless they bind that tightly."""
    text, binding = _written(expression)
    return text if binding >= least else _bracketed(text)


def _bracketed(text: str) -> str:
    """Elements in parentheses, which grow with what is tall only: without a font for mathematics they grow too much."""
    still = "" if "<mfrac>" in text else ' stretchy="false"'
    return f"<mrow><mo{still}>(</mo>{text}<mo{still}>)</mo></mrow>"
