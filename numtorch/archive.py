"""Read and write PyTorch's checkpoint container: a zip file of stored members, each aligned to 64 bytes.

The reader trusts nothing: one central directory, at the end; members that tile the file without a gap; local
headers and data descriptors that repeat the directory's entries; unique names without `..`; CRC-32 of what is
read.
"""
from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from .unpickle import Limits, shown

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_BIG, _MANY = 0xFFFFFFFF, 0xFFFF
_FLAGS = 0x0808           # sizes follow the data; names are UTF-8
_CHUNK = 1 << 24
ALIGNMENT = 64
DIGEST = ".data/sha256"


def _failed(why: str) -> RuntimeError:
    return RuntimeError(f"PytorchStreamReader failed reading zip archive: {why}")


class Member:
    """One entry of the central directory, and where its bytes are."""

    __slots__ = ("name", "size", "stored", "crc", "flags", "method", "header", "start")

    def __init__(self, name: str, size: int, stored: int, crc: int, flags: int, method: int, header: int):
        self.name, self.size, self.stored, self.crc = name, size, stored, crc
        self.flags, self.method, self.header, self.start = flags, method, header, 0


class ArchiveReader:
    """The members of a checkpoint by their names below its top folder. RuntimeError for a damaged archive."""

    def __init__(self, file: BinaryIO, base: int, size: int, limits: Limits):
        self.file, self.base, self.size, self.limits = file, base, size, limits
        self.members: dict[str, Member] = {}
        directory = self._directory()
        self.root = directory[0].name.partition("/")[0] if directory else ""
        self._check_tiling(directory)
        for member in directory:
            self._add(member)
        self._check_digest(directory)

    def _at(self, offset: int, n: int) -> bytes:
        if offset < 0 or n < 0 or offset + n > self.size:
            raise _failed(f"a record reaches past the end of the file ({self.size} bytes)")
        self.file.seek(self.base + offset)
        data = self.file.read(n)
        if len(data) != n:
            raise _failed("the file ends early")
        return data

    def _directory(self) -> list[Member]:
        missing = _failed("failed finding central directory. The file is truncated, damaged or no checkpoint "
                          f"({self.size} bytes).")
        if self.size < _END.size:
            raise missing
        end = self.size - _END.size
        sign, disk, first, here, count, length, start, comment = _END.unpack(self._at(end, _END.size))
        if sign != b"PK\5\6" or comment or disk or first or here != count:
            raise missing
        if end >= _LOCATOR.size and self._at(end - _LOCATOR.size, 4) == b"PK\6\7":
            _, disk, at, disks = _LOCATOR.unpack(self._at(end - _LOCATOR.size, _LOCATOR.size))
            if disk or disks > 1 or at != end - _LOCATOR.size - _END64.size:
                raise missing
            big = _END64.unpack(self._at(at, _END64.size))
            for narrow, wide, most in ((count, big[7], _MANY), (length, big[8], _BIG), (start, big[9], _BIG)):
                if narrow not in (min(wide, most), most):
                    raise _failed("its two end records differ")
            if big[0] != b"PK\6\6" or big[1] != 44 or big[4] or big[5] or big[6] != big[7]:
                raise missing
            count, length, start, end = big[7], big[8], big[9], at
        if start + length != end or count * _CENTRAL.size > length:
            raise _failed("the central directory is not where the end record says")
        self.limits.charge(length + 400 * count)
        self.end = start
        return list(self._entries(self._at(start, length), count))

    def _entries(self, raw: bytes, count: int) -> Iterator[Member]:
        at = 0
        for _ in range(count):
            if at + _CENTRAL.size > len(raw):
                raise _failed("the central directory is cut short")
            (sign, _, _, flags, method, _, _, crc, stored, size, n_name, n_extra, n_comment, disk, _, _,
             header) = _CENTRAL.unpack_from(raw, at)
            at += _CENTRAL.size
            if sign != b"PK\1\2" or at + n_name + n_extra + n_comment > len(raw) or disk or n_comment:
                raise _failed("the central directory is damaged")
            name, extra = raw[at:at + n_name], raw[at + n_name:at + n_name + n_extra]
            at += n_name + n_extra
            size, stored, header = _wide(extra, size, stored, header)
            yield Member(_checked_name(name), size, stored, crc, flags, method, header)
        if at != len(raw):
            raise _failed("the central directory holds more than its entries")

    def _check_tiling(self, directory: list[Member]) -> None:
        at = 0
        ordered = sorted(directory, key=lambda m: m.header)
        for member, following in zip(ordered, [*ordered[1:], None]):
            if member.header != at:
                raise _failed(f"bytes {at} to {member.header} belong to no member")
            at = following.header if following else self.end
            self._check_local(member, at)
        if at != self.end:
            raise _failed("bytes before the central directory belong to no member")

    def _check_local(self, member: Member, end: int) -> None:
        sign, _, flags, method, _, _, crc, stored, size, n_name, n_extra = _LOCAL.unpack(
            self._at(member.header, _LOCAL.size))
        named = self._at(member.header + _LOCAL.size, n_name + n_extra)
        differs = _failed(f"the header of {shown(member.name)} differs from the central directory")
        if sign != b"PK\3\4" or flags != member.flags or method != member.method \
                or _checked_name(named[:n_name]) != member.name:
            raise differs
        if flags & ~0x080e or method not in (0, 8):
            raise _failed(f"{shown(member.name)} is encrypted or compressed by a method other than deflate")
        if method == 0 and member.size != member.stored:
            raise differs
        follows = bool(flags & 8)
        size, stored, _ = _wide(named[n_name:], size, stored, 0)
        sizes = member.size, member.stored
        unknown = follows and crc == 0 and (size, stored) in ((0, 0), sizes)
        if not unknown and (crc, size, stored) != (member.crc, *sizes):
            raise differs
        member.start = member.header + _LOCAL.size + n_name + n_extra
        after = member.start + member.stored
        if follows:
            tail = self._at(after, end - after) if after < end <= after + 24 else b""
            form = {16: "<4s3I", 24: "<4sI2Q"}.get(len(tail))
            wanted = b"PK\7\b", member.crc, member.stored, member.size
            if form is None or struct.unpack(form, tail) != wanted:
                raise differs
        elif after != end:
            raise differs

    def _add(self, member: Member) -> None:
        folder, _, name = member.name.partition("/")
        if folder != self.root:
            raise _failed(f"{shown(member.name)} is outside the folder {shown(self.root)}")
        if name in self.members:
            raise _failed(f"two members are named {shown(member.name)}")
        self.members[name] = member

    def _check_digest(self, directory: list[Member]) -> None:
        if DIGEST in self.members:
            rest = [m for m in directory if m is not self.members[DIGEST]]
            if self.read(DIGEST) != _digest(rest).encode():
                raise _failed("the list of members is not the one that was saved")

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def member(self, name: str) -> Member:
        """The entry of `name`. RuntimeError if there is none."""
        found = self.members.get(name)
        if found is None:
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found")
        return found

    def read(self, name: str) -> bytes:
        """The bytes of a member, their CRC-32 checked."""
        return self.read_array(name).tobytes()

    def read_array(self, name: str) -> np.ndarray:
        """The bytes of a member in fresh memory (uint8), their CRC-32 checked."""
        member = self.member(name)
        self.limits.charge(member.size)
        if member.method == 0:
            out = np.empty(member.size, np.uint8)
            self.file.seek(self.base + member.start)
            fill(self.file, out)
        else:
            out = self._inflated(member)
        crc = 0
        for at in range(0, member.size, _CHUNK):
            crc = zlib.crc32(out[at:at + _CHUNK].data, crc)
        if crc != member.crc:
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: its CRC-32 is {crc:08x} and "
                               f"was saved as {member.crc:08x}. The file is damaged.")
        return out

    def _inflated(self, member: Member) -> np.ndarray:
        packed, inflate = self._at(member.start, member.stored), zlib.decompressobj(-15)
        try:
            data = inflate.decompress(packed, member.size + 1)
        except zlib.error as e:
            raise _failed(f"{shown(member.name)} does not inflate ({e})") from None
        if len(data) != member.size or not inflate.eof or inflate.unused_data:
            raise _failed(f"{shown(member.name)} does not inflate to {member.size} bytes")
        return np.frombuffer(bytearray(data), np.uint8)


