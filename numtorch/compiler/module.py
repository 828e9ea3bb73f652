"""numtorch.compile of a module: the same module, whose calls run compiled."""
from __future__ import annotations

from typing import Any

from ..nn import Module
from .function import Compiled


class OptimizedModule(Module):
    """`_orig_mod` with compiled calls. Its attributes are the original's; its state_dict keys begin with
    `_orig_mod.`, as PyTorch's do."""

    _own = ("_orig_mod", "training")

    def __init__(self, module: Module, fullgraph: bool = False, dynamic: bool | None = None):
        super().__init__()
        self.__dict__["_compiled"] = Compiled(module.__call__, fullgraph, dynamic=dynamic)
        self._modules["_orig_mod"] = module
        self.__dict__["training"] = module.training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_compiled"](*args, **kwargs)

    forward = __call__

    def explain(self) -> Any:
        """What was compiled: see Compiled.explain."""
        return self.__dict__["_compiled"].explain()

    def source(self) -> str:
        """The kernels as a Python module: see Compiled.source."""
        return self.__dict__["_compiled"].source()

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules") or {}
        if name == "_orig_mod" and name in modules:
            return modules[name]
        return getattr(modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._own or "_orig_mod" not in (self.__dict__.get("_modules") or {}):
            super().__setattr__(name, value)
        else:
            setattr(self._modules["_orig_mod"], name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        compiled = self.__dict__["_compiled"]
        return OptimizedModule, (self._modules["_orig_mod"], compiled.fullgraph, compiled.dynamic)
