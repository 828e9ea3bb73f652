"""Derivatives of functions of trees of tensors: grad, vjp, jvp, jacrev, jacfwd, hessian, linearize.

Reverse mode is the tape: inputs become variables of the current vmap level, and what the function returns
is differentiated by them. Forward mode is its transpose: a vjp is linear in its cotangent, so J v is the
gradient of the (recorded) vjp by the cotangent, weighted by v. It costs a forward pass, a recorded backward
pass, and a backward pass of that for every tangent, or for all of them at once (linearize, jacfwd). Nested
transformations share one tape per vmap level; derivatives are recorded themselves only where an outer one (or
a tensor that requires grad) can reach them."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..autograd.engine import Node, Output, edge, run
from ..autograd.modes import enable_grad, state
from ..dtypes import FLOAT
from ..kinds.batching import Batched, lanes, level_of, tracked
from ..tensor import Tensor
from ..utils import _pytree as P
from .vectorize import vmap


class _Input:
    """The tape entry of a transformation's input: what it was before passes its gradient on."""

    name, node_name = "input", "InputBackward0"

    def backward(self, node, grads):
        return [grads[0]]


_input = _Input()


def _level() -> int:
    tracer = state.tracer
    return len(tracer.levels) if tracer is not None and tracer.batches else 0


def variable(x: Any, outer: bool) -> Any:
    """x as a variable of the current level, on the tape behind x where `outer` allows it."""
    if not isinstance(x, Tensor):
        return x
    level = _level()
    if level and level_of(x) != level:
        x = lanes(x, level, False)
    t = x.alias()
    if x.dtype.category >= FLOAT:
        t._requires = True
        t._node = Node(_input, (edge(x) if outer else None,), None, (), (), {})
    return t


def _reaches(roots: list) -> bool:
    """Whether the tape from `roots` leads to a leaf or to a variable of a derivative that is being taken."""
    seen: set = set()
    stack = [e for e in roots if e is not None]
    while stack:
        e = stack.pop()
        node = e.node if type(e) is Output else e
        if not isinstance(node, Node):
            return True
        if node in seen:
            continue
        seen.add(node)
        if node.op is _input and any(node in s for s in state.taking):
            return True
        stack += [n for n in node.edges if n is not None]
    return False


class _Taped:
    """A call of `f` on variables made of the tensors `inputs`: its results and how to differentiate them."""

    def __init__(self, f: Callable, inputs: list[Any]):
        self.outer = state.grad
        self.inputs = inputs
        with enable_grad():
            self.variables = [variable(x, self.outer) for x in inputs]
            self.nodes = [t._node if isinstance(t, Tensor) else None for t in self.variables]
            taking = state.taking
            state.taking = (*taking, {n for n in self.nodes if n is not None})
            try:
                self.result = f(self.variables)
            finally:
                state.taking = taking

    def finish(self, outputs: list[Tensor]) -> None:
        """Say which tensors are differentiated, and find out what they depend on besides."""
        self.outputs = outputs
        roots = [edge(t) for t in outputs]
        # `own`: another derivative at this level can reach the results; `deep`: one at a level below.
        self.own = self.outer and _reaches(roots)
        self.deep = self.outer and any(type(t) is Batched and tracked(t.value) for t in outputs)

    def closed(self, t: Any) -> Any:
        """A result as the caller gets it: without the variables where nothing else is behind it."""
        if not isinstance(t, Tensor):
            return t
        if not self.outer:
            return t.detach()
        return t if self.own or not t._requires else t.alias()

    def gradients(self, cotangents: list, keep: bool) -> list:
        """One gradient for each input: the cotangents times the Jacobian. Zeros where there is no way."""
        later = state.grad and any(g is not None and tracked(g) for g in cotangents)
        create = self.own or self.deep or later
        targets = [n for n in self.nodes if n is not None]
        roots = [(edge(t), g) for t, g in zip(self.outputs, cotangents) if g is not None]
        found = iter(run(roots, keep or create, create, targets, False))
        out = []
        for x, n in zip(self.inputs, self.nodes):
            g = None if n is None else next(found)
            if g is None:
                g = x.detach().new_zeros(x.shape) if isinstance(x, Tensor) else None
            elif create and not self.own and not later and g._requires:
                g = g.alias()
            out.append(g)
        return out


