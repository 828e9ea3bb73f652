"""How processes find each other: from what init_process_group was told to the group of all of them."""
from __future__ import annotations

import os
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlparse

from . import mpi
from .group import ProcessGroup
from .store import FileStore, PrefixStore, Store, TCPStore

_joined = 0  # groups of all processes made so far: each meets under a name of its own

_stores: dict[tuple[str, int], TCPStore] = {}


def _from_environment(name: str, given: int) -> int:
    if given >= 0:
        return given
    if name not in os.environ:
        raise ValueError("Error initializing torch.distributed using env:// rendezvous: environment variable "
                         f"{name} expected, but not set")
    return int(os.environ[name])


def _address(name: str) -> str:
    if name not in os.environ:
        raise ValueError("Error initializing torch.distributed using env:// rendezvous: environment variable "
                         f"{name} expected, but not set")
    return os.environ[name]


def _tcp(host: str, port: int, rank: int, timeout: timedelta) -> TCPStore:
    """The store at an address; one for the life of this process, so that a job may leave and join again."""
    store = _stores.get((host, port))
    if store is None:
        store = _stores[host, port] = TCPStore(host, port, None, rank == 0, timeout)
    return store


def rendezvous(url: str, rank: int = -1, world_size: int = -1,
               timeout: timedelta | None = None) -> tuple[Store, int, int]:
    """(store, rank, world size) of env://, tcp://host:port or file:///path."""
    limit = timeout or Store.timeout
    parsed = urlparse(url)
    query = {k: int(v[0]) for k, v in parse_qs(parsed.query).items() if k in ("rank", "world_size")}
    rank, world_size = query.get("rank", rank), query.get("world_size", world_size)
    if parsed.scheme == "env":
        rank = _from_environment("RANK", rank)
        world_size = _from_environment("WORLD_SIZE", world_size)
        host, port = _address("MASTER_ADDR"), int(_address("MASTER_PORT"))
        return _tcp(host, port, rank, limit), rank, world_size
    if parsed.scheme not in ("tcp", "file"):
        raise RuntimeError(f"No rendezvous handler for {parsed.scheme}://")
    for value, name in ((rank, "rank"), (world_size, "world size")):
        if value < 0:
            raise ValueError(f"Error initializing torch.distributed using {parsed.scheme}:// rendezvous: "
                             f"{name} parameter missing")
    if parsed.scheme == "file":
        return FileStore(parsed.path, world_size), rank, world_size
    if not parsed.port:
        raise ValueError("Error initializing torch.distributed using tcp:// rendezvous: port number missing")
    return _tcp(parsed.hostname or "localhost", parsed.port, rank, limit), rank, world_size


def world(backend: str, url: str, rank: int, world_size: int, store: Store | None,
          timeout: timedelta) -> tuple[ProcessGroup, Any]:
    """(group of all processes, store or None). Under an MPI launcher MPI carries it, else TCP; one process
    needs neither."""
    global _joined
    seconds = timeout.total_seconds()
    job = mpi.launched()
    if job is not None and store is None and url == "env://" and (
            (rank < 0 or rank == job[0]) and (world_size < 0 or world_size == job[1])):
        if job[1] == 1:
            return ProcessGroup((0,), 0, seconds), None
        return mpi.MPIGroup.world(seconds), None
    if backend == "mpi" and store is None and url == "env://" and "WORLD_SIZE" not in os.environ:
        if world_size > 1:
            raise RuntimeError("backend 'mpi' with several processes needs a launcher: numtorch run "
                               f"--nproc-per-node {world_size} SCRIPT, or mpiexec")
        return ProcessGroup((0,), 0, seconds), None  # as MPI does without a launcher
    if store is None:
        if url == "env://":
            rank = _from_environment("RANK", rank)
            world_size = _from_environment("WORLD_SIZE", world_size)
            _address("MASTER_ADDR"), _address("MASTER_PORT")
        if world_size == 1 and rank == 0:
            return ProcessGroup((0,), 0, seconds), None
        store, rank, world_size = rendezvous(url, rank, world_size, timeout)
    elif rank < 0 or world_size < 1:
        raise ValueError("rank and world_size must be given with a store")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not one of {world_size} processes")
    if world_size == 1:
        return ProcessGroup((0,), 0, seconds), store
    from .tcp import Mesh, TCPGroup
    _joined += 1
    host = store.address if isinstance(store, TCPStore) else "127.0.0.1"
    mesh = Mesh(PrefixStore(f"group {_joined}", store), rank, world_size, seconds, host)
    return TCPGroup(mesh, range(world_size), seconds), store
