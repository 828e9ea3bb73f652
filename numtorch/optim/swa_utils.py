"""Stochastic weight averaging."""
from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from .. import Tensor, no_grad, tensor
from ..nn import Module
from .lr_scheduler import LRScheduler, _per_group
from .optimizer import Optimizer

__all__ = ["AveragedModel", "update_bn", "SWALR", "get_ema_multi_avg_fn", "get_swa_multi_avg_fn",
           "get_ema_avg_fn",
           "get_swa_avg_fn"]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """Return f(average, new, n) = decay average + (1 - decay) new."""
    _check_decay(decay)

    @no_grad()
    def average(ema: Tensor, new: Tensor, n: Any) -> Tensor:
        return decay * ema + (1 - decay) * new

    return average


def get_swa_avg_fn() -> Callable:
    """Return f(average, new, n) = average + (new - average) / (n + 1)."""

    @no_grad()
    def average(mean: Tensor, new: Tensor, n: Any) -> Tensor:
        return mean + (new - mean) / (n + 1)

    return average


@functools.cache
def _rows() -> tuple[Any, Any]:
    """Functions of many (average, new value) in a few launches: for get_ema_multi_avg_fn, and for
    get_swa_multi_avg_fn."""
    from ..compiler.foreach import Foreach

    def ema(row: Any, env: Any, kind: Any) -> None:
        (a, x), (decay,) = row, env
        if a.is_floating_point() or a.is_complex():
            a.lerp_(x, 1 - decay)
        else:
            a.copy_(a * decay + x * (1 - decay))

    def mean(row: Any, env: Any, kind: Any) -> None:
        (a, x), (n,) = row, env
        if a.is_floating_point() or a.is_complex():
            a.lerp_(x, 1 / (n + 1))
        else:
            a.add_((x - a).div(n + 1).to(a.dtype))
    return Foreach(ema), Foreach(mean)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """Return f(averages, news, n), which moves each average towards its new value by 1 - decay, in place."""
    _check_decay(decay)

    @no_grad()
    def average(ema: list[Tensor], new: list[Tensor], n: Any) -> None:
        _rows()[0](list(zip(ema, new)), (decay,))

    return average


def get_swa_multi_avg_fn() -> Callable:
    """Return f(averages, news, n), which moves each average towards its new value by 1 / (n + 1), in
    place."""

    @no_grad()
    def average(mean: list[Tensor], new: list[Tensor], n: Any) -> None:
        _rows()[1](list(zip(mean, new)), (float(n),))

    return average


class AveragedModel(Module):
    r"""A copy of `model` whose parameters are the running mean of those `update_parameters` saw.

    avg_fn(average, new, n) changes the mean to another average; multi_avg_fn(averages, news, n) does so in
    place. use_buffers: buffers are averaged too, else copied. `n_averaged` counts the updates.
    """

    n_averaged: Tensor

    def __init__(self, model: Module, device: Any = None, avg_fn: Callable | None = None,
                 multi_avg_fn: Callable | None = None, use_buffers: bool = False) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the averaged model."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the present parameters of `model` into the average."""
        def values(m: Module) -> list[Tensor]:
            return list(itertools.chain(m.parameters(), m.buffers()) if self.use_buffers else m.parameters())

        mine = [a.detach() for a in values(self.module)]
        theirs = [x.detach().to(a.device) for a, x in zip(mine, values(model))]
        n = int(self.n_averaged)
        if n == 0:
            for a, x in zip(mine, theirs):
                a.copy_(x)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(mine, theirs, self.n_averaged)
        elif self.avg_fn is not None:
            for a, x in zip(mine, theirs):
                a.copy_(self.avg_fn(a, x, self.n_averaged))
        else:
            get_swa_multi_avg_fn()(mine, theirs, n)
        if not self.use_buffers:
            for a, x in zip(self.module.buffers(), model.buffers()):
                a.detach().copy_(x.detach().to(a.device))
        self.n_averaged += 1


@no_grad()
def update_bn(loader: Iterable, model: Module, device: Any = None) -> None:
    """Recompute the running statistics of all batch normalisations of `model` over the batches of `loader`.

    A batch is the input, or a tuple or list whose first element is the input.
    """
    norms = [m for m in model.modules() if hasattr(m, "running_mean") and hasattr(m, "reset_running_stats")]
    momenta = {m: m.momentum for m in norms if m.running_mean is not None}
    if not momenta:
        return
    training = model.training
    model.train()
    for m in momenta:
        m.reset_running_stats()
        m.momentum = None  # the plain mean over batches
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        if device is not None:
            batch = batch.to(device)
        model(batch)
    for m, momentum in momenta.items():
        m.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """lr goes from its present value to swa_lr in anneal_epochs epochs, then stays

    anneal_strategy: "cos" or "linear".
    """

    def __init__(self, optimizer: Optimizer, swa_lr: Any, anneal_epochs: int = 10,
                 anneal_strategy: str = "cos",
                 last_epoch: int = -1) -> None:
        for group, rate in zip(optimizer.param_groups, _per_group("swa_lr", optimizer, swa_lr)):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError("anneal_strategy must be one of 'cos' or 'linear', instead got "
                             f"{anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _alpha(self, t: float) -> float:
        t = max(0.0, min(1.0, t))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list:
        """Compute the rates for `last_epoch` from the present ones."""
        if not self._get_lr_called_within_step:
            warnings.warn("To get the last learning rate computed by the scheduler, please use "
                          "`get_last_lr()`.",
                          UserWarning, stacklevel=2)
        step, n = self._step_count - 1, self.anneal_epochs
        if n == 0:
            step = max(1, step)
        before = self._alpha((step - 1) / max(1, n))
        now = self._alpha(step / max(1, n))
        rates = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
