"""torch.distributions: probability distributions with samples, densities and divergences.

Samples are PyTorch's for the same seed."""
from __future__ import annotations

import re as _re
import sys as _sys
import types as _types

from . import compound, constraints, continuous, discrete, multivariate, transforms, utils
from .compound import *  # noqa: F403
from .continuous import *  # noqa: F403
from .discrete import *  # noqa: F403
from .distribution import Distribution, ExponentialFamily
from .kl import kl_divergence, register_kl
from .multivariate import *  # noqa: F403
from .transforms import *  # noqa: F403
from .transforms import biject_to, transform_to

_own = [n for m in (discrete, continuous, multivariate, compound) for n in m.__all__]
_FILES = {"StudentT": "studentT", "FisherSnedecor": "fishersnedecor",
          "LogitRelaxedBernoulli": "relaxed_bernoulli",
          "ExpRelaxedCategorical": "relaxed_categorical", "RelaxedOneHotCategorical": "relaxed_categorical",
          "OneHotCategoricalStraightThrough": "one_hot_categorical", "ExponentialFamily": "exp_family"}


def _submodules() -> None:
    """PyTorch has a file a distribution: torch.distributions.categorical.Categorical is torch's
    Categorical."""
    for name in [*_own, "ExponentialFamily"]:
        file = _FILES.get(name) or _re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        full = f"{__name__}.{file}"
        module = _sys.modules.get(full)
        if module is None:
            module = _sys.modules[full] = _types.ModuleType(full, f"{name} under PyTorch's file name.")
            globals()[file] = module
        setattr(module, name, globals()[name])
    registry = _types.ModuleType(f"{__name__}.constraint_registry", "biject_to and transform_to.")
    registry.__dict__.update(biject_to=biject_to, transform_to=transform_to)
    _sys.modules[registry.__name__] = globals()["constraint_registry"] = registry


_submodules()
__all__ = ["Distribution", "ExponentialFamily", "biject_to", "constraints", "kl_divergence", "register_kl",  # noqa: F405
           "transform_to", "transforms", "utils", *transforms.__all__, *_own]
