"""Models by name, and the weights published for them.

A builder (`resnet18(weights=…)`) is a function of keyword arguments made public by `builder`. Published
weights are members of an enumeration (`ResNet18_Weights.IMAGENET1K_V1`): an address, the transforms that
images need, and facts.
"""
from __future__ import annotations

import fnmatch
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .._presets import ImageClassification
from ._published import CATEGORIES, PIXELS, TABLE

__all__ = ["Weights", "WeightsEnum", "get_model", "get_model_builder", "get_model_weights", "get_weight",
           "list_models", "register_model"]

BUILDERS: dict[str, Callable] = {}
BASE = "https://download.pytorch.org/models/"


@dataclass
class Weights:
    """Published weights: where they are, a function that makes the transforms, and facts about them."""

    url: str
    transforms: Callable
    meta: dict[str, Any]

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Weights) and self.url == other.url and self.meta == other.meta

    __hash__ = None  # type: ignore[assignment]


class WeightsEnum(Enum):
    """The published weights of one model; DEFAULT is the best of them."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member that obj is or names; None for None. TypeError for weights of another model."""
        if obj is None:
            return None
        if type(obj) is str:
            return cls[obj.removeprefix(cls.__name__ + ".")]
        if not isinstance(obj, cls):
            raise TypeError(f"Invalid Weight class provided; expected {cls.__name__} but received "
                            f"{obj.__class__.__name__}.")
        return obj

    def get_state_dict(self, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        """Read the file, fetched on the first call (`hub.load_state_dict_from_url`)."""
        from ...hub import load_state_dict_from_url
        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"

    @property
    def url(self) -> str:
        """Where the file is."""
        return self.value.url

    @property
    def transforms(self) -> Callable:
        """A function that makes the transforms of images for these weights."""
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        """categories, num_params, accuracies."""
        return self.value.meta


def published(name: str, module: str) -> type[WeightsEnum]:
    """Make the enumeration `name` from the table of published files."""
    rows: dict[str, Weights] = {}
    default = ""
    for line in TABLE[name].strip().splitlines():
        key, file, crop, resize, mode, params, top1, top5, least, *rest = line.split()
        options: dict[str, Any] = {"crop_size": int(crop), "resize_size": int(resize)}
        from ..transforms import InterpolationMode
        options["interpolation"] = InterpolationMode(mode)
        if rest:
            options["mean"], options["std"] = PIXELS[rest[0]]
        if key.endswith("*"):
            default = key = key[:-1]
        meta = {"categories": None if rest == ["caffe"] else CATEGORIES, "num_params": int(params),
                "min_size": (int(least),) * 2,
                "_metrics": {"ImageNet-1K": {"acc@1": float(top1), "acc@5": float(top5)}}}
        rows[key] = Weights(BASE + file, functools.partial(ImageClassification, **options), meta)
    if default:
        rows["DEFAULT"] = rows[default]
    # One object, two names: Enum makes the second an alias of the first.
    return WeightsEnum(name, rows, module=module)  # type: ignore[call-arg, return-value]


def builder(weights: type[WeightsEnum] | None = None, pretrained: str | None = "DEFAULT",
            sized: bool = False, **fixed: Any) -> Callable[[Callable], Callable]:
    """Make `make(**options)` a public builder `f(*, weights=None, progress=True, **options)`.

    weights: the enumeration of its published weights. pretrained: the member that the old argument
    `pretrained=True` means. sized: the model has the option image_size. fixed: options that these weights
    were trained with, where they are loaded.
    """
    def decorate(make: Callable) -> Callable:
        @functools.wraps(make)
        def build(*args: Any, weights: Any = None, progress: bool = True, **options: Any) -> Any:
            if args or "pretrained" in options:
                old = args[0] if args else options.pop("pretrained")
                if isinstance(old, (bool, int)) or old is None:
                    warnings.warn("The parameter 'pretrained' is deprecated since 0.13 and may be removed in "
                                  "the future, please use 'weights' instead.", stacklevel=2)
                    weights = kind[str(pretrained)] if old and kind is not None else weights
                else:
                    weights = old
                if len(args) > 1:
                    progress = args[1]
                if len(args) > 2:
                    raise TypeError(f"{make.__name__}() takes from 0 to 2 positional arguments but "
                                    f"{len(args)} were given")
            if kind is None:
                if weights is not None:
                    raise ValueError(f"no weights are published for {make.__name__}")
                return make(**options)
            weights = kind.verify(weights)
            if weights is None:
                return make(**options)
            known = dict(fixed)
            if weights.meta["categories"] is not None:
                known["num_classes"] = len(weights.meta["categories"])
            if sized:
                known["image_size"] = weights.meta["min_size"][0]
            for name, value in known.items():
                if options.setdefault(name, value) != value:
                    raise ValueError(f"The parameter '{name}' expected value {value} but got "
                                     f"{options[name]} instead.")
            model = make(**options)
            load = getattr(model, "_load_published", model.load_state_dict)
            load(weights.get_state_dict(progress=progress, check_hash=True))
            return model

        kind = weights
        build.weights = kind  # type: ignore[attr-defined]
        build.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
            inspect.Parameter("weights", inspect.Parameter.KEYWORD_ONLY, default=None),
            inspect.Parameter("progress", inspect.Parameter.KEYWORD_ONLY, default=True),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])
        return register_model()(build)
    return decorate


def register_model(name: str | None = None) -> Callable[[Callable], Callable]:
    """Decorate a builder: `get_model` finds it by `name`, by default its own."""
    def wrapper(fn: Callable) -> Callable:
        key = name if name is not None else fn.__name__
        if key in BUILDERS:
            raise ValueError(f"An entry is already registered under the name '{key}'.")
        BUILDERS[key] = fn
        return fn
    return wrapper


def get_model_builder(name: str) -> Callable:
    """The function that makes the model `name`. ValueError: not known."""
    name = name.lower()
    if name not in BUILDERS:
        raise ValueError(f"Unknown model {name}")
    return BUILDERS[name]


def get_model(name: str, **config: Any) -> Any:
    """Make the model `name`."""
    return get_model_builder(name)(**config)


def list_models(module: Any = None, include: Any = None, exclude: Any = None) -> list[str]:
    """The names of models, sorted: those of `module`, that match a pattern of include and none of exclude."""
    names: Iterable[str] = [n for n, f in BUILDERS.items()
                            if module is None or f.__module__.rsplit(".", 1)[0] == module.__name__
                            or f.__module__ == module.__name__]
    for patterns, keep in ((include, True), (exclude, False)):
        if patterns:
            patterns = [patterns] if isinstance(patterns, str) else list(patterns)
            names = [n for n in names if any(fnmatch.fnmatch(n, p) for p in patterns) == keep]
    return sorted(names)


def get_model_weights(name: Any) -> Any:
    """The enumeration of the published weights of a model, by its name or builder."""
    make: Any = name if callable(name) else get_model_builder(name)
    return make.weights


def get_weight(name: str) -> WeightsEnum:
    """The weights called `name`, such as "ResNet50_Weights.IMAGENET1K_V1"."""
    try:
        kind, member = name.split(".")
    except ValueError:
        raise ValueError(f"Invalid weight name provided: '{name}'.") from None
    found = getattr(sys.modules[__package__], kind, None)
    if found is None:
        raise ValueError(f"The weight enum '{kind}' for the specific method couldn't be retrieved.")
    return found[member]
