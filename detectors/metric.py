"""Metric: COCO box mAP by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric


class ExplodedBoxError(RuntimeError):
    """A predicted box or score is not finite."""


@METRICS.register_module()
class FastCocoMetric(BaseMetric):  # type: ignore[misc]
    """COCO box mAP.

    Args:
        ann_file: COCO JSON of the images that are evaluated.
    """

    default_prefix = "coco"

    def __init__(self, ann_file: str) -> None:
        super().__init__()
        self._truth = COCO(ann_file)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        """Keeps the predictions of a batch as COCO rows: image, x, y, width, height, score, category."""
        categories = np.asarray([category["id"] for category in self._truth.dataset["categories"]])
        for sample in data_samples:
            found = sample["pred_instances"]
            boxes, scores = found["bboxes"].cpu().numpy(), found["scores"].cpu().numpy()
            if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
                raise ExplodedBoxError(f"a predicted box of image {sample['img_id']} is not finite")
            rows = np.empty((len(boxes), 7))
            rows[:, 0], rows[:, 1:3], rows[:, 3:5] = sample["img_id"], boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
            rows[:, 5], rows[:, 6] = scores, categories[found["labels"].cpu().numpy()]
            self.results.append((sample["img_id"], rows))

    def compute_metrics(self, results: list[tuple[int, np.ndarray[Any, Any]]]) -> dict[str, float]:
        """mAP over IoU 0.50 to 0.95, and at 0.50 and 0.75; all 0 when nothing was detected."""
        rows = np.concatenate([row for _, row in results]) if results else np.empty((0, 7))
        if len(rows) == 0:
            return {"mAP": 0.0, "mAP_50": 0.0, "mAP_75": 0.0}
        evaluation = COCOeval_faster(
            self._truth, self._truth.loadRes(rows), "bbox", print_function=lambda *_, **__: None
        )
        evaluation.params.imgIds = sorted({image for image, _ in results})
        evaluation.run()
        stats = evaluation.stats_as_dict
        return {name: float(stats[key]) for name, key in (("mAP", "AP_all"), ("mAP_50", "AP_50"), ("mAP_75", "AP_75"))}
