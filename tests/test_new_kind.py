"""A kind of loss is one class: a scalar regression, thrown in here, goes through everything there is but detectors.

The search that it is taken through trains a straight line.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autoloss.candidate import Kind as Origin
from autoloss.config import from_mapping
from autoloss.export import card, folder
from autoloss.export.reference import inputs_of
from autoloss.export.selection import of_text
from autoloss.gates import simulation
from autoloss.gates.analysis import examined
from autoloss.report import tables
from autoloss.report.plots import loss_plot
from autoloss.search.funnel import run_funnel
from autoloss.search.loop import discover
from autoloss.store.run import Run
from primitives import algebra, catalog, symbolic
from primitives.algebra import Answer
from primitives.catalog import GRAMMARS, KNOWN, KnownLoss
from primitives.grammar import Grammar
from primitives.kinds import course, draws
from primitives.kinds.field import Descend, Field, Outcome
from primitives.kinds.formula import Formula
from primitives.kinds.kind import BESIDE, REFERENCE, TYPICAL, Kind
from primitives.kinds.panel import Line, Panel
from primitives.kinds.probe import Probe
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Certificate, Verdict

P = Terminal("p", (-math.inf, math.inf), "1", "prediction", attrgetter("pred"))
T = Terminal("t", (-math.inf, math.inf), "1", "target", attrgetter("target"), predicted=False)


class ScalarField(Field):
    """Numbers between -2 and 2 on their way to 0.5."""

    chief, first_step, start = "near", 0.3, torch.linspace(-2, 2, 32)[:, None]

    def inputs(self, place: Tensor) -> dict[str, Tensor]:
        return {"p": place[..., 0], "t": torch.full(place.shape[:2], 0.5)}

    def losses(self, values: Sequence[Tensor], seen: Mapping[str, Tensor], alpha: float | None) -> Sequence[Tensor]:
        return values

    def progress(self, place: Tensor, seen: Mapping[str, Tensor]) -> Tensor:
        return 1 / (1 + (place[..., 0] - 0.5).abs())

    def numbers(self, place: Tensor, which: Sequence[int]) -> list[dict[str, float]]:
        return [{"near": float(value.mean())} for value in self.progress(place[which], {})]

    def outcome(self, place: Tensor, index: int) -> Tensor:
        return place[index, :, 0].detach()


class ScalarKind(Kind):
    """Losses of predicted numbers (N,) and their targets, the same."""

    name, word, slot, terminals, arguments = "scalar", "value", "loss_value", (P, T), ("p", "t")
    floating = ("p", "t")
    stand_in, outcomes, score = "squared", (Outcome("near", "nearness", 0.7),), "near"

    def derived(self, sample: Sample) -> Sample:
        return sample

    def losses(self, value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:
        return value.expand(inputs["p"].shape)

    def whole_sample(self) -> Sample:
        sample = self.drawn(200, 0)
        return replace(sample, pred=torch.cat((sample.pred[:-BESIDE], sample.target[-BESIDE:])))

    def typical_sample(self) -> Sample:
        return self.drawn(TYPICAL, 1)

    def reference_sample(self) -> Sample:
        return self.drawn(REFERENCE, 2)

    def drawn(self, count: int, offset: int) -> Sample:
        return Sample(*(draws.uniform((count,), -2, 2, draws.generator(offset + more)) for more in (100, 200)))

    def moved(self, sample: Sample) -> Sample:
        return replace(sample, pred=sample.pred + 1e-3)

    def probe(self, sample: Sample, terminals: Sequence[Terminal], dtype: torch.dtype) -> Probe:
        return Probe.by_jacobian(
            sample.pred[:, None],
            lambda place: self.inputs(replace(sample, pred=place[:, 0]), terminals),
            ("p",),
            self.losses,
            dtype,
        )

    def paths(self) -> dict[str, Tensor]:
        ends = self.drawn(40, 3)
        left = torch.linspace(1, 0, 9, dtype=torch.float64)[None]
        pred = ends.target[:, None] + left * (ends.pred - ends.target)[:, None]
        return {"p": pred.float().flatten(), "t": ends.target[:, None].expand_as(pred).float().flatten()}

    def course(self, formula: Formula, everywhere: Callable[[], Verdict]) -> tuple[list[Verdict], bool]:
        inputs = self.paths()
        loss = formula.expression(inputs).expand(360).reshape(40, 9)
        for sign in (1, -1):
            found, _ = course.minimum(sign * loss, 2, "of a number onto its target")
            if found[-1].passed:
                fall = course.monotone(sign * loss, torch.ones(40, 8, dtype=torch.bool), "nearness")
                return course.confirmed((found[-1], fall), everywhere), sign < 0
        return course.minimum(loss, 2, "of a number onto its target")[0], False

    def field(self, terminals: Sequence[Terminal]) -> Field:
        return ScalarField()

    def certificates(self, formula: Formula, descend: Descend) -> list[Certificate]:
        far = descend(ScalarField()).numbers["near"]
        return [Certificate("arrival", f"numbers come within {1 / far - 1:.2g}", "sampled on 32", {"near": far})]

    def related(
        self, formula: Formula, known: Formula, title: str, prove: Callable[..., Answer[Any]]
    ) -> tuple[str, str] | None:
        found = prove(symbolic.ratio).value
        return (f"{title}, its gradient times {found}", algebra.PROVED) if found is not None else None

    def panels(self, formula: Formula, scale: float, descend: Descend) -> tuple[Panel, ...]:
        place = torch.linspace(-2, 2, 41, dtype=torch.float64)
        loss, gradient = self.probe(Sample(place, torch.zeros(41).double()), (P, T), torch.float64).gradient(
            formula.expression
        )
        curve = descend(ScalarField()).curve
        return (
            Panel("error", "loss", (Line(place.tolist(), (loss / scale).tolist()),)),
            Panel("error", "gradient", (Line(place.tolist(), (gradient[:, 0] / scale).tolist()),)),
            Panel("step", "nearness", (Line(range(len(curve)), curve),)),
        )


SCALAR = ScalarKind()
SQUARED = KnownLoss("squared", "squared error", "scalar", "mul(sub(p, t), sub(p, t))", "Gauss 1809")
ABSOLUTE = KnownLoss("absolute", "absolute error", "scalar", "abs(sub(p, t))", "Laplace 1774")


class LineEvaluator:
    """A straight line trained on numbers of which one in five is wrong; the score tells how near the truth it is."""

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        assert slots == {"loss_value": "scalar"}

    def describe(self) -> dict[str, object]:
        return {"detector": "a line"}

    def evaluate(self, losses: Mapping[str, Mapping[str, Any]], rung: Mapping[str, Any], seed: int) -> dict[str, float]:
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(100, generator=generator)
        target = torch.where(torch.arange(100) % 5 == 0, 10.0, 2 * x)
        loss = losses.get("loss_value", {"expression": str(SQUARED.expression), "loss_weight": 1.0})
        formula, line = GRAMMARS["scalar"].parse(loss["expression"]), torch.zeros(2, requires_grad=True)
        for step in range(rung["steps"]):
            inputs = GRAMMARS["scalar"].inputs(Sample(line[0] * x + line[1], target))
            value = SCALAR.losses(formula(inputs), inputs).mean() * loss["loss_weight"]
            (slope,) = torch.autograd.grad(value, line)
            line = (line - 0.3 * (1 - step / rung["steps"]) * slope.clamp(-1, 1)).detach().requires_grad_()
        off = (line.detach() - torch.tensor([2.0, 0.0])).abs().sum()
        return {"score": 1 / (1 + float(off))}


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> Grammar:
    """The grammar of the new kind, and two known losses."""
    names = ("add", "sub", "mul", "div", "neg", "abs", "exp", "log", "sqrt", "tanh")
    found = Grammar("scalar", SCALAR, SCALAR.terminals, names)
    monkeypatch.setitem(GRAMMARS, "scalar", found)
    for known in (SQUARED, ABSOLUTE):
        monkeypatch.setitem(KNOWN, known.name, known)
    return found


def test_text_finds_its_grammar_and_its_slot() -> None:
    assert catalog.find_grammar("exp(abs(sub(p, t)))").name == "scalar"
    assert catalog.slots()["loss_value"] == "value"
    assert catalog.find_grammar("sub(1, div(i, u))").name == "box"


@pytest.mark.parametrize("known", [SQUARED, ABSOLUTE], ids=lambda known: known.name)
def test_known_losses_pass_every_gate_and_are_recognised(known: KnownLoss, rules: Grammar) -> None:
    found = examined(known.expression, rules)
    assert found["passed"], found["verdicts"][-1]
    assert found["known"]["name"] == known.name
    assert {"arrival", "smoothness", "known"} == {one["name"] for one in found["certificates"]}


def test_a_loss_is_related_to_a_known_one_by_algebra(rules: Grammar) -> None:
    found = examined(rules.parse("mul(mul(sub(p, t), sub(p, t)), mul(sub(p, t), sub(p, t)))"), rules)
    known = [one for one in found["certificates"] if one["name"] == "known"]
    assert [one["how"] for one in known] == ["proved"]
    assert known[0]["statement"].startswith("squared error, its gradient times")


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("neg(t)", "structure"),
        ("log(sub(p, p))", "minimum"),
        ("sub(p, t)", "minimum"),
        ("sqrt(abs(sub(p, t)))", "gradient"),
    ],
)
def test_gates_refuse_what_is_no_loss(text: str, gate: str, rules: Grammar) -> None:
    assert examined(rules.parse(text), rules)["verdicts"][-1]["gate"] == gate


def test_a_reward_is_turned_into_a_loss(rules: Grammar) -> None:
    found = examined(rules.parse("neg(abs(sub(p, t)))"), rules)
    assert (found["passed"], found["negated"], found["known"]["name"]) == (True, True, "absolute")


def test_random_formulas_go_through_the_funnel(rules: Grammar) -> None:
    found = run_funnel(rules, 3_000)
    assert sum(found.ends.values()) == 3_000
    assert found.ends["passed"] > 0


def test_losses_start_at_the_gradient_of_the_one_that_stands_in() -> None:
    losses = [of_text({"loss_value": name}).losses["loss_value"] for name in ("squared", "absolute")]
    assert losses[0].loss_weight == 1 < losses[1].loss_weight
    assert simulation.scored({"loss_value": losses[0]})["score"] > 0.7


@pytest.mark.parametrize("target", ["torch", "numpy", "jax"])
def test_exported_functions_compute_what_the_formula_computes(target: str, rules: Grammar, tmp_path: Path) -> None:
    if target == "jax":
        pytest.importorskip("jax", reason="JAX is an optional extra: pip install 'autoloss[jax]'")
    export = of_text({"loss_value": "exp(abs(sub(p, t)))"}, "Line")
    ((name, text),) = folder.texts(export, target).items()
    file = tmp_path / name
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    inputs = inputs_of(rules.parse("exp(abs(sub(p, t)))"), rules, torch.float32)
    arrays = {name: value if target == "torch" else value.numpy() for name, value in inputs.items()}
    wanted = (inputs["p"] - inputs["t"]).abs().exp().numpy()
    np.testing.assert_allclose(np.asarray(module.line_value_loss(**arrays)), wanted, rtol=1e-5)
    if target == "torch":
        folder.compare(export, file, target)


def test_the_card_and_the_picture_show_it(tmp_path: Path) -> None:
    export = of_text({"loss_value": "absolute"})
    card.write(export, "torch", ["losses.py"], tmp_path)
    assert "## Value loss: `absolute_value_loss`" in (tmp_path / "card.md").read_text()
    assert (tmp_path / "loss_value.png").stat().st_size > 10_000
    drawn = loss_plot.Drawn("this", ABSOLUTE.expression, GRAMMARS["scalar"])
    loss_plot.draw(drawn, drawn, tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").read_text().count('<g id="axes_') == 3


def test_a_search_finds_a_loss_that_wrong_targets_harm_less(tmp_path: Path) -> None:
    settings = from_mapping(
        {
            "seed": 3,
            "generations": 2,
            "births": 4,
            "known": [{"loss_value": "absolute"}],
            "controls": [{"loss_value": 2.0}],
            "slots": {"loss_value": {"grammar": "scalar", "like": "squared"}},
            "ladder": [{"name": "proxy", "task": {"steps": 60}, "seeds": [1]}],
            "evaluator": {"type": f"{__name__}:LineEvaluator"},
            "workers": 1,
            "isolate": False,
        }
    )
    with Run.create(tmp_path / "run", settings.identity(), ["evaluator"]) as run:
        discover(settings, run)
        born = run.candidates()
        scores = {one.candidate: one.score for one in run.evaluations("proxy")}
    assert len(born) == 3 + 2 * 4
    found = [one for one in born if one.kind is Origin.FOUND]
    assert {one.losses["loss_value"].grammar.name for one in found} == {"scalar"}
    assert scores[1] > scores[0]
    assert max(scores[one.number] for one in found if scores.get(one.number) is not None) > scores[0]
    assert tables.formula_lines(found[0].losses)[0].startswith("loss_value = ")
