"""Measured: the commands whose result is a measurement with a run file of its own."""