def _split(name: str, result: Any, has_aux: bool) -> tuple:
    """(value, what goes with it) of a function's result."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if has_aux is "
                           "True")
    return result


def _argnums(argnums: Any, count: int) -> Any:
    """Positions counted from the front."""
    def one(i):
        if not isinstance(i, int):
            raise RuntimeError(f"argnum must be int, got: {type(i)}")
        if not -count <= i < count:
            raise RuntimeError(f"Got argnum={i}, but only {count} positional inputs")
        return i % count
    if isinstance(argnums, tuple):
        if not argnums:
            raise RuntimeError("argnums must be non-empty")
        got = tuple(one(i) for i in argnums)
        if len(set(got)) != len(got):
            raise RuntimeError(f"argnums elements must be unique, got {got}")
        return got
    if not isinstance(argnums, int):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    return one(argnums)


def _chosen(args: tuple, argnums: Any) -> Any:
    return args[argnums] if isinstance(argnums, int) else tuple(args[i] for i in argnums)


def _replaced(args: tuple, argnums: Any, values: Any) -> tuple:
    out = list(args)
    for i, v in zip((argnums,), (values,)) if isinstance(argnums, int) else zip(argnums, values):
        out[i] = v
    return tuple(out)


def _only(func: Callable, args: tuple, argnums: Any, kwargs: dict[str, Any] | None = None) -> Callable:
    """func as a function of the chosen arguments alone."""
    return lambda chosen: func(*_replaced(args, argnums, chosen), **(kwargs or {}))


def _check_tensors(values: list) -> None:
    for v in values:
        if not isinstance(v, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(v)}")


# ------------------------------------------------------------------------------------------- reverse mode
def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """The function that returns (gradient, func's value): (gradient, (value, aux)) if has_aux.

    func returns one number (a 0-d tensor); the gradient is taken by the arguments at `argnums`, trees of
    tensors."""
    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        name = "grad_and_value(f)(*args)"
        chosen = _argnums(argnums, len(args))
        leaves, spec = P.tree_flatten(_chosen(args, chosen))
        _check_tensors(leaves)
        fn = _only(func, args, chosen, kwargs)
        taped = _Taped(lambda vs: fn(spec.unflatten(vs)), leaves)
        value, aux = _split(name, taped.result, has_aux)
        if not isinstance(value, Tensor):
            raise RuntimeError(f"{name}: Expected f(*args) to return a Tensor, got {type(value)}")
        if value.ndim:
            raise RuntimeError(f"{name}: Expected f(*args) to return a scalar Tensor, got tensor with "
                               f"{value.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?")
        taped.finish([value])
        from ..ops.create import ones
        one = ones((), dtype=value.dtype, device=value.device)
        gs = spec.unflatten(taped.gradients([one], False))
        value = taped.closed(value)
        if has_aux:
            return gs, (value, P.tree_map(taped.closed, aux))
        return gs, value
    return wrapped


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """The gradient of `func`, which returns one number, by its arguments at `argnums`; (gradient, aux) if
    func returns (value, aux). Transformations nest: grad(grad(f)), vmap(grad(f))."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        gs, value = both(*args, **kwargs)
        return (gs, value[1]) if has_aux else gs
    return wrapped


def _vjp(func: Callable, chosen: Any, has_aux: bool) -> tuple:
    """(results as given back, their leaves and tree, the taped call, aux) of func(chosen)."""
    leaves, spec = P.tree_flatten(chosen)
    _check_tensors(leaves)
    taped = _Taped(lambda vs: func(spec.unflatten(vs)), leaves)
    out, aux = _split("vjp(f, *primals)", taped.result, has_aux)
    outs, out_spec = P.tree_flatten(out)
    if not outs or (len(outs) == 1 and outs[0] is None):
        raise RuntimeError("vjp(f, *primals): Expected f to be a function that has non-empty output (got "
                           f"output = {outs})")
    for t in outs:
        if not isinstance(t, Tensor):
            raise RuntimeError("vjp(f, *primals): expected f(*primals) to return only tensors, got "
                               f"unsupported type {type(t)}")
        if t.dtype.category < FLOAT:
            raise RuntimeError("vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                               f"Tensor with dtype {t.dtype}")
    taped.finish(outs)
    return [taped.closed(t) for t in outs], out_spec, taped, spec, P.tree_map(taped.closed, aux)


def vjp(func: Callable, *primals, has_aux: bool = False) -> tuple:
    """(func(*primals), vjp_fn), with aux third if has_aux; vjp_fn(cotangents), shaped as the result, is the
    tuple of the primals' gradients. It may be called again and again."""
    outs, out_spec, taped, spec, aux = _vjp(lambda args: func(*args), primals, has_aux)

    def vjp_fn(cotangents, retain_graph: bool = True, create_graph: bool | None = None):
        gs, given = P.tree_flatten(cotangents)
        if given != out_spec:
            raise RuntimeError("Expected pytree structure of cotangents to be the same as pytree structure "
                               f"of outputs to the function. cotangents: {P.treespec_pprint(given)}, primal "
                               f"output: {P.treespec_pprint(out_spec)}")
        for i, (g, t) in enumerate(zip(gs, outs)):
            if tuple(g.shape) != tuple(t.shape):
                raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and "
                                   f"output[{i}] has a shape of {t.shape}.")
        return spec.unflatten(taped.gradients(gs, True))
    out = out_spec.unflatten(outs)
    return (out, vjp_fn, aux) if has_aux else (out, vjp_fn)


# ------------------------------------------------------------------------------------------- forward mode
class _Linear:
    """The linear map v → J v of a taped call: its vjp, recorded once, transposed for each v."""

    def __init__(self, taped: _Taped):
        from ..ops.create import zeros_like
        self.taped = taped
        self.grad = state.grad
        with enable_grad():
            live = [t if t._requires else None for t in taped.outputs]
            self.duals = [None if t is None else variable(zeros_like(t.detach()), False) for t in live]
            targets = [n for n in taped.nodes if n is not None]
            roots = [(edge(t), u) for t, u in zip(taped.outputs, self.duals) if u is not None]
            self.pulled = run(roots, True, True, targets, False) if roots else [None] * len(targets)

    def __call__(self, tangents: list, keep: bool = True) -> list:
        """One tangent for each output, zeros where it does not depend on the inputs."""
        taped = self.taped
        tangents = [v for v, n in zip(tangents, taped.nodes) if n is not None]
        later = self.grad and state.grad and any(tracked(v) for v in tangents)
        # what J itself depends on: the vjp's own history beyond its cotangents and the taped variables
        pairs = [(g, v) for g, v in zip(self.pulled, tangents) if g is not None and g._requires]
        create = taped.own or taped.deep or later
        targets = [u._node for u in self.duals if u is not None]
        found = iter(run([(edge(g), v) for g, v in pairs], keep or create, create, targets, False)
                     if pairs else [None] * len(targets))
        out = []
        for t, u in zip(taped.outputs, self.duals):
            d = None if u is None else next(found)
            if d is None:
                d = t.detach().new_zeros(t.shape)
            elif create and not taped.own and not later and d._requires:
                d = d.alias()
            out.append(d)
        return out


def check_tangent(primal: Tensor, tangent: Tensor) -> None:
    """RuntimeError unless a tangent has the primal's shape."""
    if tuple(primal.shape) != tuple(tangent.shape):
        raise RuntimeError("Trying to set a forward gradient that has a different size than that of the "
                           f"original Tensor, this is not supported. Tensor is of size {list(primal.shape)} "
                           f"while the given forward gradient is of size {list(tangent.shape)}.")


def along(value: Tensor, nodes: list, primals: list[Tensor], tangents: list[Tensor]) -> tuple:
    """(value, its derivative along the tangents of the variables at `nodes`, None if it depends on none)."""
    taped: _Taped = object.__new__(_Taped)
    taped.outer, taped.inputs, taped.nodes = state.grad, primals, nodes
    taped.finish([value])
    linear = _Linear(taped)
    if all(g is None for g in linear.pulled):
        return value, None
    return taped.closed(value), linear(tangents)[0]


def _jvp_checks(primals: Any, tangents: Any, name: str = "jvp(f, primals, tangents)") -> tuple:
    leaves, spec = P.tree_flatten(primals)
    vs, given = P.tree_flatten(tangents)
    if given != spec:
        raise RuntimeError(f"{name}: Expected primals and tangents to have the same python structure. For "
                           "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals "
                           f"with structure {spec} and tangents with structure {given}")
    for values, what in ((leaves, "primals"), (vs, "tangents")):
        if not values:
            raise RuntimeError(f"{name}: Expected {what} to contain at least one Tensor.")
        for v in values:
            if not isinstance(v, Tensor):
                raise RuntimeError(f"{name}: Expected {what} to only contain Tensors, got {type(v)}")
    for p, v in zip(leaves, vs):
        check_tangent(p, v)
    return leaves, spec, vs


def _forward(func: Callable, leaves: list, spec: P.TreeSpec, has_aux: bool, name: str) -> tuple:
    """(taped call, its float outputs' positions, all outputs, their tree, aux)."""
    taped = _Taped(lambda vs: func(spec.unflatten(vs)), leaves)
    out, aux = _split(name, taped.result, has_aux)
    outs, out_spec = P.tree_flatten(out)
    for t in outs:
        if not isinstance(t, Tensor):
            raise RuntimeError(f"{name}: expected f(*args) to return only tensors, got unsupported type "
                               f"{type(t)}")
    taped.finish(outs)
    return taped, outs, out_spec, P.tree_map(taped.closed, aux)


def jvp(func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False,
        has_aux: bool = False) -> tuple:
    """(func(*primals), J · tangents), with aux third if has_aux: the derivative along `tangents`.

    Costs a forward pass, a recorded backward pass, and a backward pass of that. strict: RuntimeError for a
    result that does not depend on the primals."""
    name = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{name}: Expected primals to be a tuple. E.g. it should be valid to call "
                           "f(*primals).")
    leaves, spec, vs = _jvp_checks(primals, tangents)
    taped, outs, out_spec, aux = _forward(lambda args: func(*args), leaves, spec, has_aux, name)
    if strict and not all(t._requires for t in outs):
        raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the "
                           "inputs. This is not allowed with strict=True.")
    ts = _Linear(taped)(vs, False)
    result = out_spec.unflatten([taped.closed(t) for t in outs]), out_spec.unflatten(ts)
    return (*result, aux) if has_aux else result


