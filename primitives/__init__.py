"""The language of losses: operators, expressions, grammars, features, algebra and the catalog."""
