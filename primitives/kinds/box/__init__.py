"""Losses of boxes: how far a predicted box is from its target."""
