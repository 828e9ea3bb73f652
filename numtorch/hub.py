"""torch.hub: models from GitHub repositories that have a `hubconf.py`, and files from URLs, with a cache on
disk.

Code of a repository runs only after you said that you trust it."""
from __future__ import annotations

import builtins
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import types
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

GITHUB, API = "https://github.com", "https://api.github.com"
TRUSTED_OWNERS = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # resnet18-5c106cde.pth: the start of the file's SHA-256
_CHUNK = 1 << 17
_dir: str | None = None


# ------------------------------------------------------------------------------------------------------
# places
def get_dir() -> str:
    """The folder of downloads: that of set_dir, else $TORCH_HOME/hub, else $XDG_CACHE_HOME/torch/hub, else
    ~/.cache/torch/hub."""
    if _dir is not None:
        return _dir
    cache = os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "torch")
    return os.path.join(os.path.expanduser(os.getenv("TORCH_HOME", cache)), "hub")


def set_dir(d: str | os.PathLike) -> None:
    """Keep downloads in the folder `d`."""
    global _dir
    _dir = os.path.expanduser(d)


# ---------------------------------------------------------------------------------------------------
# downloads
class _Bar:
    """Progress as a percentage (or bytes, where the size is not known) on stderr."""

    def __init__(self, total: int | None = None, disable: bool = False, **kwargs: Any) -> None:
        self.total, self.disable, self.n = total, disable, 0

    def update(self, n: int) -> None:
        """Count n more bytes."""
        self.n += n
        if not self.disable:
            sys.stderr.write(f"\r{100 * self.n / self.total:.1f}%" if self.total else f"\r{self.n} bytes")
            sys.stderr.flush()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exc: Any) -> None:
        if not self.disable:
            sys.stderr.write("\n")


