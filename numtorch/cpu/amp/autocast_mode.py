"""torch.cpu.amp.autocast: torch.autocast("cpu")."""
from __future__ import annotations

import warnings

from ... import amp
from ...dtypes import bfloat16
from ...dtypes import dtype as D


class autocast(amp.autocast):
    """torch.autocast("cpu", …)."""

    def __init__(self, enabled: bool = True, dtype: D = bfloat16, cache_enabled: bool = True) -> None:
        warnings.warn("`torch.cpu.amp.autocast(args...)` is deprecated. Please use "
                      "`torch.amp.autocast('cpu', args...)` instead.", FutureWarning, stacklevel=2)
        super().__init__("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)
