"""Data sets and transforms. Numbers not derived here are torchvision 0.29's for the same seed and image."""
import gzip
import os
import pickle
import random
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import numtorch as nt
from numtorch.utils.data import DataLoader, Subset
from numtorch.vision import datasets, utils
from numtorch.vision import transforms as T
from numtorch.vision.datasets import mnist
from numtorch.vision.datasets.cifar import read_batch
from numtorch.vision.datasets.utils import check_integrity, download_url, extract_archive
from numtorch.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image")

DATA = Path(os.environ.get("DATA", Path(__file__).parents[2] / "shared" / "data"))
STANDARD = T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))])


def picture():
    return Image.fromarray((np.arange(40 * 50 * 3) % 251).astype(np.uint8).reshape(40, 50, 3))


def idx(array, kind=8):
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def root(tmp_path):
    "A small MNIST, half of it packed, and a small CIFAR-10."
    rng = np.random.default_rng(0)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, n in (("train", 20), ("t10k", 5)):
        images = idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        labels = idx((np.arange(n) % 10).astype(np.uint8))
        if part == "train":
            (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(labels)
        else:
            (raw / f"{part}-images-idx3-ubyte").write_bytes(images)
            (raw / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batch = {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [3, 1, 4, 1]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}, protocol=2))
    return tmp_path


# ---- data sets

def test_mnist(root):
    train = datasets.MNIST(root, transform=STANDARD, download=True)
    test = datasets.MNIST(str(root), train=False)
    assert (len(train), len(test)) == (20, 5) and train.data.dtype == nt.uint8
    assert train.targets.dtype == nt.int64 and train.targets[:12].tolist() == [*range(10), 0, 1]
    img, target = test[3]
    assert img.mode == "L" and img.size == (28, 28) and target == 3 and type(target) is int
    x, _ = train[2]
    want = (train.data[2].numpy() / np.float32(255) - np.float32(0.1307)) / np.float32(0.3081)
    np.testing.assert_allclose(x[0].numpy(), want, rtol=3e-7)
    assert repr(train).splitlines() == [
        "Dataset MNIST", "    Number of datapoints: 20", f"    Root location: {root}", "    Split: Train",
        "    StandardTransform", "Transform: Compose(", "               ToTensor()",
        "               Normalize(mean=(0.1307,), std=(0.3081,))", "           )"]
    assert train.class_to_idx["7 - seven"] == 7


@pytest.mark.parametrize("make", [lambda root: datasets.MNIST(root, transform=STANDARD),
                                  lambda root: datasets.MNIST(root, transform=T.ToTensor()),
                                  lambda root: datasets.CIFAR10(root, transform=STANDARD),
                                  lambda root: Subset(datasets.CIFAR10(root, transform=STANDARD), [5, -1,
                                                                                                   7])])
def test_whole_batches_are_those_of_the_samples(root, make):
    data = make(root)
    fast = list(DataLoader(data, 6))
    slow = list(DataLoader(data, 6, collate_fn=lambda x: nt.utils.data.default_collate(x)))
    assert all(nt.equal(a, b) and a.dtype == b.dtype for x, y in zip(fast, slow) for a, b in zip(x, y))


def test_replaced_data_and_own_items(root):
    data = datasets.MNIST(root, transform=T.ToTensor())
    data[0]
    data.data, data.targets = data.data[5:9], data.targets[5:9].tolist()
    (x, y), = DataLoader(data, 10)
    assert len(data) == 4 and y.tolist() == [5, 6, 7, 8] and nt.equal(x[1], data[1][0])
    data.data[1] = 0
    assert float(data[1][0].sum()) == 0

    class Pairs(datasets.MNIST):
        def __getitem__(self, i):
            return (*super().__getitem__(i), i)

        raw_folder = property(lambda self: os.path.join(self.root, "MNIST", "raw"))

    assert len(next(iter(DataLoader(Pairs(root, transform=T.ToTensor()), 3)))) == 3
    twice = datasets.MNIST(root, transform=T.ToTensor(), target_transform=lambda y: y * 2)
    assert next(iter(DataLoader(twice, 3)))[1].tolist() == [0, 2, 4]


