"""Random numbers: rand, randn, randint, randperm, normal, bernoulli, multinomial and the in-place fills.

Every number comes from `noise` or one of the other four entries below, whose kernels draw from a generator
in PyTorch's order. Results carry no gradient to what they were drawn from: it is zero, as in PyTorch."""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import devices
from .. import dtypes as D
from .. import layouts as L
from .. import random as generators
from ..autograd.modes import state
from ..dispatch import Meta, Node, check_inplace, edge, fresh, written
from ..kinds import composite, float_array, opaque
from ..kinds.memory import preserved
from ..memory_format import preserve_format, strided
from ..random import Generator, generator_of
from ..tensor import Tensor, ndarray_of
from .create import empty_like, sizes_of, zeros
from .index import c_name, title
from .special import _standard_gamma_grad
from .view import expand


# ------------------------------------------------------------------------------------------ entries
@opaque(memory=preserved, strided=True, at=(), half="native", draws=True)
def noise(x, law, parameters, generator):
    "Numbers of the law `law` with `parameters`, shaped like `x`."
    return Meta(x.shape, x.dtype)


@opaque(memory=preserved, strided=True, at=(), half="native", draws=True)
def bernoulli_of(x, p, generator):
    "1 with probability `p`, else 0; shaped like `x`."
    return Meta(x.shape, x.dtype)


@opaque(at=(), half="native", draws=True)
def categorical(p, samples, replacement, generator):
    "`samples` indices for each row of probabilities `p`."
    return Meta((*p.shape[:-1], samples), D.int64)


@opaque(at=(), half="native", draws=True)
def sampled(x, y, law, generator):
    "Numbers of a law whose parameters are the tensors `x` and `y`, element by element."
    return Meta(x.shape, x.dtype)


@opaque(at=(), half="native", draws=True)
def rrelu_noise(x, lower, upper, generator):
    "Slopes: uniform in [lower, upper) where x ≤ 0, else 1."
    return Meta(x.shape, x.dtype)


def _on_host(entry: Callable, device: devices.device, *args) -> Tensor:
    """entry(*args) computed on the CPU, where the streams are, and moved to `device`."""
    if state.tracer is None and device.type == "cuda":
        args = tuple(a.detach().cpu() if isinstance(a, Tensor) else a for a in args)
        return entry(*args).to(device)
    return entry(*args)


def draw(x: Tensor, law: str, *parameters, generator: Generator | None = None) -> Tensor:
    """A new tensor of random numbers with x's shape, dtype, device and memory order."""
    return _on_host(noise, x.device, x.detach(), law, parameters, generator_of(generator, x.device))


class _Drawn:
    """The tape entry of a random result: its inputs get zeros."""

    def __init__(self, name: str, node_name: str):
        self.name, self.node_name = name, node_name

    def backward(self, node, grads):
        return [None if e is None else zeros(tuple(m.shape), dtype=m.dtype, device=m.device)
                for e, m in zip(node.edges, node.values["inputs"])]


_drawn = {name: _Drawn(name, node) for name, node in (
    ("uniform_", "UniformBackward0"), ("normal_", "NormalBackward0"), ("bernoulli_", "BernoulliBackward2"),
    ("bernoulli_each", "BernoulliBackward1"), ("bernoulli", "BernoulliBackward0"),
    ("random_", "RandomBackward0"), ("exponential_", "ExponentialBackward0"), ("cauchy_", "CauchyBackward0"),
    ("geometric_", "GeometricBackward0"), ("log_normal_", "LogNormalBackward0"),
    ("poisson", "PoissonBackward0"), ("binomial", "BinomialBackward0"),
    ("normal_mean", "NormalBackward1"), ("normal_std", "NormalBackward2"),
    ("normal_both", "NormalBackward3"))}


def _node(name: str, inputs: Sequence[Any]) -> Node | None:
    """The tape's node of something drawn from `inputs`, where one of them requires grad."""
    tensors = [t for t in inputs if isinstance(t, Tensor)]
    if not state.grad or not any(t.requires_grad for t in tensors):
        return None
    edges = tuple(edge(t) if t.requires_grad else None for t in tensors)
    return Node(_drawn[name], edges, None, (), (), {"inputs": [Meta.of(t) for t in tensors]})


def _ends(name: str, out: Tensor, *inputs) -> Tensor:
    """Record that `out` was drawn from `inputs`."""
    node = _node(name, inputs)
    if node is not None:
        out._requires, out._node = True, node
    return out


