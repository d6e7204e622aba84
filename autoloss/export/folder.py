"""Folder: an export, written as a whole after a check where our packages cannot be imported."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from autoloss.export import card, isolated_check, reference
from autoloss.export.selection import Export
from autoloss.export.target import target as find_target
from primitives.errors import InputError
from primitives.system import scratch
from primitives.system.names import reached


class ExportError(RuntimeError):
    """What was exported does not compute what the formula says."""


def texts(export: Export, target: str) -> dict[str, str]:
    """The files of a target but for the card and its pictures: text by file name.

    Raises:
        InputError: no such target, or what its writer says.
    """
    files: dict[str, str] = reached(find_target(target).writer)(export.spec(), export.name, export.about, export.setup)
    return files


def check(target: str) -> None:
    """Refuses a target whose files could not be compared with the formulas here.

    Raises:
        InputError: with what is missing.
    """
    if target == "jax" and importlib.util.find_spec("jax") is None:
        raise InputError("--to jax checks the file with JAX, which is not installed: pip install 'autoloss[jax]'")


def write(export: Export, target: str, folder: Path, force: bool = False) -> list[Path]:
    """Writes a folder, as a whole or not at all, after its losses were checked.

    Args:
        export: what.
        target: one of `target.TARGETS`.
        folder: made where it is missing.
        force: write over files that are there.

    Returns:
        The files written.

    Raises:
        InputError: the folder holds files, or what the target's writer says.
        ExportError: what was written computes something else.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not force:
        raise InputError(f"{folder} holds other files; name another folder, or write over them with --force")
    check(target)
    files = texts(export, target)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.sweep(folder.parent)
        fresh = Path(scratch.make(folder.parent, hidden=True))
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error}") from None
    try:
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8")
        if target != "latex":
            for part, file in _parts(export, target, files):
                compare(part, fresh / file, target)
            card.write(export, target, list(files), fresh)
        folder.mkdir(exist_ok=True)
        written = [path.rename(folder / path.name) for path in sorted(fresh.iterdir())]
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return written


def _parts(export: Export, target: str, files: Iterable[str]) -> list[tuple[Export, str]]:
    """What each file with losses holds: the first one all of them, or one each."""
    if not find_target(target).by_slot:
        return [(export, next(iter(files)))]
    return [(replace(export, losses={slot: loss}), f"{slot}.py") for slot, loss in export.losses.items()]


def compare(export: Export, file: Path, target: str) -> None:
    """Compares a file of losses with the formulas, in a process where our packages cannot be imported.

    Values and gradients on 1,000 inputs, to 1e-6 or what float32 rounding costs the formula itself; see `reference`.

    Raises:
        ExportError: what differs.
    """
    with scratch.folder() as place:
        for one in (file, *file.parent.glob("mmcv_ops_*.py")):
            shutil.copy(one, place)
        backend = target if target in ("numpy", "jax") else "torch"
        losses = [
            {
                "function": find_target(target).function(export.name, kind),
                "slot": slot if target == "mmdet" else "",  # whose class is tried too
                "arguments": list(kind.arguments),
                "wanted": reference.wanted(loss, backend),
            }
            for slot, loss in export.losses.items()
            for kind in [loss.grammar.kind]
        ]
        torch.save({"file": file.name, "backend": backend, "losses": losses}, Path(place) / "case.pt")
        line = [sys.executable, "-I", "-W", "ignore", isolated_check.__file__, place]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=place)
    if done.returncode != 0:
        raise ExportError(f"what was exported cannot be used elsewhere: {_last(done.stderr)}")
    if done.stdout.strip():
        raise ExportError(f"what was exported differs from the formula: {'; '.join(done.stdout.splitlines())}")


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
