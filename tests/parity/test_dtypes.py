"""The type of every pointwise, reduction and scan result, and the refusals, for all types, against PyTorch.

The operators come from numtorch's registry. PyTorch runs on the CPU; numtorch runs on the meta device, which
goes the same way up to the kernel and compiles none, and on the CPU for a few cases of each operator. Aliases
are left out: they are the same function, under whose own name it speaks of itself."""
import inspect
import itertools
import random
import re

import numpy as np
import pytest

import numtorch
from numtorch.ops import names

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
FILES = {"pointwise", "clamp", "reduce", "scan", "special"}
NUMBERS = (True, 3, 2.5, 1j)
# Arguments after the tensors, where they are needed.
AFTER = {**{name: (0,) for name in "cumsum cumprod cummax cummin logcumsumexp logsumexp".split()},
         "mvlgamma": (1,), "special.multigammaln": (1,)}
THREE = ("addcmul", "addcdiv", "lerp", "clamp", "where")
OTHER = {"polygamma", "allclose", "equal"}  # another order of arguments, or no tensor as a result


def operators() -> dict[str, int]:
    """Name → how many tensors it takes."""
    found = {}
    for space, T in (("torch", torch), ("special", torch.special)):
        for name, fn in sorted(names[space].items()):
            op = getattr(fn, "op", None)
            if op is None or op.body.__module__.rpartition(".")[2] not in FILES or not hasattr(T, name):
                continue
            if name != op.name or name in OTHER or (space == "special" and name in names["torch"]):
                continue
            full = name if space == "torch" else "special." + name
            needed = [p for p in op.params if op.signature.parameters[p].default is inspect.Parameter.empty]
            found[full] = 3 if name in THREE else len(needed) - len(AFTER.get(full, ()))
    return found


OPERATORS = operators()


def function(T, name: str):
    for part in name.split("."):
        T = getattr(T, part)
    return T


def operand(T, what, device: str):
    """A tensor for (dtype, shape); numbers and None are themselves."""
    return T.ones(what[1], dtype=getattr(T, what[0]), device=device) if isinstance(what, tuple) else what


def result(T, name: str, what, device: str = "cpu"):
    """The value of an operator, or its error. NAME_ is the in-place method."""
    args = [operand(T, w, device) for w in what]
    try:
        if name.endswith("_"):
            return getattr(args[0], name)(*args[1:])
        return function(T, name)(*args, *AFTER.get(name, ()))
    except Exception as e:  # noqa: BLE001
        return e


def said(value) -> str:
    """The dtypes of a value; an error's type and first line."""
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {(str(value).splitlines() or [''])[0]}"
    if isinstance(value, tuple | list):
        return ", ".join(said(v) for v in value)
    return str(value.dtype)


LACKING = re.compile(r"NotImplementedError: .*'(Half|BFloat16|ComplexHalf)'")


def compare(name: str, cases) -> None:
    wrong = []
    for what in cases:
        want, got = said(result(torch, name, what)), said(result(numtorch, name, what, "meta"))
        if LACKING.match(want) and got.startswith("torch."):
            continue  # a kernel that only numtorch has
        if want != got:
            wrong.append(f"{name}{what}: {want} | {got}")
    assert not wrong, "\n".join(wrong[:20]) + f"\n{len(wrong)} differ"


ONE, TWO = ([n for n, count in OPERATORS.items() if count == k] for k in (1, 2))


@pytest.mark.parametrize("name", ONE)
def test_one_operand(name):
    compare(name, [((d, shape),) for d in DTYPES for shape in ((2,), ())])


@pytest.mark.parametrize("name", TWO)
def test_two_operands(name):
    pairs = list(itertools.product(DTYPES, DTYPES))
    cases = [((a, (2,)), (b, (2,))) for a, b in pairs] + [((a, (2,)), (b, ())) for a, b in pairs]
    if name == "dist":  # PyTorch's intermediate there is complex32
        cases = [c for c in cases if not (c[0][0] == "float16" and "complex" in c[1][0])]
    compare(name, cases)


@pytest.mark.parametrize("name", TWO)
def test_a_tensor_and_a_number(name):
    for d, shape in itertools.product(DTYPES, ((2,), ())):
        compare(name, [((d, shape), n) for n in NUMBERS] + [(n, (d, shape)) for n in NUMBERS])


@pytest.mark.parametrize("name", [n for n in ONE + TWO if hasattr(torch.Tensor, n + "_")
                                  and n not in AFTER])
def test_in_place(name):
    if name in ONE:
        cases = [((d, (2,)),) for d in DTYPES]
    else:
        cases = [((a, (2,)), b) for a in DTYPES for b in [(d, (2,)) for d in DTYPES] + list(NUMBERS)]
    compare(name + "_", cases)


@pytest.mark.parametrize("name", THREE)
def test_three_operands(name):
    sizes, cases = (2,), []
    for a, b in itertools.product(DTYPES, DTYPES):
        x, y = (a, sizes), (b, sizes)
        cases += {"where": [(("bool", sizes), x, y), (y, x, x)], "clamp": [(x, y, y), (x, y), (x, None, y)],
                  "lerp": [(x, y, 0.5), (x, x, y), (x, x, (b, ()))]}.get(name, [(x, y, y), (x, x, y)])
    for a, n in itertools.product(DTYPES, NUMBERS):
        x = (a, sizes)
        cases += {"where": [(("bool", sizes), x, n), (("bool", sizes), n, x)], "lerp": [(x, x, n)],
                  "clamp": [(x, n, n), (x, n), (x, None, n)]}.get(name, [])
    compare(name, cases)


@pytest.mark.parametrize("name", OPERATORS)
def test_values(name):
    """Some cases of each operator, computed."""
    draw, tried = random.Random(name), 0
    while tried < 2:
        what = tuple((draw.choice(DTYPES), (2,)) for _ in range(OPERATORS[name]))
        if name == "where":
            what = (("bool", (2,)), *what[1:])
        elif name == "lerp":
            what = ((draw.choice(DTYPES[6:]), (2,)),) * 2 + (0.5,)
        elif name == "addcdiv":
            what = (*what[:2], ("float32", (2,)))
        x = result(torch, name, what)
        if isinstance(x, Exception) or "complex32" in said(x):
            tried += 0.1
            continue
        y = result(numtorch, name, what)
        assert said(x) == said(y), f"{name}{what}"
        for a, b in zip(*[[v] if not isinstance(v, tuple) else v for v in (x, y)], strict=True):
            wide = "complex128" if a.dtype.is_complex else "float64"
            near = {"float16": 2e-3, "bfloat16": 2e-2}.get(str(a.dtype)[6:], 1e-5)
            p, q = b.to(getattr(numtorch, wide)).numpy(), a.to(getattr(torch, wide)).numpy()
            np.testing.assert_allclose(p, q, near, near, err_msg=f"{name}{what}")
        tried += 1
