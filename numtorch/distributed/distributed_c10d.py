"""Collectives on tensors by PyTorch's names."""
from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from .. import Tensor, bfloat16, cat, complex32, devices, float16, float32, no_grad
from ..autograd.modes import state
from ..tensor import ndarray_of, tensor_from
from . import mpi
from .group import DEFAULT_TIMEOUT, ProcessGroup, RedOpType, ReduceOp, Request, Work
from .rendezvous import rendezvous, world
from .store import FileStore, HashStore, PrefixStore, Store, TCPStore

default_pg_timeout = DEFAULT_TIMEOUT
_HALVES = (bfloat16, float16)  # added up in float32


class Backend(str):
    """The name of a backend, in lower case."""

    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl"
    backend_list = [UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI]
    default_device_backend_map = {"cpu": GLOO, "cuda": NCCL}

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish: {name=}")
        return str.__new__(cls, name.lower())


class GroupMember:
    """WORLD: the group of all processes. NON_GROUP_MEMBER: what new_group gives to those outside."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = -100


group = GroupMember
_groups: list[ProcessGroup] = []
Group = Any  # ProcessGroup, None (all processes) or NON_GROUP_MEMBER


# ------------------------------------------------------------------------------------------------ membership
def is_available() -> bool:
    """Whether this package can be used: always."""
    return True


def is_initialized() -> bool:
    """Whether init_process_group was called."""
    return GroupMember.WORLD is not None


def is_mpi_available() -> bool:
    """Whether mpi4py is installed."""
    return mpi.installed()


def is_gloo_available() -> bool:
    """True: the backend "gloo" is TCP, or MPI in a job that MPI started."""
    return True


def is_nccl_available() -> bool:
    """False: tensors on GPUs travel through the host."""
    return False


def is_ucc_available() -> bool:
    """False."""
    return False


def is_xccl_available() -> bool:
    """False."""
    return False


def is_backend_available(backend: str) -> bool:
    """Whether a backend is there under its own name."""
    return backend.lower() == "gloo" or backend.lower() == "mpi" and is_mpi_available()


def is_torchelastic_launched() -> bool:
    """Whether `numtorch run` (or torchrun) started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def get_default_backend_for_device(device: Any) -> str:
    """The backend PyTorch takes for a device: "gloo" or "nccl"."""
    kind = devices.device(device).type
    if kind not in Backend.default_device_backend_map:
        raise ValueError(f"Default backend not registered for device : {device}")
    return Backend.default_device_backend_map[kind]


def init_process_group(backend: str | None = None, init_method: str | None = None,
                       timeout: timedelta | None = None, world_size: int = -1, rank: int = -1,
                       store: Store | None = None, group_name: str = "", pg_options: Any = None,
                       device_id: Any = None) -> None:
    """Join the job; every process calls it. backend: "mpi", "gloo", "nccl" or None; what carries the data is
    MPI in a job that an MPI launcher started (`numtorch run`, mpiexec), else TCP. init_method: "env://"
    (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT), "tcp://host:port", "file:///path". A job of one process
    needs neither."""
    if GroupMember.WORLD is not None:
        raise ValueError("trying to initialize the default process group twice!")
    if store is not None and init_method is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    name = Backend(backend or "gloo")
    for part in name.split(","):
        if part.rpartition(":")[2] not in Backend.backend_list:
            raise AssertionError(f"Unknown backend type {part.rpartition(':')[2]}")
    limit = timeout or DEFAULT_TIMEOUT
    if not isinstance(limit, timedelta):
        raise TypeError(f"Expected timeout argument to be of type datetime.timedelta, got {timeout}")
    made, _ = world(name.lower(), init_method or "env://", rank, world_size, store, limit)
    made.backend = name.lower() if ":" not in name else name.partition(":")[2].partition(",")[0]
    GroupMember.WORLD = made
    _groups.append(made)


def destroy_process_group(group: Group = None) -> None:
    """Leave a group, or (None) the job."""
    if group == GroupMember.NON_GROUP_MEMBER:
        return
    g = _group(group)
    if g is GroupMember.WORLD:
        for one in _groups:
            one.close()
        if hasattr(g, "mesh"):
            g.mesh.close()
        _groups.clear()
        GroupMember.WORLD = None
    else:
        if g not in _groups:
            raise ValueError("Invalid process group specified")
        g.close()
        _groups.remove(g)


