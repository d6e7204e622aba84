"""Proposals: how candidates come about, as settings: who proposes, from what, and which are trained."""
