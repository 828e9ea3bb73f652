"""Stores: small key-value tables that processes share to find each other. Keys are text, values bytes."""
from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from .group import DEFAULT_TIMEOUT

Bytes = bytes | bytearray | str


def _data(value: Bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class Store:
    """A table shared by processes. `get` and `wait` wait for keys to appear."""

    timeout = DEFAULT_TIMEOUT

    def set_timeout(self, timeout: timedelta) -> None:
        """How long `get` and `wait` wait."""
        self.timeout = timeout

    def _apply(self, fn: Callable[[dict[str, bytes]], Any]) -> Any:
        """fn(table), while nobody else has the table."""
        raise NotImplementedError(f"{type(self).__name__} does not say where its table is")

    def _pause(self) -> None:
        time.sleep(0.01)

    def set(self, key: str, value: Bytes) -> None:
        """table[key] = value"""
        self._apply(lambda table: table.__setitem__(key, _data(value)))

    def get(self, key: str) -> bytes:
        """The value of `key`, once it has one."""
        self.wait([key])
        return self._apply(lambda table: table[key])

    def add(self, key: str, amount: int) -> int:
        """Count: the number at `key` (0 at first) plus `amount`, which it becomes."""
        def count(table: dict[str, bytes]) -> int:
            n = int(table.get(key, b"0")) + amount
            table[key] = b"%d" % n
            return n
        return self._apply(count)

    def append(self, key: str, value: Bytes) -> None:
        """Lengthen the value of `key`."""
        self._apply(lambda table: table.__setitem__(key, table.get(key, b"") + _data(value)))

    def compare_set(self, key: str, expected_value: Bytes, desired_value: Bytes) -> bytes:
        """Set `key` if it has the expected value, or none where "" is expected; its value now."""
        expected, wanted = _data(expected_value), _data(desired_value)

        def swap(table: dict[str, bytes]) -> bytes:
            if table.get(key, b"") == expected:
                table[key] = wanted
            return table.get(key, expected)
        return self._apply(swap)

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all keys have values."""
        return self._apply(lambda table: all(k in table for k in keys))

    def delete_key(self, key: str) -> bool:
        """Forget `key`; whether there was one."""
        return self._apply(lambda table: table.pop(key, None) is not None)

    def num_keys(self) -> int:
        """How many keys have values."""
        return self._apply(len)

    def multi_get(self, keys: Sequence[str]) -> list[bytes]:
        """The values of several keys."""
        return [self.get(k) for k in keys]

    def multi_set(self, keys: Sequence[str], values: Sequence[Bytes]) -> None:
        """Set several keys."""
        for k, v in zip(keys, values):
            self.set(k, v)

    def wait(self, keys: Sequence[str], timeout: timedelta | None = None) -> None:
        """Return when all keys have values. RuntimeError after the timeout."""
        limit = time.monotonic() + (timeout or self.timeout).total_seconds()
        while not self.check(keys):
            if time.monotonic() > limit:
                missing = [k for k in keys if not self.check([k])]
                raise RuntimeError(f"wait timeout after {(timeout or self.timeout).total_seconds():g}s, "
                                   f"keys: {', '.join(missing)}")
            self._pause()


class HashStore(Store):
    """A table of this process."""

    def __init__(self) -> None:
        self._table: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def _apply(self, fn):
        with self._lock:
            return fn(self._table)


class FileStore(Store):
    """A table in a file that the processes of one machine share. The file must be empty or new."""

    def __init__(self, file_name: str, world_size: int = -1) -> None:
        self.path, self.world_size = file_name, world_size
        os.close(os.open(file_name, os.O_RDWR | os.O_CREAT, 0o600))

    def _apply(self, fn):
        import fcntl
        with open(self.path, "r+b") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            parts = _split(f.read())
            before = dict(zip((k.decode() for k in parts[::2]), parts[1::2]))
            table = dict(before)
            result = fn(table)
            if table != before:
                f.seek(0)
                f.truncate()
                f.write(_join([x for k, v in table.items() for x in (k.encode(), v)]))
            return result


class PrefixStore(Store):
    """The part of a table whose keys begin with a prefix."""

    def __init__(self, prefix: str, store: Store) -> None:
        self.prefix, self.underlying_store, self.timeout = prefix, store, store.timeout

    def set(self, key, value):
        self.underlying_store.set(f"{self.prefix}/{key}", value)

    def get(self, key):
        return self.underlying_store.get(f"{self.prefix}/{key}")

    def add(self, key, amount):
        return self.underlying_store.add(f"{self.prefix}/{key}", amount)

    def append(self, key, value):
        self.underlying_store.append(f"{self.prefix}/{key}", value)

    def compare_set(self, key, expected_value, desired_value):
        return self.underlying_store.compare_set(f"{self.prefix}/{key}", expected_value, desired_value)

    def check(self, keys):
        return self.underlying_store.check([f"{self.prefix}/{k}" for k in keys])

    def delete_key(self, key):
        return self.underlying_store.delete_key(f"{self.prefix}/{key}")

    def num_keys(self):
        return self.underlying_store.num_keys()


# ------------------------------------------------------------------------------------------------ over TCP
def _join(parts: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack("<Q", len(p)) + p for p in parts)


def _split(data: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(data):
        n, = struct.unpack_from("<Q", data, at)
        parts.append(data[at + 8:at + 8 + n])
        at += 8 + n
    return parts


def receive(sock: socket.socket, view: memoryview) -> None:
    """Fill `view`. ConnectionError at the end of the stream."""
    at = 0
    while at < len(view):
        n = sock.recv_into(view[at:])
        if not n:
            raise ConnectionError("the connection was closed")
        at += n


def exactly(sock: socket.socket, n: int) -> bytes:
    """The next `n` bytes."""
    data = bytearray(n)
    receive(sock, memoryview(data))
    return bytes(data)


def job_key() -> bytes:
    """The secret by which processes of one job know each other: $NUMTORCH_JOB_KEY, else one that this user
    has in the folder of the kernel cache, else the key of this process and the children it spawns."""
    given = os.environ.get("NUMTORCH_JOB_KEY")
    if given:
        return given.encode()
    from ..kernels.jit import cache
    folder = cache._open()
    if folder is None:
        import multiprocessing
        return bytes(multiprocessing.current_process().authkey)
    path = os.path.join(folder, "job.key")
    for _ in range(2):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            if os.fstat(f.fileno()).st_mode & 0o077 == 0 and len(key := f.read()) == 32:
                return key
        # Written whole, then linked: of two processes that come first, one wins and both read its key.
        fd, new = tempfile.mkstemp(dir=folder)
        with os.fdopen(fd, "wb") as f:
            f.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
        os.unlink(new)
    raise RuntimeError(f"{path} must be a file that only you can read, of 32 bytes; delete it")


_CLIENT, _SERVER = b"numtorch client", b"numtorch server"


def _answer(key: bytes, nonce: bytes, role: bytes) -> bytes:
    return hmac.digest(key, role + nonce, "sha256")


def greet(sock: socket.socket, key: bytes, server: bool) -> None:
    """Prove to the peer that we know the key, and have it prove the same. ConnectionError if it does not."""
    sock.settimeout(60.0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    nonce = secrets.token_bytes(32)
    sock.sendall(nonce)
    theirs = exactly(sock, 32)
    mine, peer = (_SERVER, _CLIENT) if server else (_CLIENT, _SERVER)
    # The client proves itself first: a server tells nothing to one that does not know the key.
    if not server:
        sock.sendall(_answer(key, theirs, mine))
    if not hmac.compare_digest(exactly(sock, 32), _answer(key, nonce, peer)):
        raise ConnectionError("the peer does not know this job's key (NUMTORCH_JOB_KEY)")
    if server:
        sock.sendall(_answer(key, theirs, mine))
    sock.settimeout(None)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on the address of `host`, or on all where that is not this machine's."""
    for where in (host, ""):
        try:
            info = socket.getaddrinfo(where or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = min(info, key=lambda x: x[0] != socket.AF_INET)
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(address)
                sock.listen(128)
                return sock
            except BaseException:
                sock.close()
                raise
        except OSError as e:
            import errno
            if not where or getattr(e, "errno", None) == errno.EADDRINUSE:
                raise
    raise AssertionError


def dial(host: str, port: int, key: bytes, seconds: float) -> socket.socket:
    """A connection to a peer of this job, tried until it listens. RuntimeError after `seconds`."""
    limit = time.monotonic() + seconds
    while True:
        try:
            sock = socket.create_connection((host, port), timeout=min(60.0, seconds))
            break
        except OSError as e:
            if time.monotonic() > limit:
                raise RuntimeError(f"The client socket has timed out after {seconds:g}s while trying to "
                                   f"connect to ({host}, {port}).") from e
            time.sleep(0.02)
    greet(sock, key, server=False)
    return sock


class TCPStore(Store):
    """A table that one process (is_master) keeps and others reach over TCP, after proving that they know the
    job's key. port 0: any free one. With wait_for_workers the master waits for world_size processes."""

    def __init__(self, host_name: str, port: int, world_size: int | None = None, is_master: bool = False,
                 timeout: timedelta = DEFAULT_TIMEOUT, wait_for_workers: bool = True,
                 multi_tenant: bool = False, master_listen_fd: int | None = None,
                 use_libuv: bool = True) -> None:
        self.host, self.port, self.timeout, self._key = host_name, port, timeout, job_key()
        self._lock = threading.Lock()
        self._server: socket.socket | None = None
        if is_master:
            self._table: dict[str, bytes] = {}
            self._turn = threading.Lock()
            self._server = listen(host_name, port)
            self.port = self._server.getsockname()[1]
            threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()
        self._sock = dial(host_name, self.port, self._key, timeout.total_seconds())
        if world_size is not None and world_size > 0 and wait_for_workers:
            n = self.add("init/joined", 1)
            if is_master:
                limit = time.monotonic() + timeout.total_seconds()
                while n < world_size:
                    if time.monotonic() > limit:
                        raise RuntimeError(f"Timed out after {timeout.total_seconds() + 1:g} seconds waiting "
                                           f"for clients. {n}/{world_size} clients joined.")
                    self._pause()
                    n = self.add("init/joined", 0)

    @property
    def address(self) -> str:
        """The address by which this process reaches the master."""
        return self._sock.getsockname()[0]

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                sock, _ = server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._attend, args=(sock,), daemon=True).start()

    def _attend(self, sock: socket.socket) -> None:
        """Answer one client: (operation, key, values …) comes in, one value goes out."""
        local = HashStore()
        local._table, local._lock = self._table, self._turn
        with sock, contextlib.suppress(OSError):
            greet(sock, self._key, server=True)
            while True:
                n, = struct.unpack("<Q", exactly(sock, 8))
                if n > 1 << 30:
                    return
                op, *args = _split(exactly(sock, n))
                key = args[0].decode() if args else ""
                out = b""
                if op == b"set":
                    local.set(key, args[1])
                elif op == b"get":
                    out = local._apply(lambda table, k=key: table.get(k, b""))
                elif op == b"add":
                    out = b"%d" % local.add(key, int(args[1]))
                elif op == b"append":
                    local.append(key, args[1])
                elif op == b"swap":
                    out = local.compare_set(key, args[1], args[2])
                elif op == b"check":
                    out = b"%d" % local.check([a.decode() for a in args])
                elif op == b"delete":
                    out = b"%d" % local.delete_key(key)
                elif op == b"count":
                    out = b"%d" % local.num_keys()
                sock.sendall(_join([out]))

    def _ask(self, *parts: bytes) -> bytes:
        with self._lock:
            self._sock.sendall(_join([_join(parts)]))
            n, = struct.unpack("<Q", exactly(self._sock, 8))
            return exactly(self._sock, n)

    def set(self, key, value):
        self._ask(b"set", key.encode(), _data(value))

    def get(self, key):
        self.wait([key])
        return self._ask(b"get", key.encode())

    def add(self, key, amount):
        return int(self._ask(b"add", key.encode(), b"%d" % amount))

    def append(self, key, value):
        self._ask(b"append", key.encode(), _data(value))

    def compare_set(self, key, expected_value, desired_value):
        return self._ask(b"swap", key.encode(), _data(expected_value), _data(desired_value))

    def check(self, keys):
        return self._ask(b"check", *(k.encode() for k in keys)) == b"1"

    def delete_key(self, key):
        return self._ask(b"delete", key.encode()) == b"1"

    def num_keys(self):
        return int(self._ask(b"count"))

    def close(self) -> None:
        """End the connection; the master also ends the table."""
        self._sock.close()
        if self._server is not None:
            # A thread in accept() keeps a socket that is only closed; shutdown wakes it.
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
