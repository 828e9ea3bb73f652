"""Accuracy, precision, recall, F, perplexity.

Predictions are classes (N,) or scores (N, classes), whose highest counts; targets are classes (N,).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import Tensor, as_tensor, bincount, from_numpy, no_grad
from .. import long as int64
from ..nn import functional as F

__all__ = ["accuracy", "confusion_matrix", "f1_score", "fbeta_score", "perplexity", "precision", "recall"]


def _pair(preds: Any, target: Any) -> tuple[Tensor, Tensor]:
    "Both as classes, flat."
    preds, target = as_tensor(preds), as_tensor(target)
    if preds.ndim == target.ndim + 1:
        preds = preds.argmax(1)
    if preds.shape != target.shape:
        raise ValueError(f"predictions of shape {list(preds.shape)} for targets of shape "
                         f"{list(target.shape)}")
    return preds.flatten().to(int64), target.flatten().to(int64)


def accuracy(preds: Any, target: Any, topk: int = 1) -> float:
    """The part of targets that are predicted, or with topk are among the topk highest scores (N, classes)."""
    if topk == 1:
        p, t = _pair(preds, target)
        return (p == t).double().mean().item()
    preds, target = as_tensor(preds), as_tensor(target)
    if preds.ndim != 2 or target.ndim != 1:
        raise ValueError(f"topk={topk} needs scores (N, classes) and classes (N,)")
    return (preds.topk(topk, 1).indices == target[:, None]).any(1).double().mean().item()


def confusion_matrix(preds: Any, target: Any, num_classes: int | None = None) -> Tensor:
    """How often target i was predicted as j, at (i, j)."""
    p, t = _pair(preds, target)
    n = num_classes or (int(max(p.max(), t.max())) + 1 if p.numel() else 0)
    if p.numel() and (int(min(p.min(), t.min())) < 0 or int(max(p.max(), t.max())) >= n):
        raise ValueError(f"classes are 0 … {n - 1}; got {int(min(p.min(), t.min()))} … "
                         f"{int(max(p.max(), t.max()))}")
    return bincount(t * n + p, minlength=n * n).view(n, n)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    "a / b, 0 where b is 0."
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)


def _scores(preds: Any, target: Any, average: str | None, num_classes: int | None, beta: float) -> list[Any]:
    "[precision, recall, F] averaged; a class that has neither predictions nor targets does not count."
    m = confusion_matrix(preds, target, num_classes).cpu().numpy().astype(float)
    right, said, true = np.diag(m), m.sum(0), m.sum(1)
    if average == "micro":
        right, said, true = (x.sum(keepdims=True) for x in (right, said, true))
    elif average == "binary":
        if len(m) > 2:
            raise ValueError("Target is multiclass but average='binary'. Please choose another average "
                             "setting, one of [None, 'micro', 'macro', 'weighted'].")
        right, said, true = (np.pad(x, (0, 2 - len(m)))[1:] for x in (right, said, true))
    elif average not in ("macro", "weighted", None):
        raise ValueError(f"average is 'binary', 'micro', 'macro', 'weighted' or None, not {average!r}")
    elif num_classes is None:
        there = (said + true) > 0
        right, said, true = right[there], said[there], true[there]
    each = [_ratio(right, said), _ratio(right, true),
            _ratio((1 + beta ** 2) * right, beta ** 2 * true + said)]
    if average is None:
        return [from_numpy(x) for x in each]
    if average == "weighted":
        return [float((x * true).sum() / true.sum()) if true.sum() else 0.0 for x in each]
    return [float(x.mean()) if len(x) else 0.0 for x in each]


def precision(preds: Any, target: Any, average: str | None = "macro", num_classes: int | None = None) -> Any:
    """Of the predictions of a class, the part that is right; 0 where there is none.

    average: "macro" (of classes that occur), "weighted" (by targets), "micro" (of all), "binary" (of class
    1), None: a tensor, one a class."""
    return _scores(preds, target, average, num_classes, 1.0)[0]


def recall(preds: Any, target: Any, average: str | None = "macro", num_classes: int | None = None) -> Any:
    """Of the targets of a class, the part that is predicted; average as of `precision`."""
    return _scores(preds, target, average, num_classes, 1.0)[1]


def fbeta_score(preds: Any, target: Any, beta: float = 1.0, average: str | None = "macro",
                num_classes: int | None = None) -> Any:
    """(1 + beta²) p r / (beta² p + r) of precision p and recall r; average as of `precision`."""
    return _scores(preds, target, average, num_classes, beta)[2]


def f1_score(preds: Any, target: Any, average: str | None = "macro", num_classes: int | None = None) -> Any:
    """2 p r / (p + r) of precision p and recall r; average as of `precision`."""
    return _scores(preds, target, average, num_classes, 1.0)[2]


@no_grad()
def perplexity(logits: Tensor, target: Tensor, ignore_index: int = -100) -> float:
    """exp of the mean cross entropy. logits: (…, words), target: (…); ignore_index does not count."""
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat.double(), target.reshape(-1), ignore_index=ignore_index).exp().item()
