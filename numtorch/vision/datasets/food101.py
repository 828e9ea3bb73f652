"""Food-101 (Bossard et al. 2014)."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._pillow import pillow
from .utils import download_and_extract_archive
from .vision import VisionDataset

__all__ = ["Food101"]


class Food101(VisionDataset):
    """101 kinds of food, 750 images of each to train and 250 to test: (image, class).

    The files: root/food-101/meta/{train,test}.json and images/CLASS/NUMBER.jpg; the archive has 5 GB."""

    url = "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz"
    md5 = "85eeb15f3717b99a5da872d97d918f87"

    def __init__(self, root: Any, split: str = "train", transform: Callable | None = None,
                 target_transform: Callable | None = None, download: bool = False,
                 loader: Callable[[Any], Any] | None = None) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if split not in ("train", "test"):
            raise ValueError(f"Unknown value '{split}' for argument split. Valid values are "
                             "{'train', 'test'}.")
        base = Path(self.root) / "food-101"
        self._split, self.loader = split, loader
        there = all((base / part).is_dir() for part in ("meta", "images"))
        if download and not there:
            download_and_extract_archive(self.url, self.root, md5=self.md5)
        elif not there:
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        names = json.loads((base / "meta" / f"{split}.json").read_text(encoding="utf-8"))
        self.classes = sorted(names)
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self._image_files = [base / "images" / f"{image}.jpg"
                             for images in names.values() for image in images]
        self._labels = [self.class_to_idx[name] for name, images in names.items() for _ in images]

    def __len__(self) -> int:
        return len(self._image_files)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self._image_files[index], self._labels[index]
        image = self.loader(path) if self.loader is not None else pillow().open(path).convert("RGB")
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def extra_repr(self) -> str:
        """The split."""
        return f"split={self._split}"