def _get_default_group() -> ProcessGroup:
    """The group of all processes. ValueError before init_process_group."""
    g = GroupMember.WORLD
    if g is None:
        raise ValueError("Default process group has not been initialized, please make sure to call "
                         "init_process_group.")
    return g


def _group(g: Group) -> ProcessGroup:
    if g is None:
        return _get_default_group()
    if not isinstance(g, ProcessGroup):
        raise TypeError(f"group must be a ProcessGroup, not {type(g).__name__}")
    return g


def _outside(g: Group, name: str) -> bool:
    """Whether a collective that begins has nothing to do here; it ends a compiled stretch in any case."""
    if state.lazy is not None:
        state.lazy.leave(f"{name} talks to other processes")
    if isinstance(g, int) and g == GroupMember.NON_GROUP_MEMBER:
        warnings.warn(f"Running {name} on global rank {get_rank()} which does not belong to the given group.",
                      stacklevel=3)
        return True
    return False


def get_rank(group: Group = None) -> int:
    """This process's place in the group, -1 outside it."""
    if isinstance(group, int):
        return -1
    return _group(group).rank()


def get_world_size(group: Group = None) -> int:
    """How many processes the group has, -1 outside it."""
    if isinstance(group, int):
        return -1
    return _group(group).size()


def get_backend(group: Group = None) -> Backend:
    """The backend that init_process_group was given."""
    if isinstance(group, int):
        raise ValueError("Invalid process group specified")
    return Backend(_group(group).backend)


def get_backend_config(group: Group = None) -> str:
    """The backend of each device type, as text."""
    name = get_backend(group)
    return f"cpu:{name},cuda:{name}"


def get_pg_count() -> int:
    """How many groups there are."""
    return len(_groups)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The number of this process on its machine: $LOCAL_RANK."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return fallback_rank
    raise RuntimeError("LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
                       "`get_node_local_rank` to work, assuming you are not running in a multi-device "
                       "context and want the code to run locally instead.")


def get_process_group_ranks(group: Group) -> list[int]:
    """The global numbers of the group's processes."""
    return list(_group(group).ranks)


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The place in the group of a process."""
    g = _group(group)
    if global_rank not in g.ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return g.ranks.index(global_rank)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The global number of the process at a place in the group."""
    g = _group(group)
    if not 0 <= group_rank < g.size():
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return g.ranks[group_rank]


def new_group(ranks: Sequence[int] | None = None, timeout: timedelta | None = None,
              backend: str | None = None, pg_options: Any = None, use_local_synchronization: bool = False,
              group_desc: str | None = None, device_id: Any = None, sort_ranks: bool = True) -> Any:
    """A group of some processes; all processes of the job call it, in the same order. Those outside get
    GroupMember.NON_GROUP_MEMBER."""
    whole = _get_default_group()
    chosen = list(whole.ranks) if ranks is None else sorted(ranks) if sort_ranks else list(ranks)
    if len(chosen) > whole.size():
        raise ValueError("the new group's world size should be less or equal to the world size set by "
                         "init_process_group")
    if len(set(chosen)) < len(chosen) or any(r not in whole.ranks for r in chosen):
        raise ValueError("The new group's rank should be within the world_size set by init_process_group")
    if whole.ranks[whole.here] not in chosen:
        return GroupMember.NON_GROUP_MEMBER
    g = whole.subgroup(chosen) if len(chosen) > 1 else ProcessGroup(chosen, 0)
    g.backend, g.group_desc = (Backend(backend) if backend else whole.backend), group_desc or ""
    g.timeout = whole.timeout if timeout is None else timeout.total_seconds()
    _groups.append(g)
    return g


def new_subgroups_by_enumeration(ranks_per_subgroup_list: Sequence[Sequence[int]],
                                 timeout: timedelta | None = None, backend: str | None = None,
                                 pg_options: Any = None, group_desc: str | None = None) -> tuple:
    """(this process's group or None, all groups) for lists of processes without overlap."""
    groups, mine = [], None
    for ranks in ranks_per_subgroup_list:
        g = new_group(ranks, timeout, backend, group_desc=group_desc)
        groups.append(g)
        if get_rank() in ranks:
            mine = g
    return mine, groups