def _bar(**settings: Any) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return _Bar(**settings)
    return tqdm(**settings)


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Download `url` to the path `dst`, which appears only once it is whole.

    RuntimeError if its SHA-256 does not begin with `hash_prefix`, or fewer bytes came than were announced."""
    dst = os.path.expanduser(dst)
    handle, part = tempfile.mkstemp(".partial", os.path.basename(dst) + ".", os.path.dirname(dst) or ".")
    try:
        with os.fdopen(handle, "wb") as f, urlopen(Request(url, headers={"User-Agent": "torch.hub"})) as u:
            size = u.headers.get("Content-Length")
            total, sha, count = int(size) if size else None, hashlib.sha256(), 0
            with _bar(total=total, disable=not progress, unit="B", unit_scale=True, unit_divisor=1024) as bar:
                while chunk := u.read(_CHUNK):
                    f.write(chunk)
                    sha.update(chunk)
                    bar.update(len(chunk))
                    count += len(chunk)
        if total is not None and count != total:
            raise RuntimeError(f"download of {url} ended after {count} of {total} bytes")
        digest = sha.hexdigest()
        if hash_prefix is not None and not digest.startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(part, 0o666 & ~umask)  # mkstemp's files are the owner's alone
        os.replace(part, dst)
    finally:
        if os.path.exists(part):
            os.remove(part)


def load_state_dict_from_url(url: str, model_dir: str | None = None, map_location: Any = None,
                             progress: bool = True, check_hash: bool = False, file_name: str | None = None,
                             weights_only: bool = False) -> dict[str, Any]:
    """The object in a file of torch.save at `url`, downloaded once to `model_dir` (get_dir()/checkpoints).

    `check_hash`: a name like `resnet18-5c106cde.pth` states how the file's SHA-256 begins."""
    from .serialization import load as read
    where = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(where, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(where, name)
    if not os.path.exists(path):
        sys.stdout.write(f'Downloading: "{url}" to {path}\n')
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as z:  # before 1.6 a file of torch.save could come alone in a zip archive
            members = z.infolist()
            if len(members) == 1 and not members[0].is_dir():
                _extract(z, where)
                path = os.path.join(where, members[0].filename)
    return read(path, map_location=map_location, weights_only=weights_only)


def _extract(z: zipfile.ZipFile, where: str) -> None:
    """Extract an archive. ValueError for an entry that would lie outside."""
    root = os.path.realpath(where)
    for member in z.infolist():
        name = member.filename
        if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
            raise ValueError(f"Archive entry has absolute path: {name}")
        if ".." in re.split(r"[/\\]", name):
            raise ValueError(f"Archive entry contains directory traversal: {name}")
        if not os.path.realpath(os.path.join(root, name)).startswith(root + os.sep):
            raise ValueError(f"Archive entry escapes target directory: {name}")
        z.extract(member, root)


# ------------------------------------------------------------------------------------------------
# repositories
def _parts(github: str) -> tuple[str, str, str]:
    """(owner, name, ref) of "owner/name:ref"; without a ref, main where it exists, else master."""
    repo, _, ref = github.partition(":")
    owner, name = repo.split("/")
    if ref:
        return owner, name, ref
    try:
        with urlopen(f"{GITHUB}/{owner}/{name}/tree/main/"):
            return owner, name, "main"
    except HTTPError as e:
        if e.code == 404:
            return owner, name, "master"
        raise
    except URLError as e:
        for ref in ("main", "master"):
            if os.path.exists(os.path.join(get_dir(), f"{owner}_{name}_{ref}")):
                return owner, name, ref
        raise RuntimeError("It looks like there is no internet connection and the repo could not be found in "
                           f"the cache ({get_dir()})") from e


def _asked(url: str, headers: dict[str, str]) -> Any:
    with urlopen(Request(url, headers=headers)) as r:
        return json.loads(r.read().decode(r.headers.get_content_charset("utf-8")))


def _check_ref(owner: str, name: str, ref: str) -> None:
    """ValueError unless the repository itself, and no fork of it, has this branch, tag or commit."""
    headers = {"Accept": "application/vnd.github.v3+json"}
    if os.environ.get("GITHUB_TOKEN"):
        headers["Authorization"] = f"token {os.environ['GITHUB_TOKEN']}"
    for kind in ("branches", "tags"):
        page = 1
        while True:
            url = f"{API}/repos/{owner}/{name}/{kind}?per_page=100&page={page}"
            try:
                found = _asked(url, headers)
            except HTTPError:
                if headers.pop("Authorization", None) is None:
                    raise
                found = _asked(url, headers)  # a token may lack rights that nobody needs
            if not found:
                break
            if any(b["name"] == ref or b["commit"]["sha"].startswith(ref) for b in found):
                return
            page += 1
    raise ValueError(f"Cannot find {ref} in {GITHUB}/{owner}/{name}. If it's a commit from a forked repo, "
                     f"please "
                     "call hub.load() with forked repo directly.")


def _check_trust(owner: str, name: str, folder: str, trust_repo: bool | str | None) -> None:
    """Ask whether the repository is trusted, unless it is known to be; remember a yes."""
    path = os.path.join(get_dir(), "trusted_list")
    known = builtins.list[str]()
    if os.path.exists(path):
        with open(path) as f:
            known = [line.strip() for line in f]
    title = f"{owner}_{name}"
    trusted = title in known or owner in TRUSTED_OWNERS or os.path.isdir(os.path.join(get_dir(), folder))
    if trust_repo is False or (trust_repo == "check" and not trusted):
        answer = input(f"The repository {title} does not belong to the list of trusted repositories and as "
                       f"such "
                       "cannot be downloaded. Do you trust this repository and wish to add it to the trusted "
                       "list of repositories (y/N)?")
        if answer.lower() in ("n", "no", ""):
            raise Exception("Untrusted repository.")
        if answer.lower() not in ("y", "yes"):
            raise ValueError(f"Unrecognized response {answer}.")
        if trusted:
            print("The repository is already trusted.")
    if not trusted:
        with open(path, "a") as f:
            f.write(title + "\n")


def _repository(github: str, force_reload: bool, trust_repo: bool | str | None, verbose: bool,
                skip_validation: bool) -> str:
    """The folder of a repository, downloaded if it is not there or `force_reload`."""
    hub = get_dir()
    os.makedirs(hub, exist_ok=True)
    owner, name, ref = _parts(github)
    flat = ref.replace("/", "_")
    folder = f"{owner}_{name}_{flat}"
    where = os.path.join(hub, folder)
    _check_trust(owner, name, folder, trust_repo)
    if not force_reload and os.path.exists(where):
        if verbose:
            sys.stderr.write(f"Using cache found in {where}\n")
        return where
    if not skip_validation:
        _check_ref(owner, name, ref)
    url, archive = f"{GITHUB}/{owner}/{name}/zipball/{ref}", os.path.join(hub, flat + ".zip")
    sys.stdout.write(f'Downloading: "{url}" to {archive}\n')
    try:
        download_url_to_file(url, archive, progress=False)
    except HTTPError as e:
        if e.code != 300:
            raise
        warnings.warn(f"The ref {ref} is ambiguous. Perhaps it is both a tag and a branch in the repo? "
                      f"Torchhub "
                      "will now assume that it's a branch. You can disambiguate tags and branches by "
                      "explicitly "
                      "passing refs/heads/branch_name or refs/tags/tag_name as the ref. That might require "
                      "using "
                      "skip_validation=True.")
        download_url_to_file(f"{GITHUB}/{owner}/{name}/zipball/refs/heads/{ref}", archive, progress=False)
    with tempfile.TemporaryDirectory(dir=hub) as unpacked:
        with zipfile.ZipFile(archive) as z:
            top = z.infolist()[0].filename.split("/")[0]
            _extract(z, unpacked)
        os.remove(archive)
        if os.path.exists(where):
            shutil.rmtree(where)
        shutil.move(os.path.join(unpacked, top), where)
    return where


# --------------------------------------------------------------------------------------------------
# hubconf.py
@contextlib.contextmanager
def _hubconf(folder: str) -> Iterator[types.ModuleType]:
    """The module hubconf.py of a folder, which is importable inside; its `import torch` means numtorch."""
    from .runner import install_as_torch
    install_as_torch()
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("hubconf.py", os.path.join(folder, "hubconf.py"))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)


