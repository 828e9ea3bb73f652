"""Boxes (x1, y1, x2, y2): areas, overlaps, suppression of those that overlap."""
from __future__ import annotations

import numpy as np

from ... import Tensor, float32, from_numpy, maximum, minimum, stack, where, zeros

__all__ = ["batched_nms", "box_area", "box_convert", "box_iou", "clip_boxes_to_image", "complete_box_iou",
           "distance_box_iou", "generalized_box_iou", "masks_to_boxes", "nms", "remove_small_boxes"]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of boxes, best score first, none of which overlaps a better one by more than iou_threshold.

    boxes: (N, 4); scores: (N,). Equal scores keep their order."""
    if boxes.dim() != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {boxes.dim()}D")
    if boxes.shape[1] != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {boxes.shape[1]}")
    if scores.dim() != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.dim()}D")
    if boxes.shape[0] != scores.shape[0]:
        raise RuntimeError("boxes and scores should have same number of elements in dimension 0, got "
                           f"{boxes.shape[0]} and {scores.shape[0]}")
    b = boxes.detach().cpu().numpy()
    order = np.argsort(-scores.detach().cpu().numpy(), kind="stable")
    x1, y1, x2, y2 = b[order].T
    area = (x2 - x1) * (y2 - y1)
    alive = np.ones(len(order), bool)
    kept = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(order[i])
        rest = slice(i + 1, None)
        wide = np.maximum(np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]), 0)
        high = np.maximum(np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]), 0)
        both = wide * high
        with np.errstate(invalid="ignore", divide="ignore"):
            alive[rest] &= ~(both / (area[i] + area[rest] - both) > iou_threshold)
    return from_numpy(np.array(kept, np.int64)).to(boxes.device)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each class idxs (N,) alone: classes are moved apart first."""
    if boxes.numel() == 0:
        return nms(boxes.reshape(0, 4), scores, iou_threshold)
    offsets = idxs.to(boxes) * (boxes.max() + 1)
    return nms(boxes + offsets[:, None], scores, iou_threshold)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Indices of boxes whose sides are both at least min_size."""
    return ((boxes[:, 2] - boxes[:, 0] >= min_size) & (boxes[:, 3] - boxes[:, 1] >= min_size)).nonzero()[:, 0]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Move corners into an image of `size` (height, width)."""
    height, width = size
    corners = stack([boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)], -1)
    return corners.reshape(boxes.shape)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Between "xyxy" (corners), "xywh" (corner, size) and "cxcywh" (centre, size)."""
    known = ("xyxy", "xywh", "cxcywh")
    if in_fmt not in known or out_fmt not in known:
        raise ValueError(f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt "
                         f"{out_fmt}")
    if in_fmt == out_fmt:
        return boxes.clone()
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        c, d = c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return stack((a, b, c, d), dim=-1)


def _upcast(t: Tensor) -> Tensor:
    "A type in which products do not overflow."
    if t.is_floating_point():
        return t if t.dtype.itemsize >= 4 else t.float()
    return t if t.dtype.itemsize >= 4 else t.int()


def box_area(boxes: Tensor) -> Tensor:
    """(x2 - x1) (y2 - y1)."""
    b = _upcast(boxes)
    return (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])


def _box_inter_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    low = maximum(boxes1[..., :, None, :2], boxes2[..., None, :, :2])
    high = minimum(boxes1[..., :, None, 2:], boxes2[..., None, :, 2:])
    size = _upcast(high - low).clamp(min=0)
    inter = size[..., 0] * size[..., 1]
    return inter, box_area(boxes1)[..., :, None] + box_area(boxes2)[..., None, :] - inter


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Intersection over union of each pair: (…, N, M)."""
    inter, union = _box_inter_union(*(b if fmt == "xyxy" else box_convert(b, fmt, "xyxy")
                                      for b in (boxes1, boxes2)))
    return inter / union


def _hull(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    "Width and height of the smallest box around each pair."
    low = minimum(boxes1[..., :, None, :2], boxes2[..., None, :, :2])
    high = maximum(boxes1[..., :, None, 2:], boxes2[..., None, :, 2:])
    return _upcast(high - low).clamp(min=0)


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the empty part of the smallest box around both (Rezatofighi et al. 2019)."""
    inter, union = _box_inter_union(boxes1, boxes2)
    size = _hull(boxes1, boxes2)
    area = size[..., 0] * size[..., 1]
    return inter / union - (area - union) / area


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """IoU less the squared distance of centres over that of corners (Zheng et al. 2020)."""
    size = _hull(boxes1, boxes2)
    diagonal = size[..., 0] ** 2 + size[..., 1] ** 2 + eps
    centers = [(b[..., :2] + b[..., 2:]) / 2 for b in map(_upcast, (boxes1, boxes2))]
    apart = (centers[0][..., :, None, :] - centers[1][..., None, :, :]) ** 2
    return box_iou(boxes1, boxes2) - apart.sum(-1) / diagonal


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """`distance_box_iou` less a penalty for other proportions (Zheng et al. 2020)."""
    from math import pi

    from ... import no_grad
    iou, out = box_iou(boxes1, boxes2), distance_box_iou(boxes1, boxes2, eps)
    turn = [((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])).atan() for b in (boxes1, boxes2)]
    v = (4 / pi ** 2) * (turn[0][..., :, None] - turn[1][..., None, :]) ** 2
    with no_grad():
        alpha = v / (1 - iou + v + eps)
    return out - alpha * v


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The box around what is not zero in each mask (N, H, W): (N, 4)."""
    if masks.numel() == 0:
        return zeros((0, 4), device=masks.device, dtype=float32)
    out = []
    for mask in masks:
        y, x = where(mask != 0)
        out.append(stack([x.min(), y.min(), x.max(), y.max()]))
    return stack(out).to(float32)
