"""Logs: the progress of a search for scripts and for TensorBoard."""
