"""Program: many formulas of one grammar as one tensor program, each over inputs of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from primitives.expression import Expression
from primitives.operators import Operator


class Program:
    """Runs M formulas at once: nodes of one operator at one height, of all formulas, are computed in one call.

    Where tensors are small, as in a simulation, the calls are what costs, and there are some ten times fewer.

    Args:
        expressions: the formulas.
    """

    def __init__(self, expressions: Sequence[Expression]) -> None:
        self._roots: list[int] = []
        self._inputs: dict[str, list[tuple[int, int]]] = {}
        self._constants: list[tuple[int, float]] = []
        groups: dict[tuple[int, str, tuple[bool, ...]], list[tuple[int, tuple[int, ...]]]] = {}
        self._heads: dict[str, Operator] = {}
        heights: list[int] = []
        thin: list[bool] = []  # whether a node has one column for all classes, as `dot` gives

        def place(formula: int, node: Expression, known: dict[str, int]) -> int:
            if node.text in known:
                return known[node.text]
            parts = tuple([place(formula, part, known) for part in node.arguments])
            number = known[node.text] = len(heights)
            if isinstance(node.head, Operator):
                columns = tuple([thin[part] for part in parts])
                heights.append(1 + max([heights[part] for part in parts]))
                thin.append(node.head.one_column or all(columns))
                self._heads[node.head.name] = node.head
                groups.setdefault((heights[number], node.head.name, columns), []).append((number, parts))
                return number
            heights.append(0)
            thin.append(False)
            if isinstance(node.head, str):
                self._inputs.setdefault(node.head, []).append((number, formula))
            else:
                self._constants.append((number, node.head))
            return number

        for formula, expression in enumerate(expressions):
            self._roots.append(place(formula, expression, {}))
        self._count = len(heights)
        self._groups = [(self._heads[name], members) for (_, name, _), members in sorted(groups.items())]

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Values of all formulas; of row m of the inputs for formula m, as its expression would give them.

        Args:
            inputs: a tensor per input name, (M, N) for boxes, (M, N, C) for classes.

        Returns:
            M tensors; (N, 1) where a formula ends in `dot`.

        Raises:
            KeyError: an input that a formula reads is not given.
        """
        values: list[Tensor] = [torch.empty(0)] * self._count
        for name, places in self._inputs.items():
            # Only the rows that are read: each of the others would cost its backward pass a row of zeros.
            rows = inputs[name][[formula for _, formula in places]].unbind()
            for (number, _), row in zip(places, rows, strict=True):
                values[number] = row
        if self._constants:
            like = next(iter(inputs.values()))
            numbers = torch.tensor([value for _, value in self._constants], dtype=like.dtype, device=like.device)
            wide = numbers.reshape(-1, *[1] * (like.dim() - 1)).expand(-1, *like.shape[1:]).unbind()
            for (number, _), value in zip(self._constants, wide, strict=True):
                values[number] = value
        for head, members in self._groups:
            if len(members) == 1:
                ((number, parts),) = members
                values[number] = head.tensor(*(values[part] for part in parts))
                continue
            arguments = [torch.stack([values[parts[k]] for _, parts in members]) for k in range(head.arity)]
            for (number, _), value in zip(members, head.tensor(*arguments).unbind(), strict=True):
                values[number] = value
        return [values[root] for root in self._roots]
