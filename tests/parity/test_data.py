"""Data loading against PyTorch: the same seed must give the same batches, for any number of workers."""
import collections
import random
import re
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nt = pytest.importorskip("numtorch")
from torch.utils import data as theirs

from numtorch.utils import data as mine

LIBS = [(nt, mine), (torch, theirs)]


def plain(x):
    "Tensors as lists, in containers of the same kind."
    if isinstance(x, (nt.Tensor, torch.Tensor)):
        return ("tensor", str(x.dtype).replace("numtorch", "torch"), tuple(x.shape), x.tolist())
    if isinstance(x, collections.abc.Mapping):
        return type(x).__name__, {k: plain(v) for k, v in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x).__name__, [plain(v) for v in x]
    if isinstance(x, (list, tuple, collections.deque)):
        return type(x).__name__, [plain(v) for v in x]
    if isinstance(x, np.ndarray):
        return "array", x.tolist()
    return x


def both(f, *args):
    out = []
    for lib, data in LIBS:
        lib.manual_seed(5)
        random.seed(5)
        np.random.seed(5)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = plain(f(lib, data, *args))
            except Exception as e:
                result = type(e).__name__, str(e).replace("numtorch",
                                                          "torch").split("\nOriginal")[0].split("; pid")[0]
            else:
                result = result, lib.rand(2).tolist()  # the generator is left in the same state
        words = [(w.category.__name__, re.sub("0x[0-9a-f]+", "", str(w.message))) for w in caught
                 if "fork" not in str(w.message)]
        out.append((result, words))
    assert out[0] == out[1]
    return out[0]


def epochs(loader, n=2):
    return [list(loader) for _ in range(n)]


ORDERS = {
    "plain": lambda lib, d, ds: dict(batch_size=3),
    "shuffle": lambda lib, d, ds: dict(batch_size=3, shuffle=True),
    "drop": lambda lib, d, ds: dict(batch_size=3, shuffle=True, drop_last=True),
    "single": lambda lib, d, ds: dict(batch_size=None, shuffle=True),
    "generator": lambda lib, d,
    ds: dict(batch_size=4, shuffle=True, generator=lib.Generator().manual_seed(9)),
    "replace": lambda lib, d, ds: dict(batch_size=5, sampler=d.RandomSampler(ds, True, 45)),
    "more": lambda lib, d, ds: dict(batch_size=5, sampler=d.RandomSampler(ds, num_samples=25)),
    "fewer": lambda lib, d, ds: dict(sampler=d.RandomSampler(ds, num_samples=4)),
    "subset": lambda lib, d, ds: dict(batch_size=2, sampler=d.SubsetRandomSampler([5, 3, 1, 8, 9])),
    "weights": lambda lib, d, ds: dict(batch_size=2, sampler=d.WeightedRandomSampler([1, 2, 3.0, 0, 4], 9)),
    "weights once": lambda lib, d,
    ds: dict(batch_size=2, sampler=d.WeightedRandomSampler([1, 2, 3.0, 0, 4], 3, False)),
    "batches": lambda lib, d, ds: dict(batch_sampler=d.BatchSampler(d.RandomSampler(ds), 4, True)),
    "ranks": lambda lib, d, ds: dict(batch_size=2, sampler=d.DistributedSampler(ds, 3, 1, seed=2)),
    "ranks cut": lambda lib, d,
    ds: dict(batch_size=2, sampler=d.DistributedSampler(ds, 3, 2, False, drop_last=True)),
}


@pytest.mark.parametrize("order", list(ORDERS))
def test_order(order):
    def f(lib, d):
        ds = d.TensorDataset(lib.arange(10.0), lib.arange(20).view(10, 2))
        loader = d.DataLoader(ds, **ORDERS[order](lib, d, ds))
        return len(loader), epochs(loader)
    both(f)


class Noisy:
    "Every kind of random number, drawn where the sample is made."

    def __init__(self, lib):
        self.lib = lib

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return i, random.random(), np.random.rand(2), self.lib.rand(2)


@pytest.mark.parametrize("options", [dict(num_workers=1), dict(num_workers=2, shuffle=True, batch_size=3),
                                     dict(num_workers=2, persistent_workers=True, prefetch_factor=1)])
def test_workers_draw_the_same(options):
    both(lambda lib, d: epochs(d.DataLoader(Noisy(lib), **options)))


