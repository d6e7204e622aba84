"""Strategies: who proposes the losses of new candidates."""
