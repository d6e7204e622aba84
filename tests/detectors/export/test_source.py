"""Exported modules: mmdetection's contract over the catalog and 200 random survivors, and what PyTorch expects."""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import socket
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoloss.candidate import Loss
from detectors import mmcv_ops
from detectors.export.source import losses_file
from primitives.catalog import GRAMMARS, KNOWN
from tests.helpers.loss_contract import EVERYTHING, BoxLossContract, ClassLossContract
from tests.helpers.survivors import COUNT, FEW, known, survivors

mmcv_ops.install()

ABOUT = ["By a test."]


def case(text: str) -> Loss:
    """`giou` is a known loss, `box:7` the eighth random survivor of its grammar, `box_wide:everything` reads all."""
    grammar, _, number = text.partition(":")
    if not number:
        return known(text)
    if number == "everything":
        return Loss(GRAMMARS[grammar].parse(EVERYTHING[grammar]), GRAMMARS[grammar])
    return survivors(grammar, FEW if int(number) < FEW else COUNT)[int(number)]


@cache
def exported(text: str) -> tuple[type[nn.Module], ModuleType]:
    """The class of a case, and the file it stands in, imported."""
    loss = case(text)
    slot, name = loss.grammar.slot, f"Case{''.join(c for c in text.title() if c.isalnum())}"
    spec = {**loss.spec(), "loss_weight": 1.0}
    written = losses_file({slot: spec}, name, ABOUT)
    module = imported(written.text, written.module)
    return module.LOSSES[slot], module


