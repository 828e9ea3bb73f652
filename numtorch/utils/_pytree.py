"""Trees of Python containers: flatten to a list of leaves, and back.

Inner nodes are tuples, lists, dicts, named tuples, OrderedDict, defaultdict, deque and what
register_pytree_node adds; everything else, None too, is a leaf."""
from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

PyTree = Any
Context = Any


class NodeDef(NamedTuple):
    """How one container type is taken apart (children, context) and put together again."""

    type: type
    flatten_fn: Callable[[Any], tuple[list, Any]]
    unflatten_fn: Callable[[Iterable, Any], Any]
    flatten_with_keys_fn: Callable[[Any], tuple[list, Any]] | None = None


class SequenceKey(NamedTuple):
    """A step into a tuple, list or deque."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """The child at this step."""
        return sequence[self.idx]


class MappingKey(NamedTuple):
    """A step into a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """The child at this step."""
        return mapping[self.key]


class GetAttrKey(NamedTuple):
    """A step to an attribute (of a named tuple)."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The child at this step."""
        return getattr(obj, self.name)


def _named(values: Iterable, kind: Any) -> Any:
    return kind(*values)


SUPPORTED_NODES: dict[Any, NodeDef] = {}


def register_pytree_node(cls: type, flatten_fn: Callable, unflatten_fn: Callable, *,
                         serialized_type_name: str | None = None, to_dumpable_context: Callable | None = None,
                         from_dumpable_context: Callable | None = None,
                         flatten_with_keys_fn: Callable | None = None) -> None:
    """Make `cls` an inner node: flatten_fn(x) → (children, context), unflatten_fn(children, context) → x."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)


def _sequence_keys(values: Iterable) -> list:
    return [(SequenceKey(i), v) for i, v in enumerate(values)]


def _mapping_keys(values: Any) -> list:
    return [(MappingKey(k), v) for k, v in values.items()]


for _kind in (tuple, list):
    register_pytree_node(_kind, lambda x: (list(x), None), lambda v, _, _kind=_kind: _kind(v),
                         flatten_with_keys_fn=lambda x: (_sequence_keys(x), None))
for _map in (dict, OrderedDict):
    register_pytree_node(_map, lambda x: (list(x.values()), list(x)),
                         lambda v, keys, _map=_map: _map(zip(keys, v)),
                         flatten_with_keys_fn=lambda x: (_mapping_keys(x), list(x)))
register_pytree_node(namedtuple, lambda x: (list(x), type(x)), _named,  # type: ignore[arg-type]
                     flatten_with_keys_fn=lambda x: ([(GetAttrKey(f), v) for f, v in zip(x._fields, x)],
                                                     type(x)))
register_pytree_node(defaultdict, lambda x: (list(x.values()), [x.default_factory, list(x)]),
                     lambda v, c: defaultdict(c[0], zip(c[1], v)),
                     flatten_with_keys_fn=lambda x: (_mapping_keys(x), [x.default_factory, list(x)]))
register_pytree_node(deque, lambda x: (list(x), x.maxlen), lambda v, most: deque(v, maxlen=most),
                     flatten_with_keys_fn=lambda x: (_sequence_keys(x), x.maxlen))


def is_namedtuple_class(cls: type) -> bool:
    """Whether a class is that of a named tuple."""
    return (isinstance(cls, type) and issubclass(cls, tuple)
            and isinstance(getattr(cls, "_fields", None), tuple))


def is_namedtuple_instance(obj: object) -> bool:
    """Whether an object is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: object | type) -> bool:
    """Whether an object or class is a named tuple."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def _kind_of(tree: Any) -> Any:
    kind = type(tree)
    return namedtuple if kind not in SUPPORTED_NODES and is_namedtuple_class(kind) else kind


def tree_is_leaf(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> bool:
    """Whether `tree` is a leaf: of no registered type, or by `is_leaf`."""
    return (is_leaf is not None and is_leaf(tree)) or _kind_of(tree) not in SUPPORTED_NODES


def children(tree: PyTree) -> list:
    """What an inner node holds."""
    return list(SUPPORTED_NODES[_kind_of(tree)].flatten_fn(tree)[0])


class TreeSpec:
    """The shape of a tree: container type, context (keys, say), specs of the children. Type None: a leaf."""

    __slots__ = ("type", "context", "_children", "num_nodes", "num_leaves", "num_children")

    def __init__(self, type: Any, context: Any = None, children_specs: Iterable[TreeSpec] = ()):
        self.type, self.context, self._children = type, context, list(children_specs)
        self.num_children = len(self._children)
        self.num_nodes: int = 1 + sum(c.num_nodes for c in self._children)
        self.num_leaves: int = 1 if type is None else sum(c.num_leaves for c in self._children)

    def is_leaf(self) -> bool:
        """Whether this is the spec of a leaf."""
        return self.type is None

    def children(self) -> list[TreeSpec]:
        """Specs of the children."""
        return list(self._children)

    children_specs = property(children)

    def child(self, index: int) -> TreeSpec:
        """The spec of one child."""
        return self._children[index]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TreeSpec) and self.type == other.type
                                 and self.context == other.context and self._children == other._children)

    def __hash__(self) -> int:
        return hash((self.type, self.num_leaves, self.num_nodes))

    def __repr__(self, indent: int = 0) -> str:
        if self.type is None:
            return "*"
        inside = (",\n" + " " * (indent + 2)).join(c.__repr__(indent + 2) for c in self._children)
        return f"TreeSpec({self.type.__name__}, {self.context}, [{inside}])"

    def unflatten(self, leaves: Iterable) -> PyTree:
        """The tree of this shape with these leaves. ValueError where their number differs."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec "
                             f"refers to a pytree that holds {self.num_leaves} items ({self}).")
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator) -> PyTree:
        if self.type is None:
            return next(leaves)
        children = [c._build(leaves) for c in self._children]
        return SUPPORTED_NODES[self.type].unflatten_fn(children, self.context)

    def flatten_up_to(self, tree: PyTree) -> list[PyTree]:
        """The subtrees of `tree` at this spec's leaves. ValueError where the shapes differ above them."""
        if self.type is None:
            return [tree]
        kind = _kind_of(tree)
        if kind is not self.type:
            if kind not in (dict, OrderedDict, defaultdict) or self.type not in (dict, OrderedDict,
                                                                                 defaultdict):
                raise ValueError(f"Node type mismatch; expected {self.type!r}, but got {kind!r}.")
        if kind in (dict, OrderedDict, defaultdict):
            keys = self.context[1] if self.type is defaultdict else self.context
            if len(tree) != len(keys) and set(keys) == set(tree):
                raise ValueError(f"Node arity mismatch; expected {len(keys)}, but got {len(tree)}.")
            if set(keys) != set(tree):
                missing, extra = set(keys) - set(tree), set(tree) - set(keys)
                words = [f"{what} key(s): {keys}" for what, keys in (("missing", missing), ("extra", extra))
                         if keys]
                raise ValueError(f"Node keys mismatch; {'; '.join(words)}.")
            children = [tree[k] for k in keys]
        else:
            children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
            if len(children) != self.num_children:
                raise ValueError(f"Node arity mismatch; expected {self.num_children}, but got "
                                 f"{len(children)}.")
            if kind is not deque and context != self.context:
                raise ValueError(f"Node context mismatch for custom node type {self.type!r}.")
        return [s for c, t in zip(self._children, children) for s in c.flatten_up_to(t)]


