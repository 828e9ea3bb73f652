"""`import torchvision` in a spawned process means numtorch.vision."""
import importlib
import sys

from numtorch.runner import install_as_torch

sys.modules.pop("torchvision", None)
install_as_torch()
importlib.import_module("torchvision")
