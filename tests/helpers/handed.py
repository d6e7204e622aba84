"""Grammars whose formulas read all that heads and trainings hand over: throw-away rows over the stock grammars."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from primitives.catalog import GRAMMARS
from primitives.grammar import Grammar
from primitives.kinds.terminal import Terminal


def _frequency(scores: Any) -> Tensor:
    value = scores.given["frequency"].detach().to(scores.x)
    assert value.shape[-1] == scores.x.shape[1], "a column for every class, the background's among them"
    return value.expand_as(scores.x)


def _size(scores: Any) -> Tensor:
    size = scores.given["size"].detach().to(scores.x)[:, None]
    return torch.where(scores.y > 0, size, 1.0)


def _row(name: str, given: str, compute: Any = None, code: Any = None) -> Terminal:
    return Terminal(name, (0.1, 1), "1", f"the {given}", compute, code or {}, predicted=False, given=given)


ROWS = {
    "loss_cls": (
        _row("tt", "progress"),
        _row(
            "ff",
            "frequency",
            _frequency,
            {
                "torch": "ff = frequency.to(x.dtype).expand_as(x)",
                "at label": "frequency.to(x.dtype).expand(x.shape).gather(1, index){flat}",
            },
        ),
        _row(
            "aa",
            "size",
            _size,
            {
                "torch": "aa = torch.where(target, size.to(x.dtype)[:, None], 1.0)",
                "at label": "size.to(x.dtype){column}",
            },
        ),
    ),
    "loss_bbox": tuple(
        _row(name, given)
        for name, given in (
            ("ww", "iou"),
            ("ss", "score"),
            ("ff", "frequency"),
            ("tt", "progress"),
            ("aa", "size"),
        )
    ),
}
FORMULAS = {
    "sigmoid": "mul(mul(add(ff, tt), aa), sub(softplus(x), mul(x, w)))",
    "softmax": "neg(dot(mul(mul(y, add(1, w)), mul(aa, add(ff, tt))), log(softmax(x))))",
    "box": "mul(add(mul(ww, ss), mul(aa, add(ff, tt))), sub(1, div(i, u)))",
}
"""One that reads everything, by stock grammar."""


def name_of(grammar: str) -> str:
    """Name of the grammar over a stock one."""
    return f"{grammar}_handed"


def add_grammars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grammars with these rows, for as long as a test lasts."""
    for name in FORMULAS:
        stock = GRAMMARS[name]
        rows = (*stock.terminals, *ROWS[stock.slot])
        monkeypatch.setitem(GRAMMARS, name_of(name), Grammar(name_of(name), stock.kind, rows, stock.operators))


def losses(grammar: str, *slots: str) -> dict[str, dict[str, Any]]:
    """A class loss over a stock grammar and a box loss that read everything, or one of both."""
    both = {
        slot: {"expression": FORMULAS[one], "grammar": name_of(one), "loss_weight": 1.5, "alpha": None}
        for slot, one in (("loss_cls", grammar), ("loss_bbox", "box"))
    }
    return {slot: both[slot] for slot in slots or both}


def class_by_hand(kind: str, x: Tensor, labels: Tensor, iou: Tensor, f: Tensor, t: float, a: Tensor) -> Tensor:
    """The class formulas of FORMULAS, (N,), from what was handed over; `f` (C,), `iou` and `a` (N,)."""
    count = len(f)
    y = functional.one_hot(labels, count + 1).to(x.dtype)
    if kind == "softmax":
        at = torch.cat((f, torch.ones(1)))[labels]
        positive = labels < count
        weight = (1 + torch.where(positive, iou, 1.0)) * torch.where(positive, a, 1.0) * (at + t)
        return -weight * x.log_softmax(-1).gather(1, labels[:, None])[:, 0]
    y = y[:, :count]
    size = torch.where(y > 0, a[:, None], 1.0)
    each = (f + t) * size * (functional.softplus(x) - x * y * iou[:, None])
    return each.sum(-1)


def box_by_hand(overlap: Tensor, s: Tensor, f: Tensor, t: float, a: Tensor) -> Tensor:
    """The box formula of FORMULAS, (N,)."""
    return (overlap * s + a * (f + t)) * (1 - overlap)
