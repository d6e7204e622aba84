"""Notebook: losses and runs as objects of Python."""
