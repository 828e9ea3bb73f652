"""Groups over TCP: every process has a connection to every other, a thread reads each, and messages wait in a
mailbox until they are asked for. Collectives are sends and receives of NumPy arrays; sums go in the order of
the processes' places, so all get the same bits."""
from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .group import DONE, UFUNCS, ProcessGroup, Request, channel
from .store import Store, dial, exactly, greet, job_key, listen, receive

_HEAD = struct.Struct("<QqQ")  # channel, tag, bytes
_WHOLE = 32 * 1024  # bytes up to which every process sends its whole array to every other


class Slot:
    """Messages of one sender, channel and tag: those that came and those that were asked for, by number."""

    __slots__ = ("came", "asked", "held")

    def __init__(self) -> None:
        self.came = self.asked = 0
        self.held: dict[int, np.ndarray] = {}


class Mesh:
    """The connections of this process to all others of the job."""

    def __init__(self, store: Store, rank: int, size: int, timeout: float, host: str) -> None:
        self.rank = rank
        self.sockets: dict[int, socket.socket] = {}
        self.locks = {r: threading.Lock() for r in range(size)}
        self.slots: dict[tuple[int, int, int], Slot] = {}
        self.gone: dict[int, str] = {}
        self.news = threading.Condition()
        key = job_key()
        with listen(host, 0) as server:
            address, port = server.getsockname()[:2]
            if address in ("0.0.0.0", "::"):
                address = socket.gethostbyname(socket.gethostname())
            store.set(f"mesh/{rank}", f"{port} {address}")
            for r in range(rank):  # each pair meets once: the later place calls the earlier
                port_, _, where = store.get(f"mesh/{r}").decode().partition(" ")
                sock = dial(where, int(port_), key, timeout)
                sock.sendall(struct.pack("<Q", rank))
                self.sockets[r] = sock
            server.settimeout(timeout)
            while len(self.sockets) < size - 1:
                try:
                    sock, _ = server.accept()
                except TimeoutError:
                    missing = sorted({*range(size)} - {rank, *self.sockets})
                    raise RuntimeError(f"Timed out after {timeout:g}s waiting for ranks {missing} to "
                                       "connect") from None
                try:
                    greet(sock, key, server=True)
                    r, = struct.unpack("<Q", exactly(sock, 8))
                except OSError:  # not of this job
                    sock.close()
                    continue
                self.sockets[r] = sock
        for r, sock in self.sockets.items():
            threading.Thread(target=self._read, args=(r, sock), daemon=True, name=f"rank {r}").start()
        # The keeper of the store stays until everybody has read the addresses.
        n = store.add("mesh/ready", 1)
        limit = time.monotonic() + timeout
        while rank == 0 and n < size and time.monotonic() < limit:
            time.sleep(0.002)
            n = store.add("mesh/ready", 0)

    def _read(self, source: int, sock: socket.socket) -> None:
        try:
            while True:
                where, tag, n = _HEAD.unpack(exactly(sock, _HEAD.size))
                data = np.empty(n, np.uint8)
                receive(sock, data.data)
                with self.news:
                    slot = self.slots.setdefault((source, where, tag), Slot())
                    slot.held[slot.came] = data
                    slot.came += 1
                    self.news.notify_all()
        except OSError as e:
            with self.news:
                self.gone[source] = str(e) or type(e).__name__
                self.news.notify_all()

    def send(self, to: int, where: int, tag: int, a: np.ndarray) -> None:
        data = a.view(np.uint8).data
        head = _HEAD.pack(where, tag, len(data))
        sock = self.sockets[to]
        try:
            with self.locks[to]:
                if len(data) < 65_536:
                    sock.sendall(head + bytes(data))
                else:
                    sock.sendall(head)
                    sock.sendall(data)
        except OSError as e:
            raise RuntimeError(f"Connection closed by peer: rank {to} has left the job ({e})") from None

    def ask(self, source: int, where: int, tag: int) -> int:
        """A ticket for the next message."""
        with self.news:
            slot = self.slots.setdefault((source, where, tag), Slot())
            slot.asked += 1
            return slot.asked - 1

    def here(self, source: int, where: int, tag: int, ticket: int) -> bool:
        slot = self.slots.get((source, where, tag))
        return slot is not None and ticket in slot.held

    def take(self, source: int, where: int, tag: int, ticket: int, timeout: float | None) -> np.ndarray:
        """The message of a ticket. RuntimeError if its sender is gone, or not in time."""
        key = (source, where, tag)
        with self.news:
            slot = self.slots[key]
            self.news.wait_for(lambda: ticket in slot.held or source in self.gone, timeout)
            data = slot.held.pop(ticket, None)
            if data is None:
                if source in self.gone:
                    raise RuntimeError(f"Connection closed by peer: rank {source} has left the job "
                                       f"({self.gone[source]})")
                raise RuntimeError(f"Timed out after {timeout:g} seconds waiting for rank {source}")
            if not slot.held and slot.came == slot.asked:
                del self.slots[key]
            return data

    def any(self, sources: Sequence[int], where: int, tag: int, timeout: float | None) -> tuple[int, int]:
        """(sender, ticket) of the first message that nobody has asked for."""
        def find() -> tuple[int, int] | None:
            for r in sources:
                slot = self.slots.get((r, where, tag))
                if slot is not None and slot.came > slot.asked:
                    slot.asked += 1
                    return r, slot.asked - 1
            return None
        with self.news:
            found = self.news.wait_for(find, timeout)
        if found is None:
            raise RuntimeError(f"Timed out after {timeout:g} seconds waiting for a message")
        return found

    def close(self) -> None:
        """Say that nothing more will come; the peers' last messages are still read."""
        for sock in self.sockets.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)


