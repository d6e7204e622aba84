"""Page: a run, or several, as HTML that reads without a network."""
