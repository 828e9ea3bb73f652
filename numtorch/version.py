"""Versions. `__version__` is that of the PyTorch API numtorch follows, for the version checks of scripts."""
numtorch = "0.1.0"
__version__ = "2.13.0"
cuda = None
hip = None
git_version = "numtorch"
debug = False
rocm = None
xpu = None
