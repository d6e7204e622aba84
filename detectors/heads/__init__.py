"""Heads that hand over what formulas read beside prediction and target; importing this registers them."""

from detectors.heads import registry, training_state

__all__ = ["registry", "training_state"]
