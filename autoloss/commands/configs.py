"""The commands about the configs that come with the toolkit."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Annotated

import typer

from primitives.errors import InputError
from primitives.system import places
from primitives.system.files import write_whole
from primitives.text.printable import printable

FOLDERS = {
    "search": "search",
    "pipelines": "run",
    "fidelity": "fidelity",
    "detectors": "train",
    "paper": "train",
    "datasets": "",
    "commands": "",
}
"""Folders of configs, and the command that takes one of it by its name."""

app = typer.Typer(invoke_without_command=True, help="List the configs that come with the toolkit, or copy one.")


@app.callback()
def configs(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """List the configs that come with the toolkit; `autoloss configs copy NAME .` hands one out.

    Example: `autoloss search digits_fcos` takes one by its name, `autoloss::search/digits_fcos.py` is its full name.
    """
    if context.invoked_subcommand is not None:
        return
    found = {name: _first_line(_file(name)) for name in places.names()}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    width = max(map(len, found))
    lines = [f"{name:{width}}  {found[name]}" for folder in FOLDERS for name in found if name.startswith(f"{folder}/")]
    typer.echo("\n".join(lines))
    typer.echo("\nautoloss search digits_fcos takes one by its name; autoloss configs copy NAME . hands one out")


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="As `autoloss configs` lists it, or without its folder.")],
    folder: Annotated[Path, typer.Argument(help="Made where it is missing.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Copy a config, and what it is based on or names, into a folder, to be changed there.

    Example: `autoloss configs copy digits_fcos .`
    """
    first = _named(name).resolve()
    texts = _rewritten(first)
    for file in (folder / name for name in texts):
        if file.exists() and not force:
            raise InputError(f"{printable(file)} is there; write over it with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {printable(folder)}: {error.strerror or error}") from None
    for file_name, text in texts.items():
        write_whole(folder / file_name, text)
    command = FOLDERS.get(first.parent.name)
    use = f"; autoloss {command} {printable(folder / first.name)}" if command else ""
    typer.echo(f"{', '.join(printable(folder / file_name) for file_name in texts)}{use}")


def _named(name: str) -> Path:
    """The file of a config by its name, with its folder or without."""
    bare = name.removeprefix(places.TOOLKIT).removeprefix("configs/").removesuffix(".py")
    for wanted in (bare, *(f"{folder}/{bare}" for folder in FOLDERS)):
        if wanted in places.names():
            return _file(wanted)
    raise InputError(f"no config {printable(repr(name), 300)}{places.hint(name, '')}")


def _file(name: str) -> Path:
    return places.shipped() / f"{name}.py"


def _first_line(file: Path) -> str:
    """What a config says it is."""
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def _rewritten(first: Path) -> dict[str, str]:
    """The texts of a config and of what it needs, side by side: each names the others without a folder."""
    called = {first: first.name}
    texts: dict[str, str] = {}
    todo = [first]
    while todo:
        file = todo.pop(0)
        needs = _needs(file)
        for other in needs.values():
            if other not in called:
                taken = other.name in called.values()
                called[other] = f"{other.parent.name}_{other.name}" if taken else other.name
                todo.append(other)
        texts[called[file]] = _replaced(file.read_text(), {node: called[other] for node, other in needs.items()})
    return texts


def _needs(file: Path) -> dict[ast.Constant, Path]:
    """The texts in a config that name another one, as mmengine (from its own folder) or a command would find it."""
    found: dict[ast.Constant, Path] = {}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py"):
            for place in (file.parent / node.value, places.shipped().parent / node.value):
                if "::" not in node.value and place.is_file():
                    found[node] = place.resolve()
    return found


def _replaced(text: str, names: dict[ast.Constant, str]) -> str:
    """A text of Python with other strings in some places."""
    lines = text.encode().splitlines(keepends=True)  # columns are of bytes
    for node in sorted(names, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + f'"{names[node]}"'.encode() + line[node.end_col_offset :]
    return b"".join(lines).decode()
