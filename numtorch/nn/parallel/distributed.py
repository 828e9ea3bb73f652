"""A model in every process of a job, with gradients averaged over them while backward runs."""
from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from ... import Tensor, distributed, empty, no_grad, tensor
from ...autograd.modes import state
from ...distributed.group import ReduceOp, Work
from ..modules.module import Module
from .scatter_gather import scatter_kwargs

__all__ = ["DistributedDataParallel"]

FIRST = 1 << 20  # bytes of the first bucket: the sooner it is full, the sooner communication starts


class Bucket:
    """Parameters whose gradients travel together, and the memory they travel in: the gradients, then for
    each the number of processes that have one."""

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = list(params)
        sizes = [p.numel() for p in self.params]
        n = sum(sizes)
        self.flat = empty(n + len(sizes), dtype=params[0].dtype, device=params[0].device)
        starts = [0, *itertools.accumulate(sizes)]
        self.views = [self.flat[a:a + k].view(p.shape) for a, k, p in zip(starts, sizes, self.params)]
        self.counts = self.flat[n:]
        self.work: Work | None = None
        self.left = len(sizes)  # gradients that backward has still to make

    def reset(self) -> None:
        self.work, self.left = None, len(self.params)


def buckets_of(params: Sequence[Tensor], limit: int) -> list[Bucket]:
    """Parameters in buckets of at most `limit` bytes (the first: FIRST), the last parameters first: backward
    finishes them first. A bucket has one dtype and device."""
    made: list[list[Tensor]] = []
    open_: dict[tuple, list[Tensor]] = {}
    sizes: dict[tuple, int] = {}
    for p in reversed(params):
        key = (p.dtype, p.device)
        size = p.numel() * p.element_size()
        if key not in open_ or sizes[key] + size > (min(FIRST, limit) if open_[key] is made[0] else limit):
            open_[key], sizes[key] = [], 0
            made.append(open_[key])
        open_[key].append(p)
        sizes[key] += size
    return [Bucket(b) for b in made]


