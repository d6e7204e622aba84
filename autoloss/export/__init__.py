"""Export: a loss to take home."""