def stream(d):
    class Stream(d.IterableDataset):
        def __init__(self, n, told=None):
            self.n, self.told = n, told

        def __iter__(self):
            info = d.get_worker_info()
            lo, step = (0, 1) if info is None else (info.id, info.num_workers)
            return iter(range(lo, self.n, step))

        def __len__(self):
            return self.n if self.told is None else self.told

    return Stream


@pytest.mark.parametrize("options", [dict(batch_size=3), dict(batch_size=3, drop_last=True),
                                     dict(batch_size=None),
                                     dict(batch_size=2, num_workers=2), dict(batch_size=3, num_workers=2,
                                                                             drop_last=True),
                                     dict(batch_size=2, num_workers=2, persistent_workers=True)])
def test_stream(options):
    both(lambda lib, d: epochs(d.DataLoader(stream(d)(11), **options)))
    both(lambda lib, d: epochs(d.DataLoader(d.ChainDataset([stream(d)(3), stream(d)(4)]), **options)))

    def told(lib, d):
        loader = d.DataLoader(stream(d)(11, 4), **options)
        return len(loader), "object" not in repr(list(loader))
    if not options.get("num_workers"):
        both(lambda lib, d: told(lib, d)[0])


Point = collections.namedtuple("Point", "x y")


class Bag(dict):
    pass


