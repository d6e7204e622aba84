"""Plain: losses as plain functions in a file of PyTorch, NumPy or JAX, or as LaTeX."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from primitives import algebra
from primitives.catalog import GRAMMARS
from primitives.codegen.function import function, function_name, imports, module_name
from primitives.text.markup import docstring


def files(
    losses: Mapping[str, Mapping[str, Any]],
    name: str,
    about: Sequence[str],
    setup: Mapping[str, Any],  # noqa: ARG001  every target's writer takes the same
    backend: str,
) -> dict[str, str]:
    """A file with a function per loss.

    Args:
        losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`.
        name: what the functions' names begin with.
        about: where the losses come from, paragraphs.
        setup: not used.
        backend: `torch`, `numpy` or `jax`.

    Returns:
        Text by file name.
    """
    parts = []
    for loss in losses.values():
        rules = GRAMMARS[loss["grammar"]]
        called = function_name(name, rules.kind)
        parts.append(_weighted(loss, called, f"{called.upper()}_WEIGHT", backend))
    body = "\n\n".join(part.rstrip("\n") + "\n" for part in parts)
    says = "\n\n".join(textwrap.fill(part, 118) for part in about)
    title = ", ".join(function_name(name, GRAMMARS[loss["grammar"]].kind) for loss in losses.values())
    text = (
        f'"""{docstring(f"{title}: plain functions.")}\n\n{docstring(says)}\n"""\n\n{imports(body, backend)}\n\n{body}'
    )
    return {f"{module_name(name, 'losses', body)}.py": text}


def _weighted(loss: Mapping[str, Any], called: str, weight: str, backend: str) -> str:
    """A function with its weight before it."""
    rules = GRAMMARS[loss["grammar"]]
    text = function(
        rules.parse(loss["expression"]), rules, called, loss.get("alpha"), backend, upcast=backend == "torch"
    )
    return f"{weight} = {loss['loss_weight']!r}  # the gradient norm of the loss that detectors train with\n\n\n{text}"


def slot_file(slot: str, loss: Mapping[str, Any], about: Sequence[str] = ()) -> str:
    """A file of PyTorch with one loss under names that are always the same: `loss`, `WEIGHT` and `READS`.

    Args:
        slot: that it is for.
        loss: `expression`, `grammar`, `loss_weight` and `alpha`.
        about: where it comes from, paragraphs.
    """
    rules = GRAMMARS[loss["grammar"]]
    body = _weighted(loss, "loss", "WEIGHT", "torch")
    reads = tuple(rules.given(rules.parse(loss["expression"])))
    title = f"{slot}: a plain function; `READS` has its arguments after {' and '.join(rules.kind.arguments)}."
    says = "\n\n".join([title, *(textwrap.fill(part, 118) for part in about)]) + ("\n" if about else "")
    return f'"""{docstring(says)}"""\n\n{imports(body, "torch")}\n\nREADS: tuple[str, ...] = {reads!r}\n{body}'


def slot_files(
    losses: Mapping[str, Mapping[str, Any]],
    name: str,  # noqa: ARG001
    about: Sequence[str],
    setup: Mapping[str, Any],  # noqa: ARG001
) -> dict[str, str]:
    """A file a slot, as of `slot_file`; arguments as of `files`."""
    return {f"{slot}.py": slot_file(slot, loss, about) for slot, loss in losses.items()}


torch_files = partial(files, backend="torch")
numpy_files = partial(files, backend="numpy")
jax_files = partial(files, backend="jax")


def latex_files(
    losses: Mapping[str, Mapping[str, Any]],
    name: str,
    about: Sequence[str],
    setup: Mapping[str, Any],  # noqa: ARG001
) -> dict[str, str]:
    """losses.tex with a display per loss; arguments as of `files`."""
    lines = [f"% {line}" for paragraph in about for line in textwrap.wrap(paragraph, 100)]
    for slot, loss in losses.items():
        rules = GRAMMARS[loss["grammar"]]
        expression = rules.parse(loss["expression"])
        formula = algebra.latex(expression, rules.terminals)
        lines += [f"% {function_name(name, rules.kind)}: {expression}"]
        if loss.get("alpha") is not None:
            lines.append(f"% times {loss['alpha']} in the column of the target and {1 - loss['alpha']} elsewhere")
        lines += ["\\[", f"  L_{{\\mathrm{{{slot.removeprefix('loss_')}}}}} = {formula}", "\\]"]
    return {"losses.tex": "\n".join(lines) + "\n"}
