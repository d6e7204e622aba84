"""Data: any data set, checked, converted, split."""
