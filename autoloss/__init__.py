"""The engine: gates, variation, search, ladder, run store and the command line."""

__version__ = "0.1.0"
