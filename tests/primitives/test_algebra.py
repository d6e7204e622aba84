import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from primitives import algebra, symbolic
from primitives.catalog import GRAMMARS, KNOWN
from primitives.kinds.box.pair import AREAS

SOON = 0.2
"""Seconds of the processor: many times what an ordinary question takes."""


def asked(queue) -> None:
    queue.put(algebra.latex(KNOWN["iou"].expression, AREAS))


def test_a_question_that_does_not_end_is_ended_and_the_next_one_is_answered() -> None:
    # Counting is one call inside the interpreter that no exception reaches, as SymPy's big numbers are.
    answer = algebra.ask(sum, range(10**12), seconds=SOON)
    assert answer == algebra.Answer(None, "SymPy took longer than 0.2 s")
    assert answer.otherwise("sampled on 8") == "sampled on 8; not proved: SymPy took longer than 0.2 s"
    assert algebra.ask(sum, range(10)).value == 45


def test_a_process_that_waits_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algebra, "_PATIENCE", 2)
    assert algebra.ask(time.sleep, 1000, seconds=SOON).cause == "SymPy took longer than 0.2 s"


def test_an_error_of_sympy_says_nothing_and_costs_no_process() -> None:
    before = algebra.ask(os.getpid).value
    assert algebra.ask(divmod, 1, 0) == algebra.Answer(None)
    assert algebra.ask(os.getpid).value == before


def test_a_process_that_dies_or_takes_too_much_memory_is_replaced() -> None:
    first = algebra.ask(os.getpid).value
    assert algebra.ask(os._exit, 7).cause == "SymPy ended with exit code 7"
    assert algebra.ask(bytearray, 1 << 40).cause == "SymPy took more than 2 GB of memory"
    assert algebra.ask(os.getpid).value not in (None, first)


def test_the_process_needs_no_torch_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    iou = KNOWN["iou"].expression
    assert algebra.ask(symbolic.affine, symbolic.whole, iou.tree, iou.tree, frozenset("iue"), frozenset()).value is True
    maps = Path(f"/proc/{algebra.ask(os.getpid).value}/maps").read_text()
    assert "python" in maps
    assert "torch" not in maps
    algebra.ask(print, "x")
    assert capfd.readouterr() == ("", "")


def test_threads_take_turns() -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda k=k: found.append(algebra.ask(abs, -k).value == k)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_a_daemonic_process_may_ask_too() -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=asked, args=(queue,), daemon=True)
    child.start()
    assert queue.get(timeout=120) == r"- \frac{i}{u} + 1"
    child.join()


def test_a_forked_child_asks_a_process_of_its_own() -> None:
    mine = algebra.ask(os.getpid).value
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(algebra.ask(os.getpid).value).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = int(os.read(read, 100))
    os.close(read)
    os.close(write)
    assert theirs != mine
    assert algebra.ask(os.getpid).value == mine


SCRIPT = """
import os, sys
from primitives import algebra
print(algebra.ask(os.getpid).value, flush=True)
algebra.ask({busy}, seconds=1)
"""


@pytest.mark.parametrize("busy", ["sum, range(10**12)", "os.getpid); input("], ids=["in a question", "idle"])
def test_no_process_is_left_where_its_parent_is_killed_and_a_script_needs_no_guard(busy: str, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("{busy}, seconds=1", busy if "input" in busy else f"{busy}, seconds=1"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout is not None
    left = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 60
    while alive(left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(left)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:  # one that nobody has waited for is gone, too
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_latex_is_in_call_form_where_sympy_does_not_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert algebra.latex(KNOWN["iou"].expression, AREAS) == r"- \frac{i}{u} + 1"
    monkeypatch.setattr(algebra, "ask", lambda *_: algebra.Answer(None, "SymPy took longer than 3 s"))
    formula = GRAMMARS["box"].parse("sub(1, div(i, u))")
    called = r"\operatorname{sub}\left(1, \operatorname{div}\left(i, u\right)\right)"
    assert algebra.latex(formula, AREAS) == called
