"""The override protocol: subclasses of Tensor, `__torch_function__`, modes. Once
these classes exist every public function of the process asks for overrides; values do not change."""
import pytest

import numtorch as t
from numtorch import overrides


class Kept(t.Tensor):
    """Results stay of this type."""


class Logged(t.Tensor):
    calls: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append((func.__name__, [k.__name__ for k in types], kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)


class Refuses(t.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return NotImplemented


class Duck:
    """No Tensor, yet it answers for functions."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func.__name__, len(args), kwargs


x = t.arange(6.0).reshape(2, 3).as_subclass(Kept)
p = t.ones(2, 3)


@pytest.mark.parametrize("call", [
    lambda: x + 1, lambda: 1 - x, lambda: p * x, lambda: x @ p.T, lambda: x.T, lambda: x.sum(), lambda: x[0],
    lambda: x.max(0).values, lambda: t.cat([p, x]), lambda: t.split(x, 1)[1], lambda: list(x)[0],
    lambda: t.nn.functional.relu(x), lambda: t.nn.Linear(3, 2)(x), lambda: t.linalg.norm(x), lambda: x.data,
    lambda: x.clone(),
    lambda: t.zeros_like(x), lambda: x.new_zeros(2), lambda: t.where(x > 1, x, p), lambda: Kept([1.0, 2.0]),
    lambda: x.detach(), lambda: x.to(t.float64), lambda: t.fft.fft(x), lambda: -x, lambda: x == x])
def test_results_keep_the_class(call):
    assert type(call()) is Kept


def test_what_is_not_kept():
    with pytest.warns(UserWarning, match="copy construct"):
        assert type(t.tensor(x)) is t.Tensor
    assert type(x.as_subclass(t.Tensor)) is type(t.Tensor(x)) is type(p + p) is t.Tensor
    assert repr(x[0]) == "Kept([0., 1., 2.])" and x.shape == (2, 3) and x.sum().item() == 15
    assert type(t.nn.Parameter(p) + 1) is t.Tensor
    assert isinstance(t.nn.Parameter(x), t.nn.Parameter) and type(t.nn.Parameter(x)) is Kept


def test_gradients_pass_through():
    leaf = t.ones(2, requires_grad=True)
    y = (leaf.as_subclass(Kept) * 3).sum()
    y.backward()
    assert type(y) is Kept and leaf.grad.tolist() == [3, 3]
    own = Kept([1.0, 2.0]).requires_grad_()
    (own ** 2).sum().backward()
    assert type(own.grad) is t.Tensor and own.grad.tolist() == [2, 4]


def test_function_types_and_arguments_are_passed():
    y = p.as_subclass(Logged)
    y.calls.clear()
    assert type(t.sum(y, dim=0)) is type(2 * y) is type(y[0]) is Logged
    t.nn.functional.softmax(y, dim=1)
    assert y.calls == [("sum", ["Logged"], {"dim": 0}), ("mul", ["Logged"], {}),
                       ("__getitem__", ["Logged"], {}), ("softmax", ["Logged"], {"dim": 1})]
    with pytest.raises(TypeError, match="unsupported operand"):
        x + y
    with pytest.raises(TypeError, match="Multiple dispatch failed for 'torch.add'"):
        t.add(p.as_subclass(Refuses), 1)


def test_tables_made_before_the_first_subclass_find_their_functions():
    early = {t.mean.fn: 1}
    assert early[t.mean] == 1 and t.mean.fn == t.mean and "mean" in repr(t.mean)


def test_objects_that_are_no_tensors():
    assert t.add(Duck(), 1) == ("add", 2, None) and p + Duck() == ("add", 2, None)
    assert t.stack([p, Duck()], dim=1) == ("stack", 1, {"dim": 1})
    assert overrides.is_tensor_like(Duck()) and not overrides.is_tensor_like(3)


def test_disabled():
    with t._C.DisableTorchFunctionSubclass():
        assert type(x + 1) is t.Tensor and not overrides.has_torch_function((x,))
    assert overrides.has_torch_function((x,)) and not overrides.has_torch_function_unary(p)

    class Off(t.Tensor):
        __torch_function__ = t._C._disabled_torch_function_impl
    assert type(p.as_subclass(Off) + 1) is t.Tensor


def test_modes():
    seen = []

    class Mode(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(overrides.resolve_name(func))
            return func(*args, **(kwargs or {}))
    with Mode():
        t.ones(2).sum(0)
    t.ones(2)
    assert seen == ["torch.ones", "torch.Tensor.sum"]


def test_wrap_torch_function():
    @overrides.wrap_torch_function(lambda a, b=0: (a,))
    def double(a, b=0):
        return a * 2
    assert double(3) == 6 and double(Duck(), b=1) == ("double", 1, {"b": 1})


def test_questions():
    table = overrides.get_overridable_functions()
    assert t.add in table[t] and t.Tensor.add in table[t.Tensor]
    assert overrides.get_testing_overrides()[t.add](1, 2) == -1
    assert t.is_tensor in overrides.get_ignored_functions()
    assert overrides.is_tensor_method_or_property(t.Tensor.add)
