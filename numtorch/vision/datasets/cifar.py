"""CIFAR-10 and CIFAR-100."""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ...unpickle import loads
from .utils import check_integrity, download_and_extract_archive
from .vision import ArrayDataset

__all__ = ["CIFAR10", "CIFAR100"]


def _text(x: Any) -> Any:
    return x.decode("latin-1") if isinstance(x, bytes) else x


def read_batch(path: str) -> dict[str, Any]:
    """Read a batch file: a pickled dict, read as data (nothing in the file is executed).

    UnpicklingError for a file that holds more than numbers, strings, containers and arrays.
    """
    with open(path, "rb") as f:
        batch = loads(f.read(), encoding="bytes")
    if not isinstance(batch, dict):
        raise ValueError(f"{path} holds a {type(batch).__name__}, not a dict")
    return {_text(key): value for key, value in batch.items()}


class CIFAR10(ArrayDataset):
    """50,000 training and 10,000 test colour images of 10 classes, 32 × 32, uint8.

    The batches are looked for in root/cifar-10-batches-py; files that are there and can be read are used,
    whatever their checksum. download: fetch the archive if they are not. data: array (N, 32, 32, 3); targets:
    list of int. Source: Krizhevsky 2009.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [["data_batch_1", "c99cafc152244af753f735de768cd75f"],
                  ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
                  ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
                  ["data_batch_4", "634d18415352ddfa80567beed471001a"],
                  ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"]]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": "5ff9c542aee3614f3951f8cda6e48888"}

    def __init__(self, root: Any, train: bool = True, transform: Callable | None = None,
                 target_transform: Callable | None = None, download: bool = False) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError("Dataset not found or corrupted. You can use download=True to download it\n"
                               f"{type(self).__name__} looked in {os.path.join(self.root, self.base_folder)}")
        parts, self.targets = [], []
        for name, _ in self.train_list if train else self.test_list:
            path = os.path.join(self.root, self.base_folder, name)
            batch = read_batch(path)
            pixels, labels = batch.get("data"), batch.get("labels", batch.get("fine_labels"))
            if (not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2
                    or pixels.shape[1] != 3072 or not isinstance(labels, list) or len(labels) != len(pixels)):
                raise ValueError(f"{path} is not a batch of {type(self).__name__}: data must be uint8 (N, "
                                 "3072) with N labels")
            parts.append(pixels)
            self.targets.extend(labels)
        planes = np.concatenate(parts).reshape(-1, 3, 32, 32)
        self.data = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        self._load_meta()

    def _load_meta(self) -> None:
        path = os.path.join(self.root, self.base_folder, self.meta["filename"])
        if not check_integrity(path):
            raise RuntimeError("Dataset metadata file not found or corrupted. You can use download=True to "
                               "download it")
        self.classes = [_text(name) for name in read_batch(path)[self.meta["key"]]]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def _check_integrity(self) -> bool:
        folder = os.path.join(self.root, self.base_folder)
        names = [name for name, _ in self.train_list + self.test_list] + [self.meta["filename"]]
        return all(os.path.isfile(os.path.join(folder, name)) for name in names)

    def download(self) -> None:
        """Fetch and unpack the archive, unless its files are there."""
        if not self._check_integrity():
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def extra_repr(self) -> str:
        """Lines for `repr`."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """50,000 training and 10,000 test colour images of 100 classes, 32 × 32, uint8. See CIFAR10."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {"filename": "meta", "key": "fine_label_names", "md5": "7973b15100ade9c7d40fb424638fde48"}
