"""Training: config in, metrics out."""
