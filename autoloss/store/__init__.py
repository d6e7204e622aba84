"""Store: the run file, the only state of a search."""