def new_subgroups(group_size: int | None = None, group: Group = None, timeout: timedelta | None = None,
                  backend: str | None = None, pg_options: Any = None, group_desc: str | None = None) -> tuple:
    """(this process's group, all groups): neighbours, `group_size` at a time."""
    n = get_world_size()
    size = group_size or int(os.environ.get("LOCAL_WORLD_SIZE", n))
    if n < size:
        raise ValueError("The arg 'group_size' must not exceed the world size")
    if n % size:
        raise ValueError("The world size must be divisible by 'group_size'")
    return new_subgroups_by_enumeration([range(i, i + size) for i in range(0, n, size)], timeout, backend)


# ------------------------------------------------------------------------------------------------ tensors
def _check(x: Any, name: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
                        f"             but got {type(x)} instead.")


def _check_list(xs: Any, name: str) -> None:
    if not isinstance(xs, list | tuple) or not all(isinstance(x, Tensor) for x in xs):
        raise TypeError(f"Invalid function argument. Expected parameter `{name}` of type "
                        f"List[torch.Tensor]\n             but got {type(xs)} with elements of type "
                        f"{[type(x) for x in xs] if isinstance(xs, list | tuple) else xs}.")


class Staged:
    """A tensor's values as a contiguous 1-d array in host memory: its own memory where that is one."""

    def __init__(self, t: Tensor, reduces: bool = False) -> None:
        self.tensor, t = t, t.detach()
        self.half = reduces and t.dtype in _HALVES
        direct = t.storage.device is devices.cpu and t.is_contiguous() and not self.half
        if not direct:
            t = (t.to(float32) if self.half else t).cpu()
            t = t.clone() if t.is_contiguous() and not self.half else t.contiguous()
        self.direct, self.array = direct, ndarray_of(t).reshape(-1)
        if self.array.dtype == np.bool_:
            self.array = self.array.view(np.uint8)

    def write(self) -> None:
        """The array's values are the tensor's now."""
        if self.direct:
            self.tensor.storage.version += 1
            return
        t = self.tensor.detach()
        a = self.array
        with no_grad():
            if self.half:
                t.copy_(tensor_from(a).view(t.shape))
            else:
                t.copy_(tensor_from(a.view(t.dtype.numpy), t.dtype).view(t.shape))


def _reduction(t: Tensor, op: Any, name: str) -> int:
    """The operation to send for `op`. ValueError where the dtype has none."""
    op = RedOpType(int(op))
    if t.dtype.is_complex and op not in (RedOpType.SUM, RedOpType.AVG):
        raise ValueError(f"{name} does not support {op} on complex tensors")
    if op in (RedOpType.BAND, RedOpType.BOR, RedOpType.BXOR) and (
            t.dtype.is_floating_point or t.dtype.is_complex):
        raise RuntimeError(f"Cannot use ReduceOp.{op.name} with non-integral dtype")
    if t.dtype is complex32:
        raise NotImplementedError(f"{name} has no reduction of {t.dtype}")
    return RedOpType.SUM if op == RedOpType.AVG else op


def _reduced(s: Staged, op: Any, n: int) -> Callable[[], None]:
    """What to do when a reduction is there."""
    def finish() -> None:
        a = s.array
        if int(op) == RedOpType.AVG:
            if a.dtype.kind in "fc":
                a /= n
            else:
                a[:] = np.trunc(a / n)
        if s.tensor.dtype.name == "bool":
            np.not_equal(a, 0, out=a.view(np.bool_))
        s.write()
    return finish


def _end(g: ProcessGroup, requests: Sequence[Request], finish: Callable[[], Any] | None, later: bool,
         result: Any = None) -> Work | None:
    """The Work of a collective (`later`), or None once it is done."""
    work = Work(requests, finish, g.timeout, result)
    if later:
        return work
    work.wait()
    return None


