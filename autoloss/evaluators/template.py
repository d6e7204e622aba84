"""Template: a command whose words have placeholders, such as `{seed}`, filled within their word; no shell reads it."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from primitives.errors import InputError
from primitives.system import places
from primitives.text.printable import printable

PLACE = "search.evaluator.command"
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)
_PLAIN = re.compile(r"[\w@%+=:,./{}-]+", re.ASCII)
_OF_SHELLS = re.compile(r"[|&;<>]+|\d?>.*")


@dataclass(frozen=True)
class Template:
    """A command.

    Args:
        words: the program and its arguments.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, command: object) -> Template:
        """The command that a config has.

        Args:
            command: a line, split as a shell would, or its words.

        Raises:
            InputError: it is none, or needs a shell.
        """
        if isinstance(command, str):
            try:
                words = shlex.split(command)
            except ValueError as error:
                raise InputError(f"{PLACE}: {error} in {printable(repr(command))}") from None
            for word in words:
                if _OF_SHELLS.fullmatch(word):
                    raise InputError(
                        f"{PLACE}: no shell reads it, so {printable(repr(word))} would be an argument; what needs one "
                        'is a list of words: ["bash", "-c", "..."]'
                    )
        elif isinstance(command, (list, tuple)) and all(isinstance(word, str) for word in command):
            words = list(command)
        else:
            raise InputError(f"{PLACE} is a line or a list of words, got {printable(repr(command))}")
        if not words or not words[0]:
            raise InputError(
                f"{PLACE} names no program; for example python train.py --cls {{loss_cls}} --seed {{seed}}"
            )
        if any("\0" in word for word in words):
            raise InputError(f"{PLACE}: a word holds the character of number 0")
        return cls(tuple(words))

    @property
    def names(self) -> list[str]:
        """Of its placeholders, in their order."""
        return list(dict.fromkeys(name for word in self.words for name in _PLACEHOLDER.findall(word)))

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """Its words with values in place of their placeholders."""
        return [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in self.words]

    def located(self, beside: Sequence[str]) -> Template:
        """The same, with the whole path of every word that is a file beside the config; see `places.find`.

        Raises:
            InputError: the program, or the Python file that it is given first, is nowhere.
        """
        words = tuple(_located(word, beside, needed=index < 2) for index, word in enumerate(self.words))
        if not _PLACEHOLDER.search(words[0]) and shutil.which(words[0]) is None:
            raise InputError(
                f"{PLACE}: no program {printable(repr(words[0]))} that can be run; {{python}} is the Python that runs "
                "the search"
            )
        return Template(words)

    def __str__(self) -> str:
        return " ".join(word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in self.words)


def _located(word: str, beside: Sequence[str], needed: bool) -> str:
    if word.startswith("-") or _PLACEHOLDER.search(word):
        return word
    if needed and word.endswith(".py"):
        return str(places.find(word, "file of the command", beside))
    place = next((place for place in (Path(one) / word for one in beside) if _is_file(place)), None)
    return word if place is None else str(place)


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):  # no name that a file system takes
        return False