class LeafSpec(TreeSpec):
    """The spec of a leaf."""

    def __init__(self) -> None:
        super().__init__(None)

    __slots__ = ()


PyTreeSpec = TreeSpec
_LEAF = LeafSpec()


def treespec_leaf() -> TreeSpec:
    """The spec of a leaf."""
    return _LEAF


def _flatten(tree: PyTree, leaves: list, is_leaf: Callable | None) -> TreeSpec:
    if is_leaf is not None and is_leaf(tree):
        leaves.append(tree)
        return _LEAF
    kind = _kind_of(tree)
    node = SUPPORTED_NODES.get(kind)
    if node is None:
        leaves.append(tree)
        return _LEAF
    children, context = node.flatten_fn(tree)
    return TreeSpec(kind, context, [_flatten(c, leaves, is_leaf) for c in children])


def tree_flatten(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> tuple[list, TreeSpec]:
    """(leaves, spec) of a tree."""
    leaves: list = []
    return leaves, _flatten(tree, leaves, is_leaf)


def tree_unflatten(leaves: Iterable, treespec: TreeSpec) -> PyTree:
    """The tree of the shape `treespec` with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError("tree_unflatten(leaves, treespec): Expected `treespec` to be instance of PyTreeSpec "
                        f"but got item of type {type(treespec)}.")
    return treespec.unflatten(leaves)


def tree_leaves(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> list:
    """The leaves of a tree."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> Iterator:
    """The leaves of a tree, one after the other."""
    yield from tree_leaves(tree, is_leaf)


def tree_structure(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> TreeSpec:
    """The spec of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable, tree: PyTree, *rests: PyTree,
             is_leaf: Callable[[PyTree], bool] | None = None) -> PyTree:
    """The tree of func(leaf, leaf of the others …)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec._build(map(func, leaves, *[spec.flatten_up_to(r) for r in rests]))


def tree_map_(func: Callable, tree: PyTree, *rests: PyTree,
              is_leaf: Callable[[PyTree], bool] | None = None) -> PyTree:
    """Call func on every leaf; the tree itself is returned."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for values in zip(leaves, *[spec.flatten_up_to(r) for r in rests]):
        func(*values)
    return tree


def _chosen(kinds: Any) -> Callable[[Any], bool]:
    if isinstance(kinds, type | tuple):
        return lambda x: isinstance(x, kinds)
    if callable(kinds):
        return kinds
    return lambda x: isinstance(x, kinds)


def map_only(type_or_types_or_pred: Any, /) -> Callable:
    """Decorate a function of leaves so that it leaves alone those of other types."""
    chosen = _chosen(type_or_types_or_pred)

    def decorate(func: Callable) -> Callable:
        @functools.wraps(func)
        def wrapped(x: Any) -> Any:
            return func(x) if chosen(x) else x
        return wrapped
    return decorate


def tree_map_only(type_or_types_or_pred: Any, /, func: Callable, tree: PyTree,
                  is_leaf: Callable[[PyTree], bool] | None = None) -> PyTree:
    """tree_map over the leaves of a type (or that satisfy a predicate); the others stay."""
    return tree_map(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(type_or_types_or_pred: Any, /, func: Callable, tree: PyTree,
                   is_leaf: Callable[[PyTree], bool] | None = None) -> PyTree:
    """tree_map_ over the leaves of a type (or that satisfy a predicate)."""
    return tree_map_(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree,
             is_leaf: Callable[[PyTree], bool] | None = None) -> bool:
    """Whether every leaf satisfies the predicate."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree,
             is_leaf: Callable[[PyTree], bool] | None = None) -> bool:
    """Whether some leaf satisfies the predicate."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: PyTree,
                  is_leaf: Callable[[PyTree], bool] | None = None) -> bool:
    """Whether every leaf of the type satisfies the predicate."""
    chosen = _chosen(type_or_types)
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if chosen(x))


def tree_any_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: PyTree,
                  is_leaf: Callable[[PyTree], bool] | None = None) -> bool:
    """Whether some leaf of the type satisfies the predicate."""
    chosen = _chosen(type_or_types)
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if chosen(x))


def _with_path(path: tuple, tree: PyTree, is_leaf: Callable | None) -> Iterator[tuple[tuple, Any]]:
    node = None if is_leaf is not None and is_leaf(tree) else SUPPORTED_NODES.get(_kind_of(tree))
    if node is None:
        yield path, tree
        return
    if node.flatten_with_keys_fn is None:
        raise ValueError(f"Did not find a flatten_with_keys_fn for type: {node.type}. Please pass a "
                         "flatten_with_keys_fn argument to register_pytree_node.")
    for key, child in node.flatten_with_keys_fn(tree)[0]:
        yield from _with_path((*path, key), child, is_leaf)


def tree_leaves_with_path(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> list:
    """[(path, leaf)]: a path is the tuple of keys that lead to the leaf."""
    return list(_with_path((), tree, is_leaf))


def tree_flatten_with_path(tree: PyTree, is_leaf: Callable[[PyTree], bool] | None = None) -> tuple:
    """([(path, leaf)], spec) of a tree."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func: Callable, tree: PyTree, *rests: PyTree,
                       is_leaf: Callable[[PyTree], bool] | None = None) -> PyTree:
    """The tree of func(path, leaf, leaf of the others …)."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    return spec._build(iter([func(*pair, *more) for pair, *more in zip(pairs, *others)]))


def keystr(kp: Iterable) -> str:
    """A path as code: ['a'][0].x."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: Iterable) -> Any:
    """What the path leads to."""
    for k in kp:
        obj = k.get(obj)
    return obj


def treespec_pprint(treespec: TreeSpec) -> str:
    """A spec as the tree it stands for, leaves as *."""
    class Star:
        def __repr__(self) -> str:
            return "*"
    return repr(tree_unflatten([Star()] * treespec.num_leaves, treespec))


def _broadcast_to_and_flatten(tree: PyTree, treespec: TreeSpec,
                              is_leaf: Callable[[PyTree], bool] | None = None) -> list | None:
    """The leaves of `tree`, a prefix of the spec's tree, each repeated for what it stands for; None if it is
    no prefix."""
    if treespec.is_leaf() or tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves if tree_is_leaf(tree, is_leaf) else None
    if _kind_of(tree) is not treespec.type:
        return None
    children, context = SUPPORTED_NODES[treespec.type].flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    out: list = []
    for child, spec in zip(children, treespec._children):
        got = _broadcast_to_and_flatten(child, spec, is_leaf)
        if got is None:
            return None
        out += got
    return out