class DistributedDataParallel(Module):
    """module(*inputs) in every process of a job. At construction all take the parameters and buffers of the
    first; after each backward every `grad` is the average over the processes.

    Gradients travel in buckets (bucket_cap_mb MiB) as soon as backward has made all of a bucket, always in
    the same order: at first the last parameters first, then as the first backward finished them. A parameter
    that a process did not use counts as a gradient of zero there; one that none used keeps its `grad`. So
    find_unused_parameters and static_graph change nothing. broadcast_buffers: forward begins with the buffers
    of the first process. gradient_as_bucket_view: `grad` is a view of the bucket's memory.
    """

    def __init__(self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None,
                 dim: int = 0, broadcast_buffers: bool = True, init_sync: bool = True,
                 process_group: Any = None, bucket_cap_mb: float | None = None,
                 find_unused_parameters: bool = False, check_reduction: bool = False,
                 gradient_as_bucket_view: bool = False, static_graph: bool = False,
                 device_mesh: Any = None) -> None:
        super().__init__()
        if process_group is not None and device_mesh is not None:
            raise RuntimeError("Cannot specify both process_group and device_mesh arguments.")
        group = device_mesh.get_group() if device_mesh is not None else process_group
        self.process_group = distributed._get_default_group() if group is None else group
        ignored = set(getattr(module, "_ddp_params_and_buffers_to_ignore", ()))
        named = [(n, p) for n, p in module.named_parameters() if n not in ignored]
        self._wanted = [(n, p) for n, p in named if p.requires_grad]
        if not self._wanted:
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any "
                               "parameter that requires a gradient.")
        if device_ids is not None and len(device_ids) > 1:
            raise ValueError("device_ids can only be None or contain a single element.")
        on = {p.device for _, p in named}
        if any(d.type == "cpu" for d in on) and (device_ids or output_device is not None):
            raise ValueError("DistributedDataParallel device_ids and output_device arguments only work with "
                             "single-device/multiple-device GPU modules or CPU modules, but got device_ids "
                             f"{device_ids}, output_device {output_device}, and module parameters {on}.")
        self.module, self.dim, self.broadcast_buffers = module, dim, broadcast_buffers
        self.device_ids, self.output_device = device_ids, output_device
        self.device = next(iter(on))
        self.find_unused_parameters, self.static_graph = find_unused_parameters, static_graph
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.require_backward_grad_sync = self.require_forward_param_sync = True
        self._buffers_to_send = [b for n, b in module.named_buffers() if n not in ignored]
        self._averages = self._began = False
        if init_sync:
            self._check_shapes(named)
            self._take([p for _, p in named] + self._buffers_to_send)
        limit = int((25 if bucket_cap_mb is None else bucket_cap_mb) * (1 << 20))
        self._buckets = buckets_of([p for _, p in self._wanted], limit)
        self._next = 0  # buckets that are on their way
        self._order: list[int] | None = []  # numbers of parameters as the first backward finished them
        self._limit = limit
        self._watch()

    def _watch(self) -> None:
        self._of = {id(p): b for b in self._buckets for p in b.params}
        for _, p in self._wanted:
            p.register_post_accumulate_grad_hook(self._arrived)

    # ---- all processes begin alike
    def _check_shapes(self, named: Sequence[tuple[str, Tensor]]) -> None:
        mine = [(n, tuple(p.shape), p.dtype.name) for n, p in named]
        all_: list[Any] = [None] * self.process_group.size()
        distributed.all_gather_object(all_, mine, self.process_group)
        here = self.process_group.rank()
        for rank, theirs in enumerate(all_):
            if len(theirs) != len(mine):
                raise RuntimeError("DDP expects same model across all ranks, but Rank "
                                   f"{here} has {len(mine)} params, while rank {rank} has inconsistent "
                                   f"{len(theirs)} params.")
            for a, b in zip(mine, theirs):
                if a[1:] != b[1:]:
                    raise RuntimeError(f"[{here}]: params[{mine.index(a)}] in this process with sizes "
                                       f"{list(a[1])} appears not to match sizes of the same param in "
                                       f"process {rank}: '{a[0]}' is {list(b[1])} of {b[2]} there.")

    def _take(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the first one's values, one message for each dtype."""
        kinds: dict[tuple, list[Tensor]] = {}
        for t in tensors:
            kinds.setdefault((t.dtype, t.device), []).append(t.detach())
        with no_grad():
            for (dtype, device), same in kinds.items():
                flat = empty(sum(t.numel() for t in same), dtype=dtype, device=device)
                parts = flat.split([t.numel() for t in same])
                for t, part in zip(same, parts):
                    part.copy_(t.reshape(-1))
                distributed.broadcast(flat, group=self.process_group, group_src=0)
                if self.process_group.rank():
                    for t, part in zip(same, parts):
                        t.copy_(part.view(t.shape))

    # ---- forward
    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        if state.lazy is not None:
            state.lazy.leave("DistributedDataParallel prepares every backward; compile the module inside it")
        if state.grad:
            self._averages = self.require_backward_grad_sync
        if self.require_forward_param_sync and self.broadcast_buffers and self._buffers_to_send:
            self._take(self._buffers_to_send)
        if self.device_ids:
            args, named = scatter_kwargs(inputs, kwargs, [self.device])
            inputs, kwargs = (args[0], named[0]) if args else ((), {})
        out = self.module(*inputs, **kwargs)
        if state.grad:
            self.require_forward_param_sync = self.require_backward_grad_sync
        return out

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Context in which forward passes prepare backward passes without averages: gradients add up here."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    # ---- backward
    def _arrived(self, p: Tensor) -> None:
        """The gradient of `p` is complete."""
        if not self._averages:
            return
        if not self._began:
            self._began, self._next = True, 0
            for one in self._buckets:
                one.reset()
            if state.callbacks is None:
                raise NotImplementedError("DistributedDataParallel averages gradients of backward() without "
                                          "`inputs`")
            state.callbacks.append(self._finish)
        self._of[id(p)].left -= 1
        if self._order is not None:
            self._order.append(id(p))
        while self._next < len(self._buckets) and not self._buckets[self._next].left:
            self._send(self._buckets[self._next])
        for one in self._buckets[:self._next]:  # MPI moves messages on when it is called
            if one.work is not None:
                for r in one.work._requests:
                    r.done()

    def _send(self, b: Bucket) -> None:
        scale = 1 / self.process_group.size()
        with no_grad():
            for p, view in zip(b.params, b.views):
                g = p._grad
                if g is None:
                    view.zero_()
                else:
                    if g.storage is not view.storage:
                        view.copy_(g)
                    view.mul_(scale)
            b.counts.copy_(tensor([p._grad is not None for p in b.params]))
        b.work = distributed.all_reduce(b.flat, ReduceOp.SUM, self.process_group, async_op=True)
        self._next += 1

    def _finish(self) -> None:
        """The end of backward: send what is left, wait, and put the averages into the gradients."""
        self._began = False
        try:
            while self._next < len(self._buckets):
                self._send(self._buckets[self._next])
            for b in self._buckets:
                assert b.work is not None
                b.work.wait()
                self._hand_out(b)
        finally:
            for b in self._buckets:
                b.reset()
        if self._order is not None:
            self._rebuild(self._order)
            self._order = None

    def _rebuild(self, order: Sequence[int]) -> None:
        """Fill the buckets anew, in the order in which the first process finished the gradients: then none
        waits for a parameter that comes late, or never."""
        if self.gradient_as_bucket_view:  # `grad` is memory of the buckets that there are
            return
        params = [p for _, p in self._wanted]
        number = {id(p): i for i, p in enumerate(params)}
        found = [number[k] for k in dict.fromkeys(order)]
        told: list[Any] = [found + [i for i in reversed(range(len(params))) if i not in set(found)]]
        distributed.broadcast_object_list(told, group=self.process_group, group_src=0)
        self._buckets = buckets_of([params[i] for i in reversed(told[0])], self._limit)
        self._of = {id(p): b for b in self._buckets for p in b.params}

    def _hand_out(self, b: Bucket) -> None:
        with no_grad():
            used = b.counts.tolist()
            for p, view, n in zip(b.params, b.views, used):
                if not n:
                    continue
                if self.gradient_as_bucket_view:
                    p.grad = view
                elif p._grad is None:
                    p.grad = view.clone()
                else:
                    p._grad.copy_(view)

    # ---- state
    def train(self, mode: bool = True) -> DistributedDataParallel:
        super().train(mode)
        return self

    def __getstate__(self) -> dict[str, Any]:
        kept = super().__getstate__()
        for name in ("process_group", "_buckets", "_of"):
            kept.pop(name, None)
        return kept

    def __setstate__(self, kept: dict[str, Any]) -> None:
        super().__setstate__(kept)
        self.process_group = distributed._get_default_group()
        self._buckets = buckets_of([p for _, p in self._wanted], self._limit)
        self._watch()
