"""Evaluators: those that train no detector of the toolkit's."""
