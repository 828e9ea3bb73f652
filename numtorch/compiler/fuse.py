"""Fusion: a graph of pointwise ops, views that only broadcast, and reductions over the same dimensions as one
kernel.

Every value is seen on one common shape, the largest in the graph. The dimensions that are reduced make the
inner loop, the others number the rows. A reduction is a pass over the row; what depends on its result waits
for the next pass, and cheap pointwise work is computed again there rather than stored."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dispatch import array_of, backend, compute_name, fresh
from ..kernels import emit
from ..kernels.expr import Block, Expr, inline
from ..kinds import Plan, Pointwise, Reduction, View
from ..layouts import Layout, collapse, contiguous, expanded, like
from ..tensor import Tensor
from .trace import Graph, Node, Untraceable


class Fused:
    """A graph as one kernel: `run(inputs)` gives the outputs."""

    def __init__(self, name: str, graph: Graph, device):
        self.graph, self.device = graph, device
        self.shape = max((n.shape for n in [*graph.inputs, *graph.nodes]), key=lambda s: (_numel(s), len(s)))
        self.axes = _axes(graph, self.shape)
        self.numbers: list[Any] = []
        self.places: dict[tuple[int, str], int] = {}
        for node in graph.nodes:
            if isinstance(node.op, Pointwise):
                for k, v in node.args.items():
                    if not isinstance(v, Node):
                        self.places[(id(node), k)] = len(self.numbers)
                        self.numbers.append(v)
        reduced = {frozenset(self._reduced(n)) for n in graph.nodes if isinstance(n.op, Reduction)}
        if len(reduced) > 1:
            raise Untraceable(f"reductions over different dimensions: {sorted(map(sorted, reduced))}")
        self.over = sorted(next(iter(reduced), frozenset()))
        first = next((n for n in graph.inputs if n.shape == self.shape), None)
        model = first.tensor if first is not None else None
        layout = like(model.layout) if model is not None else contiguous(self.shape)
        self.outs = [(layout if o.shape == self.shape else contiguous(o.shape), o.dtype)
                     for o in graph.outputs]
        # Sizes and numbers are arguments, so calls that differ only in them share a kernel.
        place = {id(n): i for i, n in enumerate([*graph.inputs, *graph.nodes])}
        self.key = ("fused", name, tuple([
            (n.op.name, n.dtype.name, tuple([(k, place[id(v)]) if isinstance(v, Node) else
                                             (k, type(v)) if (id(n), k) in self.places else (k, repr(v))
                                             for k, v in n.args.items()])) for n in graph.nodes]),
            tuple([place[id(o)] for o in graph.outputs]))
        if any(self._reduced(n) for n in graph.nodes if isinstance(n.op, Reduction)):
            self._rows(name)
        else:
            ins = [(f"x{i}", self._seen(n)) for i, n in enumerate(graph.inputs)]
            ins += [(f"k{i}", v) for i, v in enumerate(self.numbers)]
            self.plan = Plan(name, self.key, self._build, ins, self.outs, self.shape, device, 1.0)
            self.run = self._flat  # type: ignore[method-assign]

    def _reduced(self, node: Node) -> list[int]:
        """The axes of the common shape that a reduction folds."""
        x = node.args["x"]
        return [a for d in node.args["dim"]
                if x.shape and (a := self.axes[id(x)][d]) is not None and self.shape[a] != 1]

    def _steps(self, layout: Layout, node: Node) -> list[int]:
        """Strides of an array along the axes of the common shape; 0 where it does not vary."""
        out = [0] * len(self.shape)
        for d, a in enumerate(self.axes[id(node)]):
            if a is not None and layout.shape[d] != 1:
                out[a] = layout.strides[d]
        return out

    def _seen(self, node: Node) -> Tensor:
        assert node.tensor is not None
        return node.tensor

    # ------------------------------------------------------------------------------------ without reductions
    def _build(self, block: Block, values: list[Expr]) -> Sequence[Expr]:
        known = {id(n): v for n, v in zip(self.graph.inputs, values)}
        numbers = values[len(self.graph.inputs):]
        for node in self.graph.nodes:
            known[id(node)] = self._value(block, node, known, numbers)
        return [known[id(o)] for o in self.graph.outputs]

    def _value(self, block: Block, node: Node, known: dict[int, Expr], numbers: Sequence[Expr]) -> Expr:
        op = node.op
        if isinstance(op, View):
            return known[id(node.args[op.params[0]])]
        if isinstance(op, Reduction):  # of one element
            fold, compute = op.fold, compute_name(op.dtype(node.args["dtype"] or node.args["x"].dtype)[0])
            x = block.cast(known[id(node.args["x"])], compute)
            x = x if fold.before is None else block.cast(inline(block, fold.before, (x,)), compute)
            got = inline(block, fold.combine, (block.const(emit.limit(fold.init, compute), compute), x))
            if fold.finish is not None:
                got = inline(block, fold.finish, (block.cast(got, compute), block.const(1, compute)))
            return block.cast(got, compute_name(node.dtype))
        operands = [known[id(v)] if isinstance(v, Node) else numbers[self.places[(id(node), k)]]
                    for k, v in node.args.items()]
        if op.name == "copy.op":
            got = operands[0]
        else:
            fake = [_Typed(v) if isinstance(v, Node) else v for v in node.args.values()]
            compute = compute_name(op.types(fake)[0])
            typed = [v if p in op.free else block.cast(v, compute) for p, v in zip(op.params, operands)]
            got = inline(block, op.body, typed)
        return block.cast(got, compute_name(node.dtype))

    def _flat(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        outs = self.plan.outputs()
        self.plan.run([*tensors, *self.numbers], outs)
        return outs

    # ------------------------------------------------------------------------------------ with reductions
    def _rows(self, name: str) -> None:
        graph, over = self.graph, self.over
        kept = [a for a in range(len(self.shape)) if a not in over]
        self.count = 1
        for a in over:
            self.count *= self.shape[a]
        values = [*graph.inputs, *graph.outputs]
        layouts = [*[self._seen(n).layout for n in graph.inputs], *[l for l, _ in self.outs]]
        steps = [self._steps(l, n) for l, n in zip(layouts, values)]
        inner, lasts = collapse([self.shape[a] for a in over], [[s[a] for a in over] for s in steps])
        if len(inner) > 1:
            raise Untraceable(f"the reduced dimensions {over} do not lie as one in memory")
        outer, leads = collapse([self.shape[a] for a in kept], [[s[a] for a in kept] for s in steps])
        self.items = 1
        for n in outer:
            self.items *= n
        last = [l[0] if l else 0 for l in lasts]
        kinds = [s if s in (0, 1) else -1 for s in last]
        names = [f"x{i}" for i in range(len(graph.inputs))] + [f"out{i}" for i in range(len(self.outs))]
        dtypes = [n.dtype.name for n in values]
        dtypes[len(graph.inputs):] = [d.name for _, d in self.outs]
        operands = [emit.Operand(n, d, k) for n, d, k in zip(names, dtypes, kinds)]
        split = len(graph.inputs)
        ins, outs = operands[:split], operands[split:]
        types = ["float64" if isinstance(v, float) else "bool" if isinstance(v, bool) else "int64"
                 for v in self.numbers]
        scalars = [emit.Operand(f"k{i}", d, 0, True) for i, d in enumerate(types)]
        program = self._program()
        depth = len(outer)
        self.kernel_key = (*self.key, tuple([s[:5] for s in program]), depth, tuple(operands), tuple(scalars))
        self.make = lambda target: emit.row_passes(name, program, ins, scalars, outs, depth, target)
        order = [*range(split, len(operands)), *range(split)]  # outputs first
        self.fixed = (*outer[1:], *[s for i in order for s in leads[i]],
                      *[last[i] for i in order if kinds[i] == -1], max(self.count, 1))

    def _program(self) -> list[emit.Step]:
        """The graph as steps of row passes, in order."""
        steps: list[emit.Step] = []
        place: dict[int, int] = {}
        level: dict[int, int] = {}
        full = lambda n: any(a in self.over and n.shape[d] != 1 for d, a in enumerate(self.axes[id(n)]))
        for i, n in enumerate(self.graph.inputs):
            place[id(n)], level[id(n)] = len(steps), 0
            steps.append(emit.Step("load", (i,), compute_name(n.dtype), 0, full(n), None))
        for n in self.graph.nodes:
            args = [v for v in n.args.values() if isinstance(v, Node)]
            at = max(level[id(a)] for a in args)
            if isinstance(n.op, View):
                place[id(n)], level[id(n)] = place[id(args[0])], at
                continue
            if isinstance(n.op, Reduction) and full(args[0]):
                x = args[0]
                compute = compute_name(n.op.dtype(n.args["dtype"] or x.dtype)[0])
                place[id(n)], level[id(n)] = len(steps), at + 1
                steps.append(emit.Step("fold", (place[id(x)],), compute_name(n.dtype), at + 1, False,
                                       (n.op.fold, compute)))
                continue
            if isinstance(n.op, Reduction):
                raise Untraceable(f"{n.op.name} folds a value that does not vary along {self.over}")
            build = self._step(n)
            place[id(n)], level[id(n)] = len(steps), at
            steps.append(emit.Step("value", tuple(place[id(a)] for a in args), compute_name(n.dtype), at,
                                   any(steps[place[id(a)]].full for a in args), build))
        for o in self.graph.outputs:
            steps.append(emit.Step("store", (place[id(o)],), "", level[id(o)], steps[place[id(o)]].full,
                                   None))
        return steps

    def _step(self, node: Node):
        """build(block, values of the tensor operands, values of the numbers) for one pointwise node."""
        tensors = [v for v in node.args.values() if isinstance(v, Node)]
        return lambda block, values, numbers: self._value(block, node,
                                                          {id(t): v for t, v in zip(tensors, values)},
                                                          numbers)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Compute the outputs for inputs of the traced types and layouts."""
        outs = [fresh(l, d, self.device) for l, d in self.outs]
        if self.items and all(o.layout.numel for o in outs):
            every = [*outs, *tensors]
            args = (*[array_of(t) for t in every], *self.numbers, *[t.layout.offset for t in every],
                    *self.fixed)
            backend(self.device).run(self.kernel_key, self.make, self.items, 2.0 * max(self.count, 1), args)
        return outs