def imported(text: str, name: str) -> ModuleType:
    file = Path(os.environ["EXPORTED"]) / f"{name}.py"
    file.write_text(text)
    found = importlib.util.spec_from_file_location(name, file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPORTED", str(tmp_path_factory.mktemp("exported")))
        yield


def cases(*grammars: str) -> list[Any]:
    """Known losses, formulas that read all that is handed over, and random survivors."""
    names = [name for name, one in KNOWN.items() if one.grammar in grammars]
    names += [f"{grammar}:everything" for grammar in grammars if grammar in EVERYTHING]
    grammars = tuple(grammar for grammar in grammars if grammar not in EVERYTHING)
    few = [f"{grammar}:{number}" for grammar in grammars for number in range(FEW)]
    rest = [f"{grammar}:{number}" for grammar in grammars for number in range(FEW, COUNT)]
    return [*names, *few, *(pytest.param(one, marks=pytest.mark.slow) for one in rest)]


class TestExportedBoxLosses(BoxLossContract):
    @pytest.fixture(autouse=True, params=cases("box", "box_pixels", "box_extended", "box_wide"))
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.kind = exported(request.param)[0]

    def module(self, **arguments: object) -> nn.Module:
        return self.kind(**arguments)


class TestExportedSigmoidLosses(ClassLossContract):
    use_sigmoid = True

    @pytest.fixture(autouse=True, params=cases("sigmoid", "sigmoid_wide"))
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.kind = exported(request.param)[0]

    def module(self, **arguments: object) -> nn.Module:
        return self.kind(**arguments)


class TestExportedSoftmaxLosses(ClassLossContract):
    use_sigmoid = False

    @pytest.fixture(autouse=True, params=cases("softmax", "softmax_wide"))
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.kind = exported(request.param)[0]

    def module(self, **arguments: object) -> nn.Module:
        return self.kind(**arguments)


def call_of(name: str, count: int = 12) -> tuple[nn.Module, Tensor, dict[str, Tensor]]:
    """A module, its prediction, and the rest of its arguments."""
    kind, _ = exported(name)
    loss = case(name)
    more = {one: torch.linspace(0.1, 0.9, count) for one in loss.grammar.given(loss.expression)}
    if loss.grammar.slot == "loss_bbox":
        contract: Any = BoxLossContract()
        pred, target = contract.inputs(count)
        return kind(), pred, {"target": target, **more}
    contract = ClassLossContract()
    contract.use_sigmoid = not loss.grammar.kind.background
    pred, target = contract.inputs(count)
    if "frequency" in more:
        more["frequency"] = more["frequency"][:, None].repeat(1, pred.shape[1])
    return kind(), pred, {"target": target, "iou": torch.linspace(0.1, 0.9, count), **more}


def gradient_of(value: Tensor, leaf: Tensor) -> Tensor:
    return torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("name", KNOWN)
def test_a_module_survives_pickling(name: str) -> None:
    module, pred, rest = call_of(name)
    again = pickle.loads(pickle.dumps(module))
    assert torch.equal(again(pred, **rest), module(pred, **rest))
    stored = io.BytesIO()
    torch.save(module, stored)
    stored.seek(0)
    assert torch.equal(torch.load(stored, weights_only=False)(pred, **rest), module(pred, **rest))


@pytest.mark.parametrize("name", KNOWN)
def test_torch_compile_takes_the_whole_graph(name: str) -> None:
    module, pred, rest = call_of(name)
    weight = torch.linspace(0, 1, 12)
    leaf = pred.requires_grad_()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    mine, theirs = compiled(leaf, weight=weight, **rest), module(leaf, weight=weight, **rest)
    torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(gradient_of(mine, leaf), gradient_of(theirs, leaf))


@pytest.mark.parametrize("name", ["giou", "cse_a_cls"])
def test_torch_script_is_refused_as_the_docstring_says(name: str) -> None:
    kind, _ = exported(name)
    assert "Not for torch.jit.script, which knows a part of Python only" in (kind.__doc__ or "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript itself is deprecated
        with pytest.raises(torch.jit.frontend.NotSupportedError, match="can't take variable number of arguments"):
            torch.jit.script(kind())


@pytest.mark.parametrize("name", KNOWN)
def test_torch_func_gives_the_same_gradient_and_one_per_sample(name: str) -> None:
    module, pred, rest = call_of(name)

    def total(value: Tensor) -> Tensor:
        loss: Tensor = module(value, reduction_override="sum", **rest)
        return loss

    leaf = pred.clone().requires_grad_()
    together = gradient_of(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(pred), together)

    def one(value: Tensor, *others: Tensor) -> Tensor:
        named = {key: other[None] for key, other in zip(rest, others, strict=True)}
        loss: Tensor = module(value[None], reduction_override="sum", **named)
        return loss

    each = torch.func.vmap(torch.func.grad(one))(pred, *rest.values())
    torch.testing.assert_close(each, together)


DDP = """
import os, sys, torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
sys.path.insert(0, sys.argv[1])
import importlib
module = importlib.import_module(sys.argv[2])
kind = getattr(module, sys.argv[3])
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
torch.set_num_threads(1)

class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.boxes = nn.Linear(6, 4)
        self.loss = kind()

    def forward(self, features, target):
        return self.loss(target + self.boxes(features), target)

torch.manual_seed(1)
features, corner = torch.randn(8, 6), 50 * torch.rand(8, 2)
target = torch.cat((corner, corner + 30), dim=-1)
if world > 1:
    torch.distributed.init_process_group("gloo")
    detector = DistributedDataParallel(Detector())
    part = slice(4 * rank, 4 * rank + 4)
    detector(features[part], target[part]).backward()
    weight = detector.module.boxes.weight
else:
    detector = Detector()
    detector(features, target).backward()
    weight = detector.boxes.weight
if rank == 0:
    print(weight.grad.flatten().tolist())
if world > 1:
    torch.distributed.barrier()  # nobody leaves while the other still talks to it
    torch.distributed.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # threads of gloo that are not done yet would end an interpreter that tidies up
"""


def free_port() -> str:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return str(place.getsockname()[1])


def test_two_processes_under_ddp_give_the_gradient_of_one(tmp_path: Path) -> None:
    kind, module = exported("giou")
    script = tmp_path / "train.py"
    script.write_text(DDP)
    assert module.__file__ is not None
    arguments = [sys.executable, str(script), str(Path(module.__file__).parent), module.__name__, kind.__name__]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}

    def start(rank: int, world: int) -> subprocess.Popen[str]:
        environment = {**os.environ, **place, "RANK": str(rank), "WORLD_SIZE": str(world)}
        return subprocess.Popen(arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def gradient(*processes: subprocess.Popen[str]) -> Tensor:
        ended = [(*process.communicate(timeout=300), process.returncode) for process in processes]
        assert all(code == 0 for _, _, code in ended), ended
        return torch.tensor([float(value) for value in ended[0][0].strip().strip("[]").split(",")])

    alone = gradient(start(0, 1))
    assert alone.abs().sum() > 0
    torch.testing.assert_close(gradient(start(0, 2), start(1, 2)), alone)


def test_classes_are_registered_in_mmdetection_and_know_their_weight() -> None:
    from mmdet.registry import MODELS

    kind, _ = exported("quality_focal")
    built = MODELS.build({"type": kind.__name__, "use_sigmoid": True, "loss_weight": 1.5})
    assert (type(built), built.loss_weight, built.use_sigmoid, built.reads) == (kind, 1.5, True, ("iou",))
    with pytest.raises(ValueError, match="use_sigmoid must be True for this loss, got False"):
        MODELS.build({"type": kind.__name__, "use_sigmoid": False})


def test_the_file_says_what_it_holds_and_imports_nothing_it_does_not_need() -> None:
    loss = {"expression": KNOWN["iou"].text, "grammar": "box", "loss_weight": 1.0, "alpha": None}
    text = losses_file({"loss_bbox": loss}, "LinearIoU", ["Candidate 7 of a run."]).text
    for part in ("Candidate 7 of a run.", "Formula: sub(1, div(i, u))", "return 1.0 - i / u", "class LinearIoUBoxLoss"):
        assert part in text
    for part in ("import autoloss", "primitives", "detectors", "functional", "import math", "class ClassLoss", "noqa"):
        assert part not in text


def test_names_tell_files_apart_that_compute_different_things_and_no_others() -> None:
    def name(about: str = "A", called: str = "Mine", **changes: object) -> str:
        loss = {"expression": KNOWN["focal"].text, "grammar": "sigmoid", "loss_weight": 1.0, "alpha": 0.25, **changes}
        return losses_file({"loss_cls": loss}, called, [about]).module

    assert name() == name("Found elsewhere")
    others = [name(alpha=0.5), name(loss_weight=2.0), name(expression=KNOWN["quality_focal"].text), name(called="Your")]
    assert len({name(), *others}) == 5
    assert all(one.startswith("mine_losses_") for one in others[:3])


def test_the_same_file_under_two_names_is_registered_twice_without_harm() -> None:
    from mmdet.registry import MODELS

    loss = {"expression": KNOWN["giou"].text, "grammar": "box", "loss_weight": 3.0, "alpha": None}
    file = losses_file({"loss_bbox": loss}, "Twice", ABOUT)
    first, second = (imported(file.text, f"{file.module}{again}") for again in ("", "_again"))
    pred, target = BoxLossContract().inputs()
    built = MODELS.build({"type": file.class_name("loss_bbox")})
    assert type(built) is second.LOSSES["loss_bbox"]
    assert torch.equal(built(pred, target), first.LOSSES["loss_bbox"]()(pred, target))