def _fill(x: Tensor, name: str, law: str, *parameters, generator: Generator | None) -> Tensor:
    """x ← numbers of a law, in x's memory order."""
    check_inplace(x, name)
    g = generator_of(generator, x.device)
    device = x.storage.device
    if state.tracer is not None:
        if state.tracer.batches:
            state.tracer.check_fill(x)
        return x.copy_(noise(x.detach(), law, parameters, g))
    if state.lazy is not None:
        from .convert import move
        move(x, noise(x.detach(), law, parameters, g))
    elif device is devices.cpu:
        from ..kernels.cpu.random import noise as kernel
        kernel(ndarray_of(x), None, law, parameters, g)
    elif device is not devices.meta:
        from .convert import move
        host = fresh(L.like(x.layout), x.dtype, devices.cpu)
        move(x, _fill(host, name, law, *parameters, generator=g))
    written(x, _node(name, (x,)))
    return x


# ------------------------------------------------------------------------------------------ argument checks
def _only(name: str, x: Tensor, *categories: int) -> None:
    """NotImplementedError, with PyTorch's kernel name, unless x's dtype is of one of the categories."""
    if x.dtype.category not in categories:
        raise NotImplementedError(f"\"{name}\" not implemented for '{title(x.dtype)}'")


def _float_arg(name: str, argument: str, position: int, v: Any) -> float:
    if isinstance(v, Tensor) and v.ndim == 0:
        v = v.item()
    if isinstance(v, complex) or not (isinstance(v, int | float) or hasattr(v, "__float__")):
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be float, not "
                        f"{type(v).__name__}")
    return float(v)


def _int_arg(name: str, argument: str, position: int, v: Any) -> int:
    if isinstance(v, bool | float | str) or not hasattr(v, "__index__"):
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be int, not "
                        f"{type(v).__name__}")
    v = v.__index__()
    if not -(1 << 63) <= v < 1 << 63:
        raise ValueError(f"Overflow when unpacking long long: {name}(), argument '{argument}' is {v}")
    return v


def _tensor_arg(name: str, v: Any) -> None:
    if not isinstance(v, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(v).__name__}")


def _named(name: str, given: dict[str, Any], *known: str) -> None:
    for k in given:
        if k not in known:
            raise TypeError(f"{name}() got an unexpected keyword argument '{k}'")


def _check_uniform(x: Tensor, low: float, high: float) -> None:
    _only("check_uniform_bounds", x, D.FLOAT, D.COMPLEX)
    real = x.dtype.to_real() if x.dtype.is_complex else x.dtype
    most = D.finfo(real).max
    for word, v in (("from", low), ("to", high)):
        if not -most <= v <= most:
            raise RuntimeError(f"{word} is out of bounds for {c_name(real)}: uniform_, {word}={v:g}")
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > "
                           f"to={high:g}")
    if high - low > most:
        raise RuntimeError(f"uniform_ expects to-from <= std::numeric_limits<{title(real)}>::max(), but "
                           f"found to={high:g} and from={low:g} which result in to-from to exceed the limit")


def _check_std(std: float) -> None:
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def _check_range(x: Tensor, low: int, last: int) -> None:
    """The bounds low … last must be numbers of x's dtype; floats warn past the integers they hold exactly."""
    if x.dtype.is_complex:
        raise RuntimeError("check_random_bounds handles only integral, floating-point and boolean types: "
                           f"random_, got {x.dtype}")
    if x.dtype.is_floating_point:
        digits = _DIGITS[x.dtype.name]
        for word, v in (("from", low), ("to - 1", last)):
            if not -(1 << digits) <= v <= 1 << digits:
                warnings.warn(f"{word} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                              f"limitations {c_name(x.dtype)} can support discrete uniform distribution only "
                              "within this range. This warning will become an error in version 1.7 release, "
                              "please fix the code in advance",
                              stacklevel=5)
        return
    least, most = (0, 1) if x.dtype is D.bool else (D.iinfo(x.dtype).min, D.iinfo(x.dtype).max)
    for word, v in (("from", low), ("to - 1", last)):
        if not least <= v <= most:
            raise RuntimeError(f"{word} is out of bounds for {c_name(x.dtype)}: random_, {v} is not in "
                               f"[{least}, {most}]")


