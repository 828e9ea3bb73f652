"""Safetensors files: save_file and load_file of named tensors, as in `safetensors.torch`.

The format: a uint64 length, a JSON header of dtypes, shapes and offsets, the data. The safetensors library
validates a file before it is read here (its NumPy front end cannot give bfloat16, so the bytes are taken as
they lie). The format has no checksum; files written here carry one in their metadata, and it is verified.
"""
from __future__ import annotations

import hashlib
import json
import os
import zlib
from typing import Any

import numpy as np

from . import dtypes
from .archive import fill
from .checkpoint import whole
from .layouts import contiguous
from .serialization import host_bytes, write_whole
from .storage import Storage
from .tensor import Tensor

__all__ = ["load_file", "save_file"]

_CODES = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
          "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64"}
_NAMES = {code: name for name, code in _CODES.items()}
_DIGEST = "numtorch.sha256"


def save_file(
    tensors: dict[str, Tensor], filename: str | os.PathLike, metadata: dict[str, str] | None = None
) -> None:
    """Write named tensors, whole or not at all. RuntimeError for tensors that share memory, ValueError for a
    tensor that is not contiguous or has a dtype the format lacks."""
    _check(tensors)
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": {}}
    parts, at = [], 0
    for name in order:
        t = tensors[name]
        start = t.layout.offset * t.dtype.itemsize
        data = host_bytes(t.storage, t.dtype)[start:start + t.layout.numel * t.dtype.itemsize]
        header[name] = {"dtype": _CODES[t.dtype.name], "shape": list(t.layout.shape),
                        "data_offsets": [at, at + len(data)]}
        parts.append(data.data)
        at += len(data)
    plain = {str(k): str(v) for k, v in (metadata or {}).items() if k != _DIGEST}
    header["__metadata__"] = {**plain, _DIGEST: _digest(header, plain, [zlib.crc32(p) for p in parts])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)

    def write(file: Any) -> None:
        file.write(len(text).to_bytes(8, "little") + text)
        for part in parts:
            file.write(part)

    write_whole(os.fspath(filename), write)


def load_file(filename: str | os.PathLike, device: Any = "cpu") -> dict[str, Tensor]:
    """The named tensors of a safetensors file. safetensors.SafetensorError for a malformed file, RuntimeError
    for one written here and damaged since, NotImplementedError for a dtype that tensors do not have."""
    from safetensors import safe_open
    with safe_open(filename, framework="np") as valid:
        names = list(valid.keys())
    out: dict[str, Tensor] = {}
    with open(filename, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        crcs = []
        for name in sorted(names, key=lambda n: header[n]["data_offsets"]):
            entry = header[name]
            if entry["dtype"] not in _NAMES:
                raise NotImplementedError(f"{name!r} has dtype {entry['dtype']}, which numtorch has not.")
            dtype = dtypes.by_name[_NAMES[entry["dtype"]]]
            start, end = entry["data_offsets"]
            raw = np.empty(end - start, np.uint8)
            file.seek(8 + length + start)
            fill(file, raw)
            crcs.append(zlib.crc32(raw.data))
            t = whole(Storage(raw != 0 if dtype is dtypes.bool else raw.view(dtype.numpy)), dtype)
            t.layout = contiguous(tuple(entry["shape"]))
            out[name] = t if device == "cpu" else t.to(device)
    metadata = header.pop("__metadata__", None) or {}
    digest = metadata.pop(_DIGEST, None)
    if digest is not None and digest != _digest(header, metadata, crcs):
        raise RuntimeError(f"{os.fspath(filename)} is damaged: its contents are not those that were saved")
    return {name: out[name] for name in names}


def _check(tensors: dict[str, Tensor]) -> None:
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    blocks: list[tuple[int, int, str]] = []
    for name, t in tensors.items():
        if not isinstance(t, Tensor) or not isinstance(name, str):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(t)}")
        if t.dtype.name not in _CODES:
            raise ValueError(f"tensor {name!r} has dtype {t.dtype}, which safetensors files cannot hold")
        if not t.layout.contiguous:
            raise ValueError(f"You are trying to save a non contiguous tensor: `{name}` which is not "
                             "allowed. Call `.contiguous()` on it first.")
        if t.layout.numel:
            blocks.append((t.data_ptr(), t.data_ptr() + t.nbytes, name))
    blocks.sort()
    for (_, end, one), (start, _, other) in zip(blocks, blocks[1:]):
        if start < end:
            raise RuntimeError("Some tensors share memory, this will lead to duplicate memory on disk and "
                               f"potential differences when loading them again: {one!r}, {other!r}")


def _digest(header: dict[str, Any], metadata: dict[str, str], crcs: list[int]) -> str:
    named = {name: entry for name, entry in header.items() if name != "__metadata__"}
    entries = sorted((e["data_offsets"], name, e["dtype"], e["shape"]) for name, e in named.items())
    text = json.dumps([entries, sorted(metadata.items()), crcs], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
