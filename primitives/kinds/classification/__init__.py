"""Losses of classes: logits of a softmax with a column for the background, or of a sigmoid per class."""