# ------------------------------------------------------------------------------------------ in-place fills
def uniform_(self, *args, generator: Generator | None = None, **kwargs) -> Tensor:
    """uniform_(from=0, to=1): self ← numbers uniform in [from, to)."""
    if not args and not kwargs:
        low, high = 0.0, 1.0
    else:
        _named("uniform_", kwargs, "from", "to")
        if len(args) > 2:
            raise TypeError(f"uniform_() takes from 1 to 3 positional arguments but {len(args) + 1} were "
                            "given")
        low = _float_arg("uniform_", "from", 1, args[0] if args else kwargs.get("from", 0.0))
        high = _float_arg("uniform_", "to", 2, args[1] if len(args) > 1 else kwargs.get("to", 1.0))
    if self.storage.device is not devices.meta:
        _check_uniform(self, low, high)
    return _fill(self, "uniform_", "uniform", low, high, generator=generator)


def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """self ← numbers of the normal distribution. Complex: both parts, each with std / √2."""
    mean, std = _float_arg("normal_", "mean", 1, mean), _float_arg("normal_", "std", 2, std)
    _check_std(std)
    if self.storage.device is not devices.meta:
        _only("normal_kernel_cpu", self, D.FLOAT, D.COMPLEX)
    return _fill(self, "normal_", "normal", mean, std, generator=generator)


def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """self ← e to the power of numbers of the normal distribution with `mean` and `std`."""
    mean, std = _float_arg("log_normal_", "mean", 1, mean), _float_arg("log_normal_", "std", 2, std)
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    _only("log_normal_cpu", self, D.FLOAT)
    return _fill(self, "log_normal_", "log_normal", mean, std, generator=generator)


def _continuous(x: Tensor, law: str, words: str) -> None:
    if x.dtype.category != D.FLOAT:
        raise RuntimeError(f"{law} distribution is a continuous probability distribution. dtype must be a "
                           f"floating point but you specified {words}")


def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """self ← numbers with density λ e^(−λ x)."""
    lambd = _float_arg("exponential_", "lambd", 1, lambd)
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    _continuous(self, "Exponential", title(self.dtype))
    return _fill(self, "exponential_", "exponential", lambd, generator=generator)


def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """self ← numbers with density σ / (π (σ² + (x − median)²))."""
    median, sigma = _float_arg("cauchy_", "median", 1, median), _float_arg("cauchy_", "sigma", 2, sigma)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    _continuous(self, "Cauchy", c_name(self.dtype))
    return _fill(self, "cauchy_", "cauchy", median, sigma, generator=generator)


