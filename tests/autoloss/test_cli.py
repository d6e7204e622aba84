from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from autoloss.cli import _spread_options
from tests.helpers.command import autoloss, autoloss_process
from tests.helpers.small import section


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    folder = tmp_path_factory.mktemp("search")
    config, run = folder / "config.py", folder / "run"
    config.write_text(f"search = {section()!r}")
    done = autoloss_process("search", config, run)
    assert done.returncode == 0, done.stderr
    return config, run, done.stdout


def test_a_formula_in_infix_is_shown_in_short_by_the_name_of_the_known_loss() -> None:
    grown = "sub(3, sub(div(i, u), div(sub(e, e), e)))"
    first, second, *_ = autoloss("check", grown).stdout.splitlines()
    assert first == "3 - i/u, IoU (linear) up to an affine map"
    assert second.strip() == "written as 3 - (i/u - (e - e)/e)"
    assert autoloss("check", "3 - (i/u - (e - e)/e)", "--canonical").stdout.startswith(grown)
    found = json.loads(autoloss("check", "1 - iou", "--json").stdout)
    assert (found["formula"], found["simplified"], found["known"]["name"]) == ("sub(1, div(i, u))", "1 - i/u", "iou")
    named = json.loads(autoloss("check", "giou", "--json").stdout)
    assert named["known"]["name"] == "giou"
    assert named["passed"]
    assert not named["negated"]


def test_a_formula_may_begin_with_a_sign() -> None:
    assert autoloss("check", "-log(i/u)").stdout.startswith("-log(i/u), IoU (log) up to an affine map")
    assert "dL/du" in autoloss("inspect", "-i/u").stdout
    wrong = autoloss("check", "-log(i/foo)")
    assert "unknown name 'foo' at column 8 of '-log(i/foo)'" in wrong.stderr
    assert (
        "no such option '--grammer'; did you mean '--grammar'?" in autoloss("check", "-i/u", "--grammer", "box").stderr
    )


def test_a_formula_is_inspected_from_all_sides() -> None:
    found = json.loads(autoloss("inspect", "(1 - i/u)**2", "--json").stdout)
    assert [one["by"] for one in found["derivatives"]] == ["i", "u"]
    moved, grown = found["ways"]
    assert (moved["optimum"]["at"], moved["far end"]["at"]) == (1.0, 0.0)
    assert moved["derivative"]["text"] == grown["derivative"]["text"] == "2*q - 2"
    assert moved["convex"] == [[0.0, 1.0]]
    assert not found["nearest"]["equal"]
    shown = autoloss("inspect", "(1 - i/u)**2").stdout
    for part in ("as typed", "simplified", "nearest", "dL/dq", "at the far end", "certificate", "LaTeX", "─"):
        assert part in shown
    lines = autoloss("inspect", "(1 - i/u)**2", "--latex").stdout.splitlines()
    assert lines[0].startswith("\\left(")
    assert lines[-1] == "\\frac{\\partial L}{\\partial q} = 2 q - 2"


def test_search_ends_with_table_funnel_place_and_next_commands(searched: tuple[Path, Path, str]) -> None:
    _, run, out = searched
    assert "best first" in out
    assert "the detector's own loss" in out
    assert "CSE-Autoloss-B class" in out
    assert "passed every gate" in out
    assert f"The run lies in {run}" in out
    commands = [line.strip() for line in out.split("What next:")[1].splitlines() if line.strip()]
    assert [command.split()[1] for command in commands] == ["export", "audit", "show", "show"]
    assert all(command.startswith("autoloss ") for command in commands)


def test_the_commands_at_the_end_work(searched: tuple[Path, Path, str], tmp_path: Path) -> None:
    import shlex

    for line in searched[2].split("What next:")[1].split("\n"):
        words = shlex.split(line.split(" > ")[0], comments=True)
        if words and words[1] != "audit":  # which takes long
            assert autoloss(*words[1:], cwd=tmp_path).returncode == 0, line


