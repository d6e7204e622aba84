"""MathML: a formula as browsers set mathematics, made from its tree; no text of it is read."""

from __future__ import annotations

from html import escape

from primitives.expression import Expression
from primitives.forms.infix import SIGNS, based, number
from primitives.operators import Operator

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(1, 6)
"""How tightly what is written binds; see `primitives.parser.BINARY`."""
_MARKS = {"+": "+", "-": "&#8722;", "*": "&#183;"}
_CALL = "<mo>&#8289;</mo>"  # the sign of a function's application, which is not seen


def mathml(expression: Expression) -> str:
    """The formula as a `math` element; names and numbers are escaped, so that it may stand in a page as it is."""
    return f"<math>{_written(expression)[0]}</math>"


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
        first, second = (_within(part, binding + place) for place, part in enumerate(parts))
        return f"<mrow>{first}<mo>{_MARKS[sign]}</mo>{second}</mrow>", binding
    inside = [_written(part)[0] for part in parts]
    if head.notation:
        return head.notation.format(**dict(zip("ab", inside, strict=False))), _ATOM
    listed = "<mo>,</mo>".join(inside)
    return f"<mrow><mi>{head.name}</mi>{_CALL}<mrow><mo>(</mo>{listed}<mo>)</mo></mrow></mrow>", _ATOM


def _within(expression: Expression, least: int) -> str:
    """The elements, in parentheses unless they bind that tightly."""
    text, binding = _written(expression)
    return text if binding >= least else f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>"
