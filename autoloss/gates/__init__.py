"""Gates: a formula judged without a detector."""
