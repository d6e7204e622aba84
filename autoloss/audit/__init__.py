"""Audit: finalists of a search against controls, on test images and new seeds, with intervals."""