def _entry(module: types.ModuleType, model: str) -> Callable:
    """The function `model` of a hubconf.py whose dependencies are installed."""
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    lacking = [d for d in getattr(module, "dependencies", ()) if importlib.util.find_spec(d) is None]
    if lacking:
        raise RuntimeError(f"Missing dependencies: {', '.join(lacking)}")
    found = getattr(module, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def list(github: str, force_reload: bool = False, skip_validation: bool = False,
         trust_repo: bool | str | None = "check", verbose: bool = True) -> builtins.list[str]:
    """The names of the models of a repository, "owner/name:ref"."""
    with _hubconf(_repository(github, force_reload, trust_repo, verbose, skip_validation)) as module:
        return [n for n in dir(module) if not n.startswith("_") and callable(getattr(module, n))]


def help(github: str, model: str, force_reload: bool = False, skip_validation: bool = False,
         trust_repo: bool | str | None = "check") -> str | None:
    """The docstring of a model of a repository."""
    with _hubconf(_repository(github, force_reload, trust_repo, True, skip_validation)) as module:
        return _entry(module, model).__doc__


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github",
         trust_repo: bool | str | None = "check", force_reload: bool = False, verbose: bool = True,
         skip_validation: bool = False, **kwargs: Any) -> Any:
    """model(*args, **kwargs) of the hubconf.py of a repository "owner/name:ref" or (source="local") a folder.

    trust_repo: True never asks whether to run its code, False always does, "check" does for repositories that
    are not known."""
    if source.lower() not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source.lower()}". Allowed values: "github" | "local".')
    folder = repo_or_dir
    if source.lower() == "github":
        folder = _repository(repo_or_dir, force_reload, trust_repo, verbose, skip_validation)
    with _hubconf(folder) as module:
        return _entry(module, model)(*args, **kwargs)
