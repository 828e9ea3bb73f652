"""torch.fft, collected from the op entries."""
from __future__ import annotations

from . import ops as _ops

globals().update(_ops.names["fft"])
