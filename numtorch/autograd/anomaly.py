"""Anomaly mode: backward stops at the first NaN and names the operation."""
from __future__ import annotations

_state = {"on": False, "nan": True}


class set_detect_anomaly:
    """Turn the check on or off; as a context, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self.before = dict(_state)
        _state.update(on=bool(mode), nan=bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc) -> None:
        _state.update(self.before)


class detect_anomaly(set_detect_anomaly):
    """Context in which backward raises RuntimeError at the first operation that makes a NaN."""

    def __init__(self, check_nan: bool = True):
        self.check_nan, self.before = check_nan, dict(_state)

    def __enter__(self) -> None:
        self.before = dict(_state)
        _state.update(on=True, nan=self.check_nan)


def enabled() -> bool:
    """Whether results of backward are checked."""
    return _state["on"] and _state["nan"]


def check(node, results) -> None:
    """RuntimeError if a gradient that `node` made holds a NaN."""
    for i, g in enumerate(results):
        if g is not None and g.dtype.is_floating_point and bool((g != g).any()):
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
