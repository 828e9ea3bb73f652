"""`import torch` in a spawned process means numtorch."""
import sys

sys.modules.pop("torch", None)

from numtorch.runner import install_as_torch  # noqa: E402

install_as_torch()
