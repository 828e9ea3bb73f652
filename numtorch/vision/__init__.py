"""Images: data sets, transforms, models and operations under torchvision's names."""
from . import datasets, io, models, ops, transforms, utils

__all__ = ["datasets", "get_image_backend", "get_video_backend", "io", "models", "ops", "set_image_backend",
           "set_video_backend", "transforms", "utils"]

# torchvision's version whose names these are: programs compare it.
__version__ = "0.28.0"


def get_image_backend() -> str:
    """The package that reads images: always Pillow."""
    return "PIL"


def set_image_backend(backend: str) -> None:
    """Accept "PIL". ValueError for any other name."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL'")


def get_video_backend() -> str:
    """The package that reads videos."""
    return "pyav"


def set_video_backend(backend: str) -> None:
    """Accept "pyav". ValueError for any other name."""
    if backend != "pyav":
        raise ValueError(f"Invalid video backend '{backend}'. Options are 'pyav'")
