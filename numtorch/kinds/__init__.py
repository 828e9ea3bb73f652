"""The kinds of operations: what an entry's body means, and every stage that follows from it."""
from .composite import Composite, composite
from .opaque import Opaque, float_array, opaque
from .pointwise import RESERVED, Plan, Pointwise, pointwise
from .promotion import (
    ALWAYS_BOOL,
    BOOL_TO_LONG,
    COMPLEX_TO_FLOAT,
    DEFAULT,
    FLOAT_ONLY,
    INT_TO_FLOAT,
    INTEGERS,
)
from .reduction import Reduction, reduction
from .view import View, view

__all__ = ["ALWAYS_BOOL", "BOOL_TO_LONG", "COMPLEX_TO_FLOAT", "Composite", "DEFAULT", "FLOAT_ONLY",
           "INTEGERS", "INT_TO_FLOAT", "Opaque", "Plan", "Pointwise", "RESERVED", "Reduction", "View",
           "composite", "float_array", "opaque", "pointwise", "reduction", "view"]