class Later(Request):
    """A collective that another thread runs."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.failure: BaseException | None = None

    def done(self) -> bool:
        return self.event.is_set()

    def wait(self, timeout: float | None = None) -> None:
        if not self.event.wait(timeout):
            raise RuntimeError(f"Timed out after {timeout:g} seconds waiting for other processes")
        if self.failure is not None:
            raise self.failure


class Receive(Request):
    """A message that was asked for: `ticket` of `source`, or (None) the first of anybody's."""

    def __init__(self, group: TCPGroup, a: np.ndarray, source: int | None, tag: int) -> None:
        self.group, self.a, self.tag, self.from_ = group, a, tag, source
        self.ticket = -1 if source is None else group.mesh.ask(group.ranks[source], group.where + 1, tag)
        self.source = -1 if source is None else source

    def done(self) -> bool:
        g = self.group
        return self.from_ is not None and g.mesh.here(g.ranks[self.from_], g.where + 1, self.tag, self.ticket)

    def wait(self, timeout: float | None = None) -> None:
        g = self.group
        if self.from_ is None:
            others = [r for r in g.ranks if r != g.mesh.rank]
            r, self.ticket = g.mesh.any(others, g.where + 1, self.tag, timeout)
            self.source = self.from_ = g.ranks.index(r)
        data = g.mesh.take(g.ranks[self.from_], g.where + 1, self.tag, self.ticket, timeout)
        if data.size != self.a.nbytes:
            raise RuntimeError(f"rank {g.ranks[self.from_]} sent {data.size} bytes where {self.a.nbytes} "
                               "were expected")
        self.a[:] = data.view(self.a.dtype)


