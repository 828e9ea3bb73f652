"""`import torch` that means numtorch: an import hook, and the runner of scripts."""
from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Sequence

# Names users import → where they live here. A submodule of torch is the submodule of numtorch unless listed.
MAP = {"torch": "numtorch", "torchvision": "numtorch.vision", "torch.autograd.variable": "numtorch.autograd"}


def target(name: str) -> str | None:
    """The numtorch module that stands for `name`, or None where `name` is not PyTorch's."""
    if name in MAP:
        return MAP[name]
    root, _, rest = name.partition(".")
    if root not in ("torch", "torchvision"):
        return None
    return f"{MAP[root]}.{rest}"


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves `torch…` and `torchvision…` from numtorch, also where the real ones are installed."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target_: types.ModuleType | None = None):
        where = target(fullname)
        if where is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec):
        where = target(spec.name)
        assert where is not None
        try:
            module = importlib.import_module(where)
            spec.loader_state = module.__spec__
            if where.startswith("numtorch.vision"):
                _alias_vision()
            return module
        except ModuleNotFoundError as e:
            if e.name is not None and where.startswith(e.name):
                parent, _, last = where.rpartition(".")
                if parent.startswith("numtorch"):
                    found = getattr(importlib.import_module(parent), last, None)
                    if isinstance(found, types.ModuleType):
                        spec.loader_state = found.__spec__
                        return found
                raise ModuleNotFoundError(f"No module named '{spec.name}' in numtorch",
                                          name=spec.name) from None
            raise

    def exec_module(self, module) -> None:
        module.__spec__ = module.__spec__.loader_state  # its own; the import system has put the hook's there


def _alias_vision() -> None:
    """Every loaded part of numtorch.vision under torchvision's name too.

    Importing one by that name would set its parent's attribute: models.alexnet is a function and a module."""
    for name, module in list(sys.modules.items()):
        if name.startswith("numtorch.vision."):
            sys.modules.setdefault("torchvision" + name[len("numtorch.vision"):], module)


def install_as_torch() -> None:
    """From now on `import torch`, `torchvision` and their submodules mean numtorch in this process.

    RuntimeError if the real torch was imported before."""
    for name in ("torch", "torchvision"):
        loaded = sys.modules.get(name)
        if loaded is not None and not loaded.__name__.startswith("numtorch"):
            raise RuntimeError(f"{name} was imported before install_as_torch(); call it first, in a fresh "
                               "process")
    if not any(isinstance(f, Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    import numtorch
    sys.modules["torch"] = numtorch
    for name, module in list(sys.modules.items()):
        if name.startswith("numtorch.") and not name.startswith(("numtorch.kernels", "numtorch.vision")):
            sys.modules["torch." + name[len("numtorch."):]] = module
    functional = sys.modules.get("numtorch.nn.functional")
    if functional is not None:
        sys.modules["torch.nn.functional"] = functional


def run(path: str, argv: Sequence[str], as_module: bool = False) -> None:
    """Run a script (or, with `as_module`, a module) as __main__ with `torch` meaning numtorch."""
    import runpy
    install_as_torch()
    sys.argv = [path, *argv]
    stand_in = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_in")
    if as_module:
        sys.path[:0] = [os.getcwd(), stand_in]
        runpy.run_module(path, run_name="__main__", alter_sys=True)
        return
    if not os.path.exists(path):
        raise SystemExit(f"python -m numtorch: can't open file {path!r}: no such file")
    sys.path[:0] = [os.path.dirname(os.path.abspath(path)), stand_in]
    with open(path, "rb") as f:
        source = f.read()
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=__builtins__, __spec__=None)
    sys.modules["__main__"] = main
    exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
