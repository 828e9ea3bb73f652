"""Random images."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import get_rng_state, manual_seed, randint, randn, set_rng_state
from ..transforms.functional import to_pil_image
from .vision import VisionDataset

__all__ = ["FakeData"]


class FakeData(VisionDataset):
    """`size` random images, as Pillow images, and random classes; sample i is always the same.

    image_size: (C, H, W). random_offset: added to i to seed the generator.
    """

    def __init__(self, size: int = 1000, image_size: tuple[int, int, int] = (3, 224, 224),
                 num_classes: int = 10,
                 transform: Callable | None = None, target_transform: Callable | None = None,
                 random_offset: int = 0) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size, self.num_classes, self.image_size = size, num_classes, image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        state = get_rng_state()
        try:
            manual_seed(index + self.random_offset)
            img = randn(*self.image_size)
            target: Any = randint(0, self.num_classes, size=(1,)).item()
        finally:
            set_rng_state(state)
        sample = to_pil_image(img)
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target

    def __len__(self) -> int:
        return self.size
