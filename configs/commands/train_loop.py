"""A training loop of one's own: a grid detector on drawn digits, in plain PyTorch; its last line is the score."""

import argparse
import runpy

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import one_hot
from torchvision.ops import box_iou, generalized_box_iou_loss, sigmoid_focal_loss

CELL, SIDE = 8, 48  # px of a cell of the grid, and of an image
parser = argparse.ArgumentParser()
for option, kind in (("--cls", str), ("--bbox", str), ("--iterations", int), ("--seed", int)):
    parser.add_argument(option, type=kind, required=True)
options = parser.parse_args()
own_cls = {
    "loss": lambda x, labels: sigmoid_focal_loss(x, one_hot(labels, 11)[:, :10].float()),
    "WEIGHT": 1,
    "READS": (),
}
own_bbox = {"loss": generalized_box_iou_loss, "WEIGHT": 1}
loss_cls = own_cls if options.cls == "own" else runpy.run_path(options.cls)  # the file that the search wrote
loss_bbox = own_bbox if options.bbox == "own" else runpy.run_path(options.bbox)


def scenes(count, seed):
    """Images (count, 1, 48, 48) with a digit each, their labels and boxes (count, 4) xyxy."""
    digits, rng = load_digits(), np.random.default_rng(seed)
    images, boxes = rng.uniform(0, 0.5, (count, 1, SIDE, SIDE)).astype(np.float32), np.empty((count, 4), np.float32)
    picks = rng.integers(len(digits.images), size=count)
    for k, pick in enumerate(picks):
        size = rng.integers(2, 5)
        x, y = rng.integers(0, SIDE - 8 * size + 1, 2)
        images[k, 0, y : y + 8 * size, x : x + 8 * size] += np.kron(digits.images[pick] / 16, np.ones((size, size)))
        boxes[k] = x, y, x + 8 * size, y + 8 * size
    return torch.from_numpy(images), torch.from_numpy(digits.target[picks]), torch.from_numpy(boxes)


def predicted(model, images):
    """Logits (N, cells, 10), and boxes (N, cells, 4) xyxy: distances from the middle of each cell to its sides."""
    out = model(images).flatten(2).transpose(1, 2)
    middle = (torch.arange(SIDE // CELL) + 0.5) * CELL
    middle = torch.cartesian_prod(middle, middle).flip(-1)
    near, far = out[..., 10:].clamp(-4, 4).exp().mul(CELL).chunk(2, dim=-1)
    return out[..., :10], torch.cat((middle - near, middle + far), -1)


torch.manual_seed(options.seed)
layers = [
    nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.BatchNorm2d(o), nn.ReLU()) for i, o in ((1, 16), (16, 32), (32, 64))
]
model = nn.Sequential(*layers, nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, 14, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
images, labels, boxes = scenes(2000, seed=1)
for _ in range(options.iterations):
    batch, rows = torch.randint(len(images), (32,)), torch.arange(32)
    logits, found = predicted(model, images[batch])
    x, y = ((boxes[batch, :2] + boxes[batch, 2:]) / 2 // CELL).long().unbind(1)
    hits = found[rows, y * (SIDE // CELL) + x]  # the cell with the middle of a digit is positive
    target, iou = torch.full(logits.shape[:2], 10), torch.ones(logits.shape[:2])  # 10 is background
    target[rows, y * (SIDE // CELL) + x] = labels[batch]
    iou[rows, y * (SIDE // CELL) + x] = box_iou(hits.detach(), boxes[batch]).diagonal()
    given = [
        {"iou": iou.flatten()}[name] for name in loss_cls["READS"]
    ]  # what a class loss of grammar sigmoid may read
    loss = loss_cls["WEIGHT"] * loss_cls["loss"](logits.flatten(0, 1), target.flatten(), *given).sum() / 32
    loss = loss + loss_bbox["WEIGHT"] * loss_bbox["loss"](hits, boxes[batch]).sum() / 32
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 10)
    optimizer.step()
images, labels, boxes = scenes(500, seed=2)
with torch.no_grad():
    logits, found = predicted(model.eval(), images)
best = logits.flatten(1).argmax(1)
iou = box_iou(found[torch.arange(500), best // 10], boxes).diagonal()
print(float((iou * (best % 10 == labels)).mean()))  # IoU of the surest box, 0 where its class is wrong
