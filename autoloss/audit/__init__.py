"""Audit: finalists of a search against controls, on images and seeds that took no part in it, with intervals."""
