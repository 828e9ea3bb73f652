"""What a compiled function is made of, in words: guards, graphs, kernels and why they are what they are.

`Explanation(compiled)` is there to print, `source(compiled)` gives a Python module that holds the kernels and
the list of calls, `failures(entry, leaves)` the guards of an entry that do not hold for a call."""
from __future__ import annotations

import html
import operator
import sys
import types
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any

from ..kernels import emit, jit
from ..layouts import Layout
from ..tensor import Tensor
from ..utils._pytree import keystr, tree_leaves_with_path
from .arena import ALIGN
from .environment import MISSING, Slot, alike, modes
from .number import Int, evaluate
from .polynomial import Polynomial
from .program import Program, _bytes
from .schedule import Problem, Seen, Task

MODES = ("grad mode", "inference mode", "the default dtype", "saved-tensor hooks", "autocast",
         "the default device", "the number of threads", "anomaly mode", "the number of hooks on leaves",
         "the deterministic algorithms' switch", "warn_only", "float32 matmul precision", "warn_always")
LIMIT = 60  # characters of a value in a message
counters: dict[str, Counter] = defaultdict(Counter)  # torch._dynamo.utils.counters


# ------------------------------------------------------------------------------------------------ messages
def say(text: str) -> None:
    """Tell the logger "numtorch.compile"; with NUMTORCH_DEBUG set, stderr too."""
    import logging
    logging.getLogger("numtorch.compile").info(text)
    if jit.DEBUG:
        print(f"numtorch.compile: {text}", file=sys.stderr)