class TCPGroup(ProcessGroup):
    """Processes of a mesh. Every collective has a number, the same on all members, which tags its messages;
    so one that runs on the group's thread and one that runs here never meet."""

    transport = "tcp"

    def __init__(self, mesh: Mesh, ranks: Sequence[int], timeout: float | None) -> None:
        super().__init__(ranks, list(ranks).index(mesh.rank), timeout)
        self.mesh = mesh
        self.where = channel(ranks) & ~1  # the next odd number: messages between two processes
        self.number = 0
        self.tasks: queue.SimpleQueue | None = None
        self.others = [i for i in range(len(ranks)) if i != self.here]

    def subgroup(self, ranks: Sequence[int]) -> ProcessGroup:
        return TCPGroup(self.mesh, ranks, self.timeout)

    # ---- running
    def _run(self, fn: Callable[[int], Any], later: bool) -> Request:
        self.number += 1
        number = self.number
        if not later:
            fn(number)
            return DONE
        if self.tasks is None:
            self.tasks = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(self.tasks,), daemon=True, name="collectives").start()
        request = Later()
        self.tasks.put((fn, number, request))
        return request

    @staticmethod
    def _work(tasks: queue.SimpleQueue) -> None:
        while (task := tasks.get()) is not None:
            fn, number, request = task
            try:
                fn(number)
            except BaseException as e:  # handed to the thread that waits
                request.failure = e
            request.event.set()

    def _put(self, to: int, number: int, a: np.ndarray) -> None:
        self.mesh.send(self.ranks[to], self.where, number, a)

    def _take(self, source: int, number: int, like: np.ndarray) -> np.ndarray:
        r = self.ranks[source]
        ticket = self.mesh.ask(r, self.where, number)
        data = self.mesh.take(r, self.where, number, ticket, self.timeout)
        if data.size != like.nbytes:
            raise RuntimeError(f"rank {r} sent {data.size} bytes to a collective where {like.nbytes} were "
                               "expected: the processes call it with different sizes or in another order")
        return data.view(like.dtype)

    def _combined(self, a: np.ndarray, op: int, number: int) -> np.ndarray:
        """`a` of all processes combined, in the order of their places."""
        total: np.ndarray | None = None
        for i in range(self.size()):
            x = a if i == self.here else self._take(i, number, a)
            if total is None:
                total = x.copy() if x is a else x
            else:
                UFUNCS[op](total, x, out=total)
        assert total is not None
        return total

    # ---- collectives
    def allreduce(self, a, op, later=False):
        def run(number: int) -> None:
            n = self.size()
            if a.nbytes <= _WHOLE:
                for i in self.others:
                    self._put(i, number, a)
                a[:] = self._combined(a, op, number)
                return
            cuts = [a.size * i // n for i in range(n + 1)]
            pieces = [a[cuts[i]:cuts[i + 1]] for i in range(n)]
            for i in self.others:
                self._put(i, number, pieces[i])
            pieces[self.here][:] = self._combined(pieces[self.here], op, number)
            for i in self.others:
                self._put(i, number, pieces[self.here])
            for i in self.others:
                pieces[i][:] = self._take(i, number, pieces[i])
        return self._run(run, later)

    def reduce(self, a, op, root, later=False):
        def run(number: int) -> None:
            if self.here == root:
                a[:] = self._combined(a, op, number)
            else:
                self._put(root, number, a)
        return self._run(run, later)

    def broadcast(self, a, root, later=False):
        def run(number: int) -> None:
            if self.here == root:
                for i in self.others:
                    self._put(i, number, a)
            else:
                a[:] = self._take(root, number, a)
        return self._run(run, later)

    def allgather(self, out, a, later=False):
        def run(number: int) -> None:
            for i in self.others:
                self._put(i, number, a)
            for i, piece in enumerate(out.reshape(self.size(), -1)):
                piece[:] = a if i == self.here else self._take(i, number, a)
        return self._run(run, later)

    def gather(self, out, a, root, later=False):
        def run(number: int) -> None:
            if self.here != root:
                self._put(root, number, a)
                return
            for i, piece in enumerate(out.reshape(self.size(), -1)):
                piece[:] = a if i == root else self._take(i, number, a)
        return self._run(run, later)

    def scatter(self, out, a, root, later=False):
        def run(number: int) -> None:
            if self.here != root:
                out[:] = self._take(root, number, out)
                return
            for i, piece in enumerate(a.reshape(self.size(), -1)):
                if i == root:
                    out[:] = piece
                else:
                    self._put(i, number, piece)
        return self._run(run, later)

    def reduce_scatter(self, out, a, op, later=False):
        def run(number: int) -> None:
            pieces = a.reshape(self.size(), -1)
            for i in self.others:
                self._put(i, number, pieces[i])
            out[:] = self._combined(pieces[self.here], op, number)
        return self._run(run, later)

    def alltoall(self, out, outs, a, ins, later=False):
        def run(number: int) -> None:
            at = np.cumsum([0, *ins])
            for i in self.others:
                self._put(i, number, a[at[i]:at[i + 1]])
            to = np.cumsum([0, *outs])
            for i in range(self.size()):
                piece = out[to[i]:to[i + 1]]
                piece[:] = a[at[i]:at[i + 1]] if i == self.here else self._take(i, number, piece)
        return self._run(run, later)

    def barrier(self, later=False):
        return self.allreduce(np.zeros(1, np.uint8), 0, later)

    def send(self, a, to, tag, later=False):
        self.mesh.send(self.ranks[to], self.where + 1, tag, a)
        return DONE

    def recv(self, a, source, tag, later=False):
        return Receive(self, a, source, tag)

    def close(self) -> None:
        if self.tasks is not None:
            self.tasks.put(None)
            self.tasks = None
