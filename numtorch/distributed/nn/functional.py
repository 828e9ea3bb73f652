"""Collectives with gradients. A process's loss is taken as its part of the sum over all processes."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import Tensor, empty_like
from ...autograd import Function
from .. import distributed_c10d as c10d
from ..group import ReduceOp

__all__ = ["all_gather", "all_reduce", "broadcast", "reduce_scatter"]


class _AllReduce(Function):
    @staticmethod
    def forward(ctx, op, group, x):
        ctx.op, ctx.group = op, group
        out = x.clone()
        c10d.all_reduce(out, op, group)
        return out

    @staticmethod
    def backward(ctx, g):
        return None, None, _AllReduce.apply(ctx.op, ctx.group, g)


class _AllGather(Function):
    @staticmethod
    def forward(ctx, group, x):
        ctx.group = group
        x = x.contiguous()
        out = [empty_like(x) for _ in range(c10d.get_world_size(group))]
        c10d.all_gather(out, x, group)
        return tuple(out)

    @staticmethod
    def backward(ctx, *gs):
        return None, _ReduceScatter.apply(ReduceOp.SUM, ctx.group, *gs)


class _ReduceScatter(Function):
    @staticmethod
    def forward(ctx, op, group, *xs):
        ctx.group = group
        out = empty_like(xs[c10d.get_rank(group)])
        c10d.reduce_scatter(out, [x.contiguous() for x in xs], op, group)
        return out

    @staticmethod
    def backward(ctx, g):
        return None, None, *_AllGather.apply(ctx.group, g)


class _Broadcast(Function):
    @staticmethod
    def forward(ctx, src, group, x):
        ctx.src, ctx.group = src, group
        out = x.clone()
        c10d.broadcast(out, src, group)
        return out

    @staticmethod
    def backward(ctx, g):
        g = g.clone()
        c10d.reduce(g, ctx.src, ReduceOp.SUM, ctx.group)
        return None, None, g if c10d.get_rank() == ctx.src else g.zero_()


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The tensors of all processes, combined by `op` (SUM where gradients are wanted)."""
    return _AllReduce.apply(op, group, tensor)


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes."""
    return _AllGather.apply(group, tensor)


def reduce_scatter(output: Tensor, input_list: Sequence[Tensor], op: Any = ReduceOp.SUM,
                   group: Any = None) -> Tensor:
    """input_list[this process's place] of all processes, combined by `op`; `output` is not written."""
    return _ReduceScatter.apply(op, group, *input_list)


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """The tensor of `src`."""
    return _Broadcast.apply(src, group, tensor)
