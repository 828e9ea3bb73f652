"""TensorBoard logs, written by tensorboardX."""
from __future__ import annotations

from typing import Any

from ... import Tensor, bfloat16

try:
    from tensorboardX import SummaryWriter as _Writer
except ImportError as e:
    raise ImportError("TensorBoard logs need tensorboardX: pip install 'numtorch[tensorboard]'") from e

__all__ = ["SummaryWriter"]


def _arrays(x: Any) -> Any:
    "`x` with its tensors as arrays."
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype == bfloat16 else x).numpy()
    if isinstance(x, dict):
        return {key: _arrays(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        return type(x)(map(_arrays, x))
    return x


class SummaryWriter(_Writer):
    """Write events for TensorBoard under log_dir, by default runs/DATE_HOST and comment. See tensorboardX."""

    def __init__(self, log_dir: str | None = None, comment: str = "", purge_step: int | None = None,
                 max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = "") -> None:
        super().__init__(log_dir, comment=comment, purge_step=purge_step, max_queue=max_queue,
                         flush_secs=flush_secs,
                         filename_suffix=filename_suffix)

    @property
    def log_dir(self) -> str:
        """The folder of the events."""
        return self.logdir

    def get_logdir(self) -> str:
        """Return the folder of the events."""
        return self.logdir

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False,
                  use_strict_trace: bool = True) -> None:
        """Not available yet."""
        raise NotImplementedError("SummaryWriter.add_graph does not work yet")


def _with_arrays(name: str) -> Any:
    inner = getattr(_Writer, name)

    def add(self: SummaryWriter, *args: Any, **kwargs: Any) -> Any:
        return inner(self, *map(_arrays, args), **_arrays(kwargs))

    add.__name__, add.__doc__ = name, inner.__doc__
    return add


for _name in [name for name in dir(_Writer) if name.startswith("add_") and name != "add_graph"]:
    setattr(SummaryWriter, _name, _with_arrays(_name))