def _place(g: ProcessGroup, rank: int | None, place: int | None, name: str, what: str) -> int:
    """The place in the group of a root, given by global number or by place."""
    if rank is not None and place is not None:
        raise ValueError(f"Can't specify both group_{what} and {what}")
    if rank is None and place is None:
        return 0
    got = place if place is not None else g.ranks.index(rank) if rank in g.ranks else None
    if got is None and g is not GroupMember.WORLD:
        raise ValueError(f"Global rank {rank} is not part of group {g}")
    if got is None or not 0 <= got < g.size():
        raise RuntimeError(f"ProcessGroup::{name}: invalid root rank: {rank if place is None else place}")
    return got


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Group = None,
               async_op: bool = False) -> Work | None:
    """tensor ← tensor of all processes, combined by `op`."""
    _check(tensor, "tensor")
    if _outside(group, "all_reduce"):
        return None
    g = _group(group)
    wire, s = _reduction(tensor, op, "all_reduce"), Staged(tensor, True)
    request = g.allreduce(s.array, wire, async_op)
    return _end(g, [request], _reduced(s, op, g.size()), async_op, [tensor])


def all_reduce_coalesced(tensors: Sequence[Tensor], op: Any = ReduceOp.SUM, group: Group = None,
                         async_op: bool = False) -> Work | None:
    """all_reduce of several tensors."""
    _check_list(tensors, "tensor")
    if _outside(group, "all_reduce_coalesced"):
        return None
    g = _group(group)
    works = [all_reduce(t, op, group, True) for t in tensors]
    return _end(g, [], lambda: [w.wait() for w in works if w], async_op, list(tensors))


def reduce(tensor: Tensor, dst: int | None = None, op: Any = ReduceOp.SUM, group: Group = None,
           async_op: bool = False, group_dst: int | None = None) -> Work | None:
    """tensor ← tensor of all processes, combined by `op`, at `dst` alone."""
    _check(tensor, "tensor")
    if _outside(group, "reduce"):
        return None
    g = _group(group)
    root = _place(g, dst, group_dst, "reduce", "dst")
    wire, s = _reduction(tensor, op, "reduce"), Staged(tensor, True)
    request = g.reduce(s.array, wire, root, async_op)
    return _end(g, [request], _reduced(s, op, g.size()) if g.here == root else None, async_op, [tensor])


def broadcast(tensor: Tensor, src: int | None = None, group: Group = None, async_op: bool = False,
              group_src: int | None = None) -> Work | None:
    """tensor ← tensor of `src`."""
    _check(tensor, "tensor")
    if _outside(group, "broadcast"):
        return None
    g = _group(group)
    root, s = _place(g, src, group_src, "broadcast", "src"), Staged(tensor)
    request = g.broadcast(s.array, root, async_op)
    return _end(g, [request], s.write if g.here != root else None, async_op, [tensor])


def _sizes(name: str, out: Sequence[Tensor], like: Sequence[int], dtype: Any, n: int) -> None:
    if len(out) != n:
        raise RuntimeError(f"ProcessGroup::{name}: invalid output tensor list at index 0 (expected length "
                           f"{n}, got {len(out)})")
    for i, t in enumerate(out):
        if t.numel() != like[i]:
            raise RuntimeError(f"ProcessGroup::{name}: invalid tensor size at index {i} (expected "
                               f"({like[i]}), got ({t.numel()}))")
        if t.dtype is not dtype:
            raise RuntimeError("Invalid usage of tensors with different dtypesFound "
                               f"{t.dtype!r} and {dtype!r}")


def _spread(out: Sequence[Tensor], joined: np.ndarray) -> None:
    """Write consecutive parts of an array into tensors."""
    at = 0
    with no_grad():
        for t in out:
            part = joined[at:at + t.numel()].view(t.dtype.numpy)
            t.detach().copy_(tensor_from(part, t.dtype).view(t.shape))
            at += t.numel()