def test_without_pillow(root):
    code = ("import sys; sys.modules['PIL'] = None\n"
            "from numtorch.vision import datasets, transforms as T\n"
            "t = T.Compose([T.ToTensor(), T.Normalize((.1,), (.3,))])\n"
            "d = datasets.MNIST(sys.argv[1], transform=t)\n"
            "print(d[0][0].shape)\n"
            "d.transform = None\n"
            "try: d[0]\nexcept ImportError as e: print(e)")
    out = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True)
    need = "image objects need Pillow: pip install 'numtorch[vision]'"
    assert out.stdout.splitlines() == ["torch.Size([1, 28, 28])", need], out.stderr


def test_missing_and_damaged_files(root, tmp_path):
    with pytest.raises(RuntimeError, match="Dataset not found. You can use download=True to download it"):
        datasets.MNIST(tmp_path / "nothing")
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted"):
        datasets.CIFAR10(tmp_path / "nothing")
    good = idx(np.zeros((2, 3), np.uint8))
    for text in (b"", b"\0\0", b"\1" + good[1:], good[:-1], good + b"0", good[:4] + b"\xff" * 8,
                 good[:2] + b"\7" + good[3:]):
        path = tmp_path / "x"
        path.write_bytes(text)
        with pytest.raises(ValueError):
            mnist.read_idx(str(path))


