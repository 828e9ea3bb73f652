"""Pillow, imported when an image object is needed."""
from __future__ import annotations

from typing import Any


def pillow(name: str = "Image") -> Any:
    """Return the module PIL.`name`. ImportError says which extra installs it."""
    import importlib
    try:
        return importlib.import_module("PIL." + name)
    except ImportError as e:
        raise ImportError("image objects need Pillow: pip install 'numtorch[vision]'") from e


def is_image(x: Any) -> bool:
    """Whether x is a Pillow image; does not import Pillow."""
    import sys
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(x, image.Image)
