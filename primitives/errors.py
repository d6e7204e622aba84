"""The one error that stands for a user's mistake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from primitives.text.printable import printable


class InputError(ValueError):
    """A mistake in what a person gave: one line with the rule, the value, the place and the choices."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever goes wrong while a person's Python is read, one that ends the process too, is a mistake of theirs.

    Args:
        what: went wrong, for the message.

    Raises:
        InputError: the code raised something, or called sys.exit.
        KeyboardInterrupt: someone stopped it.
    """
    try:
        yield
    except InputError:
        raise
    except SystemExit as error:
        code = "" if error.code is None else f"({printable(repr(error.code))})"
        raise InputError(f"{what}: it ends the process by sys.exit{code or '()'}") from None
    except Exception as error:
        raise InputError(f"{what}: {one_line(error)}") from None


def one_line(error: BaseException, limit: int = 300) -> str:
    """The text of an error on one line; its type where it has none."""
    return printable(" ".join(str(error).split()), limit) or type(error).__name__
