"""Export for torchvision: plain functions, a way to put them into its FCOS and Faster R-CNN, and an example."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from primitives.catalog import GRAMMARS
from primitives.codegen.function import function, function_name, imports, module_name
from primitives.errors import InputError
from primitives.kinds.classification.kind import SIGMOID
from primitives.text.markup import docstring

HANDED = ("iou", "score", "size", "frequency", "progress")
_TWO_STAGE = 10.0  # what mmdetection weights GIoU by in two-stage heads (faster-rcnn_r50_fpn_giou_1x_coco)
_PUT = '''"""Puts the losses of {losses}.py into a torchvision detector, without a subclass; its other losses stay.

    model = torchvision.models.detection.{model}(num_classes=21)
    put_into(model)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

{imports}

CLASS_LOSS = {class_loss}
BOX_LOSS = {box_loss}
USE_SIGMOID = {use_sigmoid}  # None: no class loss, so either kind of detector
CLASS_READS = {class_reads}  # what they read beside prediction and target
BOX_READS = {box_reads}
CLASS_WEIGHT = {class_weight}
BOX_WEIGHT = {box_weight}
TWO_STAGE = {two_stage}  # the box weight of two-stage detectors beside that of one-stage ones


def put_into(
    model: nn.Module, progress: Callable[[], float] | None = None, frequency: Tensor | None = None
) -> nn.Module:
    """Makes a torchvision FCOS or FasterRCNN train with these losses.

    IoU, score and size are computed here; of progress and frequency the training knows.

    Args:
        model: `fcos_resnet50_fpn`, `fasterrcnn_resnet50_fpn`, or another of these two classes.
        progress: gives the share of the training that is over, 0..1; for losses that read it.
        frequency: (num_classes,), by label: how often each class is annotated in training, relative to the most
            frequent one, 1 at 0, the background; for losses that read it.

    Returns:
        The same model.

    Raises:
        TypeError: another kind of detector, one that classifies the other way, or a loss reads what is not given.
    """
    told = {{"progress": progress, "frequency": frequency}}
    for name, value in told.items():
        if value is None and name in (*CLASS_READS, *BOX_READS):
            raise TypeError(f"a loss reads {{name}}: give it to put_into")
    if hasattr(model, "roi_heads"):
        _expect(model, False)
        _put_into_roi_heads(model.roi_heads, told)
        model.transform.register_forward_hook(_keep_images(told))
    elif hasattr(getattr(model, "head", None), "regression_head") and hasattr(model, "center_sampling_radius"):
        _expect(model, True)
        _put_into_fcos(model.head, told)
        model.transform.register_forward_hook(_keep_images(told))
    else:
        raise TypeError(f"these losses go into torchvision's FCOS and FasterRCNN, not into {{type(model).__name__}}")
    return model


def _expect(model: nn.Module, sigmoid: bool) -> None:
    if USE_SIGMOID is not None and USE_SIGMOID is not sigmoid:
        kinds = {{True: "sigmoid", False: "softmax"}}
        name = type(model).__name__
        raise TypeError(f"{{name}} classifies by {{kinds[sigmoid]}}, this class loss is for {{kinds[USE_SIGMOID]}}")


def _keep_images(told: dict[str, Any]) -> Callable[..., None]:
    def keep(_: nn.Module, __: Any, outputs: tuple[Any, Any]) -> None:
        told["areas"] = [float(height * width) for height, width in outputs[0].image_sizes]

    return keep


def _put_into_fcos(head: nn.Module, told: dict[str, Any]) -> None:
    stock = head.compute_loss

    def compute_loss(
        targets: list[dict[str, Tensor]], outputs: dict[str, Tensor], anchors: list[Tensor], matched: list[Tensor]
    ) -> dict[str, Tensor]:
        losses = stock(targets, outputs, anchors, matched)
        logits = outputs["cls_logits"].flatten(0, 1)
        background = logits.shape[1]
        labels, boxes = [], []
        for target, index in zip(targets, matched):
            found = index >= 0
            if not len(target["boxes"]):
                labels.append(torch.full_like(index, background))
                boxes.append(target["boxes"].new_zeros(len(index), 4))
                continue
            rows = index.clamp(min=0)
            labels.append(torch.where(found, target["labels"][rows], background))
            boxes.append(target["boxes"][rows])
        labels, boxes = torch.cat(labels), torch.cat(boxes)
        pred = head.box_coder.decode(outputs["bbox_regression"], torch.stack(anchors)).flatten(0, 1)
        counts, frequency = [len(index) for index in matched], told["frequency"]
        given = _Given(told, counts, logits, labels, pred.detach(), boxes, frequency, sigmoid=True)
        names = ("classification", "bbox_regression")
        return _replaced(losses, names, logits, labels, background, pred, boxes, None, given)

    head.compute_loss = compute_loss