def test_download(root, tmp_path, monkeypatch):
    source = root / "MNIST" / "raw"
    names = {p.name.removesuffix(".gz"): p for p in source.iterdir()}
    served = tmp_path / "served"
    served.mkdir()
    resources = []
    for name, path in names.items():
        content = path.read_bytes()
        packed = content if path.suffix else gzip.compress(content, mtime=0)
        (served / (name + ".gz")).write_bytes(packed)
        import hashlib
        resources.append((name + ".gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["file:///nowhere/", served.as_uri() + "/"])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    there = datasets.MNIST(tmp_path / "new", download=True)
    assert nt.equal(there.data, datasets.MNIST(root).data)
    assert not [p for p in (tmp_path / "new/MNIST/raw").iterdir() if p.suffix == ".part"]
    name, md5 = next(r for r in resources if "t10k" in r[0])
    (served / "train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with pytest.raises(RuntimeError, match="corrupted"):
        datasets.MNIST(tmp_path / "other", download=True)
    assert not list((tmp_path / "other").rglob("train-labels*"))
    assert download_url((served / name).as_uri(), tmp_path / "a", md5=md5)
    assert check_integrity(str(served / name), md5)


def test_cifar(root):
    train, test = datasets.CIFAR10(root, download=True), datasets.CIFAR10(root, train=False)
    assert train.data.shape == (20, 32, 32, 3) and train.targets[:4] == [3, 1, 4, 1] and len(test) == 4
    assert train.classes == list("abcdefghij") and train.class_to_idx["c"] == 2
    raw = pickle.loads((root / "cifar-10-batches-py" / "test_batch").read_bytes())["data"]
    img, target = test[2]
    assert img.mode == "RGB" and target == 4
    assert np.array_equal(np.asarray(img).transpose(2, 0, 1).ravel(), raw[2])


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_hostile_batch_is_refused(root, monkeypatch):
    monkeypatch.chdir(root)
    path = root / "cifar-10-batches-py" / "data_batch_2"
    for protocol in (0, 2, 4):
        path.write_bytes(pickle.dumps({"data": Evil(), "labels": []}, protocol=protocol))
        with pytest.raises(pickle.UnpicklingError):
            datasets.CIFAR10(root)
    path.write_bytes(pickle.dumps({"data": np.zeros((2, 3072)), "labels": [1, 2]}))
    with pytest.raises(ValueError, match="is not a batch of CIFAR10"):
        datasets.CIFAR10(root)
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(ValueError, match="holds a list"):
        read_batch(str(path))
    assert not (root / "evil").exists()


def test_archive_stays_inside(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as t:
        member = tarfile.TarInfo("../outside")
        t.addfile(member)
    with pytest.raises(tarfile.OutsideDestinationError):
        extract_archive(str(path), str(tmp_path / "in"))
    assert not (tmp_path / "outside").exists()
    with tarfile.open(path, "w") as t:
        member = tarfile.TarInfo("zeros")
        member.size = 10
        t.addfile(member, open(os.devnull.replace("null", "zero"), "rb"))
    with pytest.raises(RuntimeError, match="more than max_bytes=9"):
        extract_archive(str(path), str(tmp_path / "in"), max_bytes=9)


def test_image_folder(tmp_path):
    for name in ("b/x.png", "b/deep/y.PNG", "a/z.jpg", "a/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("")
        else:
            picture().save(tmp_path / name)
    data = datasets.ImageFolder(str(tmp_path), transform=T.ToTensor())
    assert data.classes == ["a", "b"] and data.targets == [0, 1, 1] and data.imgs is data.samples
    assert [os.path.relpath(p, tmp_path) for p, _ in data.samples] == ["a/z.jpg", "b/x.png", "b/deep/y.PNG"]
    assert data[1][0].shape == (3, 40, 50) and data[1][1] == 1
    own = datasets.DatasetFolder(str(tmp_path), lambda p: Path(p).suffix, is_valid_file=lambda p: "note" in p,
                                 allow_empty=True)
    assert list(own) == [(".txt", 0)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="Found no valid file for the classes empty. Supported ext"):
        datasets.ImageFolder(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        datasets.ImageFolder(str(tmp_path / "empty"))


def test_fake_data():
    data = datasets.FakeData(3, (3, 8, 9), 5, transform=T.ToTensor())
    nt.manual_seed(1)
    a = nt.rand(1).item()
    nt.manual_seed(1)
    x, y = data[2]
    assert nt.rand(1).item() == a and nt.equal(x, data[2][0]) and x.shape == (3, 8, 9) and 0 <= y < 5
    with pytest.raises(IndexError):
        data[3]


@pytest.mark.skipif(not (DATA / "MNIST").is_dir(), reason="no data")
def test_real_mnist():
    data = datasets.MNIST(DATA, train=False, download=True)
    assert len(data) == 10000 and data.targets[:5].tolist() == [7, 2, 1, 0, 4] and data.data[0].sum() == 18454


@pytest.mark.skipif(not (DATA / "cifar-10-batches-py").is_dir(), reason="no data")
def test_real_cifar():
    data = datasets.CIFAR10(DATA, download=True)
    assert data.classes[:3] == ["airplane", "automobile", "bird"] and data.data.shape[1:] == (32, 32, 3)


# ---- transforms

def test_to_tensor():
    img = picture()
    x = T.ToTensor()(img)
    assert x.shape == (3, 40, 50) and x.is_contiguous() and x.dtype == nt.float32
    assert np.array_equal(x.numpy(), np.asarray(img).transpose(2, 0, 1) / np.float32(255))
    assert nt.equal(T.ToTensor()(np.asarray(img)), x)
    assert nt.equal(T.PILToTensor()(img).float() / 255, x) or np.allclose(T.PILToTensor()(img) / 255, x)
    for mode, dtype in (("L", nt.float32), ("1", nt.float32), ("I", nt.int32), ("F", nt.float32)):
        y = T.ToTensor()(img.convert(mode))
        assert y.shape == (1, 40, 50) and y.dtype == dtype
    assert set(T.ToTensor()(img.convert("1")).unique().tolist()) == {0, 1}
    for bad in (3, [1], np.zeros(3)):
        with pytest.raises((TypeError, ValueError), match="pic should be"):
            T.ToTensor()(bad)


def test_to_image_and_back():
    for mode in ("RGB", "L", "RGBA"):
        img = picture().convert(mode)
        for back in (T.ToPILImage()(T.ToTensor()(img)), T.ToPILImage()(T.PILToTensor()(img)),
                     T.ToPILImage()(np.asarray(img))):
            assert back.mode == mode and np.abs(np.asarray(back).astype(int) - np.asarray(img)).max() <= 1
    with pytest.raises(ValueError, match="Only modes"):
        T.ToPILImage("L")(np.zeros((2, 2, 3), np.uint8))


def test_normalize():
    x = nt.rand(3, 4, 5)
    n = T.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    want = (x.numpy() - np.float32([0.1, 0.2, 0.3])[:, None, None]) / np.float32([0.5, 0.6, 0.7])[:, None,
                                                                                                  None]
    for _ in range(2):
        np.testing.assert_allclose(n(x).numpy(), want, rtol=1e-6, atol=1e-7)
    assert n(x[None].double()).dtype == nt.float64
    y = x.clone()
    assert T.Normalize(0.5, 0.5, inplace=True)(y) is y
    with pytest.raises(ValueError, match="leading to division by zero"):
        T.Normalize((0.1,), (0.0,))(x)
    with pytest.raises(TypeError, match="Input tensor should be a float tensor"):
        n(nt.zeros(3, 4, 5, dtype=nt.uint8))
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        n(nt.rand(1, 4, 5))


def test_draws():
    img = picture()
    x = T.ToTensor()(img)
    nt.manual_seed(0)
    assert T.RandomCrop.get_params(img, (20, 30)) == (11, 3, 20, 30)
    assert T.RandomCrop.get_params(img, (40, 50)) == (0, 0, 40, 50)
    assert T.RandomResizedCrop.get_params(img, (0.08, 1.0), (0.75, 4 / 3)) == (1, 9, 20, 16)
    assert T.RandomRotation.get_params([-10.0, 10.0]) == pytest.approx(-0.19813179969787598)
    assert T.RandomErasing.get_params(x, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] == (9, 1, 23, 26)
    noise = T.RandomErasing.get_params(x, (0.02, 0.33), (0.3, 3.3), None)[4]
    assert noise.sum().item() == pytest.approx(3.5539283752441406, abs=1e-3)
    order, *factors = T.ColorJitter.get_params((0.5, 1.5), None, (0.1, 0.2), (-0.1, 0.1))
    assert order.tolist() == [0, 2, 3, 1] and factors[1] is None
    assert [factors[0], *factors[2:]] == pytest.approx([1.4439115524291992, 0.180634006857872,
                                                        0.06648298352956772])
    assert nt.rand(1).item() == 0.07886433601379395


SUMS = {  # of three images made one after the other
    "crop": (T.RandomCrop(32, padding=4), (32, 32, 3), 1129611.0),
    "resized crop": (T.RandomResizedCrop(16), (16, 16, 3), 290150.0),
    "rotation": (T.RandomRotation(30), (40, 50, 3), 2091419.0),
    "jitter": (T.ColorJitter(0.3, 0.4, 0.5, 0.1), (40, 50, 3), 2244310.0),
    "erasing": (T.Compose([T.ToTensor(), T.RandomErasing(1)]), (3, 40, 50), 7757.479),
    "grey": (T.Grayscale(), (40, 50), 748380.0),
    "resize": (T.Resize(20), (20, 25, 3), 563280.0),
    "centre": (T.CenterCrop((50, 20)), (50, 20, 3), 915255.0),
    "choice": (T.RandomChoice([T.Pad(1), T.RandomVerticalFlip()]), (40, 50, 3), 2241828.0),
}


@pytest.mark.parametrize("name", list(SUMS))
def test_same_images(name):
    t, shape, total = SUMS[name]
    nt.manual_seed(7)
    random.seed(7)
    made = [t(picture()) for _ in range(3)]
    arrays = [x.numpy() if isinstance(x, nt.Tensor) else np.asarray(x) for x in made]
    assert arrays[-1].shape == shape
    # Pillow's filters may round otherwise in other versions.
    assert sum(float(a.astype("f8").sum()) for a in arrays) == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("t", [T.RandomCrop(20, padding=4), T.CenterCrop((50, 20)), T.Pad((1, 2, 3, 4),
                                                                                          fill=1),
                               T.Pad(3, padding_mode="reflect"), T.Pad(3, padding_mode="symmetric"),
                               T.Pad(2, padding_mode="edge"), T.RandomHorizontalFlip(1.0),
                               T.RandomVerticalFlip(1.0),
                               T.FiveCrop(10), T.TenCrop((10, 12), True), T.RandomInvert(1.0)])
def test_tensors_as_images(t):
    def arrays(x):
        return [np.array(y) for y in (x if isinstance(x, tuple) else (x,))]
    img = picture()
    nt.manual_seed(3)
    a = t(img)
    nt.manual_seed(3)
    b = t(T.PILToTensor()(img))
    for x, y in zip(arrays(a), arrays(b)):
        assert np.array_equal(x.transpose(2, 0, 1), y)


def test_tensor_colours():
    x = T.PILToTensor()(picture())
    img = picture()
    for f, g, off in ((F.adjust_brightness, 1.3, 1), (F.adjust_contrast, 0.6, 1), (F.adjust_saturation, 0.5,
                                                                                   2),
                      (F.adjust_hue, 0.0, 6), (F.adjust_gamma, 0.7, 1)):
        d = np.asarray(f(img, g)).transpose(2, 0, 1).astype(int) - f(x, g).numpy()
        assert np.abs(d).max() <= off, f
    grey = np.asarray(F.rgb_to_grayscale(img)).astype(int)
    assert np.abs(grey - F.rgb_to_grayscale(x)[0].numpy()).max() <= 1
    with pytest.raises(ValueError, match="hue_factor"):
        F.adjust_hue(x, 0.6)


def test_convert_image_dtype():
    x = nt.tensor([0, 128, 255], dtype=nt.uint8)
    assert F.convert_image_dtype(x, nt.int16).tolist() == [0, 128 * 128, 255 * 128]
    assert F.convert_image_dtype(F.convert_image_dtype(x, nt.float32), nt.uint8).tolist() == [0, 128, 255]
    assert F.convert_image_dtype(nt.tensor([0.0, 1.0]), nt.uint8).tolist() == [0, 255]
    assert F.convert_image_dtype(nt.tensor([0, 256, 32767], dtype=nt.int16), nt.uint8).tolist() == [0, 2, 255]
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(nt.rand(2), nt.int32)


def test_reprs():
    crop = "RandomResizedCrop(size=(3, 3), scale=(0.08, 1.0), ratio=(0.75, 1.3333), interpolation=bilinear, "
    t = T.Compose([T.Resize(3), T.RandomCrop(3, padding=4), T.ColorJitter(0.5), T.RandomResizedCrop(3),
                   T.RandomErasing(), T.RandomApply([T.ToPILImage()]), T.RandomChoice([T.PILToTensor()]),
                   T.ConvertImageDtype(nt.float32), T.RandomRotation(10), T.Pad(2), T.Lambda(abs),
                   T.Grayscale(),
                   T.RandomHorizontalFlip(), T.RandomOrder([T.CenterCrop(3)])])
    assert repr(t) == f"""Compose(
    Resize(size=3, interpolation=bilinear, max_size=None, antialias=True)
    RandomCrop(size=(3, 3), padding=4)
    ColorJitter(brightness=(0.5, 1.5), contrast=None, saturation=None, hue=None)
    {crop}antialias=True)
    RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False)
    RandomApply(
    p=0.5
    ToPILImage()
)
    RandomChoice(
    PILToTensor()
)(p=None)
    ConvertImageDtype()
    RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)
    Pad(padding=2, fill=0, padding_mode=constant)
    Lambda()
    Grayscale(num_output_channels=1)
    RandomHorizontalFlip(p=0.5)
    RandomOrder(
    CenterCrop(size=(3, 3))
)
)"""


@pytest.mark.skipif(not hasattr(nt.nn.functional, "grid_sample"), reason="needs grid_sample")
def test_rotated_tensors():
    x = nt.arange(12.0).view(1, 3, 4)
    square = nt.arange(9.0).view(1, 3, 3)
    assert F.rotate(square, 90).tolist() == [[[2, 5, 8], [1, 4, 7], [0, 3, 6]]]
    assert F.rotate(x, 180, expand=True).tolist() == x.flip(-1).flip(-2).tolist()
    assert F.rotate(x, 45, expand=True).shape == (1, 5, 6)


def test_grid_and_file(tmp_path):
    images = nt.arange(5 * 3 * 4 * 6.0).view(5, 3, 4, 6) / 360
    grid = utils.make_grid(images, nrow=3, padding=1, pad_value=0.5)
    assert grid.shape == (3, 2 * 5 + 1, 3 * 7 + 1)
    assert nt.equal(grid[:, 1:5, 8:14], images[1]) and nt.equal(grid[:, 6:10, 1:7], images[3])
    assert (grid[:, 6:, 15:] == 0.5).all() and (grid[:, 0] == 0.5).all()
    assert utils.make_grid([nt.zeros(1, 2, 2)] * 2).shape == (3, 6, 10)
    scaled = utils.make_grid(images, normalize=True, padding=0)
    assert scaled.min() == 0 and abs(scaled.max() - 1) < 1e-6
    utils.save_image(images, tmp_path / "x.png", nrow=5)
    assert Image.open(tmp_path / "x.png").size == (5 * 8 + 2, 8)
    with pytest.raises(TypeError, match="tensor or list of tensors expected"):
        utils.make_grid((1,))


def test_more_random_images():
    "Sums of three images made one after the other; torchvision 0.28's, but for Pillow's rounding."
    made = {}
    for name, t in (("affine", T.RandomAffine((5, 40), (0.1, 0.2), (0.5, 1.5), 20, fill=7)),
                    ("perspective", T.RandomPerspective(0.6, 1.0)),
                    ("blur", T.GaussianBlur((3, 7), (0.5, 3))),
                    ("elastic", T.ElasticTransform(60.0, 4.0)), ("trivial", T.TrivialAugmentWide()),
                    ("rand", T.RandAugment(3, 20, fill=5)), ("auto", T.AutoAugment())):
        nt.manual_seed(7)
        made[name] = sum(float(np.asarray(t(picture())).astype("f8").sum()) for _ in range(3))
    assert made == {k: pytest.approx(v, rel=1e-3) for k, v in MORE_SUMS.items()}


MORE_SUMS = {
    "affine": 1614966.0,
    "perspective": 1154922.0,
    "blur": 2245740.0,
    "elastic": 2069265.0,
    "trivial": 2186448.0,
    "rand": 2255285.0,
    "auto": 2104055.0,
}


def test_tones():
    x = T.PILToTensor()(picture())
    for f, args in ((F.posterize, (3,)), (F.solarize, (100,)), (F.autocontrast, ()), (F.equalize, ()),
                    (F.adjust_sharpness, (1.0,))):
        d = np.asarray(f(picture(), *args)).transpose(2, 0, 1).astype(int) - f(x, *args).numpy()
        assert np.abs(d).max() <= 1, f
    assert F.gaussian_blur(x, 3).dtype == nt.uint8
    assert F.gaussian_blur(nt.ones(1, 5, 5), 5).allclose(nt.ones(1))
    corners = [[0, 0], [49, 0], [49, 39], [0, 39]]
    assert nt.equal(F.perspective(x, corners, corners), x)
    assert nt.equal(F.affine(x, 0, [3, 0], 1, 0)[..., 3:], x[..., :-3])
    with pytest.raises(ValueError, match="kernel_size should have odd and positive integers"):
        F.gaussian_blur(x, 4)


def test_v2():
    from numtorch.vision.transforms import v2
    t = v2.Compose([v2.ToImage(), v2.RandomResizedCrop(16), v2.RandomHorizontalFlip(),
                    v2.ToDtype(nt.float32, scale=True), v2.Normalize((0.5,) * 3, (0.5,) * 3)])
    old = T.Compose([T.PILToTensor(), T.RandomResizedCrop(16), T.RandomHorizontalFlip(),
                     T.ConvertImageDtype(nt.float32), T.Normalize((0.5,) * 3, (0.5,) * 3)])
    nt.manual_seed(2)
    a, label = t(picture(), 3)
    nt.manual_seed(2)
    assert nt.equal(old(picture()), a) and label == 3
    pair = v2.RandomCrop(8)({"image": picture(), "same": picture(), "label": nt.tensor(4)})
    assert pair["image"].tobytes() == pair["same"].tobytes() and pair["label"] == 4
    assert v2.ToDtype(nt.float32)(nt.ones(3, 2, 2, dtype=nt.uint8)).max() == 1
    assert v2.RandomChoice([v2.Resize(5), v2.Resize((5, 6))])(picture()).size[1] == 5
    assert v2.RGB()(nt.zeros(1, 2, 2)).shape == (3, 2, 2)
    assert v2.Lambda(lambda v: v + 1, int)(picture(), 1)[1] == 2
    assert v2.functional.get_size(picture()) == [40, 50]


def test_food101(tmp_path):
    base = tmp_path / "food-101"
    for name in ("b/1", "b/2", "a/3"):
        (base / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        picture().save(base / "images" / f"{name}.jpg")
    (base / "meta").mkdir()
    (base / "meta/train.json").write_text('{"b": ["b/1", "b/2"], "a": ["a/3"]}')
    data = datasets.Food101(tmp_path, transform=T.ToTensor())
    assert [y for _, y in data] == [1, 1, 0]
    assert data[2][0].shape == (3, 40, 50) and data.classes == ["a", "b"]
    with pytest.raises(RuntimeError, match="Dataset not found"):
        datasets.Food101(tmp_path / "no")
    with pytest.raises(ValueError, match="Unknown value 'all' for argument split"):
        datasets.Food101(tmp_path, "all")
