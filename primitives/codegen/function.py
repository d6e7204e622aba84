"""Function: a loss as the text of a plain function of boxes, or of logits and labels, in PyTorch, NumPy or JAX."""

from __future__ import annotations

import re
import textwrap

from primitives import algebra
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.kinds.kind import Kind
from primitives.kinds.terminal import Terminal
from primitives.text.markup import digest

IMPORTS = {
    "torch": {"math": "import math", "torch": "import torch", "functional": "from torch.nn import functional"},
    "numpy": {"math": "import math", "np": "import numpy as np", "special": "from scipy import special"},
    "jax": {"math": "import math", "jax": "import jax", "jnp": "import jax.numpy as jnp"},
}
"""Import lines of a backend by the name they give; a file needs those whose name it mentions."""
_ARRAY = {"torch": "torch.Tensor", "numpy": "np.ndarray", "jax": "jax.Array"}


def function(
    expression: Expression,
    grammar: Grammar,
    name: str,
    alpha: float | None = None,
    backend: str = "torch",
    upcast: bool = False,
) -> str:
    """The text of a function that computes losses (N,).

    Args:
        expression: the formula.
        grammar: of it.
        name: of the function. Its arguments are those of the kind, then what the head must hand over for the formula.
        alpha: weight of the target, for a kind that has it.
        backend: `torch`, `numpy` or `jax`.
        upcast: compute half precision in float32; PyTorch only.

    Raises:
        ValueError: no such backend.
        InputError: a constant part of the formula is not finite.
    """
    kind, array = grammar.kind, _ARRAY.get(backend, "")
    lines = kind.body(expression, grammar.terminals, alpha, backend)
    if upcast:
        wide = (f"{one} = {one} if {one}.dtype == torch.float64 else {one}.float()" for one in kind.floating)
        lines = [*wide, *lines]
    arguments = ", ".join(f"{one}: {array}" for one in (*kind.arguments, *grammar.given(expression)))
    text = [f"def {name}({arguments}) -> {array}:", f'    """{kind.says}', "", *_doc(expression, grammar), '    """']
    return "\n".join([*text, *(f"    {line}" for line in lines)]) + "\n"


def imports(text: str, backend: str) -> str:
    """The import lines that a text of functions needs."""
    plain: list[str] = []
    other: list[str] = []
    for name, line in IMPORTS[backend].items():
        if f"{name}." in text:
            (plain if name == "math" else other).append(line)
    return "\n".join([*plain, *([""] if plain and other else []), *other])


def function_name(name: str, kind: Kind) -> str:
    """Name of an exported function: CseA for a box loss as cse_a_box_loss."""
    return f"{_snake(name)}_{kind.word}_loss"


def module_name(name: str, what: str, text: str) -> str:
    """Name of an exported module: what it is and a digest of what it holds, so no two that differ share one.

    Args:
        name: of the export, such as CseA.
        what: `losses`, ...
        text: what the module holds.
    """
    return f"{_snake(name)}_{what}_{digest(text)}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _doc(expression: Expression, grammar: Grammar) -> list[str]:
    """The formula in plain text and in LaTeX, and what its inputs mean."""
    lines = [f"Formula: {expression}", f"LaTeX: {algebra.latex(expression, grammar.terminals)}", "Inputs:"]
    used = [terminal for terminal in grammar.terminals if terminal.name in expression.names]
    lines += [f"    {terminal.name}: {terminal.text} ({terminal.unit}){_argument(terminal)}" for terminal in used]
    wrapped = []
    for line in lines:
        hanging = " " * (8 if line.startswith(" ") else 4)
        wrapped += textwrap.wrap(line, 112, subsequent_indent=hanging, break_long_words=False)
    return [f"    {line}".replace("\\", "\\\\") for line in wrapped]


def _argument(terminal: Terminal) -> str:
    """The argument that an input is handed over as, and its shape."""
    shapes = {"sample": "(N,)", "class": "(C,) or (N, C)", "training": "()"}
    return f", as {terminal.given} {shapes[terminal.per]}" if terminal.given else ""
