"""Statistics and calculus of samples: covariance, quantiles, histograms, trapezoids, finite differences."""
from __future__ import annotations

import math

from .. import dtypes as D
from .. import return_types as R
from ..dispatch import TITLES, wrap_dim
from ..kinds import composite
from ..kinds.batching import whole as all_samples
from ..tensor import Tensor
from .create import linspace, ones, tensor, zeros
from .join import cat
from .pointwise import where
from .scan import cumsum
from .sort import searchsorted, sort


# ------------------------------------------------------------------------------------------------ covariance
@composite
def cov(x, *, correction=1, fweights=None, aweights=None):
    "The covariance matrix of variables (rows) over observations (columns), weighted by counts and weights."
    if x.ndim > 2:
        raise RuntimeError("cov(): expected input to have two or fewer dimensions but got an input with "
                           f"{x.ndim} dimensions")
    if x.dtype is D.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    a = x if x.ndim == 2 else x.reshape(1, -1)
    n = a.shape[1]
    w = None
    for name, v, integral in (("fweights", fweights, True), ("aweights", aweights, False)):
        if v is None:
            continue
        if v.ndim > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
                               f"{v.ndim} dimensions")
        if (v.dtype.category == D.INT) != integral or v.dtype.is_complex:
            raise RuntimeError(f"cov(): expected {name} to have "
                               f"{'integral' if integral else 'floating point'} dtype but got {name} with "
                               f"{TITLES[v.dtype.name]} dtype")
        if v.layout.numel != n:
            raise RuntimeError(f"cov(): expected {name} to have the same numel as there are observations in "
                               f"the input but got {v.layout.numel} != {n}")
        if n and bool((all_samples(v) < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
        w = v if w is None else w * v
    total = n if w is None else w.sum()
    if w is not None and n and bool((all_samples(total) == 0).any()):
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    if a.dtype.category < D.FLOAT:
        a = a.to(D.get_default_dtype())
    average = a.mean(1, True) if w is None else (a * w).sum(1, True) / total
    if w is None or correction == 0:
        free = total - correction
    elif aweights is None:
        free = total - correction
    else:
        free = total - correction * (w * aweights).sum() / total
    centred = a - average
    weighted = centred if w is None else centred * w
    free = free.clamp(min=0) if isinstance(free, Tensor) else max(free, 0)
    if not isinstance(free, Tensor) and free == 0:
        free = zeros((), dtype=a.dtype.to_real(), device=a.device)
    return (weighted @ centred.t().conj() / free).squeeze()


@composite
def corrcoef(x):
    "The correlation matrix of variables (rows) over observations (columns), in [-1, 1]."
    if x.ndim > 2:
        raise RuntimeError("corrcoef(): expected input to have two or fewer dimensions but got an input with "
                           f"{x.ndim} dimensions")
    c = cov(x)
    if c.ndim == 0:
        return c / c
    d = c.diagonal()
    d = (d.real if d.dtype.is_complex else d).sqrt()
    c = c / d.unsqueeze(-1) / d.unsqueeze(0)
    if not c.dtype.is_complex:
        return c.clamp(-1, 1)
    from .view import view_as_complex, view_as_real
    return view_as_complex(view_as_real(c).clamp(-1, 1))


# ------------------------------------------------------------------------------------------------ quantiles
MODES = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, x, q, dim, keepdim: bool, mode: str, ignore_nan: bool):
    if x.dtype not in (D.float32, D.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = tensor(float(q), dtype=x.dtype, device=x.device)
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not x.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if q.layout.numel and not bool(all_samples((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    if mode not in MODES:
        raise RuntimeError(f"{name}() interpolation must be one of linear, lower, higher, midpoint or "
                           f"nearest, but got {mode}")
    if x.layout.numel == 0 and (dim is None or x.shape[wrap_dim(dim, x.ndim)] == 0):
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    whole = dim is None
    rows = x.flatten() if whole else x.movedim(wrap_dim(dim, x.ndim), -1) if x.ndim else x.reshape(1)
    n = rows.shape[-1]
    ordered = sort(rows, -1)[0]
    missing = ordered.isnan()
    if ignore_nan:
        ranks = q.unsqueeze(-1) * (n - missing.sum(-1, True).to(x.dtype) - 1).unsqueeze(-2)
        ranks = ranks.clamp(min=0).squeeze(-1).movedim(-1, -1)
    else:
        bad = missing.any(-1, True)
        ranks = where(bad, float(n - 1), q.reshape(-1) * (n - 1))
    ranks = ranks.reshape((*rows.shape[:-1], q.layout.numel))
    if mode == "lower":
        ranks = ranks.floor()
    elif mode == "higher":
        ranks = ranks.ceil()
    elif mode == "nearest":
        ranks = ranks.round()
    below = ranks.detach().floor()
    out = ordered.gather(-1, below.to(D.int64))
    if mode in ("linear", "midpoint"):
        above = ordered.gather(-1, ranks.detach().ceil().to(D.int64))
        half = ones(ranks.shape, dtype=x.dtype, device=x.device) / 2
        out = out.lerp(above, half if mode == "midpoint" else ranks - below)
    out = out.movedim(-1, 0)
    if keepdim and x.ndim:
        kept = (q.layout.numel, *[1] * x.ndim)
        out = out.reshape(kept) if whole else out.unsqueeze(1 + wrap_dim(dim, x.ndim))
    elif not x.ndim and not whole:
        out = out.reshape(q.layout.numel)
    return out if q.ndim else out.squeeze(0)


@composite
def quantile(x, q, dim=None, keepdim=False, *, interpolation="linear"):
    "The q-th quantiles over one dimension or all: where q of the elements lie below. NaN where there is one."
    return _quantile("quantile", x, q, dim, keepdim, interpolation, False)


@composite
def nanquantile(x, q, dim=None, keepdim=False, *, interpolation="linear"):
    "The q-th quantiles of the elements that are not NaN."
    return _quantile("nanquantile", x, q, dim, keepdim, interpolation, True)


# ------------------------------------------------------------------------------------------------ histograms
def _edges(name: str, x, bins, low_high, dim: int = 0):
    "The edges of the bins: given, or evenly spaced over the range (of x where none is given)."
    if isinstance(bins, Tensor):
        if bins.dtype is not x.dtype:
            raise RuntimeError(f"torch.{name}(): input tensor and bins tensors should have the same dtype, "
                               f"but got input with dtype {TITLES[x.dtype.name]} and bins for dimension "
                               f"{dim} with dtype {TITLES[bins.dtype.name]}")
        if bins.ndim != 1:
            raise RuntimeError(f"torch.{name}(): bins tensor should have one dimension, but got {bins.ndim} "
                               f"dimensions in the bins tensor for dimension {dim}")
        if bins.layout.numel == 0:
            raise RuntimeError(f"torch.{name}(): bins tensor should have at least 1 element, but got 0 "
                               f"elements in the bins tensor for dimension {dim}")
        return bins
    if bins <= 0:
        raise RuntimeError(f"torch.{name}(): bins must be > 0, but got {bins} for dimension {dim}")
    low, high = (float(v) for v in low_high) if low_high is not None else \
        (float(x.min()), float(x.max())) if x.layout.numel else (0.0, 1.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.{name}(): dimension {dim}'s range [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"torch.{name}(): min should not exceed max, but got min {low} max {high} for "
                           f"dimension {dim}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return linspace(low, high, bins + 1, dtype=x.dtype, device=x.device)


def _counted(name: str, rows, edges, weight, density: bool):
    "The histogram of points (n, d) on a grid of edges: weights summed per cell; the last edge is inside."
    if rows.dtype.category != D.FLOAT or rows.dtype.itemsize == 2:
        raise NotImplementedError(f"\"{name}\" not implemented for '{TITLES[rows.dtype.name]}'")
    counts = [e.layout.numel - 1 for e in edges]
    flat = zeros(rows.shape[:1], dtype=D.int64, device=rows.device)
    inside = ones(rows.shape[:1], dtype=D.bool, device=rows.device)
    for i, e in enumerate(edges):
        column = rows.select(1, i).contiguous()
        place = searchsorted(e, column, right=True) - 1
        place = where(column == e[-1], counts[i] - 1, place)
        inside = inside & (column >= e[0]) & (column <= e[-1]) & (place >= 0) & (place < counts[i])
        flat = flat * counts[i] + place
    w = ones(rows.shape[:1], dtype=rows.dtype, device=rows.device) if weight is None else weight
    out = zeros(math.prod(counts), dtype=rows.dtype, device=rows.device)
    if math.prod(counts):
        out = out.index_add(0, where(inside, flat, 0), where(inside, w, 0.0))
    out = out.reshape(counts)
    if density:
        out = out / out.sum()
        for i, e in enumerate(edges):
            out = out / e.diff().reshape([-1 if j == i else 1 for j in range(len(edges))])
    return out


@composite
def histogram(x, bins, *, range=None, weight=None, density=False):
    "(hist, bin_edges): how many elements, or how much weight, lies in each bin."
    edges = _edges("histogramdd", x, bins, range)
    if weight is not None and weight.dtype is not x.dtype:
        raise RuntimeError("torch.histogramdd(): if weight tensor is provided, input tensor and weight "
                           f"tensor should have the same dtype, but got input(): {TITLES[x.dtype.name]}, and "
                           f"weight(): {TITLES[weight.dtype.name]}")
    if weight is not None and weight.shape != x.shape:
        raise RuntimeError("torch.histogramdd(): if weight tensor is provided it should have the same shape "
                           "as the input tensor excluding its innermost dimension")
    w = None if weight is None else weight.reshape(-1)
    return R.histogram(_counted("histogram", x.reshape(-1, 1), [edges], w, density), edges)


@composite(at=("torch",))
def histogramdd(x, bins, range=None, weight=None, density=False):
    "(hist, bin_edges): the histogram of points, the rows of x, over a grid of bins."
    if x.ndim < 2:
        raise RuntimeError("torch.histogramdd(): input tensor should have at least 2 dimensions, but got "
                           f"{x.ndim}")
    d = x.shape[-1]
    bins = [bins] * d if isinstance(bins, int) else list(bins)
    if len(bins) != d:
        raise RuntimeError(f"torch.histogramdd(): expected {d} bin counts or sequences of bin edges for a "
                           f"{d}-dimensional histogram but got {len(bins)}")
    rows = x.reshape(-1, d)
    pairs = [None] * d if range is None else [(range[2 * i], range[2 * i + 1]) for i in _indices(d)]
    edges = [_edges("histogramdd", rows.select(1, i), b, pairs[i], i) for i, b in enumerate(bins)]
    w = None if weight is None else weight.reshape(-1)
    return R.histogramdd(_counted("histogramdd", rows, edges, w, density), tuple(edges))


_indices = range
R.named("histogramdd", "hist", "bin_edges")


# ------------------------------------------------------------------------------------------------ integrals
def _areas(name: str, y, x, dx, dim: int):
    "The areas of the trapezoids between neighbours along `dim`."
    n = y.shape[dim]
    left, right = y.narrow(dim, 0, max(n - 1, 0)), y.narrow(dim, min(1, n), max(n - 1, 0))
    if x is None:
        if isinstance(dx, complex) and not y.dtype.is_complex:
            raise RuntimeError(f"{name}: Currently, we only support dx as a real number.")
        return (left + right) * (dx / 2)
    if x.ndim == 1 and y.ndim != 1:
        if x.shape[0] != n:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        width = x.diff().reshape([-1 if d == dim else 1 for d in _indices(y.ndim)])
    else:
        if x.ndim < y.ndim:
            x = x.reshape((1,) * (y.ndim - x.ndim) + tuple(x.shape))
        at = dim - y.ndim
        if x.shape[at] not in (1, n) and x.shape[at] != n:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        width = x.diff(dim=at)
    return (left + right) * width / 2


def _sampled(name: str, y, x, dx, dim) -> tuple:
    dim = wrap_dim(dim, y.ndim)
    if y.dtype is D.bool or (x is not None and x.dtype is D.bool):
        raise RuntimeError(f"{name}: received a bool input for `{'y' if y.dtype is D.bool else 'x'}`, but "
                           "bool is not supported")
    if x is not None and dx is not None:
        raise RuntimeError(f"{name}: only one of x and dx may be given")
    return _areas(name, y, x, 1 if dx is None else dx, dim), dim


@composite(at=("torch",))
def trapezoid(y, x=None, *, dx=None, dim=-1):
    "The integral of samples y at places x (or `dx` apart) along `dim`, by trapezoids."
    if y.ndim and y.shape[dim] == 0:
        wrap_dim(dim, y.ndim)
        shape = [n for i, n in enumerate(y.shape) if i != dim % y.ndim]
        return zeros(shape, dtype=y.dtype, device=y.device)
    areas, dim = _sampled("trapezoid", y, x, dx, dim)
    return areas.sum(dim)


@composite(at=("torch",))
def trapz(y, x=None, *, dx=None, dim=-1):
    "The integral of samples y at places x (or `dx` apart) along `dim`: trapezoid."
    return trapezoid(y, x, dx=dx, dim=dim)


@composite(at=("torch",))
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    "The running integral of samples y at places x (or `dx` apart) along `dim`, by trapezoids."
    areas, dim = _sampled("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, dim)


# ------------------------------------------------------------------------------------------------ derivatives
def _slope(x, spacing, dim: int, order: int):
    "The second-order central difference of x along `dim`, with one-sided differences at the ends."
    n = x.shape[dim]
    part = lambda i, k: x.narrow(dim, i, k)
    if isinstance(spacing, Tensor):
        h = spacing.diff()
        shape = [-1 if d == dim else 1 for d in _indices(x.ndim)]
        a, b = h[:-1].reshape(shape), h[1:].reshape(shape)
        middle = (part(2, n - 2) * (a / b) - part(0, n - 2) * (b / a)) / (a + b)
        middle = middle + part(1, n - 2) * (b - a) / (a * b)
        first, second, last, before = h[0], h[min(1, n - 2)], h[-1], h[max(n - 3, 0)]
    else:
        middle = (part(2, n - 2) - part(0, n - 2)) / (2 * spacing)
        first = second = last = before = spacing
    if order == 1:
        start, end = (part(1, 1) - part(0, 1)) / first, (part(n - 1, 1) - part(n - 2, 1)) / last
    else:
        start = _one_sided(part(0, 1), part(1, 1), part(2, 1), first, second)
        end = -_one_sided(part(n - 1, 1), part(n - 2, 1), part(n - 3, 1), last, before)
    return cat([start, middle, end], dim)


def _one_sided(x0, x1, x2, a, b):
    "The slope at x0 of the parabola through three points, at distances a and then b."
    return -x0 * (2 * a + b) / (a * (a + b)) + x1 * (a + b) / (a * b) - x2 * a / (b * (a + b))


@composite(at=("torch",))
def gradient(x, *, spacing=1, dim=None, edge_order=1):
    "The derivatives of samples x along each dimension, by central differences of samples `spacing` apart."
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    spacing = 1 if spacing is None else spacing
    dims = list(_indices(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [wrap_dim(d, x.ndim) for d in dims]
    if len(set(dims)) != len(dims):
        raise RuntimeError("dim 0 appears multiple times in the list of dims")
    many = isinstance(spacing, list | tuple)
    if many and len(spacing) != len(dims):
        raise RuntimeError("torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
                           f"equal to 'self.dim() = {x.ndim}', since dim argument was not given, but got a "
                           f"list of length {len(spacing)}"
                           if dim is None else "torch.gradient expected spacing to be unspecified, a scalar "
                           "or it's spacing and dim arguments to have the same length, but got a spacing "
                           f"argument of length {len(spacing)} and a dim argument of length {len(dims)}.")
    if many:
        for s, d in zip(spacing, dims):
            if isinstance(s, Tensor) and s.layout.numel != x.shape[d]:
                raise RuntimeError("torch.gradient expected each element in the spacing list to have the "
                                   "same length as the corresponding dimension of the input, but got "
                                   f"{s.layout.numel} and {x.shape[d]}")
            if isinstance(s, Tensor) and s.device is not x.device:
                raise RuntimeError("torch.gradient expected each tensor to be on the same device")
    for d in dims:
        if x.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return tuple(_slope(x, s, d, edge_order)
                 for s, d in zip(spacing if many else [spacing] * len(dims), dims))


