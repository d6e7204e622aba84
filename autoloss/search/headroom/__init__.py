"""Headroom: what a better loss could gain, measured with known ones before a search is paid for."""
