"""One kernel on many rows of arguments in one call: an optimizer's updates of all parameters are one launch.

A Table is called as a kernel is, `call(lo, hi, arrays and numbers of all rows)`. Its items are units of work:
a row of n items that take w units each has n·w of them, and a share lo … hi covers, of each row that it
meets, the items from lo/w to hi/w of that row. So threads share the work, not the rows."""
from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import jit


class Row(NamedTuple):
    """One call of the kernel: `items` from 0 on, nanoseconds each one takes, and the other arguments: the
    number of one of the table's arguments as an int in a tuple of one, or an int that stays."""
    items: int
    cost: float
    args: Sequence[Any]


def shares(rows: Sequence[Row]) -> tuple[list[tuple[int, int, int]], float]:
    """(of each row where its units of work start and end and how many an item has, nanoseconds a unit
    takes)."""
    unit = min([r.cost for r in rows if r.items], default=1.0)
    spans, end = [], 0
    for r in rows:
        weight = max(1, round(r.cost / unit))
        spans.append((end, end + r.items * weight, weight))
        end = spans[-1][1]
    return spans, unit


def table(kernel: jit.Native, rows: Sequence[Row]) -> jit.Native:
    """The kernel on these rows; its items are units of work."""
    spans = shares(rows)[0]
    codes: dict[int, str] = {}
    for r in rows:
        for code, a in zip(kernel.signature[2:], r.args):
            if type(a) is tuple:
                codes[a[0]] = code
    signature = ("int64", "int64", *[codes.get(i, "int64") for i in range(max(codes, default=-1) + 1)])
    spec = getattr(kernel.call, "__self__", None)
    call, free = _native(spec, rows, spans, signature) if isinstance(spec, bytes) else \
        (_plain(kernel.call, rows, spans, len(signature)), _plain(kernel.free, rows, spans, len(signature)))
    return jit.Native(kernel.fn, signature, call, free)


def _plain(run: Any, rows: Sequence[Row], spans: Sequence[tuple[int, int, int]], count: int) -> Any:
    """The rows one by one, where kernels do not take words (the JIT is off, or numba compiled them)."""
    def call(lo: int, hi: int, *args: Any) -> None:
        if len(args) != count - 2:
            raise TypeError(f"kernel takes {count} arguments")
        for r, (start, end, w) in zip(rows, spans):
            a, b = max(lo, start), min(hi, end)
            if a < b:
                run((a - start) // w, (b - start) // w,
                    *[args[x[0]] if type(x) is tuple else x for x in r.args])
    return call


# A table lies in the object of its entries, behind what every such object holds: there its place stands
# instead of a kernel's address. The table: kernel, rows, arguments of a row; then of each row where it starts
# and ends, units of an item, and for each argument the place of its word, or -1 and the word itself.
RUN = """%place = ptrtoint ptr %kernel to i64
  %table = getelementptr i8, ptr %self, i64 %place
  call void @KEY_rows(ptr %table, ptr %to)"""
_ROWS = """
define internal void @KEY_rows(ptr %table, ptr %words) {
  %kernel = load ptr, ptr %table
  %rows.p = getelementptr i64, ptr %table, i64 1
  %rows = load i64, ptr %rows.p
  %width.p = getelementptr i64, ptr %table, i64 2
  %width = load i64, ptr %width.p
  %first = getelementptr i64, ptr %table, i64 3
  %twice = shl i64 %width, 1
  %size = add i64 %twice, 3
  %all = add i64 %width, 2
  %row = alloca i64, i64 %all, align 8
  %to = getelementptr i64, ptr %row, i64 2
  %lo = load i64, ptr %words
  %hi.p = getelementptr i64, ptr %words, i64 1
  %hi = load i64, ptr %hi.p
  br label %head
head:
  %r = phi i64 [ 0, %0 ], [ %next, %more ]
  %some = icmp slt i64 %r, %rows
  br i1 %some, label %span, label %done
span:
  %at = mul i64 %r, %size
  %one = getelementptr i64, ptr %first, i64 %at
  %start = load i64, ptr %one
  %end.p = getelementptr i64, ptr %one, i64 1
  %end = load i64, ptr %end.p
  %later = icmp sgt i64 %lo, %start
  %a = select i1 %later, i64 %lo, i64 %start
  %before = icmp slt i64 %hi, %end
  %b = select i1 %before, i64 %hi, i64 %end
  %meets = icmp slt i64 %a, %b
  br i1 %meets, label %fill, label %more
fill:
  %unit.p = getelementptr i64, ptr %one, i64 2
  %unit = load i64, ptr %unit.p
  %a.off = sub i64 %a, %start
  %b.off = sub i64 %b, %start
  %from = udiv i64 %a.off, %unit
  %till = udiv i64 %b.off, %unit
  store i64 %from, ptr %row
  %till.p = getelementptr i64, ptr %row, i64 1
  store i64 %till, ptr %till.p
  %pairs = getelementptr i64, ptr %one, i64 3
  br label %args
args:
  %k = phi i64 [ 0, %fill ], [ %k.next, %put ]
  %left = icmp slt i64 %k, %width
  br i1 %left, label %arg, label %run
arg:
  %k2 = shl i64 %k, 1
  %place.p = getelementptr i64, ptr %pairs, i64 %k2
  %place = load i64, ptr %place.p
  %own.p = getelementptr i64, ptr %place.p, i64 1
  %fixed = icmp slt i64 %place, 0
  %given.p = getelementptr i64, ptr %words, i64 %place
  %word.p = select i1 %fixed, ptr %own.p, ptr %given.p
  %word = load i64, ptr %word.p
  br label %put
put:
  %to.p = getelementptr i64, ptr %to, i64 %k
  store i64 %word, ptr %to.p
  %k.next = add i64 %k, 1
  br label %args
run:
  call void %kernel(ptr %row)
  br label %more
more:
  %next = add i64 %r, 1
  br label %head
done:
  ret void
}
"""


def _native(spec: bytes, rows: Sequence[Row], spans: Sequence[tuple[int, int, int]],
            signature: tuple[str, ...]) -> tuple[Any, Any]:
    """(call, free) that go through the rows without Python; `spec`: of the kernel (jit.py)."""
    words = [*struct.unpack_from("<q", spec), len(rows), len(rows[0].args)]
    for r, span in zip(rows, spans):
        words += span
        for a in r.args:
            words += (a[0] + 2, 0) if type(a) is tuple else (-1, a)
    codes = "".join(["a" if c[0] == "*" else "i" if c == "int64" else "f" for c in signature]).encode()
    codes += bytes(-len(codes) % 8)
    head = bytes.__basicsize__ - 1 + 16 + len(codes)
    return jit.engine().taking_words(
        struct.pack("<QQ", head, len(signature)) + codes + struct.pack(f"<{len(words)}q", *words), _ROWS, RUN)
