"""Codegen: a formula as statements of PyTorch, NumPy or JAX."""
