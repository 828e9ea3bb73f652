"""Modules as functions of their parameters."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..nn.modules.module import Module
from ..tensor import Tensor


def _place(module: Module, name: str) -> tuple[dict, str]:
    """(the table that holds it, the attribute) of a parameter or buffer name. AttributeError where a module
    on the way is not there; a name the last one does not have is an attribute of it during the call."""
    *path, last = name.split(".")
    for p in path:
        found = module._modules.get(p)
        if found is None:
            raise AttributeError(f"{module._get_name()} has no attribute `{p}`")
        module = found
    if last in module._parameters:
        return module._parameters, last
    return (module._buffers if last in module._buffers else module.__dict__), last


def _tied(module: Module) -> dict[str, list[str]]:
    """For each name of a shared tensor all its names."""
    groups: dict[int, list[str]] = {}
    for name, t in (*module.named_parameters(remove_duplicate=False),
                    *module.named_buffers(remove_duplicate=False)):
        groups.setdefault(id(t), []).append(name)
    return {n: names for names in groups.values() if len(names) > 1 for n in names}


def _untied(module: Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The given tensors, under all names of what is tied to them."""
    tied, out = _tied(module), dict(given)
    for name in given:
        names = tied.get(name, ())
        values = {id(given[n]) for n in names if n in given}
        if len(values) > 1:
            raise ValueError(f"functional_call got multiple values for keys {sorted(names)}, which are tied. "
                             "Consider using tie_weights=False")
        for n in names:
            out[n] = given[name]
    return out


def functional_call(module: Module, parameter_and_buffer_dicts: Any, args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True,
                    strict: bool = False) -> Any:
    """module(*args, **kwargs) with the given tensors, by name, in place of its parameters and buffers.

    parameter_and_buffer_dicts: a dict, or a tuple of dicts with different keys. tie_weights: a tensor that
    the module has under several names is replaced under all of them. strict: every name must be given, and no
    other. The module itself is as before afterwards; what it writes to its buffers goes into the dict."""
    if isinstance(parameter_and_buffer_dicts, dict):
        given = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        if not all(isinstance(d, dict) for d in parameter_and_buffer_dicts):
            raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
        counts = Counter(k for d in parameter_and_buffer_dicts for k in d)
        repeated = [k for k, n in counts.items() if n > 1]
        if repeated:
            raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
                             "ambiguous")
        given = {k: v for d in parameter_and_buffer_dicts for k, v in d.items()}
    else:
        raise ValueError("Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but "
                         f"got {type(parameter_and_buffer_dicts)}")
    asked = given
    if tie_weights:
        given = _untied(module, given)
    if strict:
        have = {n for n, _ in module.named_parameters(remove_duplicate=False)}
        have |= {n for n, _ in module.named_buffers(remove_duplicate=False)}
        wrong = []
        unexpected, missing = sorted(set(given) - have), sorted(have - set(given))
        if unexpected:
            wrong.append(f"Unexpected key(s): {', '.join(map(repr, unexpected))}.")
        if missing:
            wrong.append(f"Missing key(s): {', '.join(map(repr, missing))}.")
        if wrong:
            raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t"
                               + "\n\t".join(wrong))
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    swapped: list[tuple[dict, str, Any, str]] = []
    try:
        for name, t in given.items():
            if not isinstance(t, Tensor) and t is not None:
                raise TypeError(f"{t} is not an instance of torch.Tensor")
            table, attribute = _place(module, name)
            swapped.append((table, attribute, table.get(attribute, _ABSENT), name))
            table[attribute] = t
        return module(*args, **(kwargs or {}))
    finally:
        for table, attribute, old, name in reversed(swapped):
            if name in asked:  # what the module bound anew is handed over
                asked[name] = table[attribute]
            if old is _ABSENT:
                del table[attribute]
            else:
                table[attribute] = old


_ABSENT: Any = object()


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of models of one class, each stacked along a new first dimension: an ensemble."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if not all(type(m) is type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    params, buffers = [dict(m.named_parameters()) for m in models], [dict(m.named_buffers()) for m in models]
    return ({k: _stacked([d[k] for d in params], k) for k in params[0]},
            {k: _stacked([d[k] for d in buffers], k) for k in buffers[0]})


def _stacked(tensors: list[Tensor], name: str) -> Tensor:
    from ..ops.join import stack
    needs = [t.requires_grad for t in tensors]
    if any(needs) and not all(needs):
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    out = stack(tensors)
    return out.detach().requires_grad_() if all(needs) else out


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Make every batch norm in `root` use the batch's statistics only: nothing is then written in place,
    which vmap does not allow. In place; returns `root`."""
    from ..nn.modules.batchnorm import _BatchNorm
    for m in root.modules():
        if isinstance(m, _BatchNorm):
            m.running_mean = m.running_var = m.num_batches_tracked = None
            m.track_running_stats = False
    return root
