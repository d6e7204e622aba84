"""Spoilt data: labels and boxes made wrong on purpose, as people's own data have them."""
