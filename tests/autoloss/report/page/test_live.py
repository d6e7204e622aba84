"""The live page: it follows a search through a kill and a resumption, and lets nobody write."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from autoloss.candidate import State
from autoloss.config import from_mapping
from autoloss.report.page import live
from autoloss.report.page.live import LivePage, listening
from autoloss.search.loop import discover
from autoloss.settings import FREE
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.small import section

ROOT = Path(__file__).parents[4]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    with listening(LivePage(folder), "127.0.0.1", 0) as (server, address):
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield address, server.effective_port
        finally:
            with suppress(OSError):  # another answer may have woken the loop, which then has closed all by itself
                server.trigger.pull_trigger(server.close)  # in the thread of its loop: it has nothing left to do then
            thread.join(10)
            server.task_dispatcher.shutdown()


def asked(port: int, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_it_serves_the_page_and_the_state_and_nothing_else(golden: Path) -> None:
    with served(golden / "runs/schema_2") as (_, port):
        status, text = asked(port)
        assert status == 200
        assert '<p class="live"' in text
        assert "connect-src 'self'" in text
        status, state = asked(port, "/state")
        assert json.loads(state)["says"].startswith("not searched now; generation")
        assert f'data-version="{json.loads(state)["digest"]}"' in text
        assert asked(port, "/run.sqlite")[0] == 404
        assert asked(port, "/../run.sqlite")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_written_through_it(method: str, golden: Path) -> None:
    with served(golden / "runs/schema_2") as (_, port):
        assert asked(port, "/state", method)[0] == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:80", 200),
        ("[::1]:80", 200),
        ("elsewhere.example", 403),
        ("127.0.0.1.example", 403),
    ],
)
def test_a_page_of_elsewhere_cannot_read_it_by_a_name_of_its_own(host: str, status: int, golden: Path) -> None:
    with served(golden / "runs/schema_2") as (_, port):
        assert asked(port, "/state", Host=host)[0] == status


def test_a_run_that_is_gone_is_said_and_a_missing_one_refused(tmp_path: Path, golden: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.sqlite").write_bytes((golden / "runs/schema_2/run.sqlite").read_bytes())
    with served(folder) as (_, port):
        (folder / "run.sqlite").unlink()
        status, text = asked(port)
        assert (status, text.count("\n")) == (503, 1)
        assert "no run in" in text
    done = autoloss("serve", tmp_path / "none")
    assert done.returncode == 2
    assert "no run in" in done.stderr


def test_a_port_that_is_taken_is_a_line(golden: Path) -> None:
    with (
        served(golden / "runs/schema_2") as (_, port),
        pytest.raises(InputError, match=f"cannot listen at 127.0.0.1, port {port}"),
        listening(LivePage(golden), "127.0.0.1", port),
    ):
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The command in a process of its own, which Ctrl-C ends; gives its address."""
    line = [sys.executable, "-m", "autoloss", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            yield process.stderr.readline().split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


def until(true: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def done(folder: Path) -> int:
    try:
        with Run.open(folder) as run:
            return sum(one.state is State.DONE for one in run.evaluations())
    except InputError:
        return 0


def shows(window: Any, place: str, text: str) -> None:
    window.locator(place, has_text=text).wait_for(timeout=60_000)


def searched(folder: Path, generations: int) -> None:
    settings = from_mapping(section(generations=generations, finale=None))
    with Run.create(folder, settings.identity(), FREE) as run:
        discover(settings, run)


def test_an_open_page_shows_what_is_new_and_keeps_what_is_open(
    tmp_path: Path, chromium: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_REST", 0.0)
    folder = tmp_path / "run"
    searched(folder, 1)
    with served(folder) as (address, _):
        window = chromium.new_page()
        window.goto(address)
        rows = window.locator("#losses table.cards > tbody > tr")
        before = rows.count()
        window.locator("tr.own summary").click(position={"x": 5, "y": 8})
        window.locator("#losses th button", has_text="size").click()
        searched(folder, 2)
        rows.nth(before + 3).wait_for(timeout=60_000)  # it may have come while there were fewer
        assert rows.count() == before + 4
        assert window.locator("tr.own .inside").is_visible()
        assert window.locator("#losses th[aria-sort=descending]").count() == 1
        window.close()


@pytest.mark.slow
def test_an_open_page_follows_a_search_through_a_kill_and_a_resumption(tmp_path: Path, chromium: Any) -> None:
    folder, config, let = tmp_path / "run", tmp_path / "config.py", tmp_path / "let"
    evaluator = {"type": "tests.helpers.fast_evaluator:HeldEvaluator", "file": str(let), "free": 6}
    config.write_text(f"search = {section(evaluator=evaluator)!r}\n")

    def search() -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "autoloss", "search", str(config), str(folder)]
        return subprocess.Popen(
            line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    searching = search()
    try:
        until(lambda: done(folder) >= 1)
        with serving(folder) as address:
            window = chromium.new_page()
            said: list[str] = []
            window.on("pageerror", lambda error: said.append(str(error)))
            window.goto(address)
            shows(window, ".live", "searched by")
            os.killpg(searching.pid, signal.SIGKILL)
            searching.wait()
            shows(window, ".live", "not searched now")
            let.touch()
            searching = search()
            assert searching.wait(120) == 0
            shows(window, "#answer", "From the finale")
            late = chromium.new_page()
            late.goto(address)
            with Run.open(folder) as run:
                assert late.locator("#losses table.cards > tbody > tr").count() == len(run.candidates())
            assert said == []
            for one in (window, late):
                one.close()
    finally:
        if searching.poll() is None:
            os.killpg(searching.pid, signal.SIGKILL)
            searching.wait()