def test_searching_again_trains_nothing_again(searched: tuple[Path, Path, str]) -> None:
    config, run, out = searched
    again = autoloss("search", config, run, "--workers", 1)
    assert again.returncode == 0
    assert again.stdout.split("The run lies")[0] == out.split("The run lies")[0]


def test_show_prints_leaderboard_and_funnel(searched: tuple[Path, Path, str]) -> None:
    _, run, _ = searched
    shown = autoloss("show", run, "--top", 3)
    assert shown.returncode == 0
    assert "Funnel" in shown.stdout
    found = json.loads(autoloss("show", run, "--json").stdout)
    assert {"leaderboard", "funnel", "rungs", "seconds", "settings"} <= found.keys()
    assert found["trained"] == {"detector": "free boxes and logits"}
    counts = found["funnel"]
    assert counts["proposed"] == counts["passed"] + sum(counts["refused"].values())
    assert len(found["leaderboard"]) == counts["passed"] + counts["given"] == 15
    born = [row for row in found["leaderboard"] if row["kind"] == "found"]
    for certificates in (known for row in born for known in row["certificates"].values()):
        assert all({"name", "statement", "how", "numbers"} == one.keys() for one in certificates)
        assert "smoothness" in [one["name"] for one in certificates]
    assert all(row["certificates"].keys() == row["losses"].keys() for row in born)
    best = found["leaderboard"][0]["scores"]["full"]
    assert best["seeds"] == 2
    assert best["sd"] >= 0


def test_check_passes_refuses_and_corrects() -> None:
    good = autoloss("check", "neg(log(div(i, u)))", "--grammar", "box")
    assert good.returncode == 0
    assert "equal to IoU (log) up to an affine map" in good.stdout
    assert "sampled on 128" in good.stdout
    bad = autoloss("check", "abs(sub(div(i, u), div(1, 2)))")
    assert bad.returncode == 1
    assert "not lowest at the target" in bad.stdout
    wrong = autoloss("check", "add(i, foo)")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("autoloss: unknown name 'foo' at column 8")
    assert wrong.stderr.count("\n") == 1


def test_check_takes_published_text_and_answers_scripts() -> None:
    done = autoloss("check", "Neg(Dot(Mul(Y,Add(1,Sin(Z))),Log(Softmax(X))))", "--json")
    found = json.loads(done.stdout)
    assert (found["formula"], found["grammar"]) == ("neg(dot(mul(y, add(1, sin(w))), log(softmax(x))))", "softmax")
    assert found["known"]["name"] == "cse_a_cls"
    assert found["passed"]


def test_check_draws_a_picture_beside_a_known_loss(tmp_path: Path) -> None:
    done = autoloss("check", "sub(1, div(i, u))", "--plot", "iou.png", "--beside", "diou", cwd=tmp_path)
    assert done.returncode == 0
    with Image.open(tmp_path / "iou.png") as image:
        assert image.format == "PNG"


def test_the_funnel_is_a_table_and_plain_values() -> None:
    shown = autoloss("funnel", "--grammar", "softmax", "--n", "300")
    assert shown.returncode == 0
    assert "refused before any training" in shown.stdout
    found = json.loads(autoloss("funnel", "--grammar", "softmax", "--n", "300", "--json").stdout)
    assert sum(found["ends"].values()) == found["proposed"] == 300
    assert found["rate"] > 0