def geometric_(self, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """self ← the number of trials up to the first success, each succeeding with probability `p`."""
    if p is None:
        raise TypeError('geometric_() missing 1 required positional arguments: "p"')
    p = _float_arg("geometric_", "p", 1, p)
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    _only("geometric_cpu", self, D.FLOAT, D.INT)
    return _fill(self, "geometric_", "geometric", p, generator=generator)


def random_(self, *args, generator: Generator | None = None, **kwargs) -> Tensor:
    """random_(), random_(to), random_(from, to): self ← integers uniform in [from, to); without bounds every
    one that the dtype holds exactly from 0 on."""
    _named("random_", kwargs, "from", "to")
    if len(args) > 2 or any(isinstance(a, float | str) for a in args):
        raise TypeError("random_() received an invalid combination of arguments - got "
                        f"({', '.join(type(a).__name__ for a in args)}), but expected one of:\n * (*, "
                        "torch.Generator generator = None)\n * (int from, int to, *, torch.Generator "
                        "generator = None)\n * (int to, *, torch.Generator generator = None)")
    if not args and not kwargs:
        if self.dtype.is_complex:
            _only("random_kernel_cpu", self)
        return _fill(self, "random_", "random", generator=generator)
    if len(args) == 1 and not kwargs:
        args = (0, *args)
    low = _int_arg("random_", "from", 1, args[0] if args else kwargs.get("from", 0))
    high = args[1] if len(args) > 1 else kwargs.get("to")
    if high is not None:
        high = _int_arg("random_", "to", 2, high)
        if not low < high:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= "
                               f"to={high}")
        _check_range(self, low, high - 1)
        if self.dtype.is_floating_point:
            from ..kernels.cpu.random import representable
            low, high = representable(low, high, self.dtype.numpy)
            if not low < high:
                raise RuntimeError("random_ expects 'from' casted to dtype to be less than 'to' casted to "
                                   f"dtype, but got from={low} >= to={high}")
        return _fill(self, "random_", "randint", low, high - low, generator=generator)
    if low == -(1 << 63) and self.dtype is D.int64:
        return _fill(self, "random_", "random_full", generator=generator)
    if self.dtype.is_floating_point:
        most = 1 << _DIGITS[self.dtype.name]
        if low > most:
            raise RuntimeError("random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                               f"casted to dtype, but got from={low} > to_inc={most}")
    else:
        most = 1 if self.dtype is D.bool else D.iinfo(self.dtype).max
    _check_range(self, low, most)
    return _fill(self, "random_", "randint", low, most - low + 1, generator=generator)


def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """self ← 1 with probability `p` (a number, or a tensor that broadcasts to self), else 0."""
    if not isinstance(p, Tensor) or (p.ndim == 0 and p.dtype.category != D.FLOAT):
        p = _float_arg("bernoulli_", "p", 1, p)
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
        _only("bernoulli_scalar_cpu_", self, D.FLOAT, D.INT, D.BOOL)
        return _fill(self, "bernoulli_", "bernoulli", p, generator=generator)
    check_inplace(self, "bernoulli_")
    _only("bernoulli_tensor_cpu_self_", self, D.FLOAT, D.INT, D.BOOL)
    _only("bernoulli_tensor_cpu_p_", p, D.FLOAT)
    _check_probabilities(p)
    drawn = _on_host(bernoulli_of, self.device, self.detach(), expand(p.detach(), tuple(self.shape)),
                     generator_of(generator, self.device))
    if state.tracer is not None:
        return self.copy_(drawn)
    from .convert import move
    move(self, drawn)
    written(self, _node("bernoulli_each", (self, p)))
    return self


def _numbers(t: Tensor) -> np.ndarray | None:
    """The values of a tensor, to be checked; None where there are none: on the meta device and under
    tracing."""
    if t.is_meta or state.tracer is not None:
        return None
    host = t.detach().cpu()
    return float_array(host) if host.dtype.is_floating_point and host.itemsize == 2 else ndarray_of(host)


def _check_probabilities(p: Tensor) -> None:
    a = _numbers(p)
    if a is not None and not bool(((a >= 0) & (a <= 1)).all()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error "
                           "message be improved?  If so, please report an enhancement request to PyTorch.): "
                           "bernoulli, every probability must be in [0, 1]")


# ------------------------------------------------------------------------------------------ creation
_FORMS = ("(tuple of ints size, *, torch.Generator generator, Tensor out = None, torch.dtype dtype = None, "
          "torch.layout layout = None, torch.device device = None, bool pin_memory = False, bool "
          "requires_grad = False)")


def _words(args: tuple, kwargs: dict) -> str:
    return ", ".join([*[type(a).__name__ for a in args],
                      *[f"{k}={type(v).__name__}" for k, v in kwargs.items()]])


def _invalid(name: str, args: tuple, kwargs: dict, *forms: str) -> TypeError:
    return TypeError(f"{name}() received an invalid combination of arguments - got ({_words(args, kwargs)}), "
                     "but expected one of:" + "".join(f"\n * {f}" for f in forms))


def _blank(name: str, shape: tuple[int, ...], out, dtype, layout, device, requires_grad: bool) -> Tensor:
    """The tensor to fill: `out`, resized, or a new one."""
    if layout is not None and layout is not strided:
        raise NotImplementedError(f"{name}: numtorch has strided tensors only, got layout={layout}.")
    if out is not None:
        if not isinstance(out, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
        if dtype is not None and dtype is not out.dtype:
            raise RuntimeError(f"dtype {title(dtype)} does not match dtype of out parameter "
                               f"({title(out.dtype)})")
        if tuple(out.shape) != shape:
            out.resize_(shape)
        return out
    d = D._default if dtype is None else D.PYTHON.get(dtype, dtype)
    if not isinstance(d, D.dtype):
        raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(d).__name__}")
    if requires_grad and d.category < D.FLOAT:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    t = fresh(L.contiguous(shape), d, devices.placed(device))
    return state.tracer.blank(t) if state.tracer is not None and state.tracer.batches else t


def _filler(name: str, doc: str, fill: Callable) -> Callable:
    def make(*size, generator=None, out=None, dtype=None, layout=None, device=None, pin_memory=False,
             requires_grad=False, **kwargs):
        if kwargs:
            if "size" not in kwargs or size or len(kwargs) > 1:
                raise _invalid(name, size, kwargs, _FORMS)
            size = (kwargs["size"],)
        elif not size:
            raise _invalid(name, (), {}, _FORMS)
        if isinstance(size[0], bool):
            raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not bool")
        t = _blank(name, sizes_of(size, name), out, dtype, layout, device, requires_grad)
        fill(t, generator=generator)
        return t.requires_grad_() if requires_grad else t
    make.__name__ = make.__qualname__ = name
    make.__doc__ = doc
    return make


rand = _filler("rand", "A tensor of numbers uniform in [0, 1).", uniform_)
randn = _filler("randn", "A tensor of numbers of the standard normal distribution.", normal_)


def _like(name: str, doc: str, fill: Callable) -> Callable:
    def make(input, *, generator=None, dtype=None, layout=None, device=None, pin_memory=False,
             requires_grad=False, memory_format=preserve_format):
        _tensor_arg(name, input)
        t = empty_like(input, dtype=dtype, layout=layout, device=device, memory_format=memory_format)
        fill(t, generator=generator)
        return t.requires_grad_() if requires_grad else t
    make.__name__ = make.__qualname__ = name
    make.__doc__ = doc
    return make


rand_like = _like("rand_like", "Numbers uniform in [0, 1), shaped like input.", uniform_)
randn_like = _like("randn_like", "Numbers of the standard normal distribution, shaped like input.", normal_)

_RANDINT = tuple(f"({bounds}, tuple of ints size, *, torch.Generator generator, Tensor out = None, "
                 "torch.dtype dtype = None, torch.layout layout = None, torch.device device = None, bool "
                 "pin_memory = False, bool requires_grad = False)"
                 for bounds in ("int high", "int low, int high"))


def randint(*args, generator=None, out=None, dtype=None, layout=None, device=None, pin_memory=False,
            requires_grad=False, **kwargs) -> Tensor:
    """randint(high, size), randint(low, high, size): integers uniform in [low, high), int64 unless told
    otherwise."""
    _named("randint", kwargs, "low", "high", "size")
    short = "low" not in kwargs and (len(args) + len(kwargs) == 2 or not (len(args) > 1 or "high" in kwargs))
    names = ("high", "size") if short else ("low", "high", "size")
    given = dict(zip(names, args))
    if len(args) > len(names) or given.keys() & kwargs.keys() or (len(args) < 2 and not kwargs):
        raise _invalid("randint", args, kwargs, *_RANDINT)
    given |= kwargs
    if "high" not in given or "size" not in given:
        raise TypeError('randint() missing 2 required positional argument: "high", "size"')
    size = given["size"]
    if not isinstance(size, tuple | list):
        if len(args) == 3:
            raise _invalid("randint", args, kwargs, *_RANDINT)
        at = f" (position {len(names)})" if len(args) == len(names) else ""
        raise TypeError(f"randint(): argument 'size'{at} must be tuple of ints, not {type(size).__name__}")
    low = _int_arg("randint", "low", 1, given.get("low", 0))
    high = _int_arg("randint", "high", names.index("high") + 1, given["high"])
    d = D.int64 if dtype is None and out is None else dtype
    t = _blank("randint", sizes_of((size,), "randint"), out, d, layout, device, requires_grad)
    random_(t, low, high, generator=generator)
    return t.requires_grad_() if requires_grad else t


def randint_like(input, *args, generator=None, dtype=None, layout=None, device=None, pin_memory=False,
                 requires_grad=False, memory_format=preserve_format, **kwargs) -> Tensor:
    """randint_like(input, high), randint_like(input, low, high): integers uniform in [low, high)."""
    _tensor_arg("randint_like", input)
    _named("randint_like", kwargs, "low", "high")
    names = ("high",) if len(args) + len(kwargs) == 1 else ("low", "high")
    given = dict(zip(names, args)) | kwargs
    if len(args) > 2 or "high" not in given:
        raise TypeError('randint_like() missing 1 required positional arguments: "high"')
    t = empty_like(input, dtype=dtype, layout=layout, device=device, memory_format=memory_format)
    random_(t, _int_arg("randint_like", "low", 2, given.get("low", 0)),
            _int_arg("randint_like", "high", len(names) + 1, given["high"]), generator=generator)
    return t.requires_grad_() if requires_grad else t


def randperm(n: int, *, generator=None, out=None, dtype=None, layout=None, device=None, pin_memory=False,
             requires_grad=False) -> Tensor:
    """A random permutation of 0 … n−1, int64 unless told otherwise."""
    n = _int_arg("randperm", "n", 1, n)
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    d = D.int64 if dtype is None and out is None else dtype
    t = _blank("randperm", (n,), out, d, layout, device, requires_grad)
    _only("randperm", t, D.INT, D.FLOAT)
    if t.dtype.is_floating_point:
        most = (1 << _DIGITS[t.dtype.name]) + 1
        if n > most:
            raise RuntimeError(f"n cannot be greater than {most} for {title(t.dtype)} type.")
    elif n > D.iinfo(t.dtype).max + 1:
        kind = "int64_t" if t.dtype is D.int64 else f"{t.dtype.name}_t"
        raise RuntimeError(f"value cannot be converted to type {kind} without overflow: randperm, n={n}")
    _fill(t, "random_", "randperm", generator=generator)
    return t.requires_grad_() if requires_grad else t


# ------------------------------------------------------------------------------------------ distributions
_NORMAL = ("(Tensor mean, Tensor std, *, torch.Generator generator = None, Tensor out = None)",
           "(Tensor mean, float std = 1, *, torch.Generator generator = None, Tensor out = None)",
           "(float mean, Tensor std, *, torch.Generator generator = None, Tensor out = None)",
           "(float mean, float std, tuple of ints size, *, torch.Generator generator = None, Tensor out = "
           "None, torch.dtype dtype = None, torch.layout layout = None, torch.device device = None, bool "
           "pin_memory = False, bool requires_grad = False)")


def normal(*args, generator=None, out=None, dtype=None, layout=None, device=None, pin_memory=False,
           requires_grad=False, **kwargs) -> Tensor:
    """normal(mean, std), one or both of them tensors; normal(mean, std, size): std · z + mean with z standard
    normal."""
    _named("normal", kwargs, "mean", "std", "size")
    given = dict(zip(("mean", "std", "size"), args)) | kwargs
    mean, std, size = given.get("mean"), given.get("std", 1.0), given.get("size")
    if len(args) > 3:
        raise _invalid("normal", args, kwargs, *_NORMAL)
    if mean is None:
        raise TypeError('normal() missing 1 required positional arguments: "mean"')
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if not isinstance(size, tuple | list):
            raise _invalid("normal", args, kwargs, *_NORMAL)
        t = _blank("normal", sizes_of((size,), "normal"), out, dtype, layout, device, requires_grad)
        normal_(t, mean, std, generator=generator)
        return t.requires_grad_() if requires_grad else t
    if isinstance(std, Tensor):
        if std.dtype.is_complex:
            raise RuntimeError("normal expects standard deviation to be non-complex")
        a = _numbers(std)
        if a is not None and not bool((a >= 0).all()):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    else:
        std = _float_arg("normal", "std", 2, std)
        _check_std(std)
    tensors = [t for t in (mean, std) if isinstance(t, Tensor)]
    shape = L.broadcast(*[t.shape for t in tensors])
    d = tensors[0].dtype if out is None else None
    t = _blank("normal", tuple(shape), out, d, None, tensors[0].device, False)
    m, s = (v.detach() if isinstance(v, Tensor) else v for v in (mean, std))
    if isinstance(std, Tensor):
        normal_(t, 0.0, 1.0, generator=generator).mul_(s).add_(m)
    else:
        normal_(t, 0.0, std, generator=generator).add_(m)
    kind = "normal_both" if len(tensors) == 2 else "normal_mean" if isinstance(mean, Tensor) else "normal_std"
    return _ends(kind, t, *tensors)


def bernoulli(input, p: float | None = None, *, generator: Generator | None = None,
              out: Tensor | None = None) -> Tensor:
    """1 with the probabilities in `input` (or with probability `p` everywhere), else 0; shaped like input."""
    _tensor_arg("bernoulli", input)
    if p is not None:
        return _ends("bernoulli", bernoulli_(empty_like(input), p, generator=generator), input)
    d = input.dtype if out is None else None
    t = _blank("bernoulli", tuple(input.shape), out, d, None, input.device, False)
    _only("bernoulli_tensor_cpu_self_", input, D.FLOAT, D.INT, D.BOOL)
    bernoulli_(t, input.detach(), generator=generator)
    return _ends("bernoulli", t, input)


def multinomial(input, num_samples: int, replacement: bool = False, *, generator: Generator | None = None,
                out: Tensor | None = None) -> Tensor:
    """`num_samples` indices for each row of probabilities, which need not sum to 1."""
    _tensor_arg("multinomial", input)
    n = _int_arg("multinomial", "num_samples", 2, num_samples)
    x = input.detach()
    if out is not None and out.dtype is not D.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {title(out.dtype)}")
    if x.dtype.category != D.FLOAT:
        raise RuntimeError("multinomial only supports floating-point dtypes for input, got: "
                           f"{title(x.dtype)}")
    if x.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim: multinomial, got shape {list(x.shape)}")
    if n <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples: multinomial, num_samples={n}")
    if not replacement and n > x.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
                           f"multinomial, num_samples={n}, {x.shape[-1]} categories")
    if x.shape[-1] > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    _check_categories(x, not replacement or n == 1)
    t = _on_host(categorical, x.device, x, n, bool(replacement), generator_of(generator, x.device))
    if out is None:
        return t
    if tuple(out.shape) != tuple(t.shape):
        out.resize_(tuple(t.shape))
    return out.copy_(t)


