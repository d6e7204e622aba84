"""The one error that stands for a user's mistake."""


class InputError(ValueError):
    """A mistake in what a person gave: one line with the rule, the value, the place and the choices."""
