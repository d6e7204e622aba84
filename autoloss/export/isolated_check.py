"""Isolated check: a script that compares exported files with given values where none of our packages can be imported.

`python -I isolated_check.py FOLDER ...`: a folder holds case.pt and the file that it names; what differs is printed.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


class _Closed:
    """Refuses to find our packages."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002
        """See importlib's MetaPathFinder."""
        if name.split(".")[0] in ("autoloss", "primitives", "detectors"):
            raise ImportError(f"{name} is not to be imported by what was exported")


def main(folder: Path) -> None:
    """Prints what differs."""
    import torch

    torch.set_num_threads(1)
    case = torch.load(folder / "case.pt", weights_only=True)
    for stand_in in folder.glob("mmcv_ops_*.py"):
        _load(stand_in)
    module = _load(folder / case["file"])
    for loss in case["losses"]:
        for wanted in loss["wanted"]:
            if case["backend"] != "torch":
                inputs = {name: _array(value, case["backend"]) for name, value in wanted["inputs"].items()}
                found = torch.tensor(getattr(module, loss["function"])(**inputs).tolist(), dtype=torch.float64)
                _compare(loss["function"], wanted, {"values": found})
                continue
            inputs = dict(wanted["inputs"])
            leaf = inputs[loss["arguments"][0]].requires_grad_()
            values = getattr(module, loss["function"])(**inputs)
            (gradient,) = torch.autograd.grad(values.sum(), leaf)
            _compare(loss["function"], wanted, {"values": values.detach(), "gradient": gradient})
            _narrow(module, loss, wanted["inputs"])


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _array(value: Any, backend: str) -> Any:
    if backend == "numpy":
        return value.numpy()
    import jax.numpy as jnp

    return jnp.asarray(value.numpy())


def _compare(name: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    for what, value in found.items():
        want, allowed = wanted[what], wanted[f"{what}_allowed"]
        if value.shape != want.shape:
            print(f"{name}: {wanted['dtype']} {what} have shape {tuple(value.shape)}, not {tuple(want.shape)}")
            continue
        wrong = ~((value.double() - want).abs() <= allowed) & ~(value.isnan() & want.isnan())
        if bool(wrong.any()):
            worst = float((value.double() - want).abs()[wrong].max())
            print(
                f"{name}: {wanted['dtype']} {what} differ in {int(wrong.sum())} of {wrong.numel()} by up to {worst:.3g}"
            )


def _narrow(module: Any, loss: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Half precision under autocast gives finite float32."""
    import torch

    call = module.LOSSES[loss["slot"]]() if loss["slot"] else getattr(module, loss["function"])
    for dtype in (torch.float16, torch.bfloat16):
        named = {n: v.detach().to(dtype) if v.is_floating_point() else v for n, v in inputs.items()}
        if loss["slot"]:
            modules = dict(zip(loss["arguments"], ("pred", "target"), strict=True))  # as mmdetection's losses name them
            named = {modules.get(name, name): value for name, value in named.items()}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = call(**named)
        finite = bool(values.isfinite().all())
        if values.dtype != torch.float32 or not finite:
            print(f"{loss['function']}: {dtype} under autocast gives {values.dtype}, finite: {finite}")


if __name__ == "__main__":
    sys.meta_path.insert(0, _Closed())  # type: ignore[arg-type]
    for place in sys.argv[1:]:
        main(Path(place))