def all_gather(tensor_list: Sequence[Tensor], tensor: Tensor, group: Group = None,
               async_op: bool = False) -> Work | None:
    """tensor_list[i] ← tensor of process i."""
    _check_list(tensor_list, "tensor_list")
    _check(tensor, "tensor")
    if _outside(group, "all_gather"):
        return None
    g, s = _group(group), Staged(tensor)
    n = g.size()
    if len({t.numel() for t in tensor_list}) <= 1:
        _sizes("allgather", tensor_list, [tensor.numel()] * n, tensor.dtype, n)
        joined = np.empty(s.array.size * n, s.array.dtype)
        request = g.allgather(joined, s.array, async_op)
    else:  # parts of different sizes
        sizes = [t.numel() for t in tensor_list]
        joined = np.empty(sum(sizes), s.array.dtype)
        request = g.alltoall(joined, sizes, np.tile(s.array, n), [s.array.size] * n, async_op)
    return _end(g, [request], lambda: _spread(tensor_list, joined), async_op, list(tensor_list))


def all_gather_into_tensor(output_tensor: Tensor, input_tensor: Tensor, group: Group = None,
                           async_op: bool = False) -> Work | None:
    """output_tensor ← the tensors of all processes, joined or stacked along dimension 0."""
    _check(input_tensor, "input_tensor")
    _check(output_tensor, "output_tensor")
    if _outside(group, "all_gather_into_tensor"):
        return None
    g, s, out = _group(group), Staged(input_tensor), Staged(output_tensor)
    if output_tensor.dtype is not input_tensor.dtype:
        raise ValueError("output tensor must have the same type as input tensor")
    if out.array.size != s.array.size * g.size():
        raise ValueError("output tensor size must be equal to world_size times input tensor size")
    request = g.allgather(out.array, s.array, async_op)
    return _end(g, [request], out.write, async_op, [output_tensor])


def gather(tensor: Tensor, gather_list: Sequence[Tensor] | None = None, dst: int | None = None,
           group: Group = None, async_op: bool = False, group_dst: int | None = None) -> Work | None:
    """gather_list[i] ← tensor of process i, at `dst` alone."""
    _check(tensor, "tensor")
    if _outside(group, "gather"):
        return None
    g = _group(group)
    root, s = _place(g, dst, group_dst, "gather", "dst"), Staged(tensor)
    if g.here != root:
        if gather_list:
            raise ValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.")
        return _end(g, [g.gather(None, s.array, root, async_op)], None, async_op)
    if not gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    _check_list(gather_list, "gather_list")
    _sizes("gather", gather_list, [tensor.numel()] * g.size(), tensor.dtype, g.size())
    joined = np.empty(s.array.size * g.size(), s.array.dtype)
    request = g.gather(joined, s.array, root, async_op)
    return _end(g, [request], lambda: _spread(gather_list, joined), async_op, list(gather_list))


def scatter(tensor: Tensor, scatter_list: Sequence[Tensor] | None = None, src: int | None = None,
            group: Group = None, async_op: bool = False, group_src: int | None = None) -> Work | None:
    """tensor ← scatter_list[this process's place] of `src`."""
    _check(tensor, "tensor")
    if _outside(group, "scatter"):
        return None
    g = _group(group)
    root, s, whole = _place(g, src, group_src, "scatter", "src"), Staged(tensor), None
    if g.here == root:
        if not scatter_list:
            raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
        _check_list(scatter_list, "scatter_list")
        _sizes("scatter", scatter_list, [tensor.numel()] * g.size(), tensor.dtype, g.size())
        whole = np.concatenate([Staged(t).array for t in scatter_list])
    elif scatter_list:
        raise ValueError("Argument ``scatter_list`` must NOT be specified on non-source ranks.")
    return _end(g, [g.scatter(s.array, whole, root, async_op)], s.write, async_op, [tensor])


def reduce_scatter(output: Tensor, input_list: Sequence[Tensor], op: Any = ReduceOp.SUM, group: Group = None,
                   async_op: bool = False) -> Work | None:
    """output ← input_list[this process's place] of all processes, combined by `op`."""
    _check(output, "output")
    _check_list(input_list, "input_list")
    if _outside(group, "reduce_scatter"):
        return None
    g = _group(group)
    _sizes("reduce_scatter", input_list, [output.numel()] * g.size(), output.dtype, g.size())
    return reduce_scatter_tensor(output, cat([t.detach().reshape(-1) for t in input_list]), op, group,
                                 async_op)


