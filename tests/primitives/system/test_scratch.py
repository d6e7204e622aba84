import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from primitives.system import scratch

HOLDS = "import sys; from primitives.system import scratch; print(scratch.make(), flush=True); sys.stdin.read()"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_folders_of_a_killed_process_are_removed_those_of_a_living_one_stay(place: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(place)}
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    killed, living = (Path(str(one.stdout and one.stdout.readline().strip())) for one in holders)
    (killed / "deep").mkdir()
    (killed / "deep" / "file").write_text("left")
    assert scratch.sweep() == []
    holders[0].kill()
    holders[0].wait()
    assert scratch.sweep() == [str(killed)]
    assert [path for path in (killed, living) if path.is_dir()] == [living]
    for one in holders:
        one.communicate("" if one is holders[1] else None)
    assert scratch.sweep() == [str(living)]


def test_a_number_that_another_process_has_got_by_now_misleads_nobody(place: Path) -> None:
    mine = Path(scratch.make())
    name = mine.name.split("-")
    before = place / "-".join([*name[:3], str(int(name[3]) - 1), name[4]])
    before.mkdir()
    assert scratch.sweep() == [str(before)]
    assert mine.is_dir()


def test_what_is_of_other_machines_or_no_folder_of_ours_stays(place: Path) -> None:
    parts = Path(scratch.make()).name.split("-")
    gone = ["999999999", "1", "abcdefgh"]  # no process has such a number
    (place / "-".join([parts[0], "0" * 7 + "1", *gone])).mkdir()
    (place / "autoloss-abcdefgh").mkdir()
    (place / "-".join([*parts[:2], "999999999"])).mkdir()
    (place / "-".join([*parts[:2], *gone[:2], "file"])).write_text("a file")
    elsewhere = place / "kept"
    elsewhere.mkdir()
    (place / "-".join([*parts[:2], *gone[:2], "link"])).symlink_to(elsewhere)
    before = sorted(path.name for path in place.iterdir())
    assert scratch.sweep() == []
    assert sorted(path.name for path in place.iterdir()) == before
    assert scratch.sweep(place / "none") == []


def test_a_folder_for_a_while_is_removed(place: Path) -> None:
    with scratch.folder() as made:
        assert Path(made).is_dir()
    assert list(place.iterdir()) == []
    assert Path(scratch.make(place, hidden=True)).name.startswith(".autoloss-")
