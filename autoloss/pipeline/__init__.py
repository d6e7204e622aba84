"""Pipeline: searches and what belongs to them, one after another from one config, each with what those before found."""
