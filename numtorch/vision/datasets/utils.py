"""Files of data sets: check, download, unpack."""
from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import time
from typing import Any

__all__ = ["check_integrity", "check_md5", "download_and_extract_archive", "download_url", "extract_archive",
           "list_dir", "list_files"]


def calculate_md5(path: str, chunk_size: int = 1 << 20) -> str:
    """Return the MD5 of a file as hexadecimal digits: a check against damage, not against an attacker."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as f:
        while block := f.read(chunk_size):
            digest.update(block)
    return digest.hexdigest()


def check_md5(path: str, md5: str) -> bool:
    """Whether the file has this MD5."""
    return calculate_md5(path) == md5


def check_integrity(path: str, md5: str | None = None) -> bool:
    """Whether the file exists and, if md5 is given, has it."""
    return os.path.isfile(path) and (md5 is None or check_md5(path, md5))


def download_url(url: str, root: Any, filename: str | None = None, md5: str | None = None,
                 timeout: float = 60) -> str:
    """Fetch `url` to root/filename and return the path; an undamaged file that is there already is kept.

    The file appears complete or not at all. Progress goes to stderr where that is a terminal.
    Errors: RuntimeError where the MD5 differs; OSError where the URL cannot be read.
    """
    import urllib.request
    root = os.path.expanduser(root)
    path = os.path.join(root, filename or os.path.basename(url))
    if check_integrity(path, md5):
        return path
    os.makedirs(root, exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    digest = hashlib.md5(usedforsecurity=False)
    show = sys.stderr is not None and sys.stderr.isatty()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "numtorch"})
        with urllib.request.urlopen(request, timeout=timeout) as source, open(part, "wb") as f:
            total, done, last = int(source.headers.get("Content-Length") or 0), 0, 0.0
            while block := source.read(1 << 17):
                f.write(block)
                digest.update(block)
                done += len(block)
                if show and time.monotonic() - last > 0.2:
                    last = time.monotonic()
                    of = f" of {total / 1e6:.1f}" if total else ""
                    print(f"\r{os.path.basename(path)}: {done / 1e6:.1f}{of} MB", end="", file=sys.stderr)
            f.flush()
            os.fsync(f.fileno())
        if show:
            print(file=sys.stderr)
        if total and done != total:
            raise OSError(f"{url} ended after {done} of {total} bytes")
        if md5 is not None and digest.hexdigest() != md5:
            raise RuntimeError(f"File not found or corrupted.\n{url} has MD5 {digest.hexdigest()}, not {md5}")
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return path


def extract_archive(path: str, to: str | None = None, max_bytes: int = 1 << 35) -> str:
    """Unpack a tar archive, by default beside itself; return the folder.

    Members that would land outside, links that point outside, devices, and archives of more than max_bytes
    are refused (tarfile's "data" filter).
    """
    to = to or os.path.dirname(path)
    with tarfile.open(path) as archive:
        total = 0
        for member in archive:
            total += member.size
            if total > max_bytes:
                raise RuntimeError(f"{path} unpacks to more than max_bytes={max_bytes} bytes")
        archive.extractall(to, filter="data")
    return to


def list_dir(root: Any, prefix: bool = False) -> list[str]:
    """Names of the folders in a folder; with `prefix` their paths."""
    root = os.path.expanduser(root)
    return [os.path.join(root, n) if prefix else n for n in os.listdir(root)
            if os.path.isdir(os.path.join(root, n))]


def list_files(root: Any, suffix: str | tuple[str, ...], prefix: bool = False) -> list[str]:
    """Names of the files in a folder that end in `suffix`; with `prefix` their paths."""
    root = os.path.expanduser(root)
    return [os.path.join(root, n) if prefix else n for n in os.listdir(root)
            if n.endswith(suffix) and os.path.isfile(os.path.join(root, n))]


def download_and_extract_archive(url: str, download_root: Any, extract_root: str | None = None,
                                 filename: str | None = None, md5: str | None = None) -> None:
    """Fetch an archive and unpack it."""
    extract_archive(download_url(url, download_root, filename, md5), extract_root
                    or os.path.expanduser(download_root))
