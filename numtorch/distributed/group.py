"""What a group of processes can do: the interface that every transport fills in, and the group of one."""
from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

DEFAULT_TIMEOUT = timedelta(minutes=30)


class RedOpType(enum.IntEnum):
    """How a reduction combines the values of the processes."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7

    def __str__(self) -> str:
        return f"RedOpType.{self.name}"


class ReduceOp:
    """ReduceOp.SUM and its like. AVG: the sum divided by the number of processes."""

    RedOpType = RedOpType
    SUM = RedOpType.SUM
    AVG = RedOpType.AVG
    PRODUCT = RedOpType.PRODUCT
    MIN = RedOpType.MIN
    MAX = RedOpType.MAX
    BAND = RedOpType.BAND
    BOR = RedOpType.BOR
    BXOR = RedOpType.BXOR


UFUNCS: dict[int, Callable] = {
    RedOpType.SUM: np.add, RedOpType.PRODUCT: np.multiply, RedOpType.MIN: np.minimum,
    RedOpType.MAX: np.maximum, RedOpType.BAND: np.bitwise_and, RedOpType.BOR: np.bitwise_or,
    RedOpType.BXOR: np.bitwise_xor}


class Request:
    """A transfer in progress. This one is done when made; `source`: the sender of what was received."""

    source = -1

    def wait(self, timeout: float | None = None) -> None:
        """Return when the transfer is done. RuntimeError after `timeout` seconds or if the peer is gone."""

    def done(self) -> bool:
        """Whether the transfer is done; moves it on where the transport needs calls for that."""
        return True


DONE = Request()
_made: dict[tuple, int] = {}


def channel(ranks: Sequence[int]) -> int:
    """A number of 63 bits for a new group, the same on all its members: they made as many of `ranks`
    before."""
    key = tuple(ranks)
    n = _made[key] = _made.get(key, -1) + 1
    return int.from_bytes(hashlib.sha256(repr((key, n)).encode()).digest()[:8], "little") >> 1


class ProcessGroup:
    """Processes that communicate: `ranks` are their global numbers, `here` is this one's place among them.

    The methods that transports define take contiguous 1-d arrays and places in the group, and return a
    Request; `later` says that the caller goes on before it is done. This class is the group of one process.
    """

    transport = "none"

    def __init__(self, ranks: Sequence[int] = (0,), here: int = 0, timeout: float | None = None) -> None:
        self.ranks, self.here, self.timeout = tuple(ranks), here, timeout
        self.backend, self.group_desc, self.group_name = "gloo", "", ""

    def rank(self) -> int:
        """This process's place in the group."""
        return self.here

    def size(self) -> int:
        """How many processes there are."""
        return len(self.ranks)

    def name(self) -> str:
        """The backend that was asked for."""
        return self.backend

    # ---- the transport
    def subgroup(self, ranks: Sequence[int]) -> ProcessGroup:
        """A group of some of the processes; called by its members alone."""
        return ProcessGroup(ranks, 0, self.timeout)

    def allreduce(self, a: np.ndarray, op: int, later: bool = False) -> Request:
        """a ← a of all processes, combined in the order of their places."""
        return DONE

    def reduce(self, a: np.ndarray, op: int, root: int, later: bool = False) -> Request:
        """The same at `root` alone."""
        return DONE

    def broadcast(self, a: np.ndarray, root: int, later: bool = False) -> Request:
        """a ← a of `root`."""
        return DONE

    def allgather(self, out: np.ndarray, a: np.ndarray, later: bool = False) -> Request:
        """out ← the arrays `a` of all processes, one after another."""
        out[:] = a
        return DONE

    def gather(self, out: np.ndarray | None, a: np.ndarray, root: int, later: bool = False) -> Request:
        """The same at `root` alone; elsewhere `out` is None."""
        if out is not None:
            out[:] = a
        return DONE

    def scatter(self, out: np.ndarray, a: np.ndarray | None, root: int, later: bool = False) -> Request:
        """out ← this process's part of `a` of `root`; elsewhere `a` is None."""
        if a is not None:
            out[:] = a
        return DONE

    def reduce_scatter(self, out: np.ndarray, a: np.ndarray, op: int, later: bool = False) -> Request:
        """out ← this process's part of the combined `a`."""
        out[:] = a
        return DONE

    def alltoall(self, out: np.ndarray, outs: Sequence[int], a: np.ndarray, ins: Sequence[int],
                 later: bool = False) -> Request:
        """Send piece j of `a` (ins[j] elements) to process j; out ← what they sent (outs[j] elements)."""
        out[:] = a
        return DONE

    def barrier(self, later: bool = False) -> Request:
        """Done once all processes have come here."""
        return DONE

    def send(self, a: np.ndarray, to: int, tag: int, later: bool = False) -> Request:
        """Send an array to one process."""
        raise ValueError("a group of one process has nobody to send to")

    def recv(self, a: np.ndarray, source: int | None, tag: int, later: bool = False) -> Request:
        """a ← what a process (None: any) sent with this tag."""
        raise ValueError("a group of one process has nobody to receive from")

    def close(self) -> None:
        """Leave: no more calls will be made."""

    # ---- bytes of any length, over the above
    def all_bytes(self, data: bytes) -> list[bytes]:
        """The `data` of all processes."""
        n = np.array([len(data)], np.int64)
        lengths = np.empty(self.size(), np.int64)
        self.allgather(lengths, n).wait(self.timeout)
        width = int(lengths.max())
        mine = np.zeros(width, np.uint8)
        mine[:len(data)] = np.frombuffer(data, np.uint8)
        out = np.empty(width * self.size(), np.uint8)
        self.allgather(out, mine).wait(self.timeout)
        return [out[i * width:i * width + k].tobytes() for i, k in enumerate(lengths.tolist())]

    def root_bytes(self, data: bytes | None, root: int) -> bytes:
        """The `data` of `root`."""
        n = np.array([len(data) if data is not None else 0], np.int64)
        self.broadcast(n, root).wait(self.timeout)
        out = np.empty(int(n[0]), np.uint8)
        if self.here == root and data is not None:
            out[:] = np.frombuffer(data, np.uint8)
        self.broadcast(out, root).wait(self.timeout)
        return out.tobytes()


class Work:
    """A collective in progress. `finish` runs once when its transfers are done, on the thread that waits."""

    def __init__(self, requests: Sequence[Request], finish: Callable[[], Any] | None = None,
                 timeout: float | None = None, result: Any = None) -> None:
        self._requests, self._finish, self._timeout, self._result = list(requests), finish, timeout, result
        self._failure: BaseException | None = None
        self._source = -1

    def wait(self, timeout: timedelta | float | None = None) -> bool:
        """Return when the result is there. RuntimeError if it cannot come, or not in time."""
        limit = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout or self._timeout
        try:
            for r in self._requests:
                r.wait(limit)
                self._source = r.source
        except BaseException as e:
            self._failure = e
            raise
        self._requests = []
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
        return True

    synchronize = wait

    def is_completed(self) -> bool:
        """Whether the result is there."""
        if all(r.done() for r in self._requests):
            self.wait()
            return True
        return False

    def is_success(self) -> bool:
        """Whether it was done without an error."""
        return not self._requests and self._failure is None

    def exception(self) -> BaseException | None:
        """The error that ended it."""
        return self._failure

    def source_rank(self) -> int:
        """The place of the sender of what was received."""
        return self._source

    def result(self) -> Any:
        """The tensors that hold the result."""
        return self._result