def fill(file: BinaryIO, out: np.ndarray) -> None:
    """Read exactly as many bytes as `out` (uint8) holds. RuntimeError if the file ends before."""
    view, at = out.data, 0
    into = getattr(file, "readinto", None)
    while at < len(view):
        if into is not None:
            got = into(view[at:at + _CHUNK])
        else:
            data = file.read(min(_CHUNK, len(view) - at))
            got = len(data)
            view[at:at + got] = data
        if not got:
            raise _failed("the file ends early")
        at += got


def _wide(extra: bytes, size: int, stored: int, header: int) -> tuple[int, int, int]:
    """Sizes and offset, with those that did not fit 32 bits taken from the zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind, n = struct.unpack_from("<2H", extra, at)
        at += 4
        if at + n > len(extra):
            raise _failed("an extra field is cut short")
        if kind == 1:
            if n % 8 or n > 24:
                raise _failed("a zip64 field is damaged")
            values = list(struct.unpack_from(f"<{n // 8}Q", extra, at))
            size = values.pop(0) if size == _BIG and values else size
            stored = values.pop(0) if stored == _BIG and values else stored
            header = values.pop(0) if header == _BIG and values else header
        at += n
    return size, stored, header


def _checked_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _failed(f"a member's name is not UTF-8: {shown(raw)}") from None
    parts = name.split("/")
    if not parts[0] or {".", ".."} & set(parts) or any(c in name for c in "\0\\:"):
        raise _failed(f"a member's name is not a plain path: {shown(name)}")
    return name


def _digest(members: list[Member]) -> str:
    lines = "".join(f"{m.name}\t{m.size}\t{m.crc:08x}\n" for m in members)
    return hashlib.sha256(lines.encode()).hexdigest()


class ArchiveWriter:
    """Writes a checkpoint member by member through `write`, in the layout of PyTorch's own writer."""

    def __init__(self, write: Callable[[Any], Any], root: str = "archive"):
        self._write, self.root, self.at = write, root, 0
        self.members: list[Member] = []

    def _put(self, data) -> None:
        got = self._write(data)
        if isinstance(got, int) and got != len(data):
            raise OSError(f"the file took {got} of {len(data)} bytes")
        self.at += len(data)

    def add(self, name: str, data: bytes | memoryview) -> None:
        """One member."""
        view = memoryview(data)
        size, big = len(view), len(view) >= _BIG
        member = Member(f"{self.root}/{name}", size, size, 0, _FLAGS, 0, self.at)
        raw = member.name.encode()
        extra = struct.pack("<2H2Q", 1, 16, size, size) if big else b""
        pad = -(self.at + _LOCAL.size + len(raw) + len(extra) + 4) % ALIGNMENT
        extra += struct.pack("<2sH", b"FB", pad) + b"Z" * pad
        unknown = _BIG if big else 0
        self._put(_LOCAL.pack(b"PK\3\4", 45 if big else 0, _FLAGS, 0, 0, 0, 0, unknown, unknown, len(raw),
                              len(extra)))
        self._put(raw + extra)
        for start in range(0, size, _CHUNK):
            part = view[start:start + _CHUNK]
            member.crc = zlib.crc32(part, member.crc)
            self._put(part)
        self._put(struct.pack("<4sI2Q" if big else "<4s3I", b"PK\7\b", member.crc, size, size))
        self.members.append(member)

    def close(self) -> None:
        """Write the identity of the contents, their digest and the central directory."""
        identity = int(_digest(self.members), 16) % 10**40
        self.add(".data/serialization_id", f"{identity:040d}".encode())
        self.add(DIGEST, _digest(self.members).encode())
        start, count = self.at, len(self.members)
        for m in self.members:
            raw = m.name.encode()
            wide = [n for n in (m.size, m.stored, m.header) if n >= _BIG]
            extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
            size, header = min(m.size, _BIG), min(m.header, _BIG)
            self._put(_CENTRAL.pack(b"PK\1\2", 0, 45 if wide else 0, _FLAGS, 0, 0, 0, m.crc, size, size,
                                    len(raw), len(extra), 0, 0, 0, 0, header) + raw + extra)
        length, end = self.at - start, self.at
        self._put(_END64.pack(b"PK\6\6", 44, 0x031e, 45, 0, 0, count, count, length, start))
        self._put(_LOCATOR.pack(b"PK\6\7", 0, end, 1))
        self._put(_END.pack(b"PK\5\6", 0, 0, min(count, _MANY), min(count, _MANY), min(length, _BIG),
                            min(start, _BIG), 0))
