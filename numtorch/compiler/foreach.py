"""One function of tensors done for many rows of them in a few launches: an optimizer's update of all its
parameters.

A Foreach runs its function once for each form of a row (types, layouts), on stand-ins under a tracer, with
Numbers (number.py) in the place of the numbers it is given. Every other row of that form, and every later
call, is a row in a table of arguments for the same kernels (kernels/table.py). Other numbers make no new form
unless the function decides by them. What cannot be traced, or is recorded, runs as it stands."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from .. import dtypes as D
from .. import overrides
from ..autograd.modes import state
from ..dispatch import backend, cpu, remember
from ..kernels import jit
from ..kernels.table import Row, shares, table
from ..layouts import Layout, contiguous
from ..storage import Storage
from ..tensor import Tensor
from ..utils._pytree import tree_flatten, tree_unflatten
from .fuse import Calls, Untraceable, pool, record, result, stand, storage, values_of
from .graph import Graph, Ref
from .interpret import tensor_on
from .lazy import held
from .lower import natives
from .number import follow, formulas, varies
from .polynomial import Atom

FORMS = 8       # ways that rows of the same types may go by their numbers; others run as they stand
BATCHES = 8     # sets of as many rows that are remembered
WORK = 1 << 25  # bytes of scratch memory of one launch


def _start(layout: Layout) -> Layout:
    """A layout moved to the beginning of its memory."""
    return layout if not layout.offset else layout.at(layout.shape, layout.strides, 0)


def _memory(t: Tensor) -> Any:
    """The array that begins with the tensor."""
    offset = t.layout.offset
    return t.storage.array if not offset else t.storage.typed(t.dtype.kernel)[offset:]


class Given:
    """Makes of numbers, strings, tensors, and tuples, lists and dicts of them what traced code may see.

    `guards`: conditions on `env` under which that holds; `space`: what they name; `sources`: the texts that
    find numbers; `tensors`: the stand-ins of tensors, by the text that finds them, added to `stands`."""

    def __init__(self, stands: list[Tensor]) -> None:
        self.stands = stands
        self.guards: dict[str, None] = {}
        self.space: dict[str, Any] = {}
        self.tensors: dict[str, Tensor] = {}
        self.sources: dict[Atom, str] = {}

    def name(self, x: Any) -> str:
        found = f"g{len(self.space)}"
        self.space[found] = x
        return found

    def __call__(self, x: Any, text: str) -> Any:
        kind = type(x)
        if kind is dict:
            return _Read(x, self, text)
        if isinstance(x, Tensor):
            return self.tensor(x, text)
        if kind is tuple or kind is list:
            guard = f"type({text}) is {kind.__name__} and len({text}) == {len(x)}"
            x = kind([self(v, f"{text}[{i}]") for i, v in enumerate(x)])
        elif kind is float or kind is int:
            guard, x = f"type({text}) is {kind.__name__}", self.number(x, text)
        elif isinstance(x, np.generic):
            guard, x = f"type({text}) is {self.name(kind)}", self.number(x.item(), f"{text}.item()")
        elif kind is str:
            guard = f"{text} == {x!r}"
        else:
            guard = f"{text} is {self.name(x)}"
        self.guards[guard] = None
        return x

    def number(self, x: Any, text: str) -> Any:
        """A Number that stands for x."""
        atom = next((a for a, t in self.sources.items() if t == text), None) or Atom()
        self.sources[atom] = text
        return follow(x, atom)

    def tensor(self, x: Tensor, text: str) -> Tensor:
        """The stand-in of a tensor in env."""
        t = self.tensors.get(text)
        if t is None:
            layout, dtype, device = self.name(x.layout), self.name(x.dtype), self.name(x.storage.device)
            self.guards[f"type({text}) is {self.name(type(x))} and {text}.layout == {layout} and "
                        f"{text}.dtype is {dtype} and {text}.storage.device is {device}"] = None
            t = self.tensors[text] = stand(x, _start(x.layout))
            state.lazy.value(t.storage)
            self.stands.append(t)
        return t


class _Read(Mapping):
    """A dict of which only what is read is guarded."""

    def __init__(self, x: dict, given: Given, text: str):
        self.x, self.given, self.text = x, given, text

    def __contains__(self, k: Any) -> bool:
        self.given.guards[f"({k!r} in {self.text}) is {k in self.x}"] = None
        return k in self.x

    def __getitem__(self, k: Any) -> Any:
        if k not in self:
            raise KeyError(k)
        return self.given(self.x[k], f"{self.text}[{k!r}]")

    def __iter__(self) -> Iterator:
        self.given.guards[f"list({self.text}) == {list(self.x)!r}"] = None
        return iter(self.x)

    def __len__(self) -> int:
        self.given.guards[f"len({self.text}) == {len(self.x)}"] = None
        return len(self.x)


class Form:
    """A row as kernels, for all rows of these types and layouts while `numbers(env)` gives their numbers, not
    None. `counts`: writes to each tensor of the row; `options`: how to find the tensors that env holds."""

    def __init__(self, fn: Callable, tensors: Sequence[Tensor], env: Any, kind: Any):
        stands = [stand(t, _start(t.layout)) for t in tensors]
        given = Given(stands)
        seen = record(lambda *row: fn(row, given(env, "env"), kind), stands)
        values = [v for _, v in seen.tracer.met]
        self.written = [i for i, (v, now) in enumerate(zip(values, seen.now)) if v is not now]
        if any(i >= len(tensors) for i in self.written):
            raise Untraceable("an option was written to")
        leaves, self.spec = tree_flatten(seen.result)
        if any(map(varies, leaves)):
            raise Untraceable("a number that varies is returned")
        mine = {id(t): i for i, t in enumerate(stands)}
        made = values_of(tuple([t for t in leaves if isinstance(t, Tensor) and id(t) not in mine]))
        graph = Graph(seen.tracer.nodes, values, [*[seen.now[i] for i in self.written], *made])
        calls = Calls(graph, dict(enumerate(self.written)))
        # what could not be written in place, because its old elements are read later
        self.copies = [(i, at) for at, i in zip(calls.places, self.written) if at < len(calls.made)]
        if self.copies and tensors[0].storage.device is not cpu:
            raise Untraceable("what is written to is read again")
        self.calls, self.made, self.scratch, self.bytes = calls.calls, calls.made, calls.scratch, calls.bytes
        self.counts = [t.storage.version for t in stands[:len(tensors)]]
        self.options = {text: _function(f"lambda env: {text}", {}) for text in given.tensors}
        index = {id(v): at for v, at in zip(made, calls.places[len(self.written):])}
        self.results: list[tuple] = []  # ("is", anything), ("row", place) or ("made", place, layout, dtype)
        for t in leaves:
            self.results.append(
                ("is", t) if not isinstance(t, Tensor) else ("row", mine[id(t)]) if id(t) in mine else
                ("made", index[id(held.__get__(t.storage))], t.layout, t.dtype))
        self.silent = all(r[0] == "is" for r in self.results)
        numbers = [seen.tracer.numbers.get((id(n), i), v) for n in graph.nodes if n.kind in ("map", "fill")
                   for i, v in enumerate(n.ins) if type(v) is not Ref]
        self.numbers = _function(*formulas(numbers, given.sources, given.guards, seen.tracer.decisions,
                                           given.space))


def _function(text: str, space: dict[str, Any]) -> Callable[[Any], Any]:
    """A function of env from its text; one for all that mean the same."""
    key = (text, *[id(v) for v in space.values()])
    found = _functions.get(key)
    if found is None:
        found = remember(_functions, key, eval(text, dict(space)))
    return found


_functions: dict[tuple, Callable] = {}


class Batch:
    """Rows of certain types and layouts as tables: `run` computes, if `storages` finds them to be such."""

    def __init__(self, forms: Sequence[Form], rows: Sequence[Sequence[Tensor]]):
        self.forms, self.width = forms, len(rows[0])
        tensors = [t for row in rows for t in row]
        self.layouts, self.dtypes = [t.layout for t in tensors], [t.dtype for t in tensors]
        self.device, self.moved = tensors[0].storage.device, any(l.offset for l in self.layouts)
        counts = [c for f in forms for c in f.counts]
        self.counts = [(i, c) for i, c in enumerate(counts) if c]
        written = {n * self.width + i for n, f in enumerate(forms) for i in f.written}
        self.written, self.read = sorted(written), [i for i in range(len(tensors)) if i not in written]
        self.options = {o: read for f in forms for o, read in f.options.items()}
        self.functions = list(dict.fromkeys([f.numbers for f in forms]))
        self.made = [m for f in forms for m in f.made]
        self.bytes, self.copies = sum([f.bytes for f in forms]), any(f.copies for f in forms)
        self.silent = all(f.silent for f in forms)
        # where each row makes one tensor, and these are alike: layout and dtype of them stacked
        self.whole: tuple[Layout, D.dtype] | None = None
        one = forms[0].results[0][2:] if forms[0].results else ()
        if one and one[0].dense and all(len(f.made) == 1 and f.results == [("made", 0, *one)] for f in forms):
            self.whole = contiguous((len(rows), *one[0].shape)), one[1]
        self.stages: list[tuple] | None = None

    def storages(self, tensors: Sequence[Tensor]) -> list[Storage] | None:
        """Where the tensors lie, row by row; None if they are not of these types and layouts."""
        try:
            if [t.layout for t in tensors] != self.layouts or [t.dtype for t in tensors] != self.dtypes:
                return None
            found = [t.storage for t in tensors]
        except AttributeError:                       # None among the state of an optimizer
            return None
        return found if {s.device for s in found} == {self.device} else None

    def apart(self, tensors: Sequence[Tensor], storages: Sequence[Storage], env: Any) -> bool:
        """Whether nothing that is written to shares memory with another tensor."""
        options = [read(env) for read in self.options.values()]
        if not all(isinstance(t, Tensor) for t in options):  # a number in the place of a tensor: another form
            return False
        ids = [id(s.array) for s in storages]
        written = {ids[i] for i in self.written}
        if len(written) == len(self.written) and written.isdisjoint([ids[i] for i in self.read]) and \
                written.isdisjoint([id(t.storage.array) for t in options]):
            return True
        spans: dict[int, list[tuple[int, int, bool]]] = {}
        mine = set(self.written)
        for i, t in enumerate([*tensors, *options]):
            size = t.dtype.itemsize
            spans.setdefault(id(t.storage.array), []).append(
                (t.layout.offset * size, t.layout.span() * size, i in mine))
        for parts in spans.values():
            ends = [0, 0]                            # of all so far, of those written to
            for a, b, writes in sorted(parts):
                if a < ends[not writes]:
                    return False
                ends = [max(ends[0], b), max(ends[1], b) if writes else ends[1]]
        return True

    def run(self, env: Any, tensors: Sequence[Tensor], storages: Sequence[Storage],
            stacked: bool = False) -> list | None:
        """Results by row, or where that can be [all of them as one tensor]; None where numbers want other
        forms."""
        numbers: list = []
        for f in self.functions:
            got = f(env)
            if got is None:
                return None
            numbers.append(got)
        for i, c in self.counts:
            s = storages[i]
            s.version = version = s.version + c
            if version < 0:                          # made in inference mode
                return None
        device = self.device
        arrays: list[Any] = [_memory(t) for t in tensors] if self.moved else [s.array for s in storages]
        if self.options:
            arrays += [_memory(read(env)) for read in self.options.values()]
        first = made = len(arrays)
        whole = self.whole if stacked and device is cpu else None
        if whole is not None:
            a, n = np.empty(whole[0].numel, whole[1].numpy), whole[0].numel // len(self.forms)
            arrays += [a[i:i + n] for i in range(0, a.size, n)]
        elif self.made:
            arrays += [backend(device).empty(n, d) for d, n in self.made]
        block = None
        if self.bytes:
            block, at = pool.take(self.bytes) if device is cpu else None, 0
            for form in self.forms:
                arrays += [backend(device).empty((b - a) // d.itemsize, d) if block is None else
                           block[at + a:at + b].view(d.numpy) for a, b, d in form.scratch]
                at += form.bytes
        for v in chain.from_iterable(numbers):
            if type(v) is complex:
                arrays += (v.real, v.imag)
            else:
                arrays.append(v)
        if self.stages is None:
            self.stages = self._stages(numbers)
        for launch, units, cost, picks in self.stages:
            if device is cpu:
                jit.parallel(launch, units, cost, tuple(arrays) if picks is None else
                             tuple([arrays[k] for k in picks]))
            else:
                backend(device).run(launch.key, lambda target, k=launch: k.make(target, True), units, cost,
                                    tuple([arrays[k[0]] if type(k) is tuple else k for k in picks]))
        if block is not None:
            pool.give(block)
        for n, form in enumerate(self.forms if self.copies else ()):
            for i, at in form.copies:
                to = arrays[n * self.width + i]
                to[:form.made[at][1]] = arrays[made + at].view(to.dtype)
            made += len(form.made)
        if whole is not None:
            return [tensor_on(a, *whole)]
        return [None] * len(self.forms) if self.silent else self._results(tensors, arrays[first:])

    def _results(self, tensors: Sequence[Tensor], made: Sequence[Any]) -> list:
        out, at = [], 0
        for n, form in enumerate(self.forms):
            stores = [storage(a, d, m, self.device) for (d, m), a in zip(form.made, made[at:])]
            leaves = [how[1] if how[0] == "is" else tensors[n * self.width + how[1]] if how[0] == "row" else
                      result(stores[how[1]], *how[2:]) for how in form.results]
            out.append(tree_unflatten(leaves, form.spec))
            at += len(form.made)
        return out

    def _stages(self, numbers: Sequence[list]) -> list[tuple]:
        """(kernel, items, cost of one, which arguments it takes) in the order in which they run."""
        at = len(self.layouts)
        option = {o: at + i for i, o in enumerate(self.options)}
        made = at + len(option)
        scratch = made + len(self.made)
        at = scratch + sum([len(f.scratch) for f in self.forms])
        slots: dict[Callable, list[list[tuple[int]]]] = {}
        for f, got in zip(self.functions, numbers):
            slots[f] = []
            for v in got:
                slots[f].append([(at,), (at + 1,)] if type(v) is complex else [(at,)])
                at += len(slots[f][-1])
        calls: list[list[tuple]] = [[] for _ in range(max([len(f.calls) for f in self.forms]))]
        for n, form in enumerate(self.forms):
            places = [*range(made, made + len(form.made)), *range(n * self.width, (n + 1) * self.width),
                      *[option[o] for o in form.options], *range(scratch, scratch + len(form.scratch))]
            made, scratch = made + len(form.made), scratch + len(form.scratch)
            for stage, call in zip(calls, form.calls):
                words = [w for k in call.numbers for w in slots[form.numbers][k]]
                stage.append((call, [*[(places[k],) for k in call.arrays], *words, *call.launch.fixed]))
        out: list[tuple] = []
        if self.device is cpu:
            compiled = iter(natives([(call.launch, len(set(call.arrays)) == len(call.arrays))
                                     for stage in calls for call, _ in stage]))
        for stage in calls:
            if self.device is not cpu:
                out += [(call.launch, call.launch.items, call.launch.cost, args) for call, args in stage]
                continue
            kernels: dict[jit.Native, list[Row]] = {}
            for call, args in stage:
                kernels.setdefault(next(compiled), []).append(Row(call.launch.items, call.launch.cost, args))
            for native, rows in kernels.items():
                picks = sorted({a[0] for r in rows for a in r.args if type(a) is tuple})
                place = {k: (i,) for i, k in enumerate(picks)}
                moved = [r._replace(args=[place[a[0]] if type(a) is tuple else a for a in r.args])
                         for r in rows]
                spans, unit = shares(moved)
                out.append((table(native, moved), spans[-1][1], unit, None if len(picks) == at else picks))
        return out


class Foreach:
    """fn(row, env, kind) for many rows: tensors of which it may write to any, and returns what it makes.

    env: numbers and options, the same for all rows of a call; kind: hashable, what else decides."""

    def __init__(self, fn: Callable):
        self.fn = fn
        self.roots = (fn,)                           # what a compiled function reaches through it
        self.forms: dict[tuple, list[Form | None]] = {}
        self.batches: dict[tuple, list[Batch]] = {}

    def stacked(self, rows: Sequence[Sequence[Tensor]], env: Any = (), kind: Any = ()) -> Tensor:
        """The tensors that fn returns for the rows, of one shape, as one."""
        from ..ops.join import stack
        got = self(rows, env, kind, True)
        return got[0] if len(got) != len(rows) else stack(got)

    def __call__(self, rows: Sequence[Sequence[Tensor]], env: Any = (), kind: Any = (),
                 stacked: bool = False) -> list:
        """What fn returns for each row."""
        tensors = list(chain.from_iterable(rows))
        if not tensors or not _eager(tensors):
            return [self.fn(row, env, kind) for row in rows]
        key = (kind, len(rows), len(tensors), D._default)
        known = self.batches.get(key, ())
        for n, batch in enumerate(known):
            storages = batch.storages(tensors)
            if storages is not None and batch.apart(tensors, storages, env):
                got = batch.run(env, tensors, storages, stacked and len(rows) > 1)
                if got is not None:
                    if n:
                        self.batches[key] = [batch, *known[:n], *known[n + 1:]]
                    return got
        return self._first(rows, tensors, env, kind, key)

    def _first(self, rows: Sequence[Sequence[Tensor]], tensors: list[Tensor], env: Any, kind: Any,
               key: tuple) -> list:
        """Make a batch of the rows, or several, and run it."""
        forms = [self._form(row, env, kind) for row in rows]
        whole = [f for f in forms if f is not None]
        if len(whole) == len(rows):
            batch = Batch(whole, rows)
            storages = batch.storages(tensors)
            if storages is not None and batch.apart(tensors, storages, env):
                if batch.bytes > WORK and len(rows) > 1:
                    half = len(rows) // 2
                    return self(rows[:half], env, kind) + self(rows[half:], env, kind)
                got = batch.run(env, tensors, storages)
                if got is not None:
                    self.batches[key] = [batch, *self.batches.get(key, ())][:BATCHES]
                    if len(self.batches) > 64:
                        self.batches.pop(next(iter(self.batches)))
                    return got
        if len(rows) == 1:
            return [self.fn(rows[0], env, kind)]
        ids = [id(t.storage) for t in tensors if t is not None]
        if whole and len(whole) < len(rows) and len(set(ids)) == len(ids):  # in any order
            made = iter(self([row for row, f in zip(rows, forms) if f is not None], env, kind))
            return [self.fn(row, env, kind) if f is None else next(made) for row, f in zip(rows, forms)]
        return [self([row], env, kind)[0] for row in rows]

    def _form(self, row: Sequence[Tensor], env: Any, kind: Any) -> Form | None:
        """The form of a row; None where fn must run as it stands."""
        device = row[0].storage.device
        if any(t is None or not t.layout.numel or t.storage.version < 0 or t.storage.device is not device or
               t.layout.offset and device is not cpu for t in row):
            return None
        key = (kind, device, D._default, *[x for t in row for x in (t.layout.key, t.dtype)])
        known = self.forms.get(key)
        if known is None:
            known = remember(self.forms, key, [])
        for f in known:
            if f is None or (f.numbers(env) is not None and
                             all(isinstance(read(env), Tensor) for read in f.options.values())):
                return f
        if len(known) >= FORMS:
            return None
        made: Form | None = None
        try:
            made = Form(self.fn, row, env, kind)
        except Untraceable as e:
            if jit.DEBUG:
                print(f"numtorch: {getattr(self.fn, '__qualname__', self.fn)} runs as its parts: {e}",
                      file=sys.stderr)
        known.append(made)
        return made


def _eager(tensors: Sequence[Tensor]) -> bool:
    """Whether operations on these tensors run at once and leave no other trace."""
    return state.lazy is None and state.tracer is None and state.cast is None and not (
        state.grad and any([t._requires for t in tensors])) and not (
        overrides._armed and overrides.has_torch_function(tensors))