def _put_into_roi_heads(heads: nn.Module, told: dict[str, Any]) -> None:
    seen: dict[str, Any] = {{}}
    select = heads.select_training_samples

    def select_training_samples(*args: Any, **kwargs: Any) -> Any:
        seen["samples"] = select(*args, **kwargs)
        return seen["samples"]

    def keep(_: nn.Module, __: Any, outputs: tuple[Tensor, Tensor]) -> None:
        seen["outputs"] = outputs

    def replace(module: nn.Module, _: Any, outputs: tuple[Any, dict[str, Tensor]]) -> Any:
        if not module.training:
            return outputs
        proposals, _, labels, deltas = (torch.cat(part) for part in seen["samples"])
        logits, regression = seen["outputs"]
        background = logits.shape[1] - 1
        labels = torch.where(labels > 0, labels - 1, background)  # torchvision's background is column 0, here the last
        logits = torch.cat((logits[:, 1:], logits[:, :1]), dim=1)
        rows = torch.arange(len(labels), device=labels.device)
        regression = regression.reshape(len(labels), -1, 4)[rows, (labels + 1) % (background + 1)]
        pred, boxes = (heads.box_coder.decode_single(part, proposals) for part in (regression, deltas))
        counts, frequency = [len(part) for part in seen["samples"][0]], told["frequency"]
        frequency = None if frequency is None else torch.cat((frequency[1:], frequency[:1]))
        given = _Given(told, counts, logits, labels, pred.detach(), boxes, frequency, sigmoid=False)
        names = ("loss_classifier", "loss_box_reg")
        return outputs[0], _replaced(outputs[1], names, logits, labels, background, pred, boxes, len(labels), given)

    heads.select_training_samples = select_training_samples
    heads.box_predictor.register_forward_hook(keep)
    heads.register_forward_hook(replace)


def _replaced(
    losses: dict[str, Tensor],
    names: tuple[str, str],
    logits: Tensor,
    labels: Tensor,
    background: int,
    pred: Tensor,
    boxes: Tensor,
    count: int | None,
    given: "_Given",
) -> dict[str, Tensor]:
    """The losses with ours in place of those named; averaged over `count` samples, or over the positives."""
    positive = labels < background
    average = max(1, int(positive.sum()) if count is None else count)
    mine = dict(losses)
    if CLASS_LOSS is not None:
        read = [given.of_classes(name, positive) for name in CLASS_READS]
        mine[names[0]] = CLASS_WEIGHT * CLASS_LOSS(logits, labels, *read).sum() / average
    if BOX_LOSS is not None:
        weight = BOX_WEIGHT * (1.0 if count is None else TWO_STAGE)
        read = [given.of_boxes(name, positive) for name in BOX_READS]
        mine[names[1]] = weight * BOX_LOSS(pred[positive], boxes[positive], *read).sum() / average
    return mine


class _Given:
    """What losses read beside prediction and target; `frequency` has a column as the logits have."""

    def __init__(
        self,
        told: dict[str, Any],
        counts: list[int],
        logits: Tensor,
        labels: Tensor,
        pred: Tensor,
        boxes: Tensor,
        frequency: Tensor | None,
        sigmoid: bool,
    ) -> None:
        self.sigmoid = sigmoid
        self.told, self.counts, self.logits, self.labels = told, counts, logits.detach(), labels
        self.pred, self.target, self.frequency = pred, boxes, frequency

    def of_classes(self, name: str, positive: Tensor) -> Tensor:
        """For the class loss."""
        if name == "frequency":
            return self.frequency.to(self.logits)
        values = self._of_all(name)
        return torch.where(positive, values, 1.0) if name == "size" else values

    def of_boxes(self, name: str, positive: Tensor) -> Tensor:
        """For the box loss, of positives."""
        if name == "frequency":
            return self.frequency.to(self.logits)[self.labels[positive]]
        values = self._of_all(name)
        return values[positive] if values.dim() else values

    def _of_all(self, name: str) -> Tensor:
        if name == "iou":
            return _iou(self.pred, self.target)
        if name == "progress":
            return self.logits.new_tensor(float(self.told["progress"]()))
        if name == "score":
            columns = self.logits.sigmoid() if self.sigmoid else self.logits.softmax(-1)
            return columns.gather(1, self.labels.clamp(max=columns.shape[1] - 1)[:, None])[:, 0]
        areas = torch.cat([self.target.new_full((n,), area) for n, area in zip(self.counts, self.told["areas"])])
        return ((self.target[:, 2:] - self.target[:, :2]).clamp(min=0).prod(-1) / areas).sqrt().clamp(max=1)


