from __future__ import annotations

import ast
import importlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from autoloss.candidate import Candidate, Evaluation, Kind, Loss, Origin, State
from autoloss.config import from_mapping
from autoloss.export import card
from autoloss.export import folder as package
from autoloss.export.selection import changed, folder_name, of_run, of_text
from autoloss.export.target import TARGETS
from autoloss.report.leaderboard import Evidence, Score
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, KNOWN
from primitives.errors import InputError
from primitives.text.markup import plain
from tests.helpers.small import section

FCOS = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py"
GIOU = Loss(KNOWN["giou"].expression, GRAMMARS["box"], 2.0)
FOCAL = Loss(KNOWN["focal"].expression, GRAMMARS["sigmoid"], 1.5, 0.25)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with the detector's own loss (0), a known one (1) and three that were found (2 to 4); 4 never trained."""
    settings = from_mapping(section())
    store = Run.create(tmp_path / "run", settings.identity())
    store.describe({"detector": "tiny.py", "images": {"train": 10, "val": 5}, "classes": ["a", "b"]})
    candidates = [
        Candidate(0, Kind.OWN, 0, {}, Origin.of("the detector's own loss")),
        Candidate(1, Kind.KNOWN, 0, {"loss_cls": FOCAL}, Origin.of("known: focal")),
        Candidate(2, Kind.FOUND, 0, {"loss_bbox": GIOU}, Origin.of("random: loss_bbox")),
        Candidate(3, Kind.FOUND, 1, {"loss_cls": FOCAL, "loss_bbox": GIOU}, Origin.of("crossover of 1 and 2")),
        Candidate(4, Kind.FOUND, 1, {"loss_bbox": GIOU}, Origin.of("mutation of 2")),
    ]
    store.born(candidates, [])
    for number, rung, seed, score in [
        (0, "verify", 0, 0.5),
        (0, "full", 2, 0.40),
        (0, "full", 3, 0.44),
        (1, "full", 2, 0.30),
        (2, "full", 2, 0.50),
        (2, "full", 3, 0.52),
        (3, "verify", 0, 0.9),
    ]:
        store.started(number, rung, seed)
        store.finished(Evaluation(number, rung, seed, State.DONE, score, {}, None, 1.0, 1.0))
    return store


def test_the_best_found_is_taken_with_its_provenance(run: Run) -> None:
    (best,) = of_run(run)
    assert best.name == "Candidate2"
    assert best.losses == {"loss_bbox": GIOU}
    assert best.about[0] == (
        "Candidate 2 of run run (seed 7): random: loss_bbox. Score at full: 0.510 ± 0.014, the detector's own loss "
        "0.420 ± 0.028 (COCO mAP on the images of that rung)."
    )
    assert best.about[1] == "Found with tiny.py on 10 train, 5 val images with 2 classes, by autoloss 0.1.0."
    assert best.setup == {
        "evaluator": section()["evaluator"],
        "task": {"steps": 8},
        "seed": 2,
    }
    assert best.evidence is not None
    assert [row.candidate.number for row in best.evidence.beside] == [0, 1]


def audit_of(losses: dict[str, Any], control: str = "own loss", seen: bool = False) -> dict[str, Any]:
    """What an audit of the run says of candidate 2."""
    row = {"finalist": 2, "control": control, "on": "run", "metric": "mAP"}
    numbers = {"difference": 0.032, "low": 0.011, "high": 0.053, "p_better": 0.9971, "holm": 0.0004}
    place = {"on": "run", "images": 0 if seen else 300, "images_ranked_finalists": seen}
    finalists = [{"candidate": 2, "losses": losses}]
    return {
        "setup": {**place, "elsewhere": [], "finalists": finalists, "seeds": [101, 102, 103, 104, 105]},
        "comparisons": [{**row, **numbers}, {**row, **numbers, "finalist": 3}],
    }


def written(run: Run, audit: object) -> None:
    (run.directory / "audit").mkdir(exist_ok=True)
    (run.directory / "audit" / "audit.json").write_text(json.dumps(audit))


def test_the_card_of_a_finalist_says_what_an_audit_of_its_run_found(run: Run) -> None:
    assert "## Audit" not in card.text(of_run(run)[0], "torch", ["a.py"])
    written(run, audit_of({"loss_bbox": GIOU.spec()}))
    (best,) = of_run(run)
    page = card.text(best, "torch", ["a.py"])
    assert "| run | own loss | +3.2 | +1.1 to +5.3 | 0.997 | below 0.001 |" in page
    assert "COCO mAP over 5 seeds that took no part in the search, paired, on 300 images of run; Holm" in page
    assert "The search ranked" not in page
    assert best.audit is not None
    assert len(best.audit.comparisons) == 1
    assert of_run(run, number=3)[0].audit is None  # it was no finalist


def test_the_card_of_a_finalist_that_failed_in_the_audit_says_so(run: Run) -> None:
    written(run, {**audit_of({"loss_bbox": GIOU.spec()}), "comparisons": []})
    assert "It failed with one of the audit's seeds" in card.text(of_run(run)[0], "torch", ["a.py"])