def _check_categories(x: Tensor, fast: bool) -> None:
    """RuntimeError, in PyTorch's words for the two ways of drawing, where a row is not a distribution."""
    a = _numbers(x)
    if a is None or a.size == 0:
        return
    negative, finite = bool((~(a >= 0)).any()), bool((a < math.inf).all())
    if fast and (negative or not finite):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if negative:
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not finite:
        raise RuntimeError("invalid multinomial distribution (encountering probability entry = infinity or "
                           "NaN)")
    if not bool((a.sum(-1) > 0).all()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


def _sampled(law: str, x: Tensor, y: Tensor | None, generator: Generator | None) -> Tensor:
    return _on_host(sampled, x.device, x, y, law, generator_of(generator, x.device))


def poisson(input, generator: Generator | None = None) -> Tensor:
    """Poisson numbers with the rates in `input`."""
    x = input.detach()
    _only("poisson_cpu", x, D.FLOAT)
    a = _numbers(x)
    if a is not None and not bool((a >= 0).all()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return _ends("poisson", _sampled("poisson", x, None, generator), input)


def binomial(count, prob, generator: Generator | None = None) -> Tensor:
    """The number of successes in `count` trials that succeed with probability `prob`."""
    for word, t in (("count", count), ("prob", prob)):
        if t.dtype.category != D.FLOAT:
            raise ValueError(f"binomial only supports floating-point dtypes for {word}, got: "
                             f"{title(t.dtype)}")
    if count.dtype is not prob.dtype:
        raise RuntimeError(f"Found dtype {title(prob.dtype)} but expected {title(count.dtype)}")
    shape = tuple(L.broadcast(count.shape, prob.shape))
    x, y = expand(count.detach(), shape), expand(prob.detach(), shape)
    return _ends("binomial", _sampled("binomial", x, y, generator), count, prob)


@composite(at=("torch",), vjp={"self": lambda g, self, out: g * _standard_gamma_grad(self, out)})
def _standard_gamma(self, generator: Generator | None = None) -> Tensor:
    """Gamma numbers with the shapes in `self` and scale 1."""
    return _sampled("standard_gamma", self.detach(), None, generator)


def _sample_dirichlet(self, generator: Generator | None = None) -> Tensor:
    """Dirichlet numbers: gamma numbers of the concentrations in `self`, divided by their sum over the last
    dimension."""
    g = _standard_gamma(self.double(), generator)
    return (g / g.sum(-1, True)).to(self.dtype)


FUNCTIONS: dict[str, Any] = {f.__name__: f for f in (
    rand, randn, randint, randperm, rand_like, randn_like, randint_like, normal, bernoulli, multinomial,
    poisson, binomial, _sample_dirichlet)}
FUNCTIONS.update({n: getattr(generators, n) for n in generators.__all__ if n != "fork_rng"})
METHODS: dict[str, Any] = {f.__name__: f for f in (
    uniform_, normal_, log_normal_, exponential_, cauchy_, geometric_, random_, bernoulli_, bernoulli,
    multinomial)}
