"""Frozen: small heads on cached features."""
