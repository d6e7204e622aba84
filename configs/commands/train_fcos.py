"""Trains torchvision's FCOS with a tiny backbone on COCO JSON, images of 128 px; leaves its score as score.json."""

import argparse
import json
import runpy
from pathlib import Path

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from PIL import Image, ImageOps
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import box_convert, box_iou

LONGEST, BATCH = 128, 8


class Backbone(nn.Module):
    """Features of strides 4 and 8."""

    out_channels = 32

    def __init__(self):
        super().__init__()
        self.fine = nn.Sequential(*self.block(3, 16), *self.block(16, 32))
        self.coarse = nn.Sequential(*self.block(32, 32))

    @staticmethod
    def block(inner, outer):
        return nn.Conv2d(inner, outer, 3, 2, 1), nn.BatchNorm2d(outer), nn.ReLU()

    def forward(self, images):
        fine = self.fine(images)
        coarse = self.coarse(fine)
        return {"0": fine + nn.functional.interpolate(coarse, fine.shape[-2:]), "1": coarse}


class Head(FCOSHead):
    """The stock head with the losses that the search hands over, None for its own."""

    def __init__(self, classes, loss_cls, loss_bbox):
        super().__init__(Backbone.out_channels, 1, classes, num_convs=2)
        self.loss_cls, self.loss_bbox = loss_cls, loss_bbox

    def compute_loss(self, targets, outputs, anchors, matched):
        losses = super().compute_loss(targets, outputs, anchors, matched)
        logits = outputs["cls_logits"].flatten(0, 1)
        labels = torch.full((len(logits),), logits.shape[1])  # the last one is background
        pred = self.box_coder.decode(outputs["bbox_regression"], torch.stack(anchors)).flatten(0, 1)
        boxes, hit = torch.zeros_like(pred), torch.cat(matched) >= 0
        pairs = [(target, index[index >= 0]) for target, index in zip(targets, matched, strict=True)]
        labels[hit] = torch.cat([target["labels"][index] for target, index in pairs])
        boxes[hit] = torch.cat([target["boxes"][index] for target, index in pairs])
        positives = max(1, int(hit.sum()))
        if self.loss_cls:
            iou = torch.ones(len(logits))
            iou[hit] = box_iou(pred[hit].detach(), boxes[hit]).diagonal()
            given = [{"iou": iou}[name] for name in self.loss_cls["READS"]]
            value = self.loss_cls["loss"](logits, labels, *given).sum() / positives
            losses["classification"] = self.loss_cls["WEIGHT"] * value
        if self.loss_bbox:
            value = self.loss_bbox["loss"](pred[hit], boxes[hit]).sum() / positives
            losses["bbox_regression"] = self.loss_bbox["WEIGHT"] * value
        return losses


def read(coco, folder, number):
    """An image, its labels and boxes, made smaller."""
    facts = coco.imgs[number]
    image = ImageOps.exif_transpose(Image.open(Path(folder) / facts["file_name"])).convert("RGB")
    scale = LONGEST / max(image.size)
    image = image.resize([round(side * scale) for side in image.size])
    entries = [one for one in coco.imgToAnns[number] if min(one["bbox"][2:]) > 0 and not one.get("iscrowd")]
    boxes = torch.tensor([one["bbox"] for one in entries]).reshape(-1, 4) * scale
    labels = torch.tensor([coco.getCatIds().index(one["category_id"]) for one in entries], dtype=torch.long)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    return pixels, {"labels": labels, "boxes": box_convert(boxes, "xywh", "xyxy")}, scale


def evaluated(model, data, split):
    """mAP and AP50 on a split."""
    coco, found = COCO(f"{data}/{split}.json"), []
    for number in coco.getImgIds():
        image, _, scale = read(coco, f"{data}/images", number)
        (one,) = model([image])
        boxes = box_convert(one["boxes"], "xyxy", "xywh") / scale
        for box, label, score in zip(boxes.tolist(), one["labels"].tolist(), one["scores"].tolist(), strict=True):
            found.append({"image_id": number, "category_id": coco.getCatIds()[label], "bbox": box, "score": score})
    if not found:
        return {"mAP": 0.0, "AP50": 0.0}
    judged = COCOeval_faster(coco, coco.loadRes(found), "bbox", print_function=lambda *_: None)
    judged.run()
    return {"mAP": float(judged.stats[0]), "AP50": float(judged.stats[1])}


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("data", str), ("cls", str), ("bbox", str), ("iterations", int), ("seed", int), ("split", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    losses = [None if path == "own" else runpy.run_path(path) for path in (options.cls, options.bbox)]
    coco = COCO(f"{options.data}/train.json")
    images = [read(coco, f"{options.data}/images", number) for number in coco.getImgIds() if coco.imgToAnns[number]]
    torch.manual_seed(options.seed)
    classes = len(coco.getCatIds())
    anchors = AnchorGenerator(((4,), (8,)), ((1.0,),) * 2)
    sizes = dict.fromkeys(("min_size", "max_size"), LONGEST) | {"size_divisible": 8}
    model = FCOS(Backbone(), classes, anchor_generator=anchors, head=Head(classes, *losses), score_thresh=0.05, **sizes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, options.iterations)
    for _ in range(options.iterations):
        batch = [images[k] for k in torch.randint(len(images), (BATCH,)).tolist()]
        loss = sum(model([image for image, _, _ in batch], [target for _, target, _ in batch]).values())
        if not loss.isfinite():
            raise SystemExit(f"the loss is {float(loss)}")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        scores = evaluated(model.eval(), options.data, options.split)
    (options.out / "score.json").write_text(json.dumps(scores))
    print(scores)


if __name__ == "__main__":
    main()