def name_of(fn: Any) -> str:
    """What messages call a function."""
    owner = getattr(fn, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        return type(owner).__name__
    return getattr(fn, "__name__", None) or type(fn).__name__


def leaf_names(fn: Any, args: tuple, kwargs: dict) -> list[str]:
    """The names of the leaves of a call's arguments: x, k, batch['mask']."""
    import inspect
    try:
        params = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        params = []
    names = [p.name for p in params if p.kind <= p.POSITIONAL_OR_KEYWORD]
    rest = next((p.name for p in params if p.kind == p.VAR_POSITIONAL), "args")
    found = []
    for path, _ in tree_leaves_with_path((args, kwargs)):
        if path[0].idx == 0:
            i = path[1].idx
            found.append((names[i] if i < len(names) else f"{rest}[{i - len(names)}]") + keystr(path[2:]))
        else:
            found.append(f"{path[1].key}{keystr(path[2:])}")
    return found


def _value(v: Any) -> str:
    if isinstance(v, Tensor):
        return f"a tensor {v.dtype.name}{list(v.shape)}"
    text = repr(v) if isinstance(v, int | float | complex | str | bytes | tuple | type(None)) else \
        f"a {type(v).__name__}"
    return text if len(text) <= LIMIT else text[:LIMIT] + "…"


def _tensor(layout: Layout, dtype: Any, grad: bool, letters: Mapping = MappingProxyType({})) -> str:
    text = lambda ns: f"[{', '.join([n.form.text(letters) if type(n) is Int else str(n) for n in ns])}]"
    strides = "" if layout.contiguous else f", strides {text(layout.strides)}"
    return f"{dtype.name}{text(layout.shape)}{strides}" + (", requires grad" if grad else "")


def _differs(name: str, x: Tensor, layout: Layout, dtype: Any, grad: bool) -> Iterator[str]:
    """How a tensor is not what a guard wants."""
    if x.dtype is not dtype:
        yield f"{name}.dtype changed from {dtype!r} to {x.dtype!r}"
    if x.layout.shape != layout.shape:
        yield f"{name}.shape changed from {list(layout.shape)} to {list(x.layout.shape)}"
    elif x.layout.strides != layout.strides:
        yield f"{name}.stride() changed from {tuple(layout.strides)} to {tuple(x.layout.strides)}"
    elif x.layout.offset != layout.offset:
        yield f"{name}.storage_offset() changed from {layout.offset} to {x.layout.offset}"
    if x.requires_grad is not grad:
        yield f"{name}.requires_grad changed from {grad} to {x.requires_grad}"


def failures(entry: Any, leaves: Sequence[Any]) -> list[str]:
    """The guards of an entry that these arguments, or the world, do not meet."""
    out: list[str] = []
    for name, x, (kind, *want) in zip(entry.names, leaves, entry.leaves):
        if type(x) is not kind:
            out.append(f"the type of {name} changed from {kind.__name__} to {type(x).__name__}")
        elif want[0] == "tensor":
            out += _differs(name, x, *want[1:4])
            if (x.storage.version < 0) is not want[4]:
                out.append(f"{name} was {'' if want[4] else 'not '}made in inference mode")
        elif want[0] == "same" and x is not want[1]:
            out.append(f"{name} is another {type(x).__name__}")
        elif want[0] == "equal" and not alike(x, want[1]):
            out.append(f"{name} changed from {_value(want[1])} to {_value(x)}")
    for what, was, now in zip(MODES, entry.modes, modes()):
        if was != now:
            out.append(f"{what} changed from {was} to {now}")
    names = Names(entry.environment)
    for c, n in entry.environment.sizes:
        if len(c) != n:
            out.append(f"{names.thing(c)} has {len(c)} items and had {n}")
    if not entry.guard():
        for s in entry.fixed():
            now = s.get()
            if not alike(now, s.value):
                change = f" from {_value(s.value)} to {_value(now)}" if now is not MISSING else ": it is gone"
                out.append(f"{names.slot(s)} changed{change}" if _value(now) != _value(s.value) else
                           f"{names.slot(s)} is another object")
    for slot, t, layout, dtype, grad in entry.tensors:
        x = t if t is not None else slot.get()
        if isinstance(x, Tensor):
            out += _differs(names.slot(slot), x, layout, dtype, grad)
    if not out and entry.decisions:
        try:
            known = entry.look(leaves)
            for fn, args, outcome in entry.decisions:
                if not alike(now := fn(*[evaluate(a, known) for a in args]), outcome):
                    out.append(f"a number that the code acts upon came out as {now}, not {outcome}")
                    break
        except Exception as e:
            out.append(f"a number that the code computes cannot be: {e or type(e).__name__}")
    places = [id(s) for s in entry.storages(leaves)] if not out and entry.apart else []
    if len(set(places)) < len(places):
        out.append("arguments share memory")
    return list(dict.fromkeys(out))


class Names:
    """How the user's code names what a compiled function reaches: closures, globals, attributes, items."""

    def __init__(self, environment: Any):
        self.holders: dict[int, tuple[str, Any]] = {}    # id → (form, owner)
        self.roots: dict[int, str] = {}
        self.found = {id(s.value): s for s in reversed(environment.slots)}
        for x in environment.visited():
            if isinstance(x, types.FunctionType):
                self.holders.setdefault(id(x.__globals__), ("global", None))
                for cell, name in zip(x.__closure__ or (), x.__code__.co_freevars):
                    self.holders[id(cell)] = ("cell", name)
            elif isinstance(x, types.MethodType):
                self.roots[id(x.__self__)] = "self"
            elif isinstance(x, types.ModuleType):
                self.holders[id(x.__dict__)] = ("attribute", x)
            elif not isinstance(x, dict | list | types.CellType) and isinstance(
                    d := getattr(x, "__dict__", None), dict):
                self.holders[id(d)] = ("attribute", x)

    def thing(self, x: Any, deep: int = 6) -> str:
        """The name of an object."""
        if id(x) in self.roots:
            return self.roots[id(x)]
        s = self.found.get(id(x))
        if s is not None and deep:
            return self.slot(s, deep - 1)
        form, owner = self.holders.get(id(x), ("", None))
        if form == "attribute":
            return f"{self.thing(owner, deep - 1)}.__dict__" if deep else "…"
        return x.__name__ if isinstance(x, types.ModuleType) else f"a {type(x).__name__}"

    def slot(self, s: Slot, deep: int = 6) -> str:
        """The name of a place."""
        form, owner = self.holders.get(id(s.holder), ("", None))
        if form == "cell":
            return owner
        if form == "global":
            return str(s.key)
        if form == "attribute":
            return f"{self.thing(owner, deep)}.{s.key}"
        if s.named == "grad":
            return f"{self.thing(s.holder, deep)}.grad"
        if s.named == "attr":
            holder = s.holder
            return f"{holder.__name__ if hasattr(holder, '__name__') else self.thing(holder, deep)}.{s.key}"
        base = self.thing(s.holder, deep)
        if base.endswith("._parameters") or base.endswith("._buffers") or base.endswith("._modules"):
            return f"{base.rpartition('.')[0]}.{s.key}"
        return f"{base}[{s.key!r}]" if isinstance(s.key, int | str) else f"an item of {base}"


def failures_of(one: Any, leaves: Sequence[Any]) -> list[str]:
    """The guards of an entry, or of those for all sizes, that a call does not meet."""
    if hasattr(one, "template") and (sizes := one.sizes_of(leaves)) is not None:
        known = dict(zip(one.places, sizes))
        names = {a: f"{one.template.names[k]}.shape[{d}]" for a, (k, d) in one.places.items()}
        asked = [_question(fn, args, outcome, names) for fn, args, outcome in one.questions
                 if not alike(fn(*[evaluate(a, dict(known)) for a in args]), outcome)]
        if asked:
            return [f"it holds only where {asked[0]}"]
        if (entry := one.at(sizes)) is not None:
            return failures(entry, leaves)
    return failures(one.sample, leaves)


def recompiled(owner: Any, leaves: Sequence[Any], spec: Any) -> str:
    """Which guard failed, where a function is traced although it was compiled before."""
    other = ["the arguments changed their number or structure"]
    found = [failures_of(e, leaves) if e.spec == spec else other for e in owner.entries]
    why = min(found, key=len, default=[])
    text = f"{name_of(owner.fn)} is compiled again because {' and '.join(why[:3]) or 'a guard failed'}"
    if len(why) > 3:
        text += f" and {len(why) - 3} more guards failed"
    return text


def once(owner: Any, text: str) -> None:
    """Say something about a compiled function, if it was not said before."""
    if text not in owner.said:
        owner.said.add(text)
        say(text)


def told(owner: Any, reasons: Sequence[str], breaks: Sequence[str]) -> None:
    """Note and say why a run gave no entry."""
    owner.notes += reasons
    for text in breaks:
        counters["graph_break"][text] += 1
    if not reasons:
        counters["stats"]["unique_graphs"] += 1
    for text in dict.fromkeys(reasons):
        once(owner, f"{name_of(owner.fn)} is not replayed: {text}")
    if not owner.look():
        why = f"it has {len(owner.entries)} specialisations" if not owner.tries else \
            f"{owner.tries} calls in a row could not be replayed"
        once(owner, f"{name_of(owner.fn)} runs as Python from now on, in stretches of compiled operations: "
             + why)


def announce(program: Program, graph: Any) -> None:
    """What NUMTORCH_DEBUG shows of a program when it is made, and from then on when it runs."""
    level = jit.DEBUG
    lines = [program.text()]
    if level >= 2:
        lines.append("inputs " + ", ".join(f"{v.dtype.name}[{v.numel}]" for v in graph.inputs))
        lines += [f"{n:4} {shapes(program.problem, g)}" for n, g in enumerate(program.groups)]
    if level >= 3:
        lines.append(repr(graph))
    if level >= 4:
        lines.append(program.source)
    print("\n".join(lines), file=sys.stderr)
    space = program._run.__globals__
    names = {id(space[k]): nest.name for k, nest in program.kernels.items()}

    def timed(run: Any, label: str | None) -> Any:
        import time

        def call(*args: Any) -> Any:
            start = time.perf_counter()
            result = run(*args)
            what = label or names.get(id(args[0]), "kernel")
            print(f"numtorch: {what} {(time.perf_counter() - start) * 1e6:.0f} µs", file=sys.stderr)
            return result
        return call
    for k, v in list(space.items()):
        if k == "parallel":
            space[k] = timed(v, None)
        elif k[0] in "kcf" and k[1:].isdigit() and not isinstance(v, jit.Native):
            space[k] = timed(v, names.get(id(v)) or getattr(v, "__name__", k))


# ------------------------------------------------------------------------------------------------ programs
def shapes(p: Problem, g: Any) -> str:
    """The loops of a kernel, or the operands of a call."""
    t = p.tasks[g.members[0][0]]
    if t.kind == "call":
        seen = [s for v in t.args.values() for s in (v if isinstance(v, list) else [v]) if type(s) is Seen]
        outs = [f"{w.dtype.name}{list(w.strides.shape)}" for w in t.outs if w is not None]
        return f"{', '.join(f'{s.dtype.name}{list(s.layout.shape)}' for s in seen)} → {', '.join(outs)}"
    over = g.inner or frozenset()
    kept = [n for a, n in enumerate(g.sizes) if a not in over]
    row = [n for a, n in enumerate(g.sizes) if a in over]
    size = lambda ns: " × ".join(map(str, ns)) or "1"
    return f"{size(kept)} rows of {size(row)}" if row else f"{size(kept)} elements"


class Part:
    """One program: of the function's call, of its backward pass, or of a stretch between breaks."""

    def __init__(self, title: str, program: Program, graph: str = ""):
        self.title, self.program, self.graph = title, program, graph

    def why(self, n: int) -> str:
        """Why step n is one kernel."""
        p, g, w = self.program.problem, self.program.groups[n], self.program.work[n]
        if isinstance(w, Task):
            if w.kind == "call":
                return "a call of a kernel written by hand or of a library; nothing is spliced into it"
            return "a fold in the loops of eager mode" + (f": {g.why}" if g.why else "")
        stored = {x.value for x in w.stores}
        made = [o.value for i, _ in g.members for o in p.tasks[i].outs if o is not None]
        inside = [v for v in made if v not in stored]
        said = self.program.joint(n)
        if len(g.members) > 1:
            size = sum(p.values[v][0].itemsize * p.values[v][1] for v in inside)
            said += (f"{'; ' if said else ''}{len(g.members)} operations touch the same element in the same "
                     f"iteration ({shapes(p, g)})")
            if inside:
                said += (f"; {len(inside)} result{'s stay' if len(inside) > 1 else ' stays'} in registers, "
                         f"{_bytes(2 * size)} of traffic less")
        if g.why:
            said += f"{'; ' if said else ''}apart from what it reads because {g.why}"
        return said or "one operation; nothing that it reads is made by a loop"

    def __str__(self) -> str:
        lines = [self.title]
        if self.graph:
            lines += ["  graph", *_indented(self.graph, 4)]
        lines.append("  kernels")
        for n, s in enumerate(self.program.steps):
            lines += [f"    {n} {s.kind}: {' '.join(s.nodes)}",
                      f"        {_bytes(s.read)} read, {_bytes(s.written)} written, {s.flops:,} operations",
                      f"        {self.why(n)}"]
        lines.append(f"  working memory {_bytes(self.program.bytes)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for n, s in enumerate(self.program.steps):
            cells = [str(n), s.kind, _bytes(s.read), _bytes(s.written), f"{s.flops:,}", self.why(n)]
            rows.append("<tr>" + "".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in cells)
                        + "</tr>")
        head = "".join(f"<th>{h}</th>" for h in ("", "kind", "read", "written", "operations", "why"))
        return (f"<h4>{html.escape(self.title)}</h4>{drawing(self.program)}<table><tr>{head}</tr>"
                f"{''.join(rows)}</table><p>working memory {_bytes(self.program.bytes)}</p>")


def _indented(text: str, by: int) -> list[str]:
    return [" " * by + line for line in text.splitlines()]


class Explanation:
    """What `explain()` gives: str() and notebooks show all of it; `parts` are its programs, `breaks` what
    keeps the function from being replayed, `guards` the guards of each entry in words."""

    def __init__(self, owner: Any):
        self.name = name_of(owner.fn)
        self.parts: list[Part] = []
        self.guards: list[list[str]] = []
        self.breaks: dict[str, int] = dict(Counter(owner.notes))
        for n, e in enumerate(owner.entries):
            self.guards.append(guards(e))
            e = e.sample
            self.parts.append(Part(f"entry {n}", e.program.program, repr(e.program.graph)))
            if e.backward is not None:
                b = e.backward.program
                self.parts.append(Part(f"entry {n}, backward", b.program, repr(b.graph)))
        self.stretches = len(owner.stretches)
        if not owner.entries:
            self.parts += [Part(f"stretch {n}" + (f", until {at}" if at else ""), p)
                           for n, (p, at) in enumerate(owner.stretches)]

    # the names of torch._dynamo.explain's result
    @property
    def graph_count(self) -> int:
        return len(self.guards) or self.stretches

    @property
    def graph_break_count(self) -> int:
        return max(self.stretches - 1, 0) if not self.guards else 0

    @property
    def break_reasons(self) -> list[str]:
        return list(self.breaks)

    @property
    def op_count(self) -> int:
        return sum([len(s.nodes) for p in self.parts for s in p.program.steps])

    def __str__(self) -> str:
        n = len(self.guards)
        idle = "not replayed" if self.breaks or self.parts else "never called"
        lines = [f"{self.name}: " + (f"{n} specialisation{'s' * (n != 1)}" if n else idle)]
        for part in self.parts:
            lines += ["", str(part)]
            number = part.title.removeprefix("entry ")
            if number.isdigit():
                lines += ["  guards", *[f"    {g}" for g in self.guards[int(number)]]]
        if self.breaks:
            lines += ["", "calls that ran the Python code again, and why"]
            lines += [f"  {text}" + (f" ({k} times)" if k > 1 else "") for text, k in self.breaks.items()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        out = [f"<h3>{html.escape(self.name)}</h3>"]
        for part in self.parts:
            out.append(part._repr_html_())
            number = part.title.removeprefix("entry ")
            if number.isdigit():
                items = "".join(f"<li>{html.escape(g)}</li>" for g in self.guards[int(number)])
                out.append(f"<details><summary>guards</summary><ul>{items}</ul></details>")
        if self.breaks:
            items = "".join(f"<li>{html.escape(t)} ({k}×)</li>" for t, k in self.breaks.items())
            out.append(f"<p>calls that ran the Python code again, and why</p><ul>{items}</ul>")
        return "".join(out)


def guards(one: Any) -> list[str]:
    """The guards of an entry, or of those for all sizes, in words."""
    out = []
    family = one if hasattr(one, "template") else None
    entry, letters = (one, {}) if family is None else (family.template, family.letters)
    for name, (kind, *want) in zip(entry.names, entry.leaves):
        if want[0] == "tensor":
            layout, dtype, grad = want[1:4]
            prefix = "" if kind is Tensor else kind.__name__ + " "
            out.append(f"{name}: {prefix}{_tensor(layout, dtype, grad, letters)}")
        elif want[0] == "any":
            out.append(f"{name}: any {kind.__name__} (an input of the program)")
        else:
            out.append(f"{name} {'is' if want[0] == 'same' else '=='} {_value(want[1])}")
    if family is not None:
        out += [f"{letters[a]} = {entry.names[k]}.shape[{d}], from 2 on"
                for a, (k, d) in family.places.items()]
        out += [_question(fn, args, outcome, letters) for fn, args, outcome in family.questions]
    grad, inference, default = entry.modes[:3]
    out.append(f"grad mode {'on' if grad else 'off'}{', inference mode' if inference else ''}, default dtype "
               f"{default.name}")
    names = Names(entry.environment)
    seen: dict[str, None] = {}
    for slot, _, layout, dtype, grad in entry.tensors:
        seen[f"{names.slot(slot)}: {_tensor(layout, dtype, grad)}"] = None
    for _, at, _ in entry.followed:
        if isinstance(at, Slot):
            seen[f"{names.slot(at)}: any number (an input of the program)"] = None
    atoms = [s for s in entry.fixed() if isinstance(s.value, int | float | str | type(None))
             and s.named != "attr" and not str(s.key).startswith("_")]
    for s in atoms[:12]:
        seen[f"{names.slot(s)} == {_value(s.value)}"] = None
    out += seen
    rest = len(entry.fixed()) - len(atoms[:12])
    if rest:
        out.append(f"{rest} more places in closures, globals and objects hold what they held")
    for fn, _, outcome in entry.decisions:
        out.append(f"{getattr(fn, '__name__', 'a question')} about a number that varies gives {outcome}")
    return out


def _question(fn: Any, args: Sequence[Any], outcome: Any, letters: dict) -> str:
    """What code asked about sizes."""
    sign = {(operator.lt, True): "<", (operator.lt, False): "≥", (operator.eq, True): "=",
            (operator.eq, False): "≠"}.get((fn, outcome))
    if sign is None or type(args[0]) is not Int:
        return f"{getattr(fn, '__name__', 'a question')} about a size gives {outcome}"
    p = args[0].form
    rest = p.terms.get((), 0)
    return f"{(p - Polynomial.of(rest)).text(letters)} {sign} {-rest}"


# ------------------------------------------------------------------------------------------------ drawing
COLOURS = ("#dbe9f6", "#fde0c5", "#d9f0d3", "#e7d4e8", "#fddbc7", "#d1e5f0", "#f6e8c3", "#c7eae5")


def drawing(program: Program) -> str:
    """The graph as SVG: a box for each kernel, its nodes inside, lines for what goes through memory."""
    p = program.problem
    home = {i: n for n, g in enumerate(program.groups) for i, _ in g.members}
    level: list[int] = []
    for n, g in enumerate(program.groups):
        makers = {home[p.maker[v]] for i, _ in g.members for v in p.tasks[i].reads() if v in p.maker} - {n}
        level.append(max([level[m] + 1 for m in makers if m < n], default=0))
    columns: dict[int, int] = {}
    width, line, top = 190, 15, 26
    place: list[tuple[int, int, int]] = []
    heights = [top + line * len(g.members) + 6 for g in program.groups]
    row_height = {l: max([h for h, m in zip(heights, level) if m == l]) for l in set(level)}
    tops = {l: sum([row_height[m] + 40 for m in range(l)]) + 30 for l in set(level)}
    for h, l in zip(heights, level):
        c = columns.get(l, 0)
        columns[l] = c + 1
        place.append((10 + c * (width + 20), tops[l], h))
    out, lines = [], []
    for n, g in enumerate(program.groups):
        x, y, h = place[n]
        s = program.steps[n]
        colour = COLOURS[n % len(COLOURS)]
        out.append(f"<rect x='{x}' y='{y}' width='{width}' height='{h}' rx='6' fill='{colour}' "
                   f"stroke='#666'/><text x='{x + 8}' y='{y + 16}' font-weight='bold'>{n} {s.kind}: "
                   f"{html.escape(shapes(p, g))}</text>")
        for k, (i, _) in enumerate(g.members):
            name = html.escape(p.tasks[i].name)
            out.append(f"<text x='{x + 16}' y='{y + top + line * k + 10}'>{name}</text>")
        made: dict[tuple[int, int], None] = {}
        for i, _ in g.members:
            for v in p.tasks[i].reads():
                m = home[p.maker[v]] if v in p.maker else -1
                if m != n:
                    made[m, v] = None
        for m, v in made:
            d, numel = p.values[v]
            label = f"{d.name}[{numel}]"
            if m >= 0:
                a, b, k = place[m]
                lines.append(f"<line x1='{a + width // 2}' y1='{b + k}' x2='{x + width // 2}' y2='{y}' "
                             f"stroke='#888'><title>{label}</title></line>")
        given = [f"{p.values[v][0].name}[{p.values[v][1]}]" for m, v in made if m < 0]
        if given:
            out.append(f"<text x='{x + 8}' y='{y - 6}' fill='#666'>inputs {', '.join(given)}</text>")
    w = max([x + width + 10 for x, _, _ in place], default=10)
    h = max([y + k + 10 for _, y, k in place], default=10)
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{w}' height='{h}' font-family='monospace' "
            f"font-size='11'>{''.join(lines)}{''.join(out)}</svg>")


# ------------------------------------------------------------------------------------------------ source
HEAD = '''"""The kernels of {name} as Python, and the calls that make a run. With NUMBA_DISABLE_JIT=1 it
runs as it stands, without compilation."""
import math
import cmath
import numpy as np
from numpy import (complex64, complex128, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32,
                   uint64)
from numtorch.kernels import jit
from numtorch.kernels.jit import (bf16_load, bf16_store, bits, ceil, f16_load, f16_store, floor, fma, fmod,
                                  from_bits, lanes, rint, trunc)


def kernel(*signature):
    """Compile a kernel for these argument types."""
    return lambda fn: jit.compile(fn, signature, strict=True).call


def parallel(kernel, items, cost, args):
    """All items on this thread."""
    kernel(0, items, *args)


def table(kernel, *rows):
    """The kernel on rows (items, arguments): an argument (n,) is the n-th of those that are given."""
    def run(lo, hi, *args):
        for items, row in rows:
            kernel(0, items, *[args[a[0]] if isinstance(a, tuple) else a for a in row])
    return run
'''


def source(owner: Any) -> str:
    """A Python module with the text of every kernel and, for each program, `run_N(inputs, numbers)`."""
    parts = Explanation(owner).parts
    written: dict[int, str] = {}
    imports: dict[str, None] = {}
    kernels: list[str] = []
    runs: list[str] = []
    for n, part in enumerate(parts):
        space = part.program._run.__globals__
        for k, nest in part.program.kernels.items():
            it = part.program.tables[k][0].call if k in part.program.tables else space[k]
            if id(it) not in written:
                written[id(it)] = kernel_name(nest.name, written)
                kernels.append(_kernel(nest, written[id(it)], len(kernels), imports))
        runs.append(_run(n, part, written))
    return "\n".join([HEAD.format(name=name_of(owner.fn)) + "".join(f"{line}\n" for line in imports),
                      *kernels, *runs])


def kernel_name(title: str, written: dict[int, str]) -> str:
    """A name that no kernel has yet."""
    name, n = title, 2
    while name in written.values():
        name, n = f"{title}_{n}", n + 1
    return name


def _kernel(nest: emit.Nest, name: str, place: int, imports: dict[str, None]) -> str:
    """A kernel's text as a function of that name, with constants that are its own."""
    import re
    text = nest.text()
    for what, fn in text.bound.items():
        line = f"from {fn.fn.__module__} import {fn.__name__}"
        imports[line + (f" as {what}" if what != fn.__name__ else "")] = None
    head, _, body = text.source.partition(f"def {text.name}(")
    head, body = [re.sub(r"\bc(\d+)\b", rf"c{place}_\1", part) for part in (head, body)]
    codes = ", ".join(map(repr, text.signature))
    return f"\n{head}@kernel({codes})\ndef {name}({body}"


def _run(n: int, part: Part, written: dict[int, str]) -> str:
    """The flat call list of a program, with everything it names."""
    program = part.program
    space = program._run.__globals__
    bound: list[str] = []
    for k, v in space.items():
        if k in program.tables:
            native, rows = program.tables[k]
            bound += [f"{k} = table({written[id(native.call)]},",
                      *[f"            ({r.items}, {r.args!r})," for r in rows], ")"]
        elif k[0] in "kcfam" and (k[1:].isdigit() or k[:2] == "m_"):
            bound.append(_bound(k, v, written))
    views = [f"        np.ndarray({shape}, np.{memory!r}, block, start + {at}, {strides}),"
             for at, memory, shape, strides in program.arena.views]
    memory = [f"    block = np.empty({program.bytes + ALIGN}, np.uint8)",
              f"    start = -block.ctypes.data % {ALIGN}",
              "    arena = (", *views, "    )"] if views else ["    arena = ()"]
    body = program.source.split("\n", 1)[1].rstrip()
    return "\n".join(["", f"# {part.title}", *[f"#   {line}" for line in part.graph.splitlines()],
                      f"def run_{n}(inputs, numbers):",
                      "    nd, empty, copy = np.ndarray, np.empty, np.copyto",
                      *[f"    {b}" for b in bound], *memory, body, ""])


def _bound(k: str, v: Any, written: dict[int, str]) -> str:
    """How module text gets at an object that a flat function names."""
    if id(v) in written:
        return f"{k} = {written[id(v)]}"
    if k.startswith("m_"):
        return f"{k} = np.dtype({v.name!r})"
    name = getattr(v, "__name__", "")
    if isinstance(v, types.FunctionType) and getattr(sys.modules[v.__module__], name, None) is v:
        return f"from {v.__module__} import {name} as {k}"
    if isinstance(v, float) and not isfinite(v):
        return f"{k} = float('{v}')"
    if v is None or isinstance(v, bool | int | float | str):
        return f"{k} = {v!r}"
    if isinstance(v, list | tuple) and all(isinstance(x, bool | int | str | type(None)) for x in v):
        return f"{k} = {v!r}"
    return f"{k} = None  # {type(v).__name__} {name}: an object of the running process"
