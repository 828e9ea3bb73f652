"""Recordings in a file: a zip of one JSON text and the bytes of the tensors. Nothing in it is code.

Members: `graph.json`; `tensors/N`, the memory of one block; `extra/NAME`, what the user adds. Every member
has a CRC-32, and their list a SHA-256, which the reader checks (numtorch/archive.py)."""
from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..archive import ArchiveReader, ArchiveWriter
from ..dispatch import cpu
from ..serialization import host_bytes, write_whole
from ..storage import Storage
from ..tensor import Tensor
from ..unpickle import Limits, UnpicklingError
from .document import damaged, dtype, layout, whole
from .interpret import tensor_on
from .recording import Recording

FORMAT, VERSION = "numtorch graphs", 1


class Saved:
    """What a file holds. `methods`: recordings by name; `state`: (name, "parameter" or "buffer", tensor,
    whether a state_dict has it, whether it requires grad); `about`: further plain data."""

    def __init__(self, methods: Mapping[str, Sequence[Recording]], state: Sequence[tuple],
                 about: Mapping[str, Any]):
        self.methods = {k: list(v) for k, v in methods.items()}
        self.state, self.about = list(state), dict(about)


def save(saved: Saved, f: Any, extra: Mapping[str, Any] | None = None) -> None:
    """Write to a path (whole or not at all) or a file object."""
    if sys.byteorder != "little":
        raise NotImplementedError("graphs are saved on little-endian machines only")
    blocks: list[np.ndarray] = []
    places: dict[tuple, int] = {}

    def block(s: Storage, d: Any) -> int:
        raw = host_bytes(s, d)
        key = (raw.ctypes.data, raw.nbytes) if raw.nbytes and s.device is cpu else (id(s),)
        if key not in places:
            places[key] = len(blocks)
            blocks.append(raw)
        return places[key]
    tensors: dict[int, int] = {}
    state: list[dict] = []
    for name, kind, t, kept, grad in saved.state:
        first = tensors.setdefault(id(t), len(state))
        state.append({"name": name, "kind": kind, "kept": kept, "grad": grad, "same": first,
                      "dtype": t.dtype.name, "layout": [list(t.layout.shape), list(t.layout.strides),
                                                        t.layout.offset],
                      "block": block(t.storage, t.dtype)})
    methods: dict[str, list] = {}
    for name, recordings in saved.methods.items():
        methods[name] = []
        for r in recordings:
            known = []
            for a in r.constants:
                blocks.append(np.ascontiguousarray(a).view(np.uint8).reshape(-1))
                known.append([len(blocks) - 1, a.dtype.name])
            methods[name].append({"doc": r.doc, "constants": known})
    text = json.dumps({"format": FORMAT, "version": VERSION, "about": saved.about, "state": state,
                       "methods": methods},
                      separators=(",", ":"), allow_nan=False).encode()

    def write(file: Any) -> None:
        archive = ArchiveWriter(file.write)
        archive.add("graph.json", text)
        for i, raw in enumerate(blocks):
            archive.add(f"tensors/{i}", raw.data)
        for k, v in (extra or {}).items():
            archive.add(f"extra/{k}", v.encode() if isinstance(v, str) else bytes(v))
        archive.close()
    if isinstance(f, str | os.PathLike):
        write_whole(os.fspath(f), write)
    else:
        write(f)


def load(f: Any, extra: dict | None = None) -> Saved:
    """Read a file. RuntimeError for one that is damaged, or not from here. `extra`: its keys are filled
    in."""
    if not isinstance(f, str | os.PathLike):
        return _load(f, extra)
    path = os.fspath(f)
    if not os.path.exists(path):
        raise ValueError(f"The provided filename {path} does not exist")
    if os.path.isdir(path):
        raise ValueError(f"The provided filename {path} is a directory")
    with open(path, "rb") as file:
        return _load(file, extra)


