"""Selection: what noise does to scores, and which candidate is recommended; pure functions of scores."""
