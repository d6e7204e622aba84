"""Known: the losses that people use, a row each, with its source."""
