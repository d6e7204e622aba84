"""Forms: a formula as people read it: in infix, and without what does nothing."""