SAMPLES = [
    lambda lib: [lib.ones(2), lib.zeros(2)],
    lambda lib: [1, 2], lambda lib: [1.5, 2.0], lambda lib: [True, False], lambda lib: ["a", "b"],
    lambda lib: [b"a", b"b"], lambda lib: [(1, 2.0), (3, 4.0)], lambda lib: [[1, 2.0], [3, 4.0]],
    lambda lib: [{"a": 1, "b": ["x", 2]}, {"a": 2, "b": ["y", 3]}], lambda lib: [Bag(a=1), Bag(a=2)],
    lambda lib: [Point(1, 2.0), Point(3, 4.0)], lambda lib: [np.float32(1), np.float32(2)],
    lambda lib: [np.int16(1), np.int16(2)], lambda lib: [np.bool_(True), np.bool_(False)],
    lambda lib: [np.arange(3), np.arange(3)], lambda lib: [np.array(1.0), np.array(2.0)],
    lambda lib: [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
    lambda lib: [range(3), range(3)], lambda lib: [collections.deque([1, 2]), collections.deque([3, 4])],
    lambda lib: [None, None], lambda lib: [object, object], lambda lib: [np.array(["a"]), np.array(["b"])],
    lambda lib: [[1, 2], [3]], lambda lib: [{"a": 1}, {"b": 1}], lambda lib: [1, "a"],
    lambda lib: [(lib.ones(2, dtype=lib.float16), {"k": (1, np.arange(2))})] * 2,
]


@pytest.mark.parametrize("i", range(len(SAMPLES)))
def test_collate(i):
    if i == 24:  # the text of the error is the core's
        for lib, d in LIBS:
            with pytest.raises(TypeError):
                d.default_collate(SAMPLES[i](lib))
        return
    both(lambda lib, d: d.default_collate(SAMPLES[i](lib)))
    both(lambda lib, d: d.default_convert(SAMPLES[i](lib)))


def test_datasets():
    def f(lib, d):
        a, b = d.TensorDataset(lib.arange(4)), d.TensorDataset(lib.arange(10, 13))
        c = a + b
        s = d.StackDataset(x=c, y=d.Subset(c, [6, 5, 4, 3, 2, 1, 0]))
        t = d.StackDataset(c, list("abcdefg"))
        split = d.random_split(c, [3, 4], generator=lib.Generator().manual_seed(4))
        parts = d.random_split(range(11), [0.3, 0.3, 0.4])
        return ([c[i] for i in range(-7, 7)], list(d.DataLoader(s, 3)), list(d.DataLoader(t, 3)), len(s),
                [list(x) for x in split], [list(x) for x in parts], split[0].indices,
                list(d.DataLoader(split[0], 2)), [len(x) for x in d.random_split(range(3), [0.1, 0.9])],
                c.cumulative_sizes)
    both(f)


def test_shadowed_items():
    "A subclass that changes __getitem__ is asked for every item."
    def f(lib, d):
        class Twice(d.TensorDataset):
            def __getitem__(self, i):
                return super().__getitem__(i)[0] * 2

        class Few(d.Subset):
            def __getitem__(self, i):
                return super().__getitem__(i)

        twice = Twice(lib.arange(5))
        return list(d.DataLoader(twice, 2)), list(d.DataLoader(d.Subset(twice, [4, 2]), 2))
    both(f)


def mistakes():
    def few(lib, d):
        class Few(d.Subset):
            def __getitem__(self, i):
                return super().__getitem__(i)
        return list(d.DataLoader(Few([1, 2], [0]), 2))

    def bad(error):
        class Bad:
            def __len__(self):
                return 2

            def __getitem__(self, i):
                raise error
        return Bad()

    def init(i):
        raise OSError("init")

    x = [1, 2, 3]
    return [
        lambda lib, d: d.DataLoader(x, num_workers=-1), lambda lib, d: d.DataLoader(x, timeout=-1),
        lambda lib, d: d.DataLoader(x, prefetch_factor=2), lambda lib, d: d.DataLoader(x,
                                                                                       persistent_workers=True),
        lambda lib, d: d.DataLoader(x, num_workers=1, prefetch_factor=-1),
        lambda lib, d: iter(d.DataLoader(x, num_workers=1, prefetch_factor=0)),
        lambda lib, d: d.DataLoader(x, shuffle=True, sampler=x), lambda lib, d: d.DataLoader(x, 2,
                                                                                             batch_sampler=[x]),
        lambda lib, d: d.DataLoader(x, None, drop_last=True), lambda lib, d: d.DataLoader(x, 0),
        lambda lib, d: d.DataLoader(x, 2.5), lambda lib, d: d.DataLoader([], shuffle=True),
        lambda lib, d: d.DataLoader(stream(d)(3), shuffle=True), lambda lib, d: d.DataLoader(stream(d)(3),
                                                                                             sampler=x),
        lambda lib, d: d.DataLoader(stream(d)(3), batch_sampler=[x]),
        lambda lib, d: d.DataLoader(x, multiprocessing_context="fork"),
        lambda lib, d: d.DataLoader(x, num_workers=1, multiprocessing_context="x"),
        lambda lib, d: d.DataLoader(x, num_workers=1, multiprocessing_context=3),
        lambda lib, d: setattr(d.DataLoader(x), "batch_size", 3),
        lambda lib, d: list(d.DataLoader(x, num_workers=3)) and 0,
        lambda lib, d: list(d.DataLoader(x, pin_memory=True)) and 0,
        lambda lib, d: d.RandomSampler(x, replacement=3), lambda lib, d: d.RandomSampler(x, num_samples=-1),
        lambda lib, d: d.WeightedRandomSampler(x, 0), lambda lib, d: d.WeightedRandomSampler(x, 1, 3),
        lambda lib, d: d.WeightedRandomSampler([x], 1), lambda lib, d: d.BatchSampler(x, 0, False),
        lambda lib, d: d.BatchSampler(x, 1, 2), lambda lib, d: d.DistributedSampler(x, 2, 2),
        lambda lib, d: d.TensorDataset(lib.ones(2), lib.ones(3)), lambda lib, d: d.StackDataset(),
        lambda lib, d: d.StackDataset(x, y=x), lambda lib, d: d.StackDataset(x, [1]),
        lambda lib, d: d.ConcatDataset([]), lambda lib, d: d.ConcatDataset([stream(d)(3)]),
        lambda lib, d: d.ConcatDataset([x])[-4], lambda lib, d: list(d.ChainDataset([x])),
        lambda lib, d: len(d.ChainDataset([x])), lambda lib, d: d.Dataset()[0],
        lambda lib, d: d.random_split(x, [1, 1]), lambda lib, d: d.random_split(x, [1.5, -0.5]), few,
        lambda lib, d: iter(d.Sampler()),
        lambda lib, d: list(d.DataLoader(bad(ValueError("boo")))),
        lambda lib, d: list(d.DataLoader(bad(ValueError("boo")), num_workers=1)),
        lambda lib, d: list(d.DataLoader(bad(KeyError("boo")), num_workers=1)),
        lambda lib, d: list(d.DataLoader(bad(StopIteration("boo")), num_workers=1)),
        lambda lib, d: list(d.DataLoader(bad(UnicodeDecodeError("a", b"", 0, 0, "c")), num_workers=1)),
        lambda lib, d: list(d.DataLoader(x, num_workers=1, worker_init_fn=init)),
    ]


@pytest.mark.parametrize("i", range(len(mistakes())))
def test_same_messages(i):
    both(mistakes()[i])


def test_worker_info():
    def f(lib, d):
        class Info:
            def __len__(self):
                return 4

            def __getitem__(self, i):
                w = d.get_worker_info()
                return w.id, w.num_workers, w.seed % 2**40, lib.get_num_threads()
        return d.get_worker_info(), list(d.DataLoader(Info(), num_workers=2))
    both(f)