def test_the_card_says_where_images_of_an_audit_had_ranked_its_finalists(run: Run) -> None:
    written(run, audit_of({"loss_bbox": GIOU.spec()}, seen=True))
    page = card.text(of_run(run)[0], "torch", ["a.py"])
    assert "took no part in the search, paired; Holm" in page
    assert "The search ranked its finalists on the same images of run, which flatters them." in page


def test_an_audit_of_other_losses_says_nothing_of_a_candidate(run: Run) -> None:
    written(run, audit_of({"loss_bbox": {**GIOU.spec(), "loss_weight": 3.0}}))
    assert of_run(run)[0].audit is None


def test_an_audit_that_is_none_is_named_and_hostile_text_of_one_does_no_harm(run: Run) -> None:
    written(run, {"setup": 3})
    with pytest.raises(InputError, match=r"audit.json is no audit that autoloss wrote: .*; autoloss audit writes it"):
        of_run(run)
    written(run, audit_of({"loss_bbox": GIOU.spec()}, "own | loss\n# <script>"))
    page = card.text(of_run(run)[0], "torch", ["a.py"])
    assert "<script>" not in page
    assert "\n# " not in page.split("## Audit")[1].split("## What")[0]


def test_more_of_the_best_and_a_candidate_by_number(run: Run) -> None:
    assert [one.name for one in of_run(run, top=5)] == ["Candidate2", "Candidate3"]
    assert of_run(run, number=1)[0].losses == {"loss_cls": FOCAL}
    assert of_run(run, number=3, name="Mine")[0].name == "Mine"


@pytest.mark.parametrize(
    ("number", "message"),
    [(9, "no candidate 9 in .*; it has 0 to 4"), (0, "candidate 0 is the detector's own loss")],
)
def test_a_candidate_that_is_not_there_is_named(run: Run, number: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_run(run, number)


def test_a_run_without_a_finished_candidate_says_so(tmp_path: Path) -> None:
    store = Run.create(tmp_path / "run", from_mapping(section()).identity())
    store.born([Candidate(0, Kind.FOUND, 0, {"loss_bbox": GIOU}, Origin.of("random"))], [])
    with pytest.raises(InputError, match="no candidate that the search found has finished a training"):
        of_run(store)


def test_a_known_loss_keeps_its_name_alpha_and_the_weight_of_the_loss_it_replaces() -> None:
    export = of_text({"loss_cls": "focal"})
    assert export.name == "Focal"
    assert export.losses["loss_cls"].alpha == 0.25
    assert export.losses["loss_cls"].loss_weight == 1.0
    assert "Lin et al. 2017" in export.about[0]
    assert of_text({"loss_bbox": "giou"}).losses["loss_bbox"].loss_weight == 1.0
    assert of_text({"loss_bbox": "GIoU"}) == of_text({"loss_bbox": "giou"})


def test_an_export_is_named_by_what_it_holds() -> None:
    def name(*texts: str) -> str:
        return of_text(dict(zip(("loss_cls", "loss_bbox"), texts, strict=True))).name

    assert name("cse_a_cls", "cse_a_reg") == "CseA"
    assert name("cse_a_cls", "cse_b_reg") == "CseAClsCseBReg"
    assert name("varifocal", "sub(1, div(i, u))") == "VarifocalFormula"
    one, other = (of_text({"loss_bbox": text}) for text in ("sub(1, div(i, u))", "sub(1, square(div(i, u)))"))
    assert (one.name, other.name) == ("Formula", "Formula")
    assert folder_name(one) != folder_name(other)
    assert folder_name(of_text({"loss_bbox": "giou"})) == "giou"


def test_a_formula_is_weighted_like_the_loss_it_replaces_unless_a_weight_is_given() -> None:
    twice = of_text({"loss_bbox": "mul(2, sub(1, sub(div(i, u), div(sub(e, u), e))))"}).losses["loss_bbox"]
    assert twice.loss_weight == pytest.approx(0.5, rel=1e-4)
    export = of_text({"loss_bbox": "giou"}, weights={"loss_bbox": 3.0})
    assert export.losses["loss_bbox"].loss_weight == 3.0
    assert export.setup["scale"] == []


HOSTILE = [
    "<script>alert(1)</script> & <b>",
    "two\nlines\r\n# heading\u2028more",
    "\x1b[2J\x1b]0;title\x07\x00",
    "\ud800 lone",
    "x" * 10_000,
    "\u202eright to left\u2066",
    "| pipe || \\| `code` |",
    '"""\nimport os\n' + "'" * 3,
    'ends in a quote"',
    "\\",
    "{{ fileDirname }} {{_base_.model}} {{$HOME:x}} {0} %s",
    "\\end{verbatim} $x$ % # ~ ^",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_a_run_do_no_harm_where_they_land(run: Run, name: str) -> None:
    run.describe({"detector": name, "images": {name: 10}, "classes": [name], "metric": name})
    origin = name.encode(errors="replace").decode()  # SQLite takes no lone surrogate
    run.born([Candidate(5, Kind.FOUND, 1, {"loss_cls": FOCAL, "loss_bbox": GIOU}, Origin.of(origin))], [])
    (of_it,) = of_run(run, number=5)
    assert of_it.evidence is not None
    told = Origin.of(name)
    beside = [replace(one, candidate=replace(one.candidate, origin=told)) for one in of_it.evidence.beside]
    row = replace(of_it.evidence.row, scores={name: Score(0.5, 0.1, 2)})
    hostile = replace(of_it, evidence=Evidence(row, [name, "full"], beside), setup={"detector": FCOS, "stand_in": True})
    for target in TARGETS:
        files = package.texts(hostile, target)
        for file, text in files.items():
            assert harmless(text), file
            if file.endswith(".py"):
                imported = [part.names for part in ast.parse(text).body if isinstance(part, ast.Import)]
                assert "os" not in [alias.name for names in imported for alias in names], file
        if target == "latex":
            assert all(line.startswith(("%", "\\[", "  L_", "\\]")) for line in text.splitlines())
            continue
        page = card.text(hostile, target, list(files))
        assert harmless(page)
        assert "<" not in re.sub(r"`[^`\n]*`|\$\$.*\$\$|^    .*$", "", page, flags=re.MULTILINE)
        for table in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()}) == 1, table


