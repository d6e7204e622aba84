"""Operators: every primitive operation with its tensor function, its algebraic twin and its text for generated code."""

from primitives.operators.operator import BACKENDS, Binding, Column, Operator
from primitives.operators.table import EPS, EXP_MAX, OPERATORS

__all__ = ["BACKENDS", "EPS", "EXP_MAX", "OPERATORS", "Binding", "Column", "Operator"]
