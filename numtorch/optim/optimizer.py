"""The base of all optimizers: parameter groups, state, state_dict, hooks."""
from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

from .. import Tensor, enable_grad, float32, set_grad_enabled, tensor, view_as_real
from ..utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_pre_hook", "register_optimizer_step_post_hook", "required"]

_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()

# Attributes of an optimizer that hold hooks; they are not part of what is pickled.
_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks",
          "_optimizer_state_dict_pre_hooks", "_optimizer_state_dict_post_hooks",
          "_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks")


class _Required:
    "The default of an option that every parameter group must state."

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
ParamsT: TypeAlias = "Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]"
StateDict: TypeAlias = dict[str, Any]


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return _register(_global_post_hooks, hook)


def _register(hooks: OrderedDict[int, Callable], hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _typename(x: Any) -> str:
    if isinstance(x, Tensor):
        return x.type()
    kind = type(x)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _with_hooks(step: Callable) -> Callable:
    "`step` between the hooks registered on the optimizer and on all optimizers."
    if getattr(step, "hooked", False):
        return step

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        pre, post = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        if not (pre or post or _global_pre_hooks or _global_post_hooks) or "_stepping" in self.__dict__:
            return step(self, *args, **kwargs)  # no hooks, or called by the step of a subclass that ran them
        args = (self, *args)
        for hook in chain(_global_pre_hooks.values(), pre.values()):
            result = hook(self, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), but "
                                       f"got {result}.")
                args, kwargs = result
        self._stepping = True
        try:
            out = step(*args, **kwargs)
        finally:
            del self._stepping
        for hook in chain(post.values(), _global_post_hooks.values()):
            hook(self, args, kwargs)
        return out

    hooked.hooked = True  # type: ignore[attr-defined]
    return hooked


