"""The language of losses: operators, expressions, kinds, grammars, algebra and the catalog."""
