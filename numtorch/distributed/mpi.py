"""Groups on MPI, through mpi4py. MPI is imported, and so initialised, only when such a group is made."""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .group import ProcessGroup, RedOpType, Request

# (rank, size, rank on this machine, processes on this machine) in the environments of MPICH and Intel MPI,
# of Open MPI, and of MPICH started by Slurm
LAUNCHERS = (("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
             ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
              "OMPI_COMM_WORLD_LOCAL_SIZE"),
             ("PMIX_RANK", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"))
PREFIXES = ("PMI_", "PMIX_", "OMPI_", "MPI_LOCAL", "HYDRA_", "HYDI_")
_SPIN = 0.01  # seconds of polling without a pause; then the core is given to others between two polls


def launched() -> tuple[int, int, int, int] | None:
    """(rank, world size, local rank, local size) as an MPI launcher says them; None if there was none."""
    for names in LAUNCHERS:
        rank, size = os.environ.get(names[0], ""), os.environ.get(names[1], "")
        if rank.isdigit() and size.isdigit():
            local, count = os.environ.get(names[2], ""), os.environ.get(names[3], "")
            return (int(rank), int(size), int(local) if local.isdigit() else int(rank),
                    int(count) if count.isdigit() else int(size))
    return None


def forget_launcher(environment: Any) -> None:
    """Take what an MPI launcher set out of an environment: a child that has it would join the job."""
    for name in list(environment):
        if name.startswith(PREFIXES):
            del environment[name]


def library() -> Any:
    """mpi4py.MPI. RuntimeError that names the extra where it or an MPI library is missing."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as e:
        raise RuntimeError("jobs of several processes need MPI: pip install 'numtorch[mpi]' "
                           f"(mpi4py says: {e})") from e
    return MPI


def installed() -> bool:
    """Whether mpi4py is there; says nothing of the MPI library."""
    import importlib.util
    return importlib.util.find_spec("mpi4py") is not None


class Pending(Request):
    """An MPI request; keeps its buffers alive."""

    def __init__(self, request: Any, *buffers: Any) -> None:
        self.request, self.buffers = request, buffers

    def done(self) -> bool:
        if self.request is not None and self.request.Test():
            self.request = None
        return self.request is None

    def wait(self, timeout: float | None = None) -> None:
        start = time.monotonic()
        while not self.done():
            spent = time.monotonic() - start
            if timeout is not None and spent > timeout:
                raise RuntimeError(f"Timed out after {timeout} seconds waiting for other processes (MPI)")
            if spent < _SPIN and hasattr(os, "sched_yield"):
                os.sched_yield()
            elif spent >= _SPIN:
                time.sleep(1e-4)


class Receive(Pending):
    """A receive request; knows the sender afterwards."""

    def __init__(self, request: Any, status: Any, *buffers: Any) -> None:
        super().__init__(request, *buffers)
        self.status = status

    def done(self) -> bool:
        if self.request is not None and self.request.Test(self.status):
            self.request, self.source = None, self.status.Get_source()
        return self.request is None


class MPIGroup(ProcessGroup):
    """The processes of a communicator."""

    transport = "mpi"

    def __init__(self, comm: Any, ranks: Sequence[int], timeout: float | None) -> None:
        super().__init__(ranks, comm.Get_rank(), timeout)
        self.comm, self.mpi = comm, library()
        m = self.mpi
        self.ops = {RedOpType.SUM: m.SUM, RedOpType.PRODUCT: m.PROD, RedOpType.MIN: m.MIN,
                    RedOpType.MAX: m.MAX, RedOpType.BAND: m.BAND, RedOpType.BOR: m.BOR,
                    RedOpType.BXOR: m.BXOR}

    @classmethod
    def world(cls, timeout: float | None) -> MPIGroup:
        """All processes of the job. From now on an uncaught exception here ends the whole job."""
        mpi = library()
        comm = mpi.COMM_WORLD.Dup()
        if comm.Get_size() > 1:
            end_job_on_error(mpi)
        return cls(comm, range(comm.Get_size()), timeout)

    def subgroup(self, ranks: Sequence[int]) -> MPIGroup:
        whole = self.comm.Get_group()
        some = whole.Incl([self.ranks.index(r) for r in ranks])
        return MPIGroup(self.comm.Create_group(some), ranks, self.timeout)

    def allreduce(self, a, op, later=False):
        return Pending(self.comm.Iallreduce(self.mpi.IN_PLACE, a, self.ops[op]), a)

    def reduce(self, a, op, root, later=False):
        if self.here == root:
            return Pending(self.comm.Ireduce(self.mpi.IN_PLACE, a, self.ops[op], root), a)
        return Pending(self.comm.Ireduce(a, None, self.ops[op], root), a)

    def broadcast(self, a, root, later=False):
        return Pending(self.comm.Ibcast(_bytes(a), root), a)

    def allgather(self, out, a, later=False):
        return Pending(self.comm.Iallgather(_bytes(a), _bytes(out)), out, a)

    def gather(self, out, a, root, later=False):
        return Pending(self.comm.Igather(_bytes(a), None if out is None else _bytes(out), root), out, a)

    def scatter(self, out, a, root, later=False):
        return Pending(self.comm.Iscatter(None if a is None else _bytes(a), _bytes(out), root), out, a)

    def reduce_scatter(self, out, a, op, later=False):
        return Pending(self.comm.Ireduce_scatter_block(a, out, self.ops[op]), out, a)

    def alltoall(self, out, outs, a, ins, later=False):
        def spec(x, counts):
            k = x.itemsize
            starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) * k
            return [_bytes(x), ([n * k for n in counts], starts.tolist()), self.mpi.BYTE]
        return Pending(self.comm.Ialltoallv(spec(a, ins), spec(out, outs)), out, a)

    def barrier(self, later=False):
        return Pending(self.comm.Ibarrier())

    def send(self, a, to, tag, later=False):
        return Pending(self.comm.Isend(_bytes(a), to, tag), a)

    def recv(self, a, source, tag, later=False):
        place = self.mpi.ANY_SOURCE if source is None else source
        return Receive(self.comm.Irecv(_bytes(a), place, tag), self.mpi.Status(), a)


def _bytes(a: np.ndarray) -> np.ndarray:
    return a.view(np.uint8)


_hooked = False


def end_job_on_error(mpi: Any) -> None:
    """End the job when an exception ends this process: the others would wait for it for ever."""
    global _hooked
    if _hooked:
        return
    _hooked, before = True, sys.excepthook

    def hook(kind, error, trace) -> None:
        before(kind, error, trace)
        sys.stdout.flush()
        sys.stderr.flush()
        if not mpi.Is_finalized():
            mpi.COMM_WORLD.Abort(1)
    sys.excepthook = hook