class _Typed:
    """What dtype rules ask of an operand."""

    def __init__(self, node: Node):
        self.dtype, self.layout = node.dtype, Layout(node.shape, expanded(contiguous(()), node.shape))


def _numel(shape: Sequence[int]) -> int:
    n = 1
    for s in shape:
        n *= s
    return n


def _axes(graph: Graph, shape: tuple[int, ...]) -> dict[int, tuple]:
    """For each node, the axis of the common shape that each of its dimensions lies along (None: size 1,
    anywhere)."""
    out: dict[int, tuple] = {}
    for n in graph.inputs:
        lead = len(shape) - len(n.shape)
        if lead < 0 or any(s != 1 and s != shape[lead + d] for d, s in enumerate(n.shape)):
            raise Untraceable(f"an input of shape {list(n.shape)} does not broadcast to {list(shape)}")
        out[id(n)] = tuple(range(lead, len(shape)))
    for n in graph.nodes:
        args = [v for v in n.args.values() if isinstance(v, Node)]
        if isinstance(n.op, Pointwise):
            axes: list = []
            for d in range(1, len(n.shape) + 1):
                found = {out[id(a)][-d] for a in args if len(a.shape) >= d and a.shape[-d] != 1}
                if not found:
                    found = {out[id(a)][-d] for a in args if len(a.shape) >= d} - {None} or {None}
                if len(found) > 1:
                    raise Untraceable("operands that line up along different dimensions")
                axes.append(found.pop())
            out[id(n)] = tuple(reversed(axes))
        elif isinstance(n.op, Reduction):
            x, dims = args[0], n.args["dim"]
            out[id(n)] = tuple(a for d, a in enumerate(out[id(x)]) if n.args["keepdim"] or d not in dims)
        else:
            out[id(n)] = _through(n, args[0], out[id(args[0])], shape)
    return out


def _through(n: Node, x: Node, axes: tuple, shape: tuple[int, ...]) -> tuple:
    """Axes after a view, if it only inserts, drops or repeats dimensions of size 1."""
    if n.op.name == "expand":
        lead = len(n.shape) - len(x.shape)
        base = len(shape) - len(n.shape)
        return tuple(base + d if d < lead or x.shape[d - lead] == 1 else axes[d - lead]
                     for d in range(len(n.shape)))
    same = [s for s in n.shape if s != 1] == [s for s in x.shape if s != 1]
    if same and n.op.name in ("squeeze", "unsqueeze", "view.shape", "alias"):
        rest = iter([a for s, a in zip(x.shape, axes) if s != 1])
        return tuple(None if s == 1 else next(rest) for s in n.shape)
    raise Untraceable(f"{n.op.name} moves elements")

