"""Rungs: levels of cost as settings: those of the ladder, and those of the finale."""