def _iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU (N,) of aligned boxes, (N, 4) xyxy twice."""
    sides = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
    both = (pred[:, 2:] - pred[:, :2]).prod(-1) + (target[:, 2:] - target[:, :2]).prod(-1)
    inner = sides.prod(-1)
    return (inner / (both - inner).clamp(min=1e-7)).clamp(0, 1)
'''
_EXAMPLE = '''"""Trains a torchvision detector for a few steps with the losses of this folder: python example.py

Random images with a bright square each; no weights are downloaded.
"""

import torch
from torchvision.models import detection

from {put} import put_into


def batch(generator: torch.Generator) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Two images (3, 128, 128) with a square, and its box."""
    images, targets = [], []
    for _ in range(2):
        x, y = torch.randint(8, 72, (2,), generator=generator).tolist()
        image = 0.2 * torch.rand(3, 128, 128, generator=generator)
        image[:, y : y + 48, x : x + 48] += 0.7
        images.append(image)
        targets.append({{"boxes": torch.tensor([[x, y, x + 48.0, y + 48.0]]), "labels": torch.tensor([1])}})
    return images, targets


def main(steps: int = 5) -> None:
    """Prints the losses of every step."""
    torch.manual_seed(0){state}
    model = detection.{model}(weights=None, weights_backbone=None, num_classes=2, min_size=128, max_size=128)
    {put_into}.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):{tell}
        losses = model(*batch(generator))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        print(step, " ".join(f"{{name}}={{float(value.detach()):.4f}}" for name, value in losses.items()))


if __name__ == "__main__":
    main()
'''


def files(
    losses: Mapping[str, Mapping[str, Any]], name: str, about: Sequence[str], setup: Mapping[str, Any]
) -> dict[str, str]:
    """A file with plain functions, one with `put_into`, and example.py.

    Args:
        losses: per slot `expression`, `grammar`, `loss_weight` and `alpha`.
        name: what the functions' names begin with.
        about: where the losses come from, paragraphs.
        setup: `scale`: slots whose weights are those of the loss of weight 1.

    Returns:
        Text by file name, that of the functions first, then that with `put_into`.

    Raises:
        InputError: a formula reads what torchvision's heads cannot hand over.
    """
    rules = {slot: GRAMMARS[loss["grammar"]] for slot, loss in losses.items()}
    kind = rules["loss_cls"].kind if "loss_cls" in losses else None
    names = {slot: function_name(name, one.kind) for slot, one in rules.items()}
    formulas = {slot: rules[slot].parse(loss["expression"]) for slot, loss in losses.items()}
    reads = {slot: one.given(formulas[slot]) for slot, one in rules.items()}
    other = {name for given in reads.values() for name in given} - set(HANDED)
    if other:
        raise InputError(f"torchvision's heads can hand over {', '.join(HANDED)}, not {', '.join(sorted(other))}")
    model = "fcos_resnet50_fpn" if kind is SIGMOID else "fasterrcnn_resnet50_fpn"
    body = "\n\n".join(
        function(formulas[slot], rules[slot], names[slot], loss.get("alpha"), upcast=True)
        for slot, loss in losses.items()
    )
    module = module_name(name, "losses", body)
    put = _PUT.format(
        losses=module,
        model=model,
        imports=f"from {module} import {', '.join(sorted(names.values()))}",
        class_loss=names.get("loss_cls"),
        box_loss=names.get("loss_bbox"),
        use_sigmoid=None if kind is None else kind is SIGMOID,
        class_reads=reads.get("loss_cls", ()),
        box_reads=reads.get("loss_bbox", ()),
        class_weight=losses.get("loss_cls", {}).get("loss_weight"),
        box_weight=losses.get("loss_bbox", {}).get("loss_weight"),
        two_stage=_TWO_STAGE if "loss_bbox" in setup.get("scale", ()) else 1.0,
    )
    says = "\n\n".join(textwrap.fill(part, 118) for part in about)
    title = docstring(f"{', '.join(names.values())}: plain functions.\n\n{says}\n")
    plain = f'"""{title}"""\n\n{imports(body, "torch")}\n\n\n{body}'
    put_module = module_name(name, "torchvision", put)
    read = {name for given in reads.values() for name in given}
    told = {"progress": 'progress=lambda: state["progress"]', "frequency": "frequency=torch.ones(2)"}
    example = _EXAMPLE.format(
        model=model,
        put=put_module,
        put_into=f"put_into({', '.join(['model', *(text for name, text in told.items() if name in read)])})",
        state='\n    state = {"progress": 0.0}' if "progress" in read else "",
        tell='\n        state["progress"] = step / steps' if "progress" in read else "",
    )
    return {f"{module}.py": plain, f"{put_module}.py": put, "example.py": example}
