"""Images: data sets and transforms under torchvision's names."""
from . import datasets, transforms, utils

__all__ = ["datasets", "transforms", "utils"]
