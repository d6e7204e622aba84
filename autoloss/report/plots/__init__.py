"""Plots: formulas, rungs and data as pictures."""