def test_thresholds_are_derived_from_the_known_losses() -> None:
    assert "worst - 0.15" in autoloss("thresholds").stdout
    found = json.loads(autoloss("thresholds", "--json").stdout)
    assert found["derived"]["iou"] <= min(row["iou"] for row in found["known"] if "iou" in row) - found["margin"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "div(i, u)", "--plot", "a.xyz"], "cannot write the picture 'a.xyz'"),
        (
            ["check", "div(i, u)", "--beside", "giou"],
            "--beside giou is drawn beside the formula: give --plot FILE, too",
        ),
        (["check", "div(i, u)", "--plot", "a.png", "--beside", "focal"], "--beside focal is a loss for loss_cls"),
        (["check", "div(i, u)", "--plot", "a.png", "--beside", "best"], "unknown loss 'best'; known: iou"),
        (["funnel", "--grammar", "boxes"], "unknown grammar 'boxes'; known: box"),
        (["check", "div(i, u)", "--grammar", "boxes"], "unknown grammar 'boxes'; known: box"),
        (["check", "softmax(i)", "--grammar", "box"], "unknown name 'softmax'"),
        (["check", "3"], "a formula must read an input"),
        (["check", "1 - i/"], "the formula ends early at column 7 of '1 - i/'; expected: an operator"),
        (["check", "i ^ 2"], "unexpected character '^' (a power is written **) at column 3"),
        (["inspect", "1 - foo/u"], "unknown name 'foo' at column 5"),
        (["inspect", f"{'add(i, ' * 60}foo{')' * 60}"], "unknown name 'foo'"),
        (["export", "--loss-cls", "focal", "--weight-bbox", "2"], "--weight-bbox is for a loss that is put in"),
        (["export", "--loss-bbox", "giou", "--alpha", "0.5"], "--alpha is for a formula given as text by --loss-cls"),
        (["export", "--catalog", "--name", "Mine"], "--name is for one loss"),
        (["export", "--catalog", "--weight-cls", "2"], "those of --catalog have theirs"),
        (["export", "run", "--candidate", "3", "--top", "2"], "--candidate names one loss, --top so many of the best"),
        (["export", "run", "--name", "Mine", "--top", "2"], "--name is for one loss"),
        (["inspect", "1 - i/u", "--candidate", "3"], "--candidate 3 chooses among the losses of a run"),
        (["inspect", ".", "--alpha", "0.5"], "--grammar and --alpha are for a formula given as text"),
        (["inspect", "."], "no run in '.'"),
        (["inspect", "giou", "--json", "--latex"], "--json and --latex print one thing each"),
        (["check", "(" * 10_000], "nested deeper than 64"),
        (["check", "div(i, u)", "--alpha", "0.5"], "--alpha 0.5 is for sigmoid losses"),
        (["search", "none.py"], "no config file at 'none.py'"),
        (["show", "none"], "no run in 'none'"),
        (["searhc", "c.py"], "no such command 'searhc'; did you mean 'search'? (autoloss --help says more)"),
        (["zzz"], "no such command 'zzz'; known: search, show,"),
        (["data", "chek"], "no such command 'chek'; did you mean 'check'? (autoloss data --help says more)"),
        (["search", "c.py", "--worker", "2"], "no such option '--worker'; did you mean '--workers'?"),
        (["show", "run", "--zzzzz"], "no such option '--zzzzz'; known: "),
        (["search"], "missing argument 'config' (autoloss search --help says more)"),
        (["show", "a", "b"], "got unexpected extra argument(s) (b) (autoloss show --help says more)"),
        (["search", "c.py", "--workers", "two"], "invalid value for '--workers':"),
        (["search", "c.py", "--workers"], "option '--workers' requires an argument"),
        (["funnel"], "missing option '--grammar'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = autoloss(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_run_made_with_another_config_is_left_alone(searched: tuple[Path, Path, str]) -> None:
    config, run, _ = searched
    done = autoloss("search", config, run, "--cfg-options", "search.births=5", "search.seed=3")
    assert done.returncode == 2
    assert "made with another config: search.births was 4, is 5" in done.stderr
    assert autoloss("search", config, run).returncode == 0


def test_cfg_options_take_several_values_as_in_mmdetection() -> None:
    spread = _spread_options(["search", "c.py", "--cfg-options", "a=1", "b=2", "--workers", "1"])
    assert spread == ["search", "c.py", "--cfg-options", "a=1", "--cfg-options", "b=2", "--workers", "1"]
    assert _spread_options(["--cfg-options", "a=1", "run"]) == ["--cfg-options", "a=1", "run"]


def test_help_teaches_every_command() -> None:
    for command in ("search", "check", "show", "funnel"):
        done = autoloss(command, "--help")
        assert done.returncode == 0
        assert "Example:" in done.stdout
