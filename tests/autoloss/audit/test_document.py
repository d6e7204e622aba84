from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoloss.audit import document
from primitives.errors import InputError
from tests.helpers.audited import audited


def test_what_is_written_is_read_of_every_finalist(search: Path, tmp_path: Path) -> None:
    found = audited(search, tmp_path / "run" / "audit", trials=1)
    document.write(found, tmp_path / "run" / "audit")
    for number, losses in found.losses.items():
        said = document.of_candidate(tmp_path / "run", number, losses)
        assert said is not None
        assert said.comparisons == [one for one in found.comparisons if one.finalist == number]
        assert said.seeds == 5
        assert said.images == {place.on: place.images for place in found.places}
        assert said.seen == [place.on for place in found.places if place.seen]
        assert document.of_candidate(tmp_path / "run", number, {}) is None
    assert document.of_candidate(tmp_path / "run", 10**6, {}) is None
    assert not list((tmp_path / "run" / "audit").glob("*.new"))


def test_a_run_without_an_audit_says_nothing(tmp_path: Path) -> None:
    assert document.of_candidate(tmp_path, 3, {}) is None


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"setup": {"finalists": [], "seeds": ["x"]}})])
def test_a_file_that_is_no_audit_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "audit.json").write_text(text)
    with pytest.raises(InputError, match=r"audit.json is no audit that autoloss wrote: ") as caught:
        document.of_candidate(tmp_path, 3, {})
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_to_is_named(search: Path, tmp_path: Path) -> None:
    found = audited(search, tmp_path / "audit", trials=1)
    with pytest.raises(InputError, match="cannot write .*audit.json: No such file or directory"):
        document.write(found, tmp_path / "nowhere")
