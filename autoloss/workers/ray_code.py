"""Ray code: what of our code and of a person's a cluster's nodes are given."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from primitives.errors import InputError

_MOST_FILES = 2000
_HIDDEN = {"runs", "results", "build", "node_modules", "__pycache__", "site-packages"}


def modules(evaluators: Iterable[str]) -> list[str]:
    """Code that nodes need: our packages, and the evaluators' where they are not of an installed package."""
    theirs = [evaluator.partition(":")[0].partition(".")[0] for evaluator in evaluators]
    names = ["autoloss", "primitives", "detectors", *theirs]
    places = []
    for name in dict.fromkeys(names):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise InputError(f"cannot find {name!r}, which the nodes of the cluster need")
        place = Path(spec.origin)
        if "site-packages" not in place.parts or name in names[:3]:
            places.append(str(place.parent if place.name == "__init__.py" else place))
    return places


def snapshot(folder: Path) -> str:
    """The Python files below the present folder, configs among them, for relative paths to be there on the nodes."""
    files = []
    for root, folders, names in os.walk("."):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _HIDDEN]
        files += [Path(root) / name for name in names if name.endswith(".py")]
        if len(files) > _MOST_FILES:
            raise InputError(
                f"the present folder {Path.cwd()} holds more than {_MOST_FILES} Python files, which a cluster would "
                "get; run the search from the folder of your configs"
            )
    folder.mkdir()
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file)
    return str(folder)
