"""Losses: formulas as loss modules of mmdetection; importing this registers them."""

from detectors.losses.expression import ExpressionBoxLoss, ExpressionClassLoss

__all__ = ["ExpressionBoxLoss", "ExpressionClassLoss"]
