"""COCO metric: box mAP by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from detectors.training import matches
from detectors.training.metric import AREAS, OF_CLASS, Metric

PER_IMAGE = "per_image"
"""Of the metrics, what each image contributes; to the engine, too."""
JUDGED = "judged"
"""Of the metrics, what each image shows and what was found in it."""
_MEANS = {"mAP": "AP_all", "mAP_50": "AP_50", "mAP_75": "AP_75"}
_OTHERS = {
    **{f"AP_{area}": f"AP_{area}" for area in AREAS},
    "AR1": "AR_all",
    "AR10": "AR_second",
    "AR100": "AR_third",
    **{f"AR_{area}": f"AR_{area}" for area in AREAS},
}


class ExplodedBoxError(RuntimeError):
    """A predicted box or score is not finite."""


class Truth:
    """Annotated images that detections are scored against.

    Args:
        file: COCO JSON.
    """

    def __init__(self, file: str) -> None:
        self._coco = COCO(file)
        self._names = {category["id"]: str(category["name"]) for category in self._coco.dataset["categories"]}
        self._categories = np.asarray(list(self._names))

    def score(self, rows: np.ndarray[Any, Any], images: Sequence[int]) -> dict[str, float]:
        """What COCO's table has, and AP by class; all 0 when nothing was detected.

        Args:
            rows: (N, 7) image id, x, y, width, height, score, class index.
            images: ids of the images that count.

        Returns:
            `mAP` over IoU 0.50 to 0.95, `mAP_50` and `mAP_75`; AP and AR by COCO's areas, AR of 1, 10 and 100
            detections an image, and `AP of CLASS`. Of sizes and classes without a box there is none.
        """
        if len(rows) == 0:
            return self._nothing(images)
        evaluation = COCOeval_faster(self._coco, self._found(rows), "bbox", print_function=lambda *_, **__: None)
        evaluation.params.imgIds = sorted(images)
        evaluation.run()
        stats = evaluation.stats_as_dict
        means = {name: float(stats[key]) for name, key in _MEANS.items()}
        others = {name: float(stats[key]) for name, key in _OTHERS.items() if stats[key] > -1}
        return {**means, **others, **self._by_class(evaluation)}

    def contributions(self, rows: np.ndarray[Any, Any], images: Sequence[int], metric: Metric) -> dict[str, Any]:
        """What each image contributes to a metric, see `matches.contributions`; arguments as of `score`."""
        return matches.contributions(self._coco, self._found(rows), images, metric)

    def judged(self, rows: np.ndarray[Any, Any], images: Sequence[int]) -> dict[int, matches.Judged]:
        """What every image shows and what was found in it, see `matches.judged`; arguments as of `score`."""
        return matches.judged(self._coco, self._found(rows), images)

    def _by_class(self, evaluation: Any) -> dict[str, float]:
        """AP over IoU 0.50 to 0.95 of every class that has a box, of all sizes, with 100 detections an image."""
        found = {}
        for place, key in enumerate(evaluation.params.catIds):
            precision = evaluation.eval["precision"][:, :, place, 0, -1]
            if (precision > -1).any():
                found[OF_CLASS + self._names[key]] = float(precision[precision > -1].mean())
        return found

    def _nothing(self, images: Sequence[int]) -> dict[str, float]:
        """The metrics of no detections."""
        there = set(images)
        boxes = [
            entry
            for entry in self._coco.dataset["annotations"]
            if entry["image_id"] in there and not entry.get("iscrowd") and not entry.get("ignore")
        ]
        areas = [area for area, (low, high) in AREAS.items() if any(low <= one["area"] <= high for one in boxes)]
        shown = {entry["category_id"] for entry in boxes}
        names = [*_MEANS, *(n for n in _OTHERS if n.partition("_")[2] in ("", *areas) and boxes)]
        names += [OF_CLASS + name for key, name in self._names.items() if key in shown]
        return dict.fromkeys(names, 0.0)

    def _found(self, rows: np.ndarray[Any, Any]) -> COCO:
        """What COCO.loadRes gives of the rows, but for the outlines that it draws around boxes, which take longest."""
        found = COCO()
        found.dataset = {name: self._coco.dataset[name] for name in ("images", "categories")}
        images, categories = rows[:, 0].astype(int).tolist(), self._categories[rows[:, 6].astype(int)].tolist()
        columns = zip(images, categories, rows[:, 1:5].tolist(), rows[:, 5].tolist(), strict=True)
        found.dataset["annotations"] = [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "score": score,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for number, (image, category, box, score) in enumerate(columns, start=1)
        ]
        found.createIndex()
        return found


@METRICS.register_module()
class FastCocoMetric(BaseMetric):  # type: ignore[misc]
    """COCO box mAP.

    Args:
        ann_file: COCO JSON of the images that are evaluated.
        per_image: the metric to which what each image contributes is given beside the metrics; None for none.
        judged: give what each image shows and what was found in it, too.
    """

    default_prefix = "coco"

    def __init__(self, ann_file: str, per_image: str | Sequence[str] | None = None, judged: bool = False) -> None:
        super().__init__()
        self._truth, self._judged = Truth(ann_file), judged
        self._per_image = None if per_image is None else Metric.of(per_image)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        """Keeps the predictions of a batch as rows of `Truth.score`."""
        for sample in data_samples:
            found = sample["pred_instances"]
            boxes, scores = found["bboxes"].cpu().numpy(), found["scores"].cpu().numpy()
            if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
                raise ExplodedBoxError(f"a predicted box of image {sample['img_id']} is not finite")
            rows = np.empty((len(boxes), 7))
            rows[:, 0], rows[:, 1:3], rows[:, 3:5] = sample["img_id"], boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
            rows[:, 5], rows[:, 6] = scores, found["labels"].cpu().numpy()
            self.results.append((sample["img_id"], rows))

    def compute_metrics(self, results: list[tuple[int, np.ndarray[Any, Any]]]) -> dict[str, Any]:
        """See `Truth.score`, `Truth.contributions` and `Truth.judged`."""
        rows = np.concatenate([row for _, row in results]) if results else np.empty((0, 7))
        images = list({image for image, _ in results})
        found: dict[str, Any] = self._truth.score(rows, images)
        if self._per_image is not None:
            found[PER_IMAGE] = self._truth.contributions(rows, images, self._per_image)
        if self._judged:
            found[JUDGED] = self._truth.judged(rows, images)
        return found
