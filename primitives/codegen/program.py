"""Program: many formulas of one grammar as one tensor program, each over inputs of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from primitives.expression import Expression
from primitives.operators import Operator

_Place = tuple[bool, int]
"""Where a node's value stands: whether it has one column for all classes, as `dot` gives, and its row."""


@dataclass(frozen=True)
class _Group:
    """Nodes of one operator at one height.

    Args:
        head: the operator.
        arguments: by argument, whether it has one column, and the rows (G,) it is read from.
        thin: whether the values have one column.
        rows: where they stand.
        moved: whether a gradient comes back to them; to what is held none does.
    """

    head: Operator
    arguments: tuple[tuple[bool, Tensor], ...]
    thin: bool
    rows: slice
    moved: bool


class Program:
    """Runs M formulas at once: nodes of one operator at one height, of all formulas, are computed in one call.

    Where tensors are small, as in a simulation, the calls are what costs, and there are some ten times fewer. All
    values stand in two tensors, from which a call takes its arguments at once; derivatives are led back by hand, in the
    order in which autograd would add them.

    Args:
        expressions: the formulas.
    """

    def __init__(self, expressions: Sequence[Expression]) -> None:
        nodes: list[tuple[Expression, tuple[int, ...]]] = []
        heights: list[int] = []
        thin: list[bool] = []
        inputs: dict[str, list[tuple[int, int]]] = {}

        def place(formula: int, node: Expression, known: dict[str, int]) -> int:
            if node.text in known:
                return known[node.text]
            parts = tuple([place(formula, part, known) for part in node.arguments])
            number = known[node.text] = len(nodes)
            nodes.append((node, parts))
            heights.append(1 + max([heights[part] for part in parts], default=-1))
            one_column = isinstance(node.head, Operator) and node.head.one_column
            thin.append(one_column or (bool(parts) and all(thin[part] for part in parts)))
            if isinstance(node.head, str):
                inputs.setdefault(node.head, []).append((number, formula))
            return number

        roots = [place(formula, expression, {}) for formula, expression in enumerate(expressions)]
        moved = _moved(nodes, roots)
        groups: dict[tuple[int, str, tuple[bool, ...], bool], list[int]] = {}
        for number, (node, parts) in enumerate(nodes):
            if isinstance(node.head, Operator):
                key = (heights[number], node.head.name, tuple([thin[part] for part in parts]), moved[number])
                groups.setdefault(key, []).append(number)

        self._count = [0, 0]  # rows with a column per class, and with one
        rows = [0] * len(nodes)

        def stand(numbers: Sequence[int], one_column: bool) -> slice:
            first = self._count[one_column]
            self._count[one_column] += len(numbers)
            for row, number in enumerate(numbers, start=first):
                rows[number] = row
            return slice(first, first + len(numbers))

        self._inputs = {
            name: (stand([number for number, _ in places], False), torch.tensor([formula for _, formula in places]))
            for name, places in inputs.items()
        }
        numbers = [number for number, (node, _) in enumerate(nodes) if isinstance(node.head, float)]
        self._constants = stand(numbers, False), [nodes[number][0].head for number in numbers]
        self._groups = []
        for (_, _, columns, comes_back), members in sorted(groups.items()):
            head, one_column = nodes[members[0]][0].head, thin[members[0]]
            assert isinstance(head, Operator)
            arguments = tuple(
                (column, torch.tensor([rows[nodes[number][1][k]] for number in members]))
                for k, column in enumerate(columns)
            )
            self._groups.append(_Group(head, arguments, one_column, stand(members, one_column), comes_back))
        self._roots: list[_Place] = [(thin[root], rows[root]) for root in roots]

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Values of all formulas; of row m of the inputs for formula m, as its expression would give them.

        Args:
            inputs: a tensor per input name, (M, N) for boxes, (M, N, C) for classes.

        Returns:
            M tensors; (N, 1) where a formula ends in `dot`.

        Raises:
            KeyError: an input that a formula reads is not given.
        """
        wide, narrow = (iter(values.unbind()) for values in _Run.apply(self, *(inputs[name] for name in self._inputs)))
        return [next(narrow if thin else wide) for thin, _ in self._roots]

    def roots(self, thin: bool) -> Tensor:
        """Rows of the values of the formulas that have one column, or of the others."""
        return torch.tensor([row for column, row in self._roots if column == thin], dtype=torch.long)

    def buffers(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros for a number a node, those that have a column per class, and those that have one."""
        shape = like.shape[1:]
        return like.new_zeros((self._count[0], *shape)), like.new_zeros((self._count[1], *shape[:-1], 1))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[tuple[Tensor, Tensor], list[tuple[list[Tensor], Tensor]]]:
        """Values of all nodes, and of every group the arguments and the value, which knows its derivative."""
        values, tape = self.buffers(inputs[0]), []
        for (rows, formulas), given in zip(self._inputs.values(), inputs, strict=True):
            values[False][rows] = given.detach()[formulas]
        rows, numbers = self._constants
        if numbers:
            flat = torch.tensor(numbers, dtype=inputs[0].dtype, device=inputs[0].device)
            values[False][rows] = flat.reshape(-1, *[1] * (inputs[0].dim() - 1))
        for group in self._groups:
            with torch.enable_grad():
                arguments = [values[thin].index_select(0, rows).requires_grad_() for thin, rows in group.arguments]
                value = group.head.tensor(*arguments)
            values[group.thin][group.rows] = value.detach()
            tape.append((arguments, value))
        return values, tape

    def backward(self, slopes: tuple[Tensor, Tensor], tape: Sequence[tuple[list[Tensor], Tensor]]) -> Iterator[Tensor]:
        """Leads the slopes of the formulas' values back to all nodes, and gives those of the inputs, (M, N, ...).

        Args:
            slopes: zeros but for the formulas' values; all nodes' afterwards.
            tape: what `forward` gave.
        """
        for group, (arguments, value) in zip(reversed(self._groups), reversed(tape), strict=True):
            if not (group.moved and value.requires_grad):
                continue
            slope = slopes[group.thin][group.rows].clone()  # a sum hands it on as it is
            parts = torch.autograd.grad(value, arguments, slope, retain_graph=True)
            for (thin, rows), part in zip(reversed(group.arguments), reversed(parts), strict=True):
                slopes[thin].index_add_(0, rows, part)
        for place, formulas in self._inputs.values():
            given = slopes[False].new_zeros((len(self._roots), *slopes[False].shape[1:]))
            given[formulas] = slopes[False][place]
            yield given


def _moved(nodes: Sequence[tuple[Expression, tuple[int, ...]]], roots: Sequence[int]) -> list[bool]:
    """Of every node whether a gradient comes back to it from its formula's value."""
    found = [False] * len(nodes)
    for root in roots:
        found[root] = True
    for number in range(len(nodes) - 1, -1, -1):  # what reads a node comes after it
        node, parts = nodes[number]
        if found[number] and not (isinstance(node.head, Operator) and node.head.name == "stop"):
            for part in parts:
                found[part] = True
    return found


class _Run(torch.autograd.Function):
    """A run of a program as autograd sees it: one operation."""

    @staticmethod
    def forward(ctx: Any, program: Program, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Values of the formulas with a column per class, and of those with one."""
        values, ctx.tape = program.forward(inputs)
        ctx.program, ctx.like = program, inputs[0].detach()
        return tuple(one[program.roots(thin)] for thin, one in zip((False, True), values, strict=True))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """See Program.backward."""
        every = ctx.program.buffers(ctx.like)
        for thin, one, slope in zip((False, True), every, slopes, strict=True):
            one[ctx.program.roots(thin)] = slope
        return None, *ctx.program.backward(every, ctx.tape)