def reduce_scatter_tensor(output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Group = None,
                          async_op: bool = False) -> Work | None:
    """output ← this process's part (along dimension 0) of the inputs, combined by `op`."""
    _check(output, "output")
    _check(input, "input")
    if _outside(group, "reduce_scatter_tensor"):
        return None
    g = _group(group)
    if output.dtype is not input.dtype:
        raise ValueError("input tensor must be the same type as the output tensor.")
    if input.numel() != output.numel() * g.size():
        raise ValueError("input tensor must be the same size as output size times world size")
    wire, s, whole = _reduction(output, op, "reduce_scatter"), Staged(output, True), Staged(input, True)
    request = g.reduce_scatter(s.array, whole.array, wire, async_op)
    return _end(g, [request], _reduced(s, op, g.size()), async_op, [output])


def all_to_all_single(output: Tensor, input: Tensor, output_split_sizes: Sequence[int] | None = None,
                      input_split_sizes: Sequence[int] | None = None, group: Group = None,
                      async_op: bool = False) -> Work | None:
    """Send part j (along dimension 0) of `input` to process j; output ← the parts that came, joined."""
    _check(output, "output")
    _check(input, "input")
    if _outside(group, "all_to_all_single"):
        return None
    g, s, out = _group(group), Staged(input), Staged(output)
    if output.dtype is not input.dtype:
        raise ValueError("all_to_all_single: output and input must have one dtype")

    def counts(t: Tensor, sizes: Sequence[int] | None) -> list[int]:
        rows = t.shape[0] if t.dim() else 1
        if not sizes:
            if rows % g.size():
                raise RuntimeError("Tensor's dim 0 does not divide equally across group size")
            sizes = [rows // g.size()] * g.size()
        if len(sizes) != g.size() or sum(sizes) != rows:
            raise RuntimeError("Split sizes doesn't match total dim 0 size")
        return [k * (t.numel() // rows if rows else 0) for k in sizes]

    request = g.alltoall(out.array, counts(output, output_split_sizes), s.array,
                         counts(input, input_split_sizes), async_op)
    return _end(g, [request], out.write, async_op, [output])


def all_to_all(output_tensor_list: Sequence[Tensor], input_tensor_list: Sequence[Tensor],
               group: Group = None, async_op: bool = False) -> Work | None:
    """Send input_tensor_list[j] to process j; output_tensor_list[i] ← what process i sent."""
    _check_list(output_tensor_list, "output_tensor_list")
    _check_list(input_tensor_list, "input_tensor_list")
    if _outside(group, "all_to_all"):
        return None
    g = _group(group)
    if len(output_tensor_list) != g.size() or len(input_tensor_list) != g.size():
        raise RuntimeError(f"all_to_all needs one tensor for each of {g.size()} processes")
    parts = [Staged(t).array for t in input_tensor_list]
    whole = np.concatenate(parts)
    outs = [t.numel() for t in output_tensor_list]
    joined = np.empty(sum(outs), whole.dtype)
    request = g.alltoall(joined, outs, whole, [p.size for p in parts], async_op)
    return _end(g, [request], lambda: _spread(output_tensor_list, joined), async_op, list(output_tensor_list))


def barrier(group: Group = None, async_op: bool = False, device_ids: Any = None,
            timeout: timedelta | None = None) -> Work | None:
    """Return when all processes of the group have come here."""
    if _outside(group, "barrier"):
        return None
    g = _group(group)
    return _end(g, [g.barrier(async_op)], None, async_op)


def monitored_barrier(group: Group = None, timeout: timedelta | None = None,
                      wait_all_ranks: bool = False) -> None:
    """barrier that names the processes that did not come. RuntimeError after the timeout."""
    if _outside(group, "monitored_barrier"):
        return
    g = _group(group)
    limit = g.timeout if timeout is None else timeout.total_seconds()
    token, missing = np.zeros(1, np.uint8), []
    if g.here:
        g.send(token, 0, _BARRIER).wait(limit)
        g.recv(token, 0, _BARRIER).wait(limit)
        return
    for i in range(1, g.size()):
        try:
            g.recv(token, i, _BARRIER).wait(limit)
        except RuntimeError:
            missing.append(g.ranks[i])
            if not wait_all_ranks:
                break
    if missing:
        raise RuntimeError(f"Ranks {', '.join(map(str, missing))} failed to pass monitoredBarrier in "
                           f"{(limit or 0) * 1000:g} ms")
    for i in range(1, g.size()):
        g.send(token, i, _BARRIER).wait(limit)


# Tags of messages that this module sends itself; MPI grants tags up to 2¹⁵ - 1 everywhere.
_BARRIER, _OBJECTS = 32_700, 32_701


# ------------------------------------------------------------------------------------------------ one to one
def _peer(g: ProcessGroup, rank: int | None, place: int | None, what: str) -> int:
    if rank is None and place is None:
        raise ValueError(f"Must specify group_{what[0]}{what[1:]} or {what}")
    to = _place(g, rank, place, "send" if what == "dst" else "recv", what)
    if to == g.here:
        kind = "destination" if what == "dst" else "source"
        raise ValueError(f"Invalid {kind} rank: {kind} rank should not be the same as the rank of the "
                         "current process.")
    return to


def isend(tensor: Tensor, dst: int | None = None, group: Group = None, tag: int = 0,
          group_dst: int | None = None) -> Work | None:
    """Send a tensor to a process; the Work says when it may be changed again."""
    _check(tensor, "tensor")
    if _outside(group, "isend"):
        return None
    g = _group(group)
    return Work([g.send(Staged(tensor).array, _peer(g, dst, group_dst, "dst"), tag, True)], None, g.timeout)


def irecv(tensor: Tensor, src: int | None = None, group: Group = None, tag: int = 0,
          group_src: int | None = None) -> Work | None:
    """Receive a tensor from a process (None: any)."""
    _check(tensor, "tensor")
    if _outside(group, "irecv"):
        return None
    g, s = _group(group), Staged(tensor)
    place = None if src is None and group_src is None else _peer(g, src, group_src, "src")
    return Work([g.recv(s.array, place, tag, True)], s.write, g.timeout, [tensor])


def send(tensor: Tensor, dst: int | None = None, group: Group = None, tag: int = 0,
         group_dst: int | None = None) -> None:
    """Send a tensor to a process."""
    work = isend(tensor, dst, group, tag, group_dst)
    if work is not None:
        work.wait()


def recv(tensor: Tensor, src: int | None = None, group: Group = None, tag: int = 0,
         group_src: int | None = None) -> int:
    """Receive a tensor from a process (None: any); the sender's number."""
    work = irecv(tensor, src, group, tag, group_src)
    if work is None:
        return -1
    work.wait()
    return _group(group).ranks[work.source_rank()]


class P2POp:
    """One isend or irecv for batch_isend_irecv."""

    def __init__(self, op: Callable, tensor: Tensor, peer: int | None = None, group: Group = None,
                 tag: int = 0, group_peer: int | None = None) -> None:
        if op not in (isend, irecv):
            raise RuntimeError("Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or "
                               "``torch.distributed.irecv``.")
        self.op, self.tensor, self.peer, self.group, self.tag = op, tensor, peer, group, tag
        self.group_peer = group_peer


def batch_isend_irecv(p2p_op_list: Sequence[P2POp]) -> list[Work]:
    """Start several sends and receives."""
    works = [p.op(p.tensor, p.peer, p.group, p.tag, p.group_peer) for p in p2p_op_list]
    return [w for w in works if w is not None]


# ------------------------------------------------------------------------------------------------ objects
# Objects travel as pickles: loading one runs what it says, so the processes of a job must trust each other.
def all_gather_object(object_list: list, obj: Any, group: Group = None) -> None:
    """object_list[i] ← obj of process i."""
    if _outside(group, "all_gather_object"):
        return
    for i, data in enumerate(_group(group).all_bytes(pickle.dumps(obj))):
        object_list[i] = pickle.loads(data)


def gather_object(obj: Any, object_gather_list: list | None = None, dst: int | None = None,
                  group: Group = None, group_dst: int | None = None) -> None:
    """object_gather_list[i] ← obj of process i, at `dst` alone."""
    if _outside(group, "gather_object"):
        return
    g = _group(group)
    root = _place(g, dst, group_dst, "gather", "dst")
    if g.here == root and not object_gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    if g.here != root and object_gather_list:
        raise ValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.")
    found = g.all_bytes(pickle.dumps(obj))
    if object_gather_list is not None and g.here == root:
        object_gather_list[:] = [pickle.loads(x) for x in found]


def broadcast_object_list(object_list: list, src: int | None = None, group: Group = None, device: Any = None,
                          group_src: int | None = None) -> None:
    """object_list ← object_list of `src`."""
    if _outside(group, "broadcast_object_list"):
        return
    g = _group(group)
    root = _place(g, src, group_src, "broadcast", "src")
    data = g.root_bytes(pickle.dumps(list(object_list)) if g.here == root else None, root)
    if g.here != root:
        object_list[:] = pickle.loads(data)


def scatter_object_list(scatter_object_output_list: list, scatter_object_input_list: list | None = None,
                        src: int | None = None, group: Group = None, group_src: int | None = None) -> None:
    """scatter_object_output_list[0] ← scatter_object_input_list[this process's place] of `src`."""
    if _outside(group, "scatter_object_list"):
        return
    if not isinstance(scatter_object_output_list, list) or not scatter_object_output_list:
        raise ValueError("Expected argument scatter_object_output_list to be a list of size at least 1.")
    g = _group(group)
    root = _place(g, src, group_src, "scatter", "src")
    data = None
    if g.here == root:
        if scatter_object_input_list is None or len(scatter_object_input_list) != g.size():
            raise ValueError("scatter_object_input_list must hold one object for each process")
        data = pickle.dumps([pickle.dumps(x) for x in scatter_object_input_list])
    parts = pickle.loads(g.root_bytes(data, root))
    scatter_object_output_list[0] = pickle.loads(parts[g.here])


def send_object_list(object_list: list, dst: int | None = None, group: Group = None, device: Any = None,
                     group_dst: int | None = None, use_batch: bool = False) -> None:
    """Send objects to a process."""
    if _outside(group, "send_object_list"):
        return
    g = _group(group)
    to = _peer(g, dst, group_dst, "dst")
    data = np.frombuffer(pickle.dumps(list(object_list)), np.uint8).copy()
    first = g.send(np.array([data.size], np.int64), to, _OBJECTS, True)
    g.send(data, to, _OBJECTS, True).wait(g.timeout)
    first.wait(g.timeout)


def recv_object_list(object_list: list, src: int | None = None, group: Group = None, device: Any = None,
                     group_src: int | None = None, use_batch: bool = False) -> int:
    """object_list ← what a process (None: any) sent; the sender's number."""
    if _outside(group, "recv_object_list"):
        return -1
    g = _group(group)
    place = None if src is None and group_src is None else _peer(g, src, group_src, "src")
    n = np.zeros(1, np.int64)
    first = g.recv(n, place, _OBJECTS)
    first.wait(g.timeout)
    data = np.empty(int(n[0]), np.uint8)
    source = place if place is not None else first.source
    g.recv(data, source, _OBJECTS).wait(g.timeout)
    object_list[:] = pickle.loads(data.tobytes())
    return g.ranks[source]


_all_gather_base, _reduce_scatter_base = all_gather_into_tensor, reduce_scatter_tensor

__all__ = [
    "Backend", "FileStore", "GroupMember", "HashStore", "P2POp", "PrefixStore", "ProcessGroup", "ReduceOp",
    "Store", "TCPStore", "Work", "all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce",
    "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv", "broadcast",
    "broadcast_object_list", "default_pg_timeout", "destroy_process_group", "gather", "gather_object",
    "get_backend", "get_backend_config", "get_default_backend_for_device", "get_global_rank",
    "get_group_rank", "get_node_local_rank", "get_pg_count", "get_process_group_ranks", "get_rank",
    "get_world_size", "group", "init_process_group", "irecv", "is_available", "is_backend_available",
    "is_gloo_available", "is_initialized", "is_mpi_available", "is_nccl_available",
    "is_torchelastic_launched", "is_ucc_available", "is_xccl_available", "isend", "monitored_barrier",
    "new_group", "new_subgroups", "new_subgroups_by_enumeration", "recv", "recv_object_list", "reduce",
    "reduce_scatter", "reduce_scatter_tensor", "rendezvous", "scatter", "scatter_object_list", "send",
    "send_object_list"]
