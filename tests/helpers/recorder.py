"""A hook that keeps every loss of a training, in a file per process; configs of the tests import it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class Recorder(Hook):  # type: ignore[misc]
    """Appends a line per iteration to losses_RANK.jsonl in the work dir."""

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        losses = {name: float(value) for name, value in (outputs or {}).items() if "loss" in name}
        images = [sample.img_id for sample in data_batch["data_samples"]]
        boxes = sum(len(sample.gt_instances) for sample in data_batch["data_samples"])
        with (Path(runner.work_dir) / f"losses_{runner.rank}.jsonl").open("a") as stream:
            stream.write(json.dumps({"losses": losses, "images": images, "boxes": boxes}) + "\n")