def linearize(func: Callable, *primals) -> tuple:
    """(func(*primals), jvp_fn): jvp_fn(*tangents) = J · tangents at the primals, without running func
    again."""
    leaves, spec = P.tree_flatten(primals)
    _check_tensors(leaves)
    taped, outs, out_spec, _ = _forward(lambda args: func(*args), leaves, spec, False,
                                        "linearize(f, *primals)")
    linear = _Linear(taped)

    def jvp_fn(*tangents):
        vs, given = P.tree_flatten(tangents)
        if given != spec:
            raise RuntimeError(f"Expected the tangents {given} to have the same argspec as the primals "
                               f"{spec}")
        for i, (v, x) in enumerate(zip(vs, leaves)):
            for what, a, b in (("shape", v.shape, x.shape), ("device", v.device, x.device),
                               ("dtype", v.dtype, x.dtype)):
                if a != b:
                    raise RuntimeError(f"tangent:{i} with {what} {a} in flattened pytree doesn't match the "
                                       f"{what} {b} of the corresponding primal.")
        return out_spec.unflatten(linear(vs))
    return out_spec.unflatten([taped.closed(t) for t in outs]), jvp_fn


# ------------------------------------------------------------------------------------------- Jacobians
def _basis(tensors: list[Tensor]) -> list[Tensor]:
    """For each tensor (n, *shape): the unit vectors of all of them together, n elements in all."""
    from ..ops.create import zeros
    total, at, out = sum(t.numel() for t in tensors), 0, []
    for t in tensors:
        n = t.numel()
        b = zeros((total, n), dtype=t.dtype, device=t.device)
        b.diagonal(-at).fill_(1)
        out.append(b.reshape((total, *t.shape)))
        at += n
    return out


