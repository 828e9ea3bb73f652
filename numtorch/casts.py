"""Which operations autocast runs in the low precision, which in float32: PyTorch's lists, per device.

 dispatch.public_function asks `state.cast` for the entries named here."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import dtypes as D
from .autograd.modes import state
from .tensor import Tensor

_PRODUCTS = """conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution
    mm bmm matmul baddbmm addmm addbmm linear prelu scaled_dot_product_attention"""
_LOSSES = """mse_loss l1_loss smooth_l1_loss huber_loss cross_entropy nll_loss kl_div hinge_embedding_loss
    cosine_embedding_loss poisson_nll_loss margin_ranking_loss soft_margin_loss triplet_margin_loss
    multi_margin_loss multilabel_margin_loss binary_cross_entropy_with_logits ctc_loss"""
_CPU_FULL = _LOSSES + """ binary_cross_entropy avg_pool3d grid_sampler grid_sample grid_sampler_2d
grid_sampler_3d
    prod quantile nanquantile stft cdist trace view_as_complex cholesky cholesky_inverse cholesky_solve
    inverse
    lu_solve ormqr pinverse geqrf qr svd triangular_solve max_pool3d max_unpool1d max_unpool2d max_unpool3d
    adaptive_avg_pool3d adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d
    matrix_rank solve svdvals eigvals eigvalsh inv cond householder_product tensorinv tensorsolve lstsq
    cholesky_ex inv_ex linalg_cholesky linalg_qr linalg_svd eig eigh"""
_CUDA_FULL = _LOSSES + """ acos asin cosh cosine_similarity cumprod cumsum dist erfinv exp expm1 group_norm
    layer_norm log log10 log_softmax log1p log2 norm pdist pow prod reciprocal rsqrt sinh softmax softmin
    softplus sum renorm tan cdist"""
_CUDA_WIDEST = "addcdiv addcmul atan2 bilinear cross dot vdot index_put scatter_add tensordot"


def _table(lower: str, full: str, widest: str) -> dict[str, str]:
    return {name: rule for names, rule in ((lower, "lower"), (full, "full"), (widest, "widest"))
            for name in names.split()}


RULES = {"cpu": _table(_PRODUCTS + " vecdot multi_dot chain_matmul tensordot", _CPU_FULL,
                       "stack cat index_copy"),
         "cuda": _table(_PRODUCTS + " addmv addr mv chain_matmul multi_dot", _CUDA_FULL,
                        "stack cat " + _CUDA_WIDEST)}
RULES["cpu"]["pad"] = "edges"
RULES["cuda"]["binary_cross_entropy"] = "banned"
NAMES = {name for rules in RULES.values() for name in rules}
_BANNED = ("torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\n"
           "Many models use a sigmoid layer right before the binary cross entropy layer.\n"
           "In this case, combine the two layers using torch.nn.functional.binary_cross_entropy_with_logits\n"
           "or torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_logits and BCEWithLogits are\n"
           "safe to autocast.")


class Casting:
    """Autocast in force: the low precision of each device type that has it enabled.

    Low-precision copies of float32 leaves that require grad (weights) are kept until autocast ends, where
    `caching`."""

    def __init__(self, dtypes: dict[str, D.dtype], caching: bool, kept: dict[tuple, tuple[Tensor, Tensor]]):
        self.dtypes, self.caching, self.kept = dtypes, caching, kept

    def __call__(self, call: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """call(*args, **kwargs) with the tensors cast by the rule of `name`; what it calls is not cast."""
        found = next((t for v in (*args, *kwargs.values())
                      for t in (v if isinstance(v, tuple | list) else (v,)) if isinstance(t, Tensor)), None)
        device = "" if found is None else found.storage.device.type
        rule = RULES[device].get(name) if device in self.dtypes else None
        state.cast = None
        try:
            if rule == "edges":  # float32 where values are repeated, not for constants
                modes = {v for v in (*args, *kwargs.values()) if isinstance(v, str)}
                rule = "full" if modes & {"reflect", "replicate"} else None
            if rule is not None:
                if rule == "banned":
                    raise RuntimeError(_BANNED)
                to = self.dtypes[device] if rule == "lower" else D.float32
                if rule == "widest":
                    to = self.widest([*args, *kwargs.values()], device, self.dtypes[device])
                args = tuple([self.cast(v, device, to) for v in args])
                kwargs = {k: self.cast(v, device, to) for k, v in kwargs.items()}
            return call(*args, **kwargs)
        finally:
            state.cast = self

    def widest(self, values: list, device: str, low: D.dtype) -> D.dtype:
        """float32 if one of the values has it, else the low precision."""
        flat = [t for v in values for t in (v if isinstance(v, tuple | list) else (v,))]
        return D.float32 if any(_eligible(t, device) and t.dtype is D.float32 for t in flat) else low

    def cast(self, v: Any, device: str, to: D.dtype) -> Any:
        """`v`, or the tensors in it, as `to` where they are floating, on the device and not float64."""
        if isinstance(v, tuple | list):
            return type(v)([self.cast(t, device, to) for t in v]) if type(v) in (tuple, list) else v
        if not _eligible(v, device) or v.dtype is to:
            return v
        if self.caching and v._requires and v._node is None and v._base is None and v.dtype is D.float32:
            key = (id(v), to, state.grad)
            kept = self.kept.get(key)
            if kept is None or kept[0] is not v:
                kept = self.kept[key] = (v, v.to(to))
            return kept[1]
        return v.to(to)


def _eligible(v: Any, device: str) -> bool:
    return (isinstance(v, Tensor) and v.dtype.is_floating_point and v.dtype is not D.float64
            and v.storage.device.type == device)