class Optimizer:
    r"""Keep parameter groups and per-parameter state; `step` of a subclass updates the parameters.

    params: an iterable of tensors, of (name, tensor) pairs, or of dicts: {"params": tensors, option: value,
    ...}. defaults: the options of a group that does not state its own.

    `state[p]` is a dict of what the optimizer remembers of the parameter `p`; `param_groups` is a list of
    dicts.
    """

    defaults: dict[str, Any]
    param_groups: list[dict[str, Any]]
    state: defaultdict[Tensor, Any]
    _optimizer_step_pre_hooks: OrderedDict[int, Callable]
    _optimizer_step_post_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Callable]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Callable]
    _stepping: bool  # exists while `step` runs between hooks

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        step = cls.__dict__.get("step")
        if callable(step):
            cls.step = _with_hooks(step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        if isinstance(params, Tensor):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or "
                            "dicts, but got " + _typename(params))
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once. closure: clears the gradients, computes the loss, backpropagates,
        returns it."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (set_to_none), or set them to zero in place."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add {"params": tensors, option: value, ...}; options not stated take their defaults.

        Errors: TypeError for what is not a dict, a set of tensors, or not a tensor; ValueError for a tensor
        that is not a leaf, a missing required option, or a parameter of another group.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            param_group["params"] = [params]
        elif isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but the "
                            "ordering of tensors in sets will change between runs. Please use a list "
                            "instead.")
        else:
            param_group["params"] = list(params)

        named = [isinstance(p, tuple) for p in param_group["params"]]
        if any(named):
            if not all(named):
                raise ValueError("all optimizer params should be with/without names. Some param names are "
                                 "missing")
            pairs = param_group["params"]
            param_group["params"] = [p for _, p in pairs]
            param_group["param_names"] = [name for name, _ in pairs]

        differentiable = self.defaults.get("differentiable", None)
        for p in param_group["params"]:
            if not isinstance(p, Tensor):
                raise TypeError("optimizer can only optimize Tensors, but one of the params is "
                                + _typename(p))
            if not differentiable and not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")

        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError("parameter group didn't specify a value of required optimization parameter "
                                 f"{name}")
            param_group.setdefault(name, default)

        params = param_group["params"]
        ids = {id(p) for p in params}
        if len(ids) != len(params):
            warnings.warn("optimizer contains a parameter group with duplicate parameters; in future, this "
                          "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                          "information", stacklevel=3)
        for group in self.param_groups:
            if ("param_names" in group) != ("param_names" in param_group):
                mine = "with names" if "param_names" in param_group else "without names"
                raise ValueError("all optimizer param groups should be with/without names. "
                                 f"cannot add param group {mine} to the optimizer")
        for group in self.param_groups:
            if not ids.isdisjoint(map(id, group["params"])):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Return {"state": {number: state}, "param_groups": [...]}: parameters are replaced by their numbers.

        Tensors are not copied, as in PyTorch; step counts, which parameters share here, are.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        number: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {name: value for name, value in group.items() if name != "params"}
            for p in group["params"]:
                number.setdefault(id(p), len(number))
            packed["params"] = [number[id(p)] for p in group["params"]]
            groups.append(packed)
        seen: set[int] = set()
        state = {number[id(p)] if isinstance(p, Tensor) else p: _own_counts(entry, seen)
                 for p, entry in self.state.items()}
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` of the same optimizer returned, here or under PyTorch.

        Floating-point state is cast to the dtype and device of its parameter; step counts keep theirs.
        Errors: ValueError where the number of groups or the size of a group differs.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        groups = self.param_groups
        saved = deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(g["params"]) != len(s["params"]) for g, s in zip(groups, saved)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of "
                             "optimizer's group")
        place = {number: (p, s) for g, s in zip(groups, saved) for number, p in zip(s["params"], g["params"])}
        state: defaultdict = defaultdict(dict)
        for key, entry in state_dict["state"].items():
            if key in place:
                p, group = place[key]
                state[p] = _cast(entry, p, group, None)
            else:
                state[key] = entry
        for group, new in zip(groups, saved):
            new["params"] = group["params"]
            if "param_names" in group and "param_names" not in new:
                new["param_names"] = group["param_names"]
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOKS:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())
        self.defaults.setdefault("differentiable", False)

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return (args, kwargs) to use
        instead."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict` collects."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)`; what it returns, unless None, is returned by `state_dict`."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; what it returns, unless None, is loaded
        instead."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            if i:
                lines.append("")
            lines.append(f"Parameter Group {i}")
            lines.extend(f"    {name}: {group[name]}" for name in sorted(group) if name != "params")
        return "\n".join(lines) + "\n)"


def _own_counts(entry: Any, seen: set[int]) -> Any:
    "`entry` with counts that no other entry of the same state_dict holds."
    if isinstance(entry, dict):
        shared = {k: v.clone() for k, v in entry.items() if isinstance(v, Tensor) and id(v) in seen}
        seen.update([id(v) for v in entry.values() if isinstance(v, Tensor)])
        return {**entry, **shared} if shared else entry
    return entry


def _cast(value: Any, p: Tensor, group: dict[str, Any], key: Any) -> Any:
    "A loaded state value, on the device (and where floating-point in the dtype) of its parameter `p`."
    if isinstance(value, Tensor):
        if key == "step":
            if group.get("capturable") or group.get("fused"):
                return value.to(dtype=float32, device=p.device)
            return value
        if p.is_floating_point():
            return value.to(dtype=p.dtype, device=p.device)
        return value.to(device=p.device)
    if isinstance(value, dict):
        return {k: _cast(v, p, group, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, p, group, key) for v in value)
    return value


# ---- what the optimizers of this package share


class Rule(Optimizer):
    """An optimizer that updates every parameter by itself.

    A subclass gives `update(p, g, state, group, *counted)`: change `p` and the tensors of `state` in place by
    the gradient `g`. It is called without gradient recording, unless the option `differentiable` is on: then
    state tensors are copied before they change (`_moments` names them), so that a later backward finds the
    values it saw. `start` makes a parameter's state at its first step.

    Parameters that made the same steps share what `_counts` names, 0-d tensors such as their number (PyTorch
    keeps one each). `count` renews them, once for all, and gives numbers for `update`. They are replaced, not
    written, so that parameters without a gradient in this call keep theirs. With the option `capturable` each
    parameter has its own, on its device, and they are written in place.

    What shares them is updated together, in a few launches (compiler/foreach.py), from one run of `update` on
    stand-ins. So update decides and computes by its arguments, and by operators: no function of math.
    """

    _moments: tuple[str, ...] = ()
    _counts: tuple[str, ...] = ("step",)
    _options: dict[str, Any] = {"foreach": None, "maximize": False, "differentiable": False}
    _foreach: Any  # of each class: its update as a function of many rows

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return what `closure`, if given, returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        differentiable = self.defaults.get("differentiable", False)
        with set_grad_enabled(differentiable):
            for group in self.param_groups:
                if differentiable or group.get("capturable", False):
                    self._one_by_one(group, differentiable)
                else:
                    self._together(group)
        return loss

    def _together(self, group: dict) -> None:
        """Update the parameters of a group, all those at once that share counts and have the same state."""
        states = self.state
        params = [p for p in group["params"] if p.grad is not None]
        held = [states.get(p) or self._begin(p, p.grad, group) for p in params]
        # device, names in the state, where the counts lie
        keys = list(zip([p.storage.device for p in params], map(tuple, held),
                        *[[None if (count := state.get(k)) is None else id(count.storage) for state in held]
                          for k in self._counts]))
        alike = dict.fromkeys(keys)
        for key in alike:
            if len(alike) == 1:
                self._update(group, params, held)
            else:
                some = [i for i, k in enumerate(keys) if k == key]
                self._update(group, [params[i] for i in some], [held[i] for i in some])

    def _update(self, group: dict, params: list[Tensor], held: list[dict]) -> None:
        """Update parameters that share counts; `held`: their states."""
        first, counts = held[0], self._counts
        numbers = self.count(params[0], first, group)
        for k in counts:
            new = first[k]
            for state in held:
                state[k] = new
        names = tuple([k for k in first if k not in counts])
        rows = list(zip(params, [p.grad for p in params], *[[state[k] for state in held] for k in names]))
        for p, state, made in zip(params, held, self._rows()(rows, (group, numbers), names)):
            if made:
                state.update(made)
                self.state[p] = state

    def _one_by_one(self, group: dict, differentiable: bool) -> None:
        """Update the parameters of a group, each with counts of its own."""
        seen: set[int] = set()
        pairs = []
        for p in group["params"]:
            g = p.grad
            if g is not None:
                state = self.state.get(p) or self._begin(p, g, group)
                for k in self._counts:
                    if id(state[k]) in seen:  # shared from before `capturable` was switched on
                        state[k] = state[k].clone()
                    if state[k] is not None:
                        seen.add(id(state[k]))
                if differentiable:
                    for k in self._moments:
                        if isinstance(state.get(k), Tensor):
                            state[k] = state[k].clone()
                pairs.append((p, g, state))
        for p, g, state in pairs:
            numbers = self.count(p, state, group)
            self.update(p, -g if group.get("maximize", False) else g, state, group, *numbers)
            if state:
                self.state[p] = state

    def _begin(self, p: Tensor, g: Tensor, group: dict) -> dict:
        """The state of a parameter at its first step."""
        state = self.state[p] if p in self.state else {}
        state.update(dict.fromkeys(self._counts))
        self.start(p, g, state, group)
        if state:
            self.state[p] = state
        return state

    @classmethod
    def _rows(cls) -> Any:
        """Updates of rows (parameter, gradient, state by the names in `kind`) with env (group, counted)."""
        found = cls.__dict__.get("_foreach")
        if found is None:
            from ..compiler.foreach import Foreach
            rule = object.__new__(cls)

            def update(row: tuple, env: tuple, names: tuple) -> dict[str, Tensor]:
                p, g, *values = row
                group, numbers = env
                before = dict(zip(names, values))
                state = dict(before)
                rule.update(p, -g if group.get("maximize", False) else g, state, group, *numbers)
                return {k: v for k, v in state.items() if v is not before.get(k)}
            update.__qualname__ = f"{cls.__name__}.update"
            found = cls._foreach = Foreach(update)
        return found

    def start(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        """Make the state of a parameter, at its first step."""

    def count(self, p: Tensor, state: dict, group: dict) -> tuple:
        """Renew what `_counts` names in the state, which may hold None, and return what `update` is given:
        here the number of this step, with `capturable` as the tensor."""
        if not self._counts:
            return ()
        step = state["step"]
        if group.get("capturable"):
            if step is None:
                step = state["step"] = tensor(0.0, dtype=float32, device=p.device)
            return (step.add_(1),)
        if step is None:
            step = tensor(1.0, dtype=float32, device=p.device if group.get("fused") else None)
        else:
            step = step.detach() + 1
        state["step"] = step
        return (step.item(),)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict, *counted: Any) -> None:
        """Change the parameter `p` in place by its gradient `g`."""
        raise NotImplementedError

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self._options.items():
                group.setdefault(name, default)
            # Checkpoints from before PyTorch 1.12 hold counts as numbers. Equal ones of a group become one
            # tensor, as they are after a step, except with `capturable`.
            known: dict[tuple, Tensor] = {}
            for p in group["params"]:
                entry = self.state.get(p)
                if not isinstance(entry, dict):
                    continue
                for name in self._counts:
                    value = entry.get(name)
                    if value is None:
                        continue
                    if not isinstance(value, Tensor):
                        value = tensor(float(value), dtype=float32)
                    if not group.get("capturable"):
                        value = known.setdefault((name, value.device, value.dtype, float(value)), value)
                    entry[name] = value


def reals(*tensors: Tensor | None) -> list[Any]:
    """Views of complex tensors as real pairs; real tensors and None as they are."""
    return [view_as_real(x) if x is not None and x.dtype.is_complex else x for x in tensors]


def descend(p: Tensor, g: Tensor, lr: Any) -> None:
    """p -= lr g, for a number or a tensor lr."""
    if isinstance(lr, Tensor):
        p.addcmul_(g, lr, value=-1)
    else:
        p.add_(g, alpha=-lr)


def check_lr(lr: Any) -> None:
    """Raise ValueError unless lr is a number or a one-element tensor, not below zero."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_positive(name: str, value: Any) -> None:
    """Raise ValueError unless value >= 0."""
    if not 0.0 <= value:
        raise ValueError(f"Invalid {name} value: {value}")


def check_betas(betas: Any) -> None:
    """Raise ValueError unless both betas lie in [0, 1)."""
    for i in (0, 1):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raise RuntimeError for options that exclude each other."""
    if fused:
        if differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        if foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
