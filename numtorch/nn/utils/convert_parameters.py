"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ... import Tensor, cat, typename

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _same_device(parameters: Iterable[Tensor]) -> list[Tensor]:
    parameters = list(parameters)
    if len({p.device for p in parameters}) > 1:
        raise TypeError("Found two parameters on different devices, this is currently not supported.")
    return parameters


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all elements of the parameters, one parameter after another."""
    return cat([p.view(-1) for p in _same_device(parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters views of consecutive parts of `vec`."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {typename(vec)}")
    at = 0
    for parameter in _same_device(parameters):
        n = parameter.numel()
        parameter.data = vec[at : at + n].view_as(parameter).data
        at += n
