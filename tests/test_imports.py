"""Imports run one way: primitives <- autoloss, primitives <- detectors; only named files reach the heavy parts."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
THIRD_PARTY = {
    "primitives": {"torch", "sympy", "psutil"},
    "autoloss": {
        "torch",
        "sympy",
        "deap",
        "jinja2",
        "markupsafe",
        "matplotlib",
        "numpy",
        "pydantic",
        "rich",
        "scipy",
        "typer",
        "waitress",
        "primitives",
        "autoloss",
    },
    "detectors": None,
}
OURS = {"primitives", "autoloss", "detectors", "configs", "tests"}
MAY_IMPORT = {
    "primitives": {"primitives"},
    "autoloss": {"primitives", "autoloss"},
    "detectors": {"primitives", "detectors"},
}


def imported(file: Path) -> set[str]:
    """Top-level names of all packages that a file imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


OF_ONE_FILE = {
    "course.py": {"numpy"},  # where most formulas fall it takes half of the time of torch
    "config.py": {"mmengine"},
    "isolated_check.py": {"jax"},
    "ray_cluster.py": {"ray"},
    "ray_node.py": {"ray"},
}


def test_sympy_is_known_only_to_rows_of_operators_and_to_what_the_process_that_is_ended_in_time_runs() -> None:
    found = {
        file.name for package in MAY_IMPORT for file in (ROOT / package).rglob("*.py") if "sympy" in imported(file)
    }
    assert found == {"operator.py", "table.py", "later.py", "symbolic.py", "proofs.py"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_arrow_turns(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        assert (imported(file) & OURS) <= MAY_IMPORT[package], file


ORDER = {
    "primitives": [
        ["errors", "text", "system", "operators", "known"],
        ["expression", "symbolic"],
        ["algebra", "kinds", "codegen", "grammar", "parser"],
        ["forms"],
        ["catalog"],
    ],
    "autoloss": [
        ["candidate", "evaluator", "rungs", "proposals", "settings", "config", "values"],
        ["gates"],
        ["store"],
        ["workers"],
        ["search"],
        ["audit"],
        ["report"],
        ["export"],
        ["evaluators"],
        ["notebook"],
        ["pipeline"],
        ["commands"],
        ["cli", "__main__"],
    ],
    "detectors": [
        ["mmcv_ops", "strict", "tasks"],
        ["losses"],
        ["heads"],
        ["data"],
        ["training"],
        ["frozen"],
        ["evaluator", "profiling", "detections", "foreseen"],
        ["export"],
    ],
}
"""Groups of a package: each may import those before it, and what stands beside it in its line."""


def groups_imported(file: Path, package: str) -> set[str]:
    """Groups of its own package that a file imports, wherever the import stands but for types alone."""
    tree = ast.parse(file.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in for_types and node.module:
            first, _, rest = node.module.partition(".")
            if first == package:
                found |= {rest.split(".")[0]} if rest else {alias.name for alias in node.names}
    return {name for name in found if not name.startswith("__version")}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_groups_import_in_their_order(package: str) -> None:
    place = {group: index for index, line in enumerate(ORDER[package]) for group in line}
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT / package).with_suffix("").parts
        if parts == ("__init__",):
            continue
        for target in groups_imported(file, package):
            assert place[target] <= place[parts[0]], f"{file.relative_to(ROOT)} imports {package}.{target}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_files_and_folders_can_be_read_in_a_sitting(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert {file.name for file in files if len(file.read_text().splitlines()) > 350} == set()
    for folder in {file.parent for file in files}:
        most = 8 if folder == ROOT / package else 12
        assert len(list(folder.glob("*.py"))) <= most, folder


@pytest.mark.parametrize("package", ["primitives", "autoloss"])
def test_the_language_and_the_engine_need_no_detection_library(package: str) -> None:
    allowed = THIRD_PARTY[package]
    for file in (ROOT / package).rglob("*.py"):
        extra = imported(file) - set(sys.stdlib_module_names) - (allowed or set()) - {package}
        extra -= OF_ONE_FILE.get(file.name, set())
        assert not extra, (file, extra)


def test_no_two_modules_import_each_other() -> None:
    for package in MAY_IMPORT:
        graph: dict[str, set[str]] = {}
        for file in (ROOT / package).rglob("*.py"):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            graph[module] = set()
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
                    graph[module] |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        for module, targets in graph.items():
            assert not any(module in graph.get(target, set()) for target in targets), module


def test_help_needs_no_torch() -> None:
    code = "import sys; from autoloss.cli import app; print('torch' in sys.modules, 'mmengine' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_text_never_reaches_an_interpreter() -> None:
    forbidden = {"eval", "exec", "compile", "sympify", "parse_expr", "lambdify", "from_string"}
    for package in MAY_IMPORT:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                    on_module = ast.unparse(node.func) == "re.compile"
                    assert name not in forbidden or on_module, (file, ast.unparse(node))