def _load(file: Any, extra: dict | None) -> Saved:
    base = file.tell()
    file.seek(0, io.SEEK_END)
    size = file.tell() - base
    file.seek(base)
    limits = Limits(max(64 << 20, 8 * size))
    try:
        archive = ArchiveReader(file, base, size, limits)
        if "graph.json" not in archive:
            if "constants.pkl" in archive or any(n.startswith("code/") for n in archive.members):
                raise RuntimeError("this is an archive of TorchScript code written by PyTorch, which "
                                   "numtorch does not "
                                   "run; save the model's state_dict there and load that")
            raise damaged("it has no graph")
        limits.charge(20 * archive.member("graph.json").size)
        doc = json.loads(archive.read("graph.json"), parse_constant=_refuse)
        return _saved(doc, archive, extra)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError, RecursionError,
            UnpicklingError) as e:
        raise damaged(f"{type(e).__name__}: {e}") from e


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _saved(doc: dict, archive: ArchiveReader, extra: dict | None) -> Saved:
    if doc["format"] != FORMAT:
        raise damaged("it is of another format")
    if doc["version"] != VERSION:
        raise RuntimeError(f"the file is of version {str(doc['version'])[:20]}; this numtorch reads version "
                           f"{VERSION}")
    raw: dict[int, np.ndarray] = {}
    storages: dict[int, Storage] = {}

    def block(i: Any) -> np.ndarray:
        if type(i) is not int:
            raise damaged("a tensor is nowhere")
        if i not in raw:
            raw[i] = archive.read_array(f"tensors/{i}")
        return raw[i]

    def typed(a: np.ndarray, d: Any) -> np.ndarray:
        if a.nbytes % d.itemsize:
            raise damaged("a tensor is no whole number of elements")
        return a != 0 if d.name == "bool" else a.view(d.numpy)
    state: list[tuple] = []
    for e in doc["state"]:
        if type(e["name"]) is not str or e["kind"] not in ("parameter", "buffer"):
            raise damaged("a parameter is malformed")
        same = whole(e["same"], 0, len(state))
        if same < len(state):
            state.append((e["name"], e["kind"], state[same][2], e["kept"] is True, e["grad"] is True))
            continue
        d, seen = dtype(e["dtype"]), layout(*e["layout"])
        if e["block"] not in storages:
            storages[e["block"]] = Storage(typed(block(e["block"]), d))
        s = storages[e["block"]]
        if s.array.dtype != d.numpy or seen.numel and seen.span() > s.array.size:
            raise damaged(f"{e['name'][:100]!r} reaches past its memory")
        t = tensor_on(s.array, seen, d)
        t.storage = s
        state.append((e["name"], e["kind"], t, e["kept"] is True, e["grad"] is True and d.is_floating_point))
    known = {e[0]: e[2] for e in state}
    if len(known) != len(state):
        raise damaged("two parameters have one name")
    methods: dict[str, list[Recording]] = {}
    for name, recordings in doc["methods"].items():
        if not name.isidentifier():
            raise damaged("a method has no name")
        methods[name] = []
        for r in recordings:
            constants = []
            for i, d in r["constants"]:
                constants.append(typed(block(i), dtype(d)))
            methods[name].append(_checked(Recording(r["doc"], constants), known))
    for k in extra or {}:
        extra[k] = archive.read(f"extra/{k}") if f"extra/{k}" in archive else b""  # type: ignore[index]
    return Saved(methods, state, doc["about"])


def _checked(r: Recording, known: Mapping[str, Tensor]) -> Recording:
    """The recording, if its graph is whole and its inputs are there."""
    graph = r.graph
    for where, v in zip(r.doc["inputs"], graph.inputs):
        if "state" in where and where["state"] not in known:
            raise damaged("the graph reads a parameter that the file does not have")
        if "tensor" in where:
            a = r.constants[whole(where["tensor"], 0, len(r.constants) - 1)]
            if a.size != v.numel or a.dtype != v.dtype.numpy:
                raise damaged("a constant has another size")
    return r
