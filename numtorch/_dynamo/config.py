"""torch._dynamo.config, also for `import torch._dynamo.config`."""
from __future__ import annotations

import sys

from ..compiler.settings import config

sys.modules[__name__] = config  # type: ignore[assignment]
