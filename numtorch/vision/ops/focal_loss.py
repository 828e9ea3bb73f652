"""Losses of detectors."""
from __future__ import annotations

from ... import Tensor, maximum, minimum
from ...nn import functional as F

__all__ = ["complete_box_iou_loss", "distance_box_iou_loss", "generalized_box_iou_loss",
           "sigmoid_focal_loss"]


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean() if loss.numel() > 0 else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', "
                     "'mean', 'sum'")


def sigmoid_focal_loss(inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2,
                       reduction: str = "none") -> Tensor:
    """Cross entropy times (1 - p of the truth)^gamma (Lin et al. 2017); alpha weighs the positives."""
    p = inputs.sigmoid()
    right = p * targets + (1 - p) * (1 - targets)
    loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none") * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduce(loss, reduction)


def _pairs(a: Tensor, b: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    "Intersection, union, IoU, and the sides of the box around both, row by row."
    a, b = (t if t.is_floating_point() and t.dtype.itemsize >= 4 else t.float() for t in (a, b))
    size = (minimum(a[..., 2:], b[..., 2:]) - maximum(a[..., :2], b[..., :2])).clamp(min=0)
    inter = size[..., 0] * size[..., 1]
    union = sum((t[..., 2] - t[..., 0]) * (t[..., 3] - t[..., 1]) for t in (a, b)) - inter
    hull = maximum(a[..., 2:], b[..., 2:]) - minimum(a[..., :2], b[..., :2])
    return inter, union, inter / (union + eps), hull[..., 0], hull[..., 1]


def generalized_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none",
                             eps: float = 1e-7) -> Tensor:
    """1 - generalized IoU, row by row."""
    _, union, iou, w, h = _pairs(boxes1, boxes2, eps)
    return _reduce(1 - (iou - (w * h - union) / (w * h + eps)), reduction)


def _distance(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    _, _, iou, w, h = _pairs(boxes1, boxes2, eps)
    centers = [(t[..., :2] + t[..., 2:]) / 2 for t in (boxes1, boxes2)]
    apart = ((centers[0] - centers[1]) ** 2).sum(-1)
    return 1 - iou + apart / (w ** 2 + h ** 2 + eps), iou


def distance_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none",
                          eps: float = 1e-7) -> Tensor:
    """1 - distance IoU, row by row."""
    return _reduce(_distance(boxes1, boxes2, eps)[0], reduction)


def complete_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none",
                          eps: float = 1e-7) -> Tensor:
    """1 - complete IoU, row by row."""
    from math import pi

    from ... import no_grad
    loss, iou = _distance(boxes1, boxes2, eps)
    turn = [((t[..., 2] - t[..., 0]) / (t[..., 3] - t[..., 1])).atan() for t in (boxes1, boxes2)]
    v = (4 / pi ** 2) * (turn[1] - turn[0]) ** 2
    with no_grad():
        alpha = v / (1 - iou + v + eps)
    return _reduce(loss + alpha * v, reduction)
