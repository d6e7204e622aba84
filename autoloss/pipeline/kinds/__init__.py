"""Kinds of steps: each does what the command of its name does, with what steps before it found."""
