"""Portable: work dirs whose config loads wherever it lies, for inference without the losses that were trained.

mmengine leaves a config in the work dir that names modules which lie elsewhere. This hook lays them beside it and has
the config look for them there. Where they are missing it is a config for inference: no loss is computed there, so
mmdetection's own losses and heads take the places, and there is nothing to train with.

Exported folders carry this file with them, so it needs mmdetection alone.
"""

from __future__ import annotations

import hashlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

LOADER = '''
def _have(name):
    """Imports a module that lies beside this file{or_at}, or is on the path; whether there is one."""
    import filecmp
    import importlib.util
    import os
    import sys

    for folder in (r"""{{{{ fileDirname }}}}""",{origin}):
        file = os.path.join(folder, f"{{name}}.py")
        if not os.path.isfile(file):
            continue
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, file)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        other = sys.modules[name].__file__
        if os.path.isfile(other) and not filecmp.cmp(file, other, shallow=False):
            raise ImportError(f"{{file}} is not {{other}}, which is imported under its name: rename one of them")
        return True
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{{name}}.".startswith(f"{{error.name}}."):
            raise
        return False
    return True

'''
"""Lines of a config file; `{or_at}` and `{origin}` name one more folder, or are empty."""
_END = """
# This file loads wherever it lies. Where the modules of its losses are missing it is a config for inference.
{loader}
{stand_in}if not all([{needed}]):
    import warnings

    warnings.warn("a config for inference alone: to train, lay {files} beside it")
{inference}"""
_NO_TRAINING = dict.fromkeys(("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"))


@HOOKS.register_module(force=True)
class PortableConfig_bc7ecc83(Hook):  # type: ignore[misc]
    """Writes the config of the work dir anew, with the modules that it needs beside it; and that of checkpoints."""

    comes_along = True

    def before_run(self, runner: Any) -> None:
        """See mmengine's Hook; mmengine has written its config, and told the checkpoints, before."""
        text, modules = portable(runner.cfg, runner.work_dir)
        runner.message_hub.update_info("cfg", text)
        if runner.rank == 0:
            name = Path(runner.cfg.filename or f"{runner.timestamp}.py").stem
            for file, content in {**modules, name: text}.items():
                (Path(runner.work_dir) / f"{file}.py").write_text(content, encoding="utf-8")


def portable(config: Config, folder: str) -> tuple[str, dict[str, str]]:
    """A config that loads wherever it lies.

    Args:
        config: of a detector whose losses, heads and hooks are registered.
        folder: where it and its modules will lie at first.

    Returns:
        Its text, and the text of the modules that go beside it by their names.
    """
    hooks = config.get("custom_hooks") or []
    own_hooks = [hook for hook in hooks if hasattr(_class(HOOKS, hook), "comes_along")]
    classes = [*(_own(node) for node in _nodes(config.model)), *(_class(HOOKS, hook) for hook in own_hooks)]
    names = sorted({kind.__module__ for kind in classes if kind is not None})
    files = {name: Path(str(sys.modules[name].__file__)) for name in names if "." not in name}
    modules = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    ops: Callable[[], str] | None = getattr(sys.modules.get("mmcv._ext"), "__stand_in__", None)
    stand_in = {} if ops is None else {f"mmcv_ops_{hashlib.sha256(ops().encode()).hexdigest()[:8]}": ops()}
    values = config.to_dict()
    imports = (values.pop("custom_imports", None) or {}).copy()
    imports["imports"] = [name for name in imports.get("imports", []) if name not in (*names, *stand_in)]
    rest = [hook for hook in hooks if hook not in own_hooks]
    inference = {"model": _stock(values["model"]), "custom_hooks": rest, **_NO_TRAINING}
    end = _END.format(
        loader=LOADER.format(or_at=", or where it was written", origin=f" {str(Path(folder).resolve())!r}"),
        stand_in="".join(f"_have({name!r})\n" for name in stand_in),
        needed=", ".join(f"_have({name!r})" for name in names),
        files=", ".join(f"{name}.py" if name in modules else name for name in names),
        inference=textwrap.indent(text_of(inference), "    "),
    )
    if imports["imports"]:
        values["custom_imports"] = imports
    # A config with a base, if none at all, is not taken for one of mmengine's other kind for what it imports.
    return f"_base_ = []\n{text_of(values)}{end}", {**modules, **stand_in}


def text_of(values: Mapping[str, Any]) -> str:
    """Values as the text of a config file; {{ }} in their strings means nothing there."""
    return str(Config(dict(values)).pretty_text).replace("{{", "{\\x7b")


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    for part in parts:
        yield from _nodes(part)


def _own(node: Mapping[str, Any]) -> Any:
    """The class of a loss or head that stands in the place of one of mmdetection's, None for any other."""
    found = _class(MODELS, node)
    return found if hasattr(found, "stands_for") else None


def _class(registry: Any, node: Any) -> Any:
    kind = node.get("type") if isinstance(node, Mapping) else type(node)
    return registry.get(kind) if isinstance(kind, str) else kind


def _stock(value: Any) -> Any:
    """A part of a model with mmdetection's own heads and losses in their places; the weights are the same."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_stock, value))
    if not isinstance(value, Mapping):
        return value
    kind = _own(value)
    if kind is None or "loss_cls" in value or "bbox_head" in value:
        parts = {key: _stock(part) for key, part in value.items() if kind is None or key != "centerness_target"}
        return parts if kind is None else {**parts, "type": kind.stands_for}
    sigmoid = getattr(MODELS.build(dict(value)), "use_sigmoid", None)
    return {"type": kind.stands_for} | ({} if sigmoid is None else {"use_sigmoid": sigmoid})
