"""What compiling a kernel costs, cold: numba against the LLVM printer, for hand-written kernels against the
translator, in milliseconds of CPU time, the least of several.

    python bench/compile_time.py [runs]"""
from __future__ import annotations

import os
import sys
import time
from functools import partial

os.environ["NUMTORCH_CACHE"] = "off"

import numtorch  # noqa: F401
from numtorch.kernels import device, emit, jit, llvm, passes
from numtorch.kernels.cpu import conv, embedding, loss, norm, random, sort
from numtorch.kernels.expr import inline

O = emit.Operand


def plus(acc, x):
    return acc + x


def layer_norm() -> emit.Nest:
    """(x - mean) / sqrt(variance + eps) · w + b along rows: three passes."""
    Step, Sweep = passes.Step, passes.Sweep
    mean = emit.Fold(plus, 0.0, lambda acc, n: acc / n)
    value = lambda body: lambda b, v, k: inline(b, body, v)
    program = [Step("load", (k,), "float32", 0, True, None) for k in range(3)]
    program += [
        Step("fold", (0,), "float32", 1, False, (mean, "float32")),
        Step("value", (0, 3), "float32", 1, True, value(lambda x, m: x - m)),
        Step("value", (4,), "float32", 1, True, value(lambda d: d * d)),
        Step("fold", (5,), "float32", 2, False, (mean, "float32")),
        Step("value", (6,), "float32", 2, False, value(lambda v: 1.0 / (v + 1e-5) ** 0.5)),
        Step("value", (4, 7, 1, 2), "float32", 2, True, value(lambda d, r, w, b: d * r * w + b)),
        Step("store", (8, 0), "", 2, True, None)]
    row = Sweep(1, (("x0", 1),))
    return passes.rows("layer_norm", program, [O(f"x{k}", "float32") for k in range(3)], [],
                       [O("out", "float32")], 1,
                       [row, row, Sweep(1, (("out", 1), ("x0", 1), ("x1", 1), ("x2", 1)))])


def nests() -> list[emit.Nest]:
    x, y, out = O("x", "float32"), O("y", "float32"), O("out", "float32")
    total = emit.Fold(plus, 0.0)
    return [emit.pointwise("add", lambda b, v: [b.binary("+", *v)], [x, y], [out], None),
            emit.pointwise("exp", lambda b, v: [b.math("exp", (v[0],))], [x], [out], None),
            emit.reduce_rows("sum_rows", total, x, out, "float32", 1, 1),
            emit.reduce_columns("sum_columns", total, x, out, "float32", 0, 1), layer_norm()]


def cost(compile_) -> float:
    jit._loaded.clear()
    start = time.process_time()
    compile_()
    return (time.process_time() - start) * 1e3


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    made = [nests() for _ in range(2 * runs)]
    print("imported by the LLVM printer's first kernel:", end=" ")
    first = cost(lambda: llvm.compile(nests()[:1]))
    print("numba" if "numba" in sys.modules else "no numba", f"({first:.0f} ms in all)")
    print(f"by numba's first kernel: {cost(lambda: nests()[0].text().native()):.0f} ms in all")
    for k, nest in enumerate(made[0]):
        numba, ours = [], []
        for r in range(runs):
            for times, run in ((numba, lambda n: n.text().native()), (ours, lambda n: llvm.compile([n]))):
                n = made[2 * r + (times is ours)][k]
                n.name = f"{n.name}_{len(numba) + len(ours)}"   # another kernel each time
                n.params = (*n.params, emit.Param(f"unused{len(numba) + len(ours)}", "int64"))
                times.append(cost(lambda n=n, run=run: run(n)))
        print(f"{nest.name[2:].rsplit('_', 1)[0]:14s} numba {min(numba):6.1f} ms   LLVM {min(ours):6.1f} ms")
    x, i, k, f = "*float32", "*int64", "int64", "float64"
    for kernel, signature in ((conv.im2col, (x, x, i, *[k] * 6)),
                              (norm.rows_forward, (*[x] * 6, k, k, k, f)),
                              (norm.rows_backward, (*[x] * 8, k, k, k, k)),
                              (loss.pick, (x, x, i, x, k, k, k, k)),
                              (embedding.gather_rows, (x, x, i, k)), (random.box_muller, (x, f, f, f)),
                              (sort.radix_argsort, (i, "*uint32", i, "*uint32", i, k, k))):
        types = (k, k, *signature)
        theirs = partial(jit._object_code, kernel.fn, types, "k", False)
        translated = partial(device.source, kernel.fn, types)
        numba = [cost(theirs) for _ in range(runs)]
        ours = [cost(lambda made=translated: device._object_code(made())) for _ in range(runs)]
        print(f"{kernel.__name__:14s} numba {min(numba):6.1f} ms   LLVM {min(ours):6.1f} ms")


main()