def _no_complex(name: str, values: Any, what: str) -> None:
    for t in P.tree_leaves(values):
        if isinstance(t, Tensor) and t.is_complex():
            raise RuntimeError(f"{name}: Expected all {what} to be real but received complex tensor at "
                               "flattened input idx: 0")


def _columns(linear: Callable, sources: list[Tensor], chunk_size: int | None) -> list[Tensor]:
    """linear (a list of tensors to a list) of every unit vector of `sources`, which are in front of each
    result."""
    basis = _basis([t.detach() for t in sources])
    total = basis[0].shape[0]
    if not total:
        raise RuntimeError("a Jacobian of or by no elements is not defined")
    fn = vmap(lambda *vs: tuple(linear(list(vs))), randomness="same", chunk_size=chunk_size)
    if chunk_size == 1:
        from ..ops.join import stack
        rows = [linear([b[i] for b in basis]) for i in range(total)]
        return [stack(col) for col in zip(*rows)]
    return list(fn(*basis))


def _parts(block: Tensor, sources: list[Tensor]) -> list[Tensor]:
    """A block with the unit vectors of all sources in front, cut into one for each source, its shape in
    front."""
    if len(sources) == 1:
        return [block.reshape((*sources[0].shape, *block.shape[1:]))]
    pieces = block.split([t.numel() for t in sources], 0)
    return [p.reshape((*t.shape, *block.shape[1:])) for p, t in zip(pieces, sources)]


