"""Places: where the configs lie that come with the toolkit, and where a path is looked for that a person names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from primitives.errors import InputError
from primitives.text.printable import printable

TOOLKIT = "autoloss::"
"""Begins the names of configs that come with the toolkit, as mmdet:: those of mmdetection."""
_ROOT = Path(__file__).resolve().parents[2]


@cache
def shipped() -> Path:
    """The folder of the configs that come with the toolkit: of the checkout, or of the installed package."""
    checkout = _ROOT / "configs"
    return checkout if (_ROOT / "pyproject.toml").is_file() else _ROOT / "autoloss" / ".mim" / "configs"


def names() -> list[str]:
    """Those configs, such as `search/digits_fcos`, sorted."""
    found = (file.relative_to(shipped()).with_suffix("").as_posix() for file in shipped().glob("*/*.py"))
    return sorted(found)


def around(file: str | Path) -> list[Path]:
    """Folders in which what a config names is looked for: its own; of one in a tree `configs/`, that around it too."""
    folder = Path(file).absolute().parent
    return [folder, *(one.parent for one in (folder, *folder.parents) if one.name == "configs")][:2]


def find(text: str | Path, what: str, beside: Sequence[str | Path] = (), folder: str = "") -> Path:
    """The file or folder that a path stands for.

    Args:
        text: of a person: a path; `autoloss::search/digits_fcos.py` or, where `folder` says so, `digits_fcos` for a
            config that comes with the toolkit.
        what: it is, for the message.
        beside: folders to look in first: those around the config that names it.
        folder: of the toolkit's configs, whose files may be named without it; none for no such names.

    Returns:
        The path as it was written where the working directory has it, and nothing stands beside the config.

    Raises:
        InputError: it is nowhere.
    """
    written = str(text)
    for place in _places(written, beside, folder):
        if _is_there(place, bool(folder)):
            return Path(written) if _same(place, written) else place
    raise InputError(_nowhere(written, what, beside, folder))


def _places(written: str, beside: Sequence[str | Path], folder: str) -> list[Path]:
    """Where to look, in this order."""
    if written.startswith(TOOLKIT):
        return _of_toolkit(written, folder)
    return [*(Path(one) / written for one in beside), Path(written), *(_of_toolkit(written, folder) if folder else [])]


def _of_toolkit(name: str, folder: str) -> list[Path]:
    """Configs of the toolkit that a name stands for: none outside its folder."""
    bare = _bare(name)
    return [shipped() / f"{one}.py" for one in (bare, f"{folder}/{bare}") if one in names()]


def _bare(name: str) -> str:
    return name.removeprefix(TOOLKIT).removeprefix("configs/").removesuffix(".py")


def is_folder(written: str) -> bool:
    """Whether a text is the path of a folder; it may be anything else, such as a formula."""
    try:
        return Path(written).is_dir()
    except (OSError, ValueError):  # a name that no file system takes
        return False


def _is_there(place: Path, file: bool) -> bool:
    try:
        return place.is_file() if file else place.exists()
    except (OSError, ValueError):  # a name that no file system takes
        return False


def _same(place: Path, written: str) -> bool:
    return _is_there(Path(written), False) and place.samefile(written)


def _nowhere(written: str, what: str, beside: Sequence[str | Path], folder: str) -> str:
    line = f"no {what} at {printable(repr(written), 300)}"
    here = Path.cwd()
    if beside and not Path(written).is_absolute() and not written.startswith(TOOLKIT):
        config = "" if Path(beside[0]) == here else f"neither beside the config in {printable(beside[0])} nor "
        line += f", {config or 'not '}in the working directory {printable(here)}"
    return line + (hint(written, folder) if folder else "")


def hint(written: str, folder: str) -> str:
    """What a name of a config may mean, and where the names stand."""
    short = [name.partition("/")[2] for name in names() if name.startswith(folder)]
    close = difflib.get_close_matches(_bare(written), [*short, *names()], n=1, cutoff=0.7)
    meant = f"; did you mean {close[0]!r}? The" if close else "; the"
    return f"{meant} ones that come with the toolkit: `autoloss configs`"
