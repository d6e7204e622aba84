"""Audit: what an audit says, for people."""
