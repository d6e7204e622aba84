"""The configs of data on which a loss can win."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoloss.config import load
from detectors.data.description import Digits, description_of
from detectors.data.splits import located, sources

NOISY = {"label_noise": 0.3, "box_noise": 0.1, "missing": 0.15}
BASES = {"": "digits_fcos", "_faster_rcnn": "digits_faster_rcnn"}


@pytest.mark.parametrize("stages", BASES)
@pytest.mark.parametrize(("name", "harm"), [("digits_noisy", NOISY), ("digits_long_tail", {"long_tail": 40})])
def test_a_search_on_spoilt_digits_is_the_default_one_but_for_its_data_and_language(
    name: str, harm: dict[str, float], stages: str
) -> None:
    found, clean = load(f"{name}{stages}").identity(), load(BASES[stages]).identity()
    assert found["evaluator"].pop("data") == {"type": "digits", **harm}
    assert clean["evaluator"].pop("data") == {"type": "digits"}
    for slot in found["slots"].values():
        assert slot["grammar"].endswith("_wide")
        slot["grammar"] = slot["grammar"].removesuffix("_wide")
    assert found["variation"].pop("numbers") == "any"
    assert clean["variation"].pop("numbers") == "constants"
    clean["finale"]["rung"]["task"]["iterations"] = 1200
    for one in (found, clean):  # which known losses and weights do well depends on the data
        del one["known"], one["controls"]
        one["finale"].pop("known")
    assert found == clean
    assert description_of({"type": "digits", **harm}) == Digits(**harm)


@pytest.mark.parametrize("stages", BASES)
def test_the_underwater_scenes_are_found_and_have_a_long_tail(
    stages: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (data / "aquarium").is_dir():
        pytest.skip("AUTOLOSS_DATA has no aquarium/")
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path))
    settings = load(f"aquarium{stages}")
    given = {**settings.evaluator["data"], "longest": None}
    found = sources(located({key: value for key, value in given.items() if value is not None}, ()))
    assert {split: source.count for split, source in found.items()} == {
        "train": 396,
        "val": 102,
        "test": 140,
        "verify": 7,
    }
    assert settings.evaluator["data"]["longest"] >= 192
    assert settings.evaluator["size"] == "small"