def jacrev(func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False,
           chunk_size: int | None = None, _preallocate_and_copy: bool = False) -> Callable:
    """The Jacobian of `func` by reverse mode: for each result and argument a tensor of shape result.shape +
    argument.shape, in the trees of both. One backward pass for all rows at once (chunk_size: so many)."""
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapped(*args):
        _no_complex("jacrev", args, "inputs")
        chosen = _argnums(argnums, len(args))
        outs, out_spec, taped, spec, aux = _vjp(_only(func, args, chosen), _chosen(args, chosen), has_aux)
        _no_complex("jacrev", outs, "outputs")
        rows = _columns(lambda gs: taped.gradients(gs, True), outs, chunk_size)
        cells = [_parts(r, outs) for r in rows]  # [input][output]
        result = out_spec.unflatten([spec.unflatten([cells[j][i] for j in range(len(cells))])
                                     for i in range(len(outs))])
        return (result, aux) if has_aux else result
    return wrapped


def jacfwd(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *,
           randomness: str = "error") -> Callable:
    """The Jacobian of `func` by forward mode: shaped as jacrev's. func and its vjp run once, then one pass
    for all columns at once."""
    @functools.wraps(func)
    def wrapped(*args):
        _no_complex("jacfwd", args, "inputs")
        chosen = _argnums(argnums, len(args))
        leaves, spec = P.tree_flatten(_chosen(args, chosen))
        _check_tensors(leaves)
        taped, outs, out_spec, aux = _forward(_only(func, args, chosen), leaves, spec, has_aux,
                                              "jvp(f, primals, tangents)")
        _no_complex("jacfwd", outs, "outputs")
        columns = _columns(_Linear(taped), leaves, None)
        result = []
        for c, t in zip(columns, outs):
            n = t.ndim
            result.append(spec.unflatten([p.movedim(tuple(range(x.ndim)), tuple(range(n, n + x.ndim)))
                                          for p, x in zip(_parts(c, leaves), leaves)]))
        result = out_spec.unflatten(result)
        return (result, aux) if has_aux else result
    return wrapped


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """The second derivatives of `func` by the arguments at `argnums`: jacfwd of jacrev."""
    return jacfwd(jacrev(func, argnums), argnums)