def harmless(text: str) -> bool:
    """Whether it can be stored and seen, and no name makes a line of it endless."""
    seen = all(mark.isprintable() or mark == "\n" for mark in text)
    return seen and max(map(len, text.split("\n"))) < 1000 and bool(text.encode())


def test_a_run_of_hostile_names_is_exported(run: Run, tmp_path: Path) -> None:
    (export,) = of_run(run, number=3)
    named = replace(export, about=[" ".join(map(plain, HOSTILE))], setup={"detector": FCOS, "stand_in": True})
    package.write(named, "mmdet", tmp_path / "out")
    config = Config.fromfile(str(tmp_path / "out" / "config.py"))
    module = importlib.import_module(config.custom_imports.imports[-1])
    pred = torch.tensor([[0.0, 0, 10, 10]])
    assert float(module.LOSSES["loss_bbox"]()(pred, pred)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), -1.0, 1e300])
def test_a_weight_that_is_no_weight_is_refused(run: Run, weight: float) -> None:
    message = r"--weight-bbox .*: a loss_weight is a number from 0 to 1e\+30"
    with pytest.raises(InputError, match=message):
        of_text({"loss_bbox": "giou"}, weights={"loss_bbox": weight})
    with pytest.raises(InputError, match=message):
        changed(of_run(run)[0], {}, {"loss_bbox": weight})


@pytest.mark.parametrize("weight", [0.0, -0.0, 1e-320, 1e30, True, 2])
def test_a_weight_at_the_ends_of_its_range_is_exported(weight: float) -> None:
    export = of_text({"loss_bbox": "giou"}, weights={"loss_bbox": weight})
    for target in TARGETS:
        for file, text in package.texts(export, target).items():
            assert not file.endswith(".py") or ast.parse(text)


@pytest.mark.parametrize(
    ("texts", "arguments", "message"),
    [
        ({"loss_cls": "giou"}, {}, "--loss-cls giou: a formula of grammar box is for loss_bbox"),
        ({"loss_bbox": "mul(x, y)"}, {"class_grammar": "sigmoid"}, "fit two grammars"),
        ({"loss_bbox": "div(i, foo)"}, {}, "unknown name 'foo'"),
        (
            {"loss_cls": "focall"},
            {},
            "--loss-cls 'focall' is neither a formula nor a known loss; known: cross_entr",
        ),
        ({"loss_cls": "focal"}, {"alpha": float("nan")}, "--alpha nan: the weight of the target column lies in 0 to 1"),
        ({"loss_bbox": "giou"}, {"name": "X" * 10_000}, "--name 'X{119}…': a class's name .* 60 at most"),
        ({"loss_bbox": "giou"}, {"name": "Évil\n"}, "--name 'Évil': a class's name begins with a capital"),
        ({"loss_bbox": "giou"}, {"name": "my loss"}, "--name 'my loss': a class's name begins with a capital"),
        ({"loss_cls": "cross_entropy"}, {"alpha": 0.3}, "--alpha 0.3 is for sigmoid losses"),
        ({"loss_bbox": "add(1, 2)"}, {}, "reads none|has no finite gradient"),
        ({"loss_cls": "mul(x, y)"}, {}, "fit two grammars"),
    ],
)
def test_text_that_cannot_be_exported_is_named(texts: dict[str, str], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_text(texts, **arguments)


def test_the_specification_is_plain(run: Run) -> None:
    (best,) = of_run(run)
    assert json.loads(json.dumps(best.spec())) == {
        "loss_bbox": {"expression": str(GIOU.expression), "grammar": "box", "loss_weight": 2.0, "alpha": None}
    }
