from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import load_checkpoint

from detectors.training import checkpoints
from primitives.errors import InputError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    file = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": {"weight": torch.arange(1000.0)}, "meta": {"epoch": 1}}, file)
    return file


def test_a_checkpoint_is_read(checkpoint: Path) -> None:
    assert checkpoints.weights(checkpoints.read(str(checkpoint)))["weight"][7] == 7


def flipped(content: bytes) -> bytes:
    """In the middle of the weights, where PyTorch reads it as another number."""
    place = content.index(torch.arange(1000.0).numpy().tobytes()) + 2002
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit of a weight": flipped,
    "half of it": lambda content: content[: len(content) // 2],
    "its end is missing": lambda content: content[:-10],
    "nothing": lambda _: b"",
    "zeros": lambda content: bytes(len(content)),
    "text": lambda _: b"no checkpoint\n" * 100,
    "a pickle cut off": lambda _: b"\x80\x02}q\x00(X\x05",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_checkpoint_is_refused_in_a_line(what: str, checkpoint: Path) -> None:
    checkpoint.write_bytes(DAMAGE[what](checkpoint.read_bytes()))
    with pytest.raises(InputError) as error:
        checkpoints.read(str(checkpoint))
    assert str(checkpoint) in str(error.value)
    assert "\n" not in str(error.value)


def test_every_bit_of_the_weights_is_looked_at(checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    expected = checkpoints.weights(checkpoints.read(str(checkpoint)))["weight"]
    for place in range(0, len(content), 61):
        checkpoint.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            found = checkpoints.weights(checkpoints.read(str(checkpoint)))["weight"]
        except InputError:
            continue
        assert torch.equal(found, expected), place


@pytest.mark.parametrize("names", [{"model": {"weight": 1}}, {"state_dict": {"module.weight": 1}}])
def test_weights_where_mmengine_does_not_look_are_copied_to_where_it_does(
    names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    file, layer = tmp_path / "other.pth", torch.nn.Linear(1, 1, bias=False)
    torch.save({key: {name: torch.full((1, 1), 7.0) for name in inside} for key, inside in names.items()}, file)
    found = checkpoints.loadable(str(file), checkpoints.read(str(file)))
    assert checkpoints.loadable(found, checkpoints.read(found)) == found != str(file)
    load_checkpoint(layer, found)
    assert layer.weight.item() == 7
    if "model" in names:
        with pytest.raises(InputError, match="its weights lie under `model`, where mmengine does not look"):
            checkpoints.check_detector(str(file), layer, 1)


@pytest.mark.parametrize("content", [b"\xff\xfe\x80", b"/nowhere/epoch_1.pth", b""])
def test_a_damaged_note_of_the_last_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_bytes(content)
    with pytest.raises(InputError, match="--resume"):
        checkpoints.latest(str(tmp_path))
