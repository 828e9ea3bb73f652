"""Settings of the compiler, by the names of torch._dynamo.config, and the stance of compiled functions."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

STANCES = ("default", "eager_then_compile", "aot_eager_then_compile", "force_eager", "eager_on_recompile",
           "fail_on_recompile")
ALIASES = {"cache_size_limit": "recompile_limit",
           "accumulated_cache_size_limit": "accumulated_recompile_limit"}


class Settings:
    """What programs set on torch._dynamo.config. Of effect: `recompile_limit` (specialisations of one
    function; beyond them it runs as Python), `error_on_recompile`, `disable`. The others speak of parts that
    this compiler does not have."""

    def __init__(self, **values: Any):
        self.__dict__["_values"] = values

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][ALIASES.get(name, name)]
        except KeyError:
            raise AttributeError(f"torch._dynamo.config.{name} does not exist") from None

    def __setattr__(self, name: str, value: Any) -> None:
        name = ALIASES.get(name, name)
        if name not in self._values:
            raise AttributeError(f"torch._dynamo.config.{name} does not exist")
        self._values[name] = value
        if name == "disable":
            stance.name = "force_eager" if value else "default"

    def __dir__(self) -> list[str]:
        return [*self._values, *ALIASES]

    def get_config_copy(self) -> dict[str, Any]:
        """All settings."""
        return dict(self._values)

    @contextlib.contextmanager
    def _patched(self, changes: dict[str, Any]) -> Iterator[None]:
        before = dict(self._values)
        try:
            for k, v in changes.items():
                setattr(self, k, v)
            yield
        finally:
            for k in changes:
                setattr(self, k, before[ALIASES.get(k, k)])

    def patch(self, arg1: str | dict[str, Any] | None = None, arg2: Any = None, **kwargs: Any) -> Any:
        """A context, or decorator, in which settings differ: patch("name", value), patch({...}),
        patch(name=...)."""
        changes = dict(arg1) if isinstance(arg1, dict) else {arg1: arg2} if arg1 is not None else {}
        return self._patched({**changes, **kwargs})


config = Settings(
    recompile_limit=16, accumulated_recompile_limit=256, error_on_recompile=False, disable=False,
    suppress_errors=False, verbose=False, capture_scalar_outputs=False,
    capture_dynamic_output_shape_ops=False, automatic_dynamic_shapes=True, assume_static_by_default=True,
    specialize_int=False, specialize_float=False, optimize_ddp=True, inline_inbuilt_nn_modules=True,
    compiled_autograd=False, force_parameter_static_shapes=True, allow_unspec_int_on_nn_module=False,
    ignore_logger_methods=set(), reorderable_logging_functions=set(),
    guard_nn_modules=True, repro_tolerance=1e-3, base_dir="", fail_on_recompile_limit_hit=False,
    numpy_default_float="float64", trace_numpy=True, use_graph_deduplication=False,
    track_nodes_for_deduplication=False, caching_precompile=False, error_on_nested_fx_trace=True,
    skip_fwd_side_effects_in_bwd_under_checkpoint=False, cprofile=False, log_compilation_metrics=True,
    dont_skip_tracing=False)


class Stance:
    """The stance in force."""

    name = "default"


stance = Stance()


class set_stance(contextlib.ContextDecorator):  # noqa: N801 - PyTorch's name
    """What a compiled function does when called: "force_eager" runs the function as it stands;
    "eager_on_recompile" and "fail_on_recompile" do that, or raise, where a guard fails; "default" compiles.
    At once, and as a context manager or decorator for a while."""

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False,
                 force_backend: Any = None):
        if stance not in STANCES:
            raise RuntimeError(f"invalid torch.compile stance '{stance}'")
        self._name, self._before = stance, _swap(stance)

    def __call__(self, func: Any) -> Any:
        _swap(self._before)
        return super().__call__(func)

    def __enter__(self) -> None:
        self._before = _swap(self._name, self._before)

    def __exit__(self, *exc: Any) -> None:
        _swap(self._before)


def _swap(name: str, before: str | None = None) -> str:
    """Take another stance; the one before."""
    was, stance.name = stance.name, name
    return was if before is None else before
