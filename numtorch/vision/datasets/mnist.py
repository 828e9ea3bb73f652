"""MNIST and data sets of its format."""
from __future__ import annotations

import gzip
import os
import warnings
from collections.abc import Callable
from typing import Any
from urllib.error import URLError

import numpy as np

from ... import Tensor, from_numpy
from .utils import download_url
from .vision import ArrayDataset

__all__ = ["KMNIST", "MNIST", "FashionMNIST"]

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: str) -> np.ndarray:
    """Read an IDX file, plain or gzip: two zero bytes, a type, the number of sizes, big-endian sizes, values.

    ValueError where the file is not of that form or not of that length. Source: yann.lecun.com/exdb/mnist.
    """
    with open(path, "rb") as f:
        packed = f.read(2) == b"\x1f\x8b"
    with (gzip.open(path) if packed else open(path, "rb")) as f:
        head = f.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
            raise ValueError(f"{path} is not an IDX file: it begins with {head!r}")
        sizes = np.frombuffer(f.read(4 * head[3]), ">u4").tolist()
        kind = np.dtype(_TYPES[head[2]])
        count = 1
        for n in sizes:
            count *= n
        if len(sizes) != head[3] or count * kind.itemsize > 1 << 34:
            raise ValueError(f"{path} is not an IDX file: its sizes are {sizes}")
        values = f.read(count * kind.itemsize + 1)
    if len(values) != count * kind.itemsize:
        raise ValueError(f"{path} is damaged: {count * kind.itemsize} bytes of values expected for sizes "
                         f"{sizes}, {len(values)} or more found")
    return np.frombuffer(values, kind).reshape(sizes).astype(kind.newbyteorder("="))


class MNIST(ArrayDataset):
    """60,000 training and 10,000 test images of digits, 28 × 28, uint8.

    The files are looked for in root/MNIST/raw, plain or gzip. download: fetch those that are missing.
    data: uint8 tensor (N, 28, 28); targets: int64 tensor. Source: LeCun et al. 1998.
    """

    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    resources = [("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                 ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
                 ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
                 ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c")]
    classes = ["0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven",
               "8 - eight", "9 - nine"]

    def __init__(self, root: Any, train: bool = True, transform: Callable | None = None,
                 target_transform: Callable | None = None, download: bool = False) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError("Dataset not found. You can use download=True to download it\n"
                               f"{type(self).__name__} looked for {', '.join(self._missing())} in "
                               f"{self.raw_folder}")
        self.data, self.targets = self._load_data()

    def _load_data(self) -> tuple[Tensor, Tensor]:
        part = "train" if self.train else "t10k"
        images = read_idx(self._find(f"{part}-images-idx3-ubyte"))  # type: ignore[arg-type]
        labels = read_idx(self._find(f"{part}-labels-idx1-ubyte"))  # type: ignore[arg-type]
        if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise ValueError(f"{self.raw_folder}: images of shape {images.shape} and {images.dtype}, "
                             f"labels of shape {labels.shape}")
        return from_numpy(images), from_numpy(labels.astype(np.int64))

    def _find(self, name: str) -> str | None:
        "The path of a file of the data set, plain or gzip."
        for end in ("", ".gz"):
            path = os.path.join(self.raw_folder, name + end)
            if os.path.isfile(path):
                return path
        return None

    def _missing(self) -> list[str]:
        names = [name.removesuffix(".gz") for name, _ in self.resources]
        return [name for name in names if self._find(name) is None]

    def _check_exists(self) -> bool:
        return not self._missing()

    def download(self) -> None:
        """Fetch the files that are missing, from the first mirror that has them."""
        missing = self._missing()
        for name, md5 in self.resources:
            if name.removesuffix(".gz") not in missing:
                continue
            errors = []
            for mirror in self.mirrors:
                try:
                    download_url(mirror + name, self.raw_folder, filename=name, md5=md5)
                    break
                except (URLError, OSError, RuntimeError) as e:
                    errors.append(f"Tried {mirror}, got:\n{e}")
            else:
                raise RuntimeError(f"Error downloading {name}:\n" + "\n".join(errors))

    @property
    def raw_folder(self) -> str:
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    @property
    def train_labels(self) -> Tensor:
        warnings.warn("train_labels has been renamed targets", stacklevel=2)
        return self.targets

    @property
    def test_labels(self) -> Tensor:
        warnings.warn("test_labels has been renamed targets", stacklevel=2)
        return self.targets

    @property
    def train_data(self) -> Tensor:
        warnings.warn("train_data has been renamed data", stacklevel=2)
        return self.data

    @property
    def test_data(self) -> Tensor:
        warnings.warn("test_data has been renamed data", stacklevel=2)
        return self.data

    def extra_repr(self) -> str:
        """Lines for `repr`."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


class FashionMNIST(MNIST):
    """60,000 training and 10,000 test images of clothes, 28 × 28, uint8. Source: Xiao et al. 2017
    (arXiv:1708.07747)."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                 ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
                 ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
                 ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310")]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
               "Ankle boot"]


class KMNIST(MNIST):
    """60,000 training and 10,000 test images of cursive kana, 28 × 28, uint8. Source: Clanuwat et al.
    2018."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
                 ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
                 ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
                 ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134")]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
