"""Instance normalization: each channel of each sample on its own."""

from __future__ import annotations

import warnings
from typing import Any

from ... import Tensor
from .. import functional as F
from .batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """y = (x - mean) / √(var + eps) · weight + bias, over the space of each sample and channel."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self) -> int:
        raise NotImplementedError

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # Version 1 tracked running statistics by default, which was not what the module used.
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            found = [k for k in ("running_mean", "running_var") if prefix + k in state_dict]
            if found:
                name = type(self).__name__
                names = " and ".join(f'"{prefix + k}"' for k in found)
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {names} for {name} with "
                    "track_running_stats=False. If state_dict is a checkpoint saved before 0.4.0, this may "
                    f"be expected because {name} does not track running stats by default since 0.4.0. Please "
                    "remove these keys from state_dict. If the running stats are actually needed, instead "
                    f"set track_running_stats=True in {name} to enable them. See the documentation of {name} "
                    "for details."
                )
                for key in found:
                    state_dict.pop(prefix + key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def _normalize(self, input: Tensor) -> Tensor:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        channels = input.dim() - self._get_no_batch_dim()
        if input.size(channels) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={channels} to match num_features"
                    f" ({self.num_features}), but got: {input.size(channels)}."
                )
            warnings.warn(
                f"input's size at dim={channels} does not match num_features. "
                "You can silence this warning by not passing in num_features, "
                "which is not used because affine=False",
                stacklevel=2,
            )
        if input.dim() == self._get_no_batch_dim():
            return self._normalize(input.unsqueeze(0)).squeeze(0)
        return self._normalize(input)


class _Over1d:
    """Shapes (C, L) and (N, C, L)."""

    def _get_no_batch_dim(self) -> int:
        return 2

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class _Over2d:
    """Shapes (C, H, W) and (N, C, H, W)."""

    def _get_no_batch_dim(self) -> int:
        return 3

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (3, 4):
            raise ValueError(f"expected 3D or 4D input (got {input.dim()}D input)")


class _Over3d:
    """Shapes (C, D, H, W) and (N, C, D, H, W)."""

    def _get_no_batch_dim(self) -> int:
        return 4

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (4, 5):
            raise ValueError(f"expected 4D or 5D input (got {input.dim()}D input)")


class InstanceNorm1d(_Over1d, _InstanceNorm):
    """Normalize each row of x of shape (N, C, L) or (C, L) (Ulyanov et al. 2016)."""


class InstanceNorm2d(_Over2d, _InstanceNorm):
    """Normalize each image of x of shape (N, C, H, W) or (C, H, W) (Ulyanov et al. 2016)."""


class InstanceNorm3d(_Over3d, _InstanceNorm):
    """Normalize each volume of x of shape (N, C, D, H, W) or (C, D, H, W) (Ulyanov et al. 2016)."""


class _LazyInstanceNorm(_LazyNormBase, _InstanceNorm):
    """Takes num_features from the first input's channel dimension."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(eps, momentum, affine, track_running_stats, device, dtype, bias=bias)


class LazyInstanceNorm1d(_Over1d, _LazyInstanceNorm):
    """An InstanceNorm1d whose num_features is the size of the first input's dimension 1."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_Over2d, _LazyInstanceNorm):
    """An InstanceNorm2d whose num_features is the size of the first input's dimension 1."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_Over3d, _LazyInstanceNorm):
    """An InstanceNorm3d whose num_features is the size of the first input's dimension 1."""

    cls_to_become = InstanceNorm3d
